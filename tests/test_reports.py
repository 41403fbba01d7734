"""The reports: what they say, that they stay whole when something is missing, and that data never becomes markup."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from sample_comparison import sample
from tunewise import reports
from tunewise.amounts import number, points
from tunewise.nouns import Bill, Comparison, Estimate, Needs, Reason, Recommendation, Row
from tunewise.reports import plots, story, svg, tables, volume
from tunewise.reports.words import cut, listing, percent, rough, stratum_words, width

PAYLOAD = "</script><img src=x onerror=\"document.title='broken'\"><b>'\"&{{data}}"


class Elements(HTMLParser):
    """All elements with their attributes, and the text of scripts and styles."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.inner: list[tuple[str, dict[str, str | None], str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.found and self.found[-1][0] in ("script", "style") and data.strip():
            self.inner.append((*self.found[-1], data))


def parse(page: str) -> Elements:
    elements = Elements()
    elements.feed(page)
    return elements


def data_of(page: str) -> dict:
    return json.loads(next(text for tag, attrs, text in parse(page).inner if attrs.get("id") == "data"))


def only(comparison: Comparison, *names: str) -> Comparison:
    """The same comparison with fewer approaches."""
    kept = tuple(
        replace(s, against_best=None, against_cheapest=None) for s in comparison.standings if s.approach.name in names
    )
    rows = {q: {name: row for name, row in each.items() if name in names} for q, each in comparison.rows.items()}
    return replace(comparison, standings=kept, differences=(), rows=rows, null=None)


def poisoned() -> tuple[Comparison, Recommendation, Needs]:
    """The sample with a payload in every text that comes from outside."""
    comparison, recommendation, needs = sample(12)

    def rename(name: str | None) -> str | None:
        return f"{name}{PAYLOAD}" if name else name

    rows = {}
    for question, each in comparison.rows.items():
        rows[question] = {}
        for name, row in each.items():
            a = row.answer
            hits = tuple(
                replace(
                    h,
                    chunk=replace(
                        h.chunk,
                        text=h.chunk.text + PAYLOAD,
                        end=h.chunk.end + len(PAYLOAD),
                        title=PAYLOAD,
                        heading=PAYLOAD,
                        document=h.chunk.document + PAYLOAD,
                    ),
                )
                for h in a.hits
            )
            cited = tuple(replace(c, reason=PAYLOAD, quote=PAYLOAD, document=c.document + PAYLOAD) for c in a.citations)
            answer = replace(a, text=PAYLOAD, raw=PAYLOAD + "[1]", hits=hits, citations=cited)
            rows[question][rename(name)] = Row(question, answer, row.scores)
    standings = tuple(
        replace(
            s,
            approach=replace(s.approach, name=rename(s.approach.name)),
            metrics={**s.metrics, PAYLOAD: Estimate(0.5, 0.4, 0.6, 9)},
            strata={**s.strata, f"kind={PAYLOAD}": s.strata["need=facts"]},
            against_best=s.against_best
            and replace(s.against_best, a=rename(s.against_best.a), b=rename(s.against_best.b)),
        )
        for s in comparison.standings
    )
    questions = tuple(
        replace(q, question=PAYLOAD, kind=PAYLOAD, answers=(PAYLOAD,) if q.answerable else ())
        for q in comparison.questions
    )
    comparison = replace(
        comparison,
        standings=standings,
        rows=rows,
        questions=questions,
        notes=(Reason(PAYLOAD, PAYLOAD),),
        identity={PAYLOAD: {PAYLOAD: [PAYLOAD]}},
    )
    recommendation = replace(
        recommendation,
        choice=rename(recommendation.choice),
        runner_up=rename(recommendation.runner_up),
        reasons=(Reason(PAYLOAD, PAYLOAD),),
        flips=(Reason(PAYLOAD, PAYLOAD),),
        warnings=(Reason(PAYLOAD, PAYLOAD),),
        winners=tuple(replace(w, stratum=f"kind={PAYLOAD}", name=PAYLOAD) for w in recommendation.winners),
        router=replace(recommendation.router, routes={PAYLOAD: PAYLOAD}),
        bills=tuple(replace(line, name=rename(line.name)) for line in recommendation.bills),
        break_even=tuple(replace(one, other=rename(one.other)) for one in recommendation.break_even),
        guess=replace(recommendation.guess, said=Reason(PAYLOAD, PAYLOAD)),
        by_need={"facts": rename("raft")},
        rejected={rename("sft"): Reason(PAYLOAD, PAYLOAD)},
        total_cost={rename(k): v for k, v in recommendation.total_cost.items()},
    )
    return comparison, recommendation, needs


