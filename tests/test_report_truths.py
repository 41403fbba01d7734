"""What the reports must not say beyond the numbers: of level values, unknown costs, ties and few questions."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import pytest

from sample_comparison import sample
from tunewise import citations, reports, systems
from tunewise.nouns import Comparison, Estimate, Needs
from tunewise.reports import bills, plots, story, tables, volume
from tunewise.reports.cited import why
from tunewise.reports.columns import MAIN, columns
from tunewise.reports.words import stratum_phrase, sureness


def level(comparison: Comparison, mean: float) -> Comparison:
    """The same comparison with every approach at one value of everything, overall and in each stratum."""
    def flat(metrics):
        return {name: Estimate(mean, mean, mean, e.n) for name, e in metrics.items()}

    standings = tuple(
        replace(s, metrics=flat(s.metrics), strata={k: flat(v) for k, v in s.strata.items()}, against_best=None)
        for s in comparison.standings
    )
    return replace(comparison, standings=standings)


@pytest.mark.parametrize("mean", [0.0, 0.5])
def test_level_is_neither_better_nor_highest(mean: float) -> None:
    comparison, recommendation, needs = sample()
    flat = level(comparison, mean)
    said = [
        story.lead(flat, recommendation), plots.quality_cost(flat, recommendation, needs).takeaway,
        plots.needs_dots(flat, recommendation).takeaway, tables.heat(flat, recommendation).takeaway,
        plots.outcomes(flat, recommendation).takeaway,
    ]
    for word in ("scored higher", "answers best and", "scores highest", "differ most", "least often", "weakest"):
        assert not any(word in one.en for one in said), (word, said)
    assert "the same" in said[0].en and "level" in said[3].en
    if mean == 0:
        assert said[1].en == "No approach answered anything rightly." and said[2].en == "No approach scored anything."


def test_who_is_level_with_the_choice_and_why_it_was_not_taken() -> None:
    comparison, recommendation, _ = sample()
    flat = level(only_two(comparison), 0.5)
    dearer = recommendation.total_cost["raft"] > recommendation.total_cost["rag-hybrid"]
    assert dearer and story.lead(flat, recommendation).en == "raft scored the same on 60 questions, but costs more."
    cheaper = replace(recommendation, total_cost={"raft": 0.0071, "rag-hybrid": 0.0075}, assemblies={})
    assert story.lead(flat, cheaper).en == "raft scored the same on 60 questions."
    three = replace(flat, standings=(*flat.standings, replace(
        flat.standings[0], approach=replace(flat.standings[0].approach, name="third"))))
    both = replace(recommendation, total_cost={"raft": 2.0, "third": 3.0, "rag-hybrid": 1.0})
    assert flat.standings[0].approach.name == "raft", "the third is a copy of it"
    assert story.lead(three, both).en == "raft and third scored the same on 60 questions, but cost more."
    out = replace(recommendation, rejected={"raft": recommendation.rejected["sft"]})
    assert story.lead(flat, out).en.endswith("but did not pass your gates.")


def only_two(comparison: Comparison) -> Comparison:
    kept = tuple(s for s in comparison.standings if s.approach.name in ("raft", "rag-hybrid"))
    return replace(comparison, standings=kept)


def test_costs_that_nobody_knows_are_not_called_excluded() -> None:
    comparison, recommendation, needs = sample()
    unknown = replace(recommendation.bills[0], rate=math.inf, per_answer=math.inf, answers=math.inf)
    assert unknown.name == "raft"
    some = replace(recommendation, bills=(unknown, *recommendation.bills[1:]), break_even=recommendation.break_even[1:])
    rows = re.findall(r"<tr.*?</tr>", volume.cost_table(some).body)
    said = {name: row for row in rows for name in ("raft", "sft", "rag-lexical") if f"<bdi>{name}</bdi>" in row}
    assert "its cost is not known" in said["raft"] and "excluded" not in said["raft"]
    assert "excluded by your needs" in said["sft"] and "cheaper at any volume" in said["rag-lexical"]
    abstained = volume.cost_table(replace(recommendation, choice=None, break_even=(), rejected={})).body
    assert "excluded" not in abstained and "Than the recommended one" not in abstained
    assert [cell.en for cell in bills.cells(unknown)][3:] == ["not known", "not known"]


def test_what_is_not_drawn_is_not_left_out_of_the_sentence() -> None:
    """The best has no known cost: another one is then not the best."""
    comparison, recommendation, needs = sample()
    best = comparison.standings[0].approach.name
    costs = {**recommendation.total_cost, best: math.inf}
    unknown = tuple(replace(line, rate=math.inf) if line.name == best else line for line in recommendation.bills)
    some = replace(recommendation, choice=best, total_cost=costs, bills=unknown)
    figure = plots.quality_cost(comparison, some, needs)
    assert figure.takeaway.en.startswith("Of those whose cost is known: ") and f"not known: {best}." in figure.what.en
    page = reports.html(comparison, some, needs=needs)
    assert "nobody told what an answer costs" in page


def test_seconds_that_somebody_else_did_not_tell_are_not_nought() -> None:
    comparison, recommendation, _ = sample()
    first = comparison.standings[0]
    theirs = replace(first, approach=replace(first.approach, answers="theirs.jsonl"), seconds_p50=0.0, seconds_p95=0.0,
                     tokens_in=0.0, tokens_out=0.0)
    shown = replace(comparison, standings=(theirs, *comparison.standings[1:]))
    found = {c.key: c.text(theirs) for c in columns(shown, recommendation)}
    assert [found[key] for key in ("seconds_p50", "seconds_p95", "tokens_in", "tokens_out")] == ["–"] * 4


def test_one_that_is_alone_is_not_the_cheapest_of_those_that_are_good_enough() -> None:
    comparison, recommendation, needs = sample()
    alone = replace(recommendation, rejected=dict.fromkeys(
        [s.approach.name for s in comparison.standings if s.approach.name != "rag-hybrid"],
        recommendation.rejected["sft"]))
    said = volume.cost_by_volume(comparison, alone, needs).takeaway.en
    assert said.startswith("Only rag-hybrid is good enough.") and "is the cheapest" not in said


def test_a_cost_under_the_scale_is_no_flat_line() -> None:
    comparison, recommendation, needs = sample()
    first, second, *others = recommendation.bills
    free = replace(first, labels=0.0, set_up=0.0, updates=0.0, answers=0.0, rate=0.0)
    tiny = replace(second, labels=0.0, set_up=0.0, updates=0.0, answers=1e-6, rate=1e-10)
    body = volume.cost_by_volume(comparison, replace(recommendation, bills=(free, tiny, *others)), needs).body
    assert body.count('<path class="curve') == len(others) and body.count("nan") == 0


def test_nobody_is_best_where_nobody_was_right() -> None:
    comparison, recommendation, _ = sample()
    flat = level(comparison, 0.0)
    assert story.by_need(flat, recommendation) == [] and len(story.by_need(comparison, recommendation)) == 3


def test_costs_stand_there_by_part_with_their_prices() -> None:
    comparison, recommendation, needs = sample()
    line = next(one for one in recommendation.bills if one.name == "raft")
    assert line.total == pytest.approx(line.labels + line.set_up + line.updates + line.answers)
    figure = bills.bills(replace(recommendation, choice="raft"), needs)
    assert figure.takeaway.en.startswith("89 % of what raft costs is labels: 60.0 of ")
    for text in ("0.5 a label (price_label)", "0.05 a machine hour", "[needs] of tunewise.toml"):
        assert text in figure.what.en
    assert "price_kwh" not in figure.what.en
    assert "0.3 a kilowatt-hour (price_kwh)" in bills.prices(replace(needs, price_kwh=0.3)).en
    page = reports.html(comparison, recommendation, needs=needs)
    assert 'id="figure-bills"' in page and "1,000 answers" in page and "每千次作答" in page
    assert "0.5 a label (price_label)" in re.sub(r"\s+", " ", reports.terminal(comparison, recommendation, needs=needs))
    assert "**Cost by part**" in reports.markdown(comparison, recommendation, needs=needs)


def test_a_tie_is_never_sure() -> None:
    assert sureness(0.97).en == "very sure" and sureness(0.97, tie=True).en == "often chosen, but a tie"
    comparison, recommendation, needs = sample()
    tied = replace(recommendation, support=0.97, tie=("raft",))
    for text in (story.sure(tied).en, reports.html(comparison, tied, needs=needs)):
        assert "often chosen, but a tie" in text and "very sure" not in text
    assert "<b>97 %</b>" in reports.html(comparison, replace(tied, tie=()), needs=needs)
    assert "<b>97 %</b>" not in reports.html(comparison, tied, needs=needs), "a large number would be read as certainty"


def test_what_decides_stands_first_and_the_rest_is_folded() -> None:
    comparison, recommendation, _ = sample()
    keys = [column.key for column in columns(comparison, recommendation) if column.main]
    assert keys == [key for key in MAIN if key in keys] and keys[:2] == ["quality", "against_best"]
    assert {"wrong", "false_refusal", "total_cost"} <= set(keys)
    table = tables.approaches_table(comparison, recommendation)
    main, finer = table.split('<details class="finer">')
    assert "Total cost" in main and "Citation recall" not in main and "Citation recall" in finer
    assert finer.count("<caption>") == finer.count('role="region" tabindex="0"') > 3


def test_measures_of_some_questions_say_of_how_many() -> None:
    comparison, recommendation, _ = sample()
    asked = sum(not question.answerable for question in comparison.questions)
    refusals = next(c for c in columns(comparison, recommendation) if c.key == "right_refusal")
    assert refusals.counts(comparison) == (asked,) and refusals.title(comparison).en == f"Right refusals (n {asked})"
    quality = columns(comparison, recommendation)[0]
    assert quality.counts(comparison) == () and quality.title(comparison) == quality.label
    page = tables.approaches_table(comparison, recommendation)
    assert f"<small>n {asked}</small>" in page and f"n {asked}: questions it applies to." in page
    assert f"(n {asked})" in reports.markdown(comparison, recommendation)


def test_no_sentence_is_made_of_a_handful_of_questions() -> None:
    comparison, recommendation, _ = sample()
    few = Estimate(1.0, 1.0, 1.0, 1)
    standings = tuple(
        replace(s, strata={**s.strata, "table=yes": {"quality": few if s.approach.name == "raft" else
                                                     replace(few, mean=0.0)}, "table=no": s.strata["need=facts"]})
        for s in comparison.standings
    )
    figure = tables.heat(replace(comparison, standings=standings), recommendation)
    assert stratum_phrase("table=yes").en not in figure.takeaway.en and "evidence in a table" in figure.body


def test_energy_is_shown_where_it_is_known() -> None:
    comparison, recommendation, _ = sample()
    keys = {c.key for c in columns(comparison, recommendation)}
    assert not keys & {"train_energy", "answer_energy"}
    first = comparison.standings[0]
    known = replace(first, cost=replace(first.cost, train_joules=7200.0, answer_joules=30.0, energy_of="cpu"))
    shown = replace(comparison, standings=(known, *comparison.standings[1:]))
    found = {c.key: c for c in columns(shown, recommendation)}
    assert found["train_energy"].text(known) == "2.00" and found["answer_energy"].text(known) == "30.0"
    assert found["answer_energy"].text(comparison.standings[1]) == "–"
    cost = reports.as_json(shown, recommendation)["standings"][0]["cost"]
    assert (cost["train_joules"], cost["answer_joules"], cost["energy_of"]) == (7200.0, 30.0, "cpu")


def test_robustness_is_shown_in_every_report() -> None:
    comparison, recommendation, needs = sample()
    page = reports.html(comparison, recommendation, needs=needs)
    figure = page[page.index('id="figure-robustness"'):]
    assert "with 2 of 3 passages replaced by distractors 60 % right instead of 80 %" in figure
    for text in (reports.terminal(comparison, recommendation), reports.markdown(comparison, recommendation)):
        assert "without the gold passage it declines 20 % and answers wrongly 70 %" in re.sub(r"\s+", " ", text)
    assert reports.as_json(comparison)["robustness"][0]["approach"] == "raft"
    assert 'id="figure-robustness"' not in reports.html(replace(comparison, robustness=()), recommendation)


def test_every_reason_of_a_citation_has_chinese_words() -> None:
    from inspect import getsource

    told = re.findall(r'(?:reason=|return )f?"([a-z][^"]+)"', getsource(citations))
    told += re.findall(r'reason=f?"([a-z][^"]+)"', getsource(systems))
    assert len(told) > 6
    for text in told:
        said = re.sub(r"\{share[^}]*\}", "40%", text).replace("{supplied}", "only 3 were supplied")
        said = re.sub(r"\{[^}]*\}", "7", said)
        assert why(said).zh != said, text
    assert why("there is no passage 4: none was supplied").zh == "没有第 4 段：未提供段落"


@pytest.mark.browser
def test_a_chinese_page_has_no_english_sentence(chromium, tmp_path: Path) -> None:
    """With gates, notes, somebody else's system, seeds and refused citations; names and quoted content aside."""
    comparison, recommendation, needs = sample(22)
    first, others = comparison.standings[0], comparison.standings[1:]
    theirs = replace(others[0], approach=replace(others[0].approach, answers="theirs.jsonl"))

    def checked(row):
        told = "only 40% of its character pairs are in the passage"
        cited = tuple(replace(one, verified=False, reason=told) for one in row.answer.citations)
        return replace(row, answer=replace(row.answer, citations=cited), seeds=(row, row, row))

    rows = {question: {**each, first.approach.name: checked(each[first.approach.name])}
            for question, each in comparison.rows.items()}
    full = replace(comparison, standings=(first, theirs, *others[1:]), rows=rows)
    path = tmp_path / "report.html"
    path.write_text(reports.html(full, recommendation, needs=needs, language="zh"), "utf-8")
    tab = chromium.new_page(viewport={"width": 1300, "height": 900})
    tab.goto(path.as_uri())
    for fold in tab.locator("details > summary").all():
        if fold.is_visible():
            fold.click()
    texts = tab.evaluate("""() => {
      const own = "bdi, code, .tree, .ask, .said, .raw, .passage > :not(.meta), .gold dd, .detail h3, script, style";
      const found = [], walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
      while (walk.nextNode()) {
        const parent = walk.currentNode.parentElement;
        if (!parent.closest(own) && parent.checkVisibility()) found.push(walk.currentNode.textContent);
      }
      for (const node of document.querySelectorAll("[title], [aria-label], [placeholder]"))
        if (node.checkVisibility() && !node.closest(own))
          for (const name of ["title", "aria-label", "placeholder"]) found.push(node.getAttribute(name) || "");
      return found;
    }""")
    assert len(texts) > 300 and any("字对在段落中" in text for text in texts)
    english = [text for text in texts if re.search(r"[A-Za-z]{2,}[ ,]+[a-z]{2,}[ ,]+[a-z]{2,}", text)]
    assert english == []
    tab.close()


def test_no_needs_no_prices() -> None:
    assert "tunewise.toml" in bills.prices(None).en and bills.bills(None, Needs()) is None