# ------------------------------------------------------------------------------------------------ words and numbers


def test_numbers_keep_the_digits_that_matter() -> None:
    assert [number(v) for v in (0, 0.0042, 0.55, 1.372, 12.34, 842, 12_400, 1_200_000)] == [
        "0",
        "0.0042",
        "0.55",
        "1.37",
        "12.3",
        "842",
        "12,400",
        "1.2 M",
    ]
    assert number(float("nan")) == points(float("inf")) == "–"
    assert [percent(v) for v in (0, 0.001, 0.5, 0.999, 1)] == ["0 %", "<1 %", "50 %", ">99 %", "100 %"]
    assert [rough(v) for v in (7, 104, 25_633)] == [7, 100, 26_000]
    assert [rough(v, up=True) for v in (7, 100, 104, 25_133)] == [7, 100, 110, 26_000], "enough stays enough"


def test_width_counts_terminal_columns() -> None:
    assert width("abc") == 3 and width("少样本") == 6 and width("e\u0301") == 1
    assert cut("少样本提示", 7) == "少样本…" and width(cut("少样本提示", 7)) <= 7


def test_listing_and_strata_in_both_languages() -> None:
    assert listing(["a", "b", "c"]) == ("a, b and c", "a、b 和 c")
    assert listing(list("abcdef"), most=2) == ("a, b and 4 more", "a、b 等 6 个")
    assert [say.en for say in stratum_words("need=facts")] == ["need", "facts"]
    assert [say.zh for say in stratum_words("kind=a=b: c")] == ["题型", "a=b: c"], "the user's own words stay"


# ------------------------------------------------------------------------------------------------ terminal, text, JSON


@pytest.mark.parametrize("language", ["en", "zh"])
def test_terminal_table_is_aligned_and_fits(language: str) -> None:
    comparison, recommendation, needs = sample()
    lines = reports.terminal(comparison, recommendation, language=language, needs=needs).splitlines()
    table = lines[: 2 + len(comparison.standings)]
    assert {width(line) for line in table} == {width(table[1])}, "the last column is aligned to the right"
    assert all(width(line) <= 120 for line in lines)
    assert sum(line.startswith("* ") for line in table) == 1
    text = "\n".join(lines)
    assert ("Use rag-hybrid." if language == "en" else "使用 rag-hybrid。") in text
    for reason in recommendation.reasons:
        said = reason.text if language == "en" else reason.text_zh
        assert said in re.sub(r"\n +", " " if language == "en" else "", text)


def test_one_approach_in_one_line() -> None:
    standing = sample(12)[0].standings[0]
    line = reports.row(standing)
    assert line.startswith(standing.approach.name) and points(standing.metrics["quality"].mean) in line
    assert "秒/答" in reports.row(standing, language="zh") and width(line) <= 120


def test_wide_terminal_has_every_column() -> None:
    comparison, recommendation, _ = sample()
    head = reports.terminal(comparison, recommendation, wide=True).splitlines()[0]
    assert all(label in head for label in ("Contains", "Citation recall", "Trained parameters", "Against the cheapest"))


def test_names_cannot_command_a_terminal() -> None:
    comparison, recommendation, _ = sample(12)
    first = comparison.standings[0]
    evil = replace(first, approach=replace(first.approach, name="x\x1b[2J\u202edone"))
    text = reports.terminal(replace(comparison, standings=(evil, *comparison.standings[1:])), recommendation)
    assert "\x1b" not in text and "\u202e" not in text


def test_markdown_reads_no_markup_from_data() -> None:
    text = reports.markdown(*poisoned()[:2])
    assert "<img" not in text.replace("\\<img", "") and "</script" not in text.replace("\\</script", "")
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table}) == 1


def test_json_is_strict_and_whole() -> None:
    comparison, recommendation, needs = sample(24)
    broken = replace(
        comparison, detectable=float("nan"), identity={"path": Path("a"), "x": float("inf"), "s": "\ud800"}
    )
    value = reports.as_json(broken, recommendation, needs=needs)
    again = json.loads(json.dumps(value, allow_nan=False).encode())
    assert again["schema"] == reports.SCHEMA and again["detectable"] is None and again["identity"]["x"] is None
    assert len(again["questions"]) == 24 and again["needs"]["months"] == needs.months
    for question in again["questions"]:
        for name, row in question["rows"].items():
            assert row["scores"] == dict(comparison.rows[question["id"]][name].scores)
            assert all(hit["passage"] in again["passages"] for hit in row["hits"])
    documented = (Path(__file__).parent.parent / "docs" / "report-schema.md").read_text("utf-8")
    assert all(
        f"`{key}`" in documented for key in [*again, *again["questions"][0], *again["questions"][0]["rows"]["raft"]]
    )


# ------------------------------------------------------------------------------------------------ the page


def test_page_holds_everything_and_asks_for_nothing() -> None:
    comparison, recommendation, needs = sample()
    page = reports.html(comparison, recommendation, needs=needs)
    elements = parse(page)
    assert {"answer", "table", "plots", "questions", "method"} <= {
        a.get("id") for tag, a in elements.found if tag == "section"
    }
    assert not re.search(r"https?://|//[a-z]", re.sub(r"<script>.*?</script>", "", page, flags=re.S)), (
        "no address outside"
    )
    assert not [a for tag, a in elements.found if {"src", "style"} & set(a) or any(k.startswith("on") for k in a)]
    assert not [a for tag, a in elements.found if tag in ("link", "img", "iframe", "object")]
    assert {f"figure-{key}" for key in ("cost", "forest", "outcomes", "volume", "needs", "strata")} <= {
        a.get("id") for _, a in elements.found
    }
    data = data_of(page)
    assert len(data["questions"]) == 60 and data["choice"] == "rag-hybrid"
    for say in (
        "Use <em>",
        "使用 <em>",
        *(r.text for r in recommendation.reasons),
        *(r.text_zh for r in recommendation.flips),
    ):
        assert say in page


def test_policy_allows_exactly_its_own_style_and_script() -> None:
    page = reports.html(*sample(12)[:2])
    policy = next(a["content"] for tag, a in parse(page).found if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none';") and "unsafe" not in policy
    for tag, attrs, text in parse(page).inner:
        if attrs.get("id") != "data":
            digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
            assert f"'sha256-{digest}'" in policy, tag


def test_page_has_both_languages_everywhere() -> None:
    comparison, recommendation, needs = sample()
    elements = parse(reports.html(comparison, recommendation, language="zh-CN", needs=needs))
    assert next(a for tag, a in elements.found if tag == "html")["lang"] == "zh"
    english = sum("en" in (a.get("class") or "").split() for _, a in elements.found)
    assert english > 200 and english == sum("zh" in (a.get("class") or "").split() for _, a in elements.found)


def test_tables_have_scopes_and_explanations() -> None:
    comparison, recommendation, _ = sample()
    elements = parse(tables.approaches_table(comparison, recommendation))
    assert all(a.get("scope") for tag, a in elements.found if tag == "th")
    described = [a["aria-describedby"] for tag, a in elements.found if "aria-describedby" in a]
    assert described and set(described) <= {a.get("id") for _, a in elements.found}


def test_data_never_becomes_markup() -> None:
    comparison, recommendation, needs = poisoned()
    clean, poison = (
        parse(reports.html(*what[:2], needs=what[2])) for what in (sample(12), (comparison, recommendation, needs))
    )
    assert not [tag for tag, _ in poison.found if tag == "img"]
    assert [t for t, _ in poison.found].count("script") == [t for t, _ in clean.found].count("script")
    assert not [a for _, a in poison.found if any(key.startswith("on") for key in a)]
    page = reports.html(comparison, recommendation, needs=needs)
    assert data_of(page)["questions"][0]["question"] == PAYLOAD
    assert page.count('id="data"') == 1, "what is filled in is never filled again"


def _abstain(comparison: Comparison, recommendation: Recommendation) -> tuple[Comparison, Recommendation | None]:
    return comparison, replace(recommendation, choice=None, support=0.4, tie=("raft", "rag-hybrid"), runner_up=None)


def _bare(comparison: Comparison, recommendation: Recommendation) -> tuple[Comparison, Recommendation | None]:
    standings = tuple(
        replace(s, metrics={}, strata={}, against_best=None, against_cheapest=None) for s in comparison.standings
    )
    return replace(
        comparison, standings=standings, differences=(), null=None, notes=(), detectable=float("nan")
    ), recommendation


def _no_sources(comparison: Comparison, recommendation: Recommendation) -> tuple[Comparison, Recommendation | None]:
    rows = {
        q: {n: replace(r, answer=replace(r.answer, hits=(), citations=())) for n, r in each.items()}
        for q, each in comparison.rows.items()
    }
    return replace(comparison, rows=rows), recommendation


CASES = {
    "abstain": _abstain,
    "no metrics": _bare,
    "no sources": _no_sources,
    "one approach": lambda c, r: (only(c, "少样本提示"), replace(r, choice="少样本提示", rejected={}, runner_up=None)),
    "no recommendation": lambda c, r: (c, None),
    "nothing measured": lambda c, r: (
        replace(c, standings=(), rows={}, questions=(), places={}, differences=(), null=None), None),
    "all excluded": lambda c, r: (
        c,
        replace(r, choice=None, rejected={s.approach.name: Reason("too slow", "太慢") for s in c.standings}),
    ),
    "free of charge": lambda c, r: (c, replace(r, total_cost=dict.fromkeys(r.total_cost, 0.0))),
    "choice unknown": lambda c, r: (c, replace(r, choice="gone")),
}


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("case", CASES)
def test_reports_stay_whole_when_something_is_missing(case: str, language: str) -> None:
    full, recommendation, needs = sample(22)
    comparison, decided = CASES[case](full, recommendation)
    for given in (needs, replace(needs, price_cpu_hour=0.0, answers_per_month=0), None):
        page = reports.html(comparison, decided, language=language, needs=given)
        assert "nan" not in re.sub(r"<script.*?</script>", "", page, flags=re.S).lower().split()
        headline = story.headline(comparison, decided).in_(language)
        assert headline in re.sub(r"</?(em|bdi)>", "", page)
        assert headline in reports.terminal(comparison, decided, language=language, needs=given)
        assert reports.markdown(comparison, decided, language=language, needs=given).startswith("# ")
    assert len(data_of(page)["questions"]) == len(comparison.questions)
    json.dumps(reports.as_json(comparison, decided), allow_nan=False)


def test_ties_and_abstention_are_said_plainly() -> None:
    comparison, recommendation, _ = sample(22)
    tied = replace(recommendation, support=0.6, tie=("rag-hybrid", "raft"))
    assert "tie with raft" in story.lead(comparison, tied).en and "平局" in story.lead(comparison, tied).zh
    assert story.sure(tied).en.startswith("leaning, but a tie") and "60 %" in story.sure(tied).zh
    none, decided = _abstain(comparison, recommendation)
    assert "do not support a choice" in reports.terminal(none, decided)
    assert "do not support a choice" in reports.html(none, decided)


def test_failed_self_test_is_an_alarm() -> None:
    comparison, recommendation, _ = sample(22)
    bad = replace(comparison, null=replace(comparison.null, verdict="better"))
    assert 'class="alarm"' in reports.html(bad, recommendation) and "FAILED" in reports.terminal(bad, recommendation)
    assert 'class="alarm"' not in reports.html(comparison, recommendation)


def test_errors_are_rows_of_their_own() -> None:
    comparison, recommendation, _ = sample(22)
    row = next(q for q in data_of(reports.html(comparison, recommendation))["questions"] if q["id"] == "q007")["rows"][
        "sft"
    ]
    assert row["status"] == "error" and row["error"] == "the model ran out of memory"


# ------------------------------------------------------------------------------------------------ plots


def test_takeaways_follow_the_numbers() -> None:
    comparison, recommendation, needs = sample()
    shares = {s.approach.name: s.metrics["wrong"].mean for s in comparison.standings}
    said = plots.outcomes(comparison, recommendation).takeaway.en
    assert said.startswith(min(shares, key=shares.get)) and max(shares, key=shares.get) in said
    turned = replace(
        comparison,
        standings=tuple(
            replace(
                s,
                metrics={
                    **s.metrics,
                    "wrong": Estimate(0.0, 0.0, 0.1, 60) if s.approach.name == "zero-shot" else s.metrics["wrong"],
                },
            )
            for s in comparison.standings
        ),
    )
    assert plots.outcomes(turned, recommendation).takeaway.en.startswith("zero-shot")
    assert plots.quality_cost(comparison, recommendation, needs).takeaway.en.startswith(
        comparison.standings[0].approach.name
    )


def test_forest_is_the_same_from_both_sides() -> None:
    comparison, recommendation, needs = sample()
    turned = {"better": "worse", "worse": "better"}
    other = replace(
        comparison,
        standings=tuple(
            replace(
                s,
                against_best=(d := s.against_best)
                and replace(
                    d, a=d.b, b=d.a, mean=-d.mean, low=-d.high, high=-d.low, verdict=turned.get(d.verdict, d.verdict)
                ),
            )
            for s in comparison.standings
        ),
    )
    assert plots.forest(comparison, recommendation, needs) == plots.forest(other, recommendation, needs)
    assert reports.terminal(comparison, recommendation) == reports.terminal(other, recommendation)


def test_cost_lines_pass_through_the_total_and_turn_where_they_cross() -> None:
    comparison, recommendation, needs = sample()
    lines = [line for _, line in volume.cost_lines(comparison, recommendation)]
    assert {c.name: pytest.approx(volume.at(c, needs.answers_per_month)) for c in lines} == recommendation.total_cost
    cheap, dear = Bill("no training", rate=0.02), Bill("trained", set_up=100.0, rate=0.01)
    assert volume.turns([cheap, dear], 100, 1e6) == [(100, cheap), (pytest.approx(10_000), dear)]
    assert volume.turns([cheap, dear], 100, 9_000) == [(100, cheap)]


def test_ticks_are_round_and_inside() -> None:
    assert svg.ticks(0, 1, 6) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert svg.ticks(0.5, 0.5) == [0.5] and svg.decades(1, 1000) == [1, 10, 100, 1000]
    for low, high in ((-0.731, 0.148), (3, 977), (1e-7, 3e-7)):
        found = svg.ticks(low, high)
        assert 2 <= len(found) <= 8 and low <= min(found) and max(found) <= high


def test_labels_do_not_lie_on_each_other() -> None:
    places = svg.label_places(
        [(100, 100, 120, 80, 60), (104, 102, 122, 82, 60), (102, 98, 118, 78, 60)], (0, 0, 400, 300)
    )
    boxes = [(x - {"start": 0, "middle": 30, "end": 60}[anchor], y) for x, y, anchor in places]
    assert all(abs(a[0] - b[0]) >= 60 or abs(a[1] - b[1]) >= 12 for i, a in enumerate(boxes) for b in boxes[:i])


# ------------------------------------------------------------------------------------------------ in a browser


def _open(chromium, folder: Path, page: str, **options):
    """The page from a file, with everything that it complains about or asks for."""
    path = folder / "report.html"
    path.write_text(page, "utf-8")
    tab, said = chromium.new_page(**({"viewport": {"width": 1300, "height": 900}} | options)), []
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("request", lambda request: said.append(request.url) if request.url != path.as_uri() else None)
    tab.goto(path.as_uri())
    return tab, said


@pytest.mark.browser
def test_browser_walks_filters_and_sorts(chromium, tmp_path: Path) -> None:
    comparison, recommendation, needs = sample()
    tab, said = _open(chromium, tmp_path, reports.html(comparison, recommendation, needs=needs))
    total = tab.locator("#count")
    from playwright.sync_api import expect

    assert total.inner_text() == "60 of 60 questions"
    tab.locator("#matrix").focus()
    for _ in range(3):
        tab.keyboard.press("ArrowDown")
    assert tab.locator(".detail h3").inner_text() == comparison.questions[3].question
    tab.keyboard.press("End")
    assert tab.locator(".detail h3").inner_text() == comparison.questions[-1].question
    assert tab.locator(".detail .reply").count() == 7
    tab.fill("#find", "forklift|机票")
    hits = sum(bool(re.search("forklift|机票", q.question)) for q in comparison.questions)
    expect(total).to_have_text(f"{hits} of 60 questions")
    assert 0 < hits < 60
    tab.fill("#find", "((")
    expect(tab.locator("#find")).to_have_attribute("aria-invalid", "true")
    tab.click("button[type=reset]")
    expect(total).to_have_text("60 of 60 questions")
    tab.click("[data-show=failures]")
    failed = sum(each["rag-hybrid"].scores["correct"] == 0 for each in comparison.rows.values())
    assert total.inner_text() == f"{failed} of 60 questions"
    tab.click("[data-show=all]")
    tab.select_option("#right", label="sft")
    tab.select_option("#wrong", label="raft")
    both = sum(
        each["sft"].scores["correct"] == 1 and each["raft"].scores["correct"] == 0 and each["sft"].answer.error is None
        for each in comparison.rows.values()
    )
    assert total.inner_text() == f"{both} of 60 questions"
    tab.locator(".approaches.main thead button", has_text="p95 s").click()
    names = tab.locator(".approaches.main tbody th bdi").all_inner_texts()
    assert names == [s.approach.name for s in sorted(comparison.standings, key=lambda s: -s.seconds_p95)]
    tab.locator(".approaches.main thead button", has_text="p95 s").focus()
    assert "19 of 20" in tab.locator("#float").inner_text()
    assert said == []
    tab.close()


@pytest.mark.browser
def test_browser_language_keeps_the_place(chromium, tmp_path: Path) -> None:
    comparison, recommendation, needs = sample()
    tab, said = _open(chromium, tmp_path, reports.html(comparison, recommendation, needs=needs))
    tab.emulate_media(reduced_motion="reduce")
    figure = tab.locator("#figure-outcomes")
    tab.evaluate("document.getElementById('figure-outcomes').scrollIntoView({block: 'start', behavior: 'instant'})")
    before = figure.bounding_box()["y"]
    tab.click("[data-set-language=zh]")
    assert abs(figure.bounding_box()["y"] - before) < 4 and tab.locator("h2:visible").first.inner_text() == "所有方案"
    assert tab.evaluate("document.documentElement.lang") == "zh" and "题中的" in tab.locator("#count").inner_text()
    tab.click("#theme")
    assert tab.evaluate("document.documentElement.dataset.theme") == "dark"
    assert said == []
    tab.close()


@pytest.mark.browser
def test_browser_marks_quotes_by_code_points_and_runs_no_data(chromium, tmp_path: Path) -> None:
    comparison, recommendation, needs = poisoned()
    first = comparison.questions[0]
    name = f"raft{PAYLOAD}"
    row = comparison.rows[first.id][name]
    hit, cited = row.answer.hits[0], row.answer.citations[0]
    text = "𠮷😀" + "甲" * 8 + "quoted here" + " and the rest"
    chunk = replace(hit.chunk, text=text, start=100, end=100 + len(text))
    cited = replace(cited, start=110, end=121, verified=True, document=chunk.document, revision=chunk.revision)
    answer = replace(row.answer, hits=(replace(hit, chunk=chunk),), citations=(cited,))
    rows = {**comparison.rows, first.id: {**comparison.rows[first.id], name: replace(row, answer=answer)}}
    tab, said = _open(chromium, tmp_path, reports.html(replace(comparison, rows=rows), recommendation, needs=needs))
    reply = tab.locator(".reply", has=tab.locator("bdi", has_text="raft</script>"))
    reply.locator("summary").first.click()
    assert reply.locator(".passage mark").first.inner_text() == "quoted here"
    assert reply.locator(".passage .ok").first.inner_text() == "verified"
    assert tab.locator("img").count() == 0 and tab.title() != "broken" and said == []
    tab.close()


@pytest.mark.browser
@pytest.mark.slow
def test_browser_opens_ten_thousand_questions(chromium, tmp_path: Path) -> None:
    comparison, recommendation, needs = sample(10_000)
    tab, said = _open(chromium, tmp_path, reports.html(comparison, recommendation, needs=needs))
    tab.locator("#matrix").focus()
    tab.keyboard.press("End")
    assert tab.locator(".detail h3").inner_text() == comparison.questions[-1].question
    assert tab.locator("#rows .row").count() < 60 and said == []
    tab.close()


@pytest.mark.browser
@pytest.mark.parametrize("case", CASES)
def test_browser_shows_what_is_left_when_something_is_missing(case: str, chromium, tmp_path: Path) -> None:
    full, recommendation, needs = sample(22)
    comparison, decided = CASES[case](full, recommendation)
    tab, said = _open(
        chromium, tmp_path, reports.html(comparison, decided, needs=needs), viewport={"width": 420, "height": 800}
    )
    assert tab.evaluate("document.documentElement.scrollWidth") <= 420, "nothing sticks out of a narrow page"
    assert tab.locator("#detail").inner_text() and said == []
    tab.close()


@pytest.mark.browser
def test_browser_filters_by_stratum_and_shows_what_the_decision_rests_on(chromium, tmp_path: Path) -> None:
    comparison, recommendation, needs = sample()
    tab, said = _open(chromium, tmp_path, reports.html(comparison, recommendation, needs=needs))
    tab.select_option("#stratum", value="answerable=no")
    none = len(comparison.places["answerable=no"])
    assert tab.locator("#count").inner_text() == f"{none} of 60 questions" and 0 < none < 60
    tab.click("button[type=reset]")
    assert tab.locator(".caution").inner_text() == "Over-refusal: one in four."
    money = tab.locator("#figure-money .money tbody tr", has_text="rag-lexical").inner_text()
    assert "cheaper at any volume" in money
    assert "never cheaper" in tab.locator("#figure-money .money tbody tr", has_text="raft").inner_text()
    assert tab.locator("#figure-learning svg[role=img]").get_attribute("aria-label").startswith("In training")
    assert "The first guess was right" in tab.locator(".aside").inner_text()
    assert "sft never did" in tab.locator("#figure-freshness figcaption").inner_text()
    # Whatever can be used has a name, and whatever is drawn says what it shows.
    unnamed = tab.evaluate(
        "[...document.querySelectorAll('button, select, input, svg[role=img], [role=region], "
        "[role=grid]')].filter((n) =>"
        " !(n.getAttribute('aria-label') || n.getAttribute('aria-labelledby') || n.textContent.trim() ||"
        " (n.labels && n.labels.length && n.labels[0].textContent.trim()))).map((n) => n.outerHTML.slice(0, 80))"
    )
    assert unnamed == []
    # One language filter that offers nothing is not shown.
    assert tab.locator("label:has(#language)").is_visible() == (len({q.language for q in comparison.questions}) > 1)
    tab.set_viewport_size({"width": 390, "height": 800})
    tab.click("[data-set-language=zh]")
    assert "过度拒答" in tab.locator(".caution").inner_text()
    assert tab.locator("#rows .row .m").first.is_visible() and not tab.locator("#rows .row .sort").first.is_visible()
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390 and said == []
    tab.emulate_media(media="print")
    assert tab.locator(".filters").is_hidden() and tab.locator("#figure-cost").is_visible()
    tab.close()


@pytest.mark.browser
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_browser_text_can_be_read(chromium, tmp_path: Path, theme: str) -> None:
    """Contrast of text that is shown, against what lies behind it: at least 4.5, or 3 where it is large (WCAG 2.2
    AA)."""
    comparison, recommendation, needs = sample(22)
    tab, _ = _open(chromium, tmp_path, reports.html(comparison, recommendation, needs=needs), color_scheme=theme)
    faint = tab.evaluate("""() => {
      const rgb = (text) => { const m = text.match(/[\\d.]+/g).map(Number); return m.length > 3 && m[3] === 0 ? null :
      m; }; const light = (c) => { const [r, g, b] = c.map((v) => { v /= 255; return v <= .04045 ? v / 12.92 : ((v +
      .055) / 1.055) ** 2.4; });
        return .2126 * r + .7152 * g + .0722 * b; };
      const found = [];
      for (const node of document.querySelectorAll("main *, header *")) {
        const own = [...node.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
        if (!own || !node.checkVisibility() || node.closest("svg, .sr, option, select")) continue;
        let back = null;
        for (let at = node; at && !back; at = at.parentElement) back = rgb(getComputedStyle(at).backgroundColor);
        const style = getComputedStyle(node), front = rgb(style.color);
        if (!back || !front) continue;
        const [a, b] = [light(front.slice(0, 3)), light(back.slice(0, 3))].sort((x, y) => y - x);
        const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.5 && style.fontWeight >= 700);
        if ((a + .05) / (b + .05) < (large ? 3 : 4.5)) found.push(`${node.className} ${style.color} ${((a + .05) / (b
        + .05)).toFixed(2)} ${node.textContent.slice(0, 30)}`);
      }
      return [...new Set(found)].slice(0, 20);
    }""")
    assert faint == []
    tab.close()
