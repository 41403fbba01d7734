"""A made-up comparison for the tests of the reports: seven approaches, seeded numbers, English and Chinese questions.

The numbers are drawn, not measured: they only have the shape of a real comparison. `sample()` always gives the same.
"""

from __future__ import annotations

import random
from dataclasses import replace

from tunewise.nouns import (
    Answer,
    Approach,
    Assembly,
    Bill,
    BreakEven,
    Chunk,
    Citation,
    Comparison,
    Cost,
    Difference,
    Estimate,
    Gold,
    Guess,
    Hit,
    Needs,
    Question,
    Reason,
    Recommendation,
    Retrieval,
    Router,
    Row,
    Standing,
    Winner,
)

# (document, title, page, sentences; in each sentence the answer stands between « and »), question, kind, need
FACTS: list[tuple[str, str, str, str, str, str]] = [
    (
        "returns.md",
        "en",
        "Unworn shoes may be returned within «45 days» of delivery.",
        "How long can unworn shoes be returned?",
        "number",
        "facts",
    ),
    (
        "returns.md",
        "en",
        "Return parcels under 5 kg are collected by «Northwind Courier».",
        "Who collects light return parcels?",
        "name",
        "facts",
    ),
    (
        "returns.md",
        "en",
        "Refunds above 800 euros need the signature of «the regional lead».",
        "Who signs refunds above 800 euros?",
        "name",
        "facts",
    ),
    (
        "warehouse.md",
        "en",
        "The cold aisle is kept at «4 °C», and the dry aisle at 18 °C.",
        "How cold is the cold aisle?",
        "number",
        "facts",
    ),
    (
        "warehouse.md",
        "en",
        "Forklift drivers renew their licence every «three years».",
        "How often is a forklift licence renewed?",
        "number",
        "facts",
    ),
    (
        "warehouse.md",
        "en",
        "Report a damaged pallet as «PALLET/aisle/number».",
        "In which form is a damaged pallet reported?",
        "code",
        "form",
    ),
    (
        "payroll.md",
        "en",
        "Night work is paid at «135 percent» of the hourly rate.",
        "What is the rate for night work?",
        "number",
        "facts",
    ),
    (
        "payroll.md",
        "en",
        "A travel claim is filed as «TR-year-number».",
        "How is a travel claim numbered?",
        "code",
        "form",
    ),
    (
        "payroll.md",
        "en",
        "We call the yearly bonus the «harvest share».",
        "What do we call the yearly bonus?",
        "term",
        "terms",
    ),
    (
        "security.md",
        "en",
        "Visitors wear an «orange badge» at all times.",
        "Which badge do visitors wear?",
        "name",
        "facts",
    ),
    (
        "security.md",
        "en",
        "An outage of the second level is called an «amber event».",
        "What is a second-level outage called?",
        "term",
        "terms",
    ),
    (
        "security.md",
        "en",
        "Passwords of service accounts change every «90 days».",
        "How often do service passwords change?",
        "number",
        "facts",
    ),
    ("差旅.md", "zh", "国内出差住宿标准为每晚不超过«480元»。", "国内出差每晚住宿标准是多少？", "number", "facts"),
    ("差旅.md", "zh", "机票须至少提前«七天»预订。", "机票须提前多久预订？", "number", "facts"),
    ("差旅.md", "zh", "报销单编号格式为«BX-年份-序号»。", "报销单编号是什么格式？", "code", "form"),
    ("质检.md", "zh", "出厂抽检比例为«千分之三»。", "出厂抽检比例是多少？", "number", "facts"),
    ("质检.md", "zh", "复检不合格的批次称为«红签批»。", "复检不合格的批次叫什么？", "term", "terms"),
    ("质检.md", "zh", "质检记录由«档案室»保存五年。", "质检记录由谁保存？", "name", "facts"),
]
# name, index?, recipe, skill on facts, form, terms, share of refusals where it fails, seconds, training minutes
APPROACHES: list[tuple[str, bool, str | None, float, float, float, float, float, float]] = [
    ("raft", True, "raft", 0.80, 0.82, 0.80, 0.45, 2.6, 48.0),
    ("rag-hybrid", True, None, 0.80, 0.72, 0.74, 0.40, 2.4, 0.0),
    ("sft+rag", True, "sft", 0.70, 0.78, 0.70, 0.25, 2.7, 31.0),
    ("rag-lexical", True, None, 0.62, 0.44, 0.50, 0.40, 1.9, 0.0),
    ("sft", False, "sft", 0.16, 0.74, 0.55, 0.05, 0.7, 31.0),
    ("少样本提示", False, None, 0.08, 0.40, 0.20, 0.30, 0.9, 0.0),
    ("zero-shot", False, None, 0.06, 0.10, 0.10, 0.50, 0.5, 0.0),
]


def _question(i: int) -> tuple[Question, Chunk, str]:
    document, language, sentence, text, kind, need = FACTS[i % len(FACTS)]
    part = i // len(FACTS)
    before, answer, after = sentence.replace("«", "|").replace("»", "|").split("|")
    filler = "本节说明现行办法。" if language == "zh" else "This section states the rule in force. "
    lead = filler * (1 + part % 4)
    passage = lead + before + answer + after
    start = 200 * (i + 1)
    chunk = Chunk(
        f"{document}#{i}",
        document,
        f"rev-{document}",
        start,
        start + len(passage),
        passage,
        title=document.removesuffix(".md").title(),
        heading=f"§ {part + 1}",
        page=part + 1,
        language=language,
    )
    at = start + len(lead) + len(before)
    suffix = "" if part == 0 else (f"（第 {part + 1} 版）" if language == "zh" else f" (edition {part + 1})")
    if i % 11 == 10:  # every eleventh question has no answer in the documents
        return (
            Question(f"q{i:03}", text + suffix, answerable=False, kind="none", need="facts", language=language),
            chunk,
            "",
        )
    gold = (Gold(document, at, at + len(answer)),)
    return Question(f"q{i:03}", text + suffix, (answer,), gold, kind=kind, need=need, language=language), chunk, answer


def _row(
    rng: random.Random, question: Question, chunk: Chunk, gold: str, spec: tuple, distractor: Chunk, hard: float
) -> Row:
    name, index, _recipe, facts, form, terms, shy, seconds, _minutes = spec
    skill = {"facts": facts, "form": form, "terms": terms}[question.need]
    found = hard < 0.93  # hard questions are hard for everybody: that is what pairing is for
    hits = (
        (Hit(chunk, 0.9, 1, (("dense", 1),)), Hit(distractor, 0.4, 2))
        if index and found
        else (Hit(distractor, 0.4, 1),)
        if index
        else ()
    )
    right = 0.8 * hard + 0.2 * rng.random() < (skill if found or not index else skill * 0.2)
    refused = not right and rng.random() < shy if question.answerable else rng.random() < shy + 0.2
    wrong_words = "sixty days" if question.language == "en" else "三十天"
    text = gold if right and question.answerable else wrong_words
    if question.answerable and right and rng.random() < 0.3:
        text = f"It is {gold}." if question.language == "en" else f"应为{gold}。"
    if refused:
        text = "Not in the documents." if question.language == "en" else "文档中没有。"
    citations: tuple[Citation, ...] = ()
    if hits and not refused:
        first = hits[0].chunk
        offset = first.text.find(gold) if gold else -1
        span = (first.start + offset, first.start + offset + len(gold)) if offset >= 0 else (first.start, first.end)
        quote = first.text[span[0] - first.start : span[1] - first.start]
        verified = bool(gold) and gold in text and offset >= 0
        citations = (
            Citation(
                "[1]",
                first.document,
                first.revision,
                *span,
                quote,
                first.page,
                "marker",
                verified,
                "" if verified else "the words of the answer do not stand in the passage",
            ),
        )
    ok = (right and not refused) if question.answerable else refused
    f1 = (1.0 if text == gold else 0.67) if right and not refused and question.answerable else 0.0
    scores = {
        "correct": float(ok),
        "missing": float(refused and question.answerable),
        "refused": float(refused),
        "quality": f1 if question.answerable else float(refused),
        "words": float(len(text.split())),
    }
    scores["wrong"] = 1.0 - scores["correct"] - scores["missing"]
    if question.answerable:
        scores |= {
            "f1": f1,
            "em": float(text == gold),
            "contains": float(gold in text),
            "false_refusal": float(refused),
        }
    else:
        scores["right_refusal"] = float(refused)
    if question.need == "form":
        scores["form"] = float(ok)
    if question.need == "terms":
        scores["terms"] = float(ok)
    if hits and question.gold:
        scores |= {"recall": float(found), "mrr": float(found)}
        if citations:
            scores |= {
                "citation_precision": float(citations[0].verified),
                "citation_recall": float(citations[0].verified),
            }
    answer = Answer(
        question.id,
        text,
        text + (" [1]" if citations else ""),
        hits,
        citations,
        refused,
        420 if index else 60,
        len(text) // 3 + 1,
        seconds * rng.uniform(0.7, 1.5),
    )
    if name == "sft" and question.id == "q007":
        answer = replace(answer, text="", raw="", error="the model ran out of memory")
    return Row(question.id, answer, scores)


def _estimate(values: list[float]) -> Estimate:
    n, mean = len(values), sum(values) / len(values)
    half = 1.96 * (max(mean * (1 - mean), 0.01) / n) ** 0.5
    return Estimate(mean, max(0.0, mean - half), min(1.0, mean + half), n)


def _share(mean: float) -> dict[str, float]:
    return {"mean": mean, "low": mean - 0.1, "high": mean + 0.1, "n": 50}


def sample(questions: int = 60, *, seed: int = 7) -> tuple[Comparison, Recommendation, Needs]:
    """A comparison of seven approaches, its recommendation and the needs behind it."""
    rng = random.Random(seed)
    asked = [_question(i) for i in range(questions)]
    hardness = [rng.random() for _ in asked]
    rows = {
        q.id: {
            spec[0]: _row(rng, q, chunk, gold, spec, asked[(i + 5) % questions][1], hardness[i]) for spec in APPROACHES
        }
        for i, (q, chunk, gold) in enumerate(asked)
    }
    standings = [_standing(spec, [q for q, _, _ in asked], rows) for spec in APPROACHES]
    standings.sort(key=lambda s: -s.metrics["quality"].mean)
    best = standings[0].approach.name
    settled = [
        replace(
            s,
            against_best=None if s.approach.name == best else _difference(s.approach.name, best, rows),
            against_cheapest=None
            if s.approach.name == "zero-shot"
            else _difference(s.approach.name, "zero-shot", rows),
        )
        for s in standings
    ]
    identity = {
        "model": {"name": "smollm2", "sha256": "b179c9523d0e6a0f"},
        "seed": seed,
        "machine": "2 cores, 8 GB",
        "versions": {"tunewise": "0.1.0", "python": "3.11.2"},
    }
    comparison = Comparison(
        "quality",
        tuple(q for q, _, _ in asked),
        tuple(settled),
        tuple(s.against_best for s in settled if s.against_best),
        rows,
        1.2 / questions**0.5,
        identity,
        Difference(
            "rag-hybrid", "rag-hybrid (again)", "quality", 0.0, -0.012, 0.012, 1.0, "not distinguishable", questions
        ),
        (Reason("Splitting was by fact: no training question shares a gold span with a test question.",
                "按事实切分：没有训练题与测试题共用同一依据。"),),
        places={
            f"answerable={'yes' if yes else 'no'}": tuple(i for i, (q, _, _) in enumerate(asked) if q.answerable == yes)
            for yes in (True, False)
        },
        freshness=(
            {"approach": "rag-hybrid", "means": "ingest", "seconds": 3.2, "new": {"mean": 0.8}, "old": {"mean": 0.05}},
            {"approach": "sft", "means": "adapter as it was", "seconds": None, "new": {"mean": 0.0}, "old": {"mean":
            0.6}},
        ),
        robustness=tuple(
            {"approach": name, "k": 3, "questions": 50, "changed": 31,
             "noise": {str(r): _share(0.8 - 0.1 * r) for r in range(3)}, "noise_slope": _share(-0.3),
             "position": {str(rank): _share(0.8 - 0.05 * rank) for rank in (1, 2, 3)}, "position_slope": None,
             "follows": _share(0.4), "keeps": None, "rejects": _share(0.2), "invents": _share(0.7)}
            for name in ("raft", "rag-hybrid")
        ),
        curves={
            name: tuple({"step": float(n), "loss": 3.0 / n, "validation_loss": 3.3 / n} for n in range(1, 20))
            for name in ("raft", "sft", "sft+rag")
        },
    )
    needs = Needs(max_wrong=0.45)
    hour = {
        s.approach.name: s.seconds_p50 / 3600 * needs.price_cpu_hour * needs.answers_per_month * needs.months
        for s in settled
    }
    total = {
        s.approach.name: hour[s.approach.name]
        + (60.0 if s.cost.labels else 0.0)
        + s.cost.train_seconds / 3600 * 49 * 0.05
        + (0.4 if s.approach.index else 0.0)
        for s in settled
    }
    recommendation = Recommendation(
        "rag-hybrid",
        0.86,
        (),
        (
            Reason("5 of 7 approaches pass your gates.", "7 个方案中有 5 个通过您的门槛。", 5.0),
            Reason(
                "rag-hybrid is not distinguishable from raft, the best on quality.",
                "rag-hybrid 与质量最高的 raft 无法区分。",
                0.03,
            ),
            Reason(
                "Of those that are as good, it costs least: it needs no labels and no training.",
                "在同样好的方案中成本最低：无需标注和训练。",
                total["rag-hybrid"],
            ),
        ),
        {"sft": Reason("wrong answers 0.52 > 0.45", "错误回答 0.52 > 0.45", 0.52),
         "少样本提示": Reason("wrong answers 0.60 > 0.45", "错误回答 0.60 > 0.45", 0.6)},
        {"facts": "rag-hybrid", "form": "raft", "terms": "raft"},
        (
            Reason("If form mattered three times as much, raft would win.", "若格式的权重增至三倍，raft 会胜出。", 3.0),
            Reason(
                "If retrieval recall fell by 10 points, raft would win.",
                "若检索召回率下降 10 个百分点，raft 会胜出。",
                -0.1,
            ),
        ),
        total,
        "raft",
        front={"rag-hybrid": 0.97, "raft": 0.81, "sft+rag": 0.02, "rag-lexical": 0.66, "zero-shot": 1.0},
        on_front=("raft", "rag-hybrid", "rag-lexical", "zero-shot"),
        bills=tuple(
            Bill(s.approach.name, labels=60.0 if s.cost.labels else 0.0,
                 set_up=s.cost.train_seconds / 3600 * 0.05 + (0.4 if s.approach.index else 0.0),
                 updates=s.cost.train_seconds / 3600 * 48 * 0.05, answers=hour[s.approach.name],
                 rate=hour[s.approach.name] / needs.answers_per_month, per_update=s.cost.train_seconds / 3600 * 0.05,
                 per_answer=hour[s.approach.name] / needs.answers_per_month / needs.months)
            for s in settled
        ),
        volumes=(1_000, 10_000, 100_000),
        break_even=(BreakEven("rag-hybrid", "raft", None), BreakEven("rag-hybrid", "rag-lexical", 0.0),
                    BreakEven("rag-hybrid", "zero-shot", 25_633.0, below=True)),
        assemblies={s.approach.name: Assembly(4, 2, 1, s.cost.labels) for s in settled},
        winners=(Winner("need=form", "raft", 0.71, 10, 0.6, True), Winner("need=facts", "rag-hybrid", 0.8, 30, 0.8,
        False)), router=Router("need", {"facts": "rag-hybrid", "form": "raft"}, 0.03, 0.01, 0.05, 0.01, True, 123.0),
        warnings=(Reason("Over-refusal: one in four.", "过度拒答：四分之一。", 0.25),),
        guess=Guess("rag", (), (), "right", Reason("rag-hybrid is recommended", "推荐的是 rag-hybrid")),
    )
    return comparison, recommendation, needs


def _standing(spec: tuple, questions: list[Question], rows: dict[str, dict[str, Row]]) -> Standing:
    name, index, recipe, *_rest, minutes = spec
    mine = [rows[q.id][name] for q in questions]
    metrics = {
        metric: _estimate([r.scores[metric] for r in mine if metric in r.scores])
        for metric in sorted({key for r in mine for key in r.scores})
    }
    strata: dict[str, dict[str, Estimate]] = {}
    for q in questions:
        touched = "untouched" if q.need == "terms" or q.id[-1] in "159" else "seen"
        for stratum in (f"need={q.need}", f"kind={q.kind}", f"language={q.language}", f"documents={touched}"):
            strata.setdefault(stratum, {})
    for stratum in sorted(strata):
        what, value = stratum.split("=")
        part = [
            rows[q.id][name]
            for q in questions
            if {
                "need": q.need,
                "kind": q.kind,
                "language": q.language,
                "documents": "untouched" if q.need == "terms" or q.id[-1] in "159" else "seen",
            }[what]
            == value
        ]
        strata[stratum] = {m: _estimate([r.scores[m] for r in part]) for m in ("quality", "correct", "wrong")}
    seconds = sorted(r.answer.seconds for r in mine)
    return Standing(
        Approach(name, "smollm2", index="main" if index else None, recipe=recipe, retrieval=Retrieval()),
        metrics,
        strata,
        Cost(
            train_seconds=minutes * 60,
            trained_parameters=4_884_480 if recipe else 0,
            index_seconds=3.0 if index else 0.0,
            peak_memory_bytes=int(1.1e9 if recipe else 7e8),
            labels=120 if recipe else 0,
        ),
        seconds[len(seconds) // 2],
        seconds[int(len(seconds) * 0.95)],
        sum(r.answer.tokens_in for r in mine) / len(mine),
        sum(r.answer.tokens_out for r in mine) / len(mine),
        sum(r.answer.error is not None for r in mine),
    )


def _difference(a: str, b: str, rows: dict[str, dict[str, Row]]) -> Difference:
    deltas = [each[a].scores["quality"] - each[b].scores["quality"] for each in rows.values()]
    n, mean = len(deltas), sum(deltas) / len(deltas)
    half = 1.96 * (max(sum((d - mean) ** 2 for d in deltas) / n, 1e-4) / n) ** 0.5
    verdict = "better" if mean - half > 0 else "worse" if mean + half < 0 else "not distinguishable"
    return Difference(
        a,
        b,
        "quality",
        mean,
        mean - half,
        mean + half,
        0.3 if verdict == "not distinguishable" else 0.004,
        verdict,
        n,
        int(n * (half / max(abs(mean), 0.005)) ** 2) + 1 if verdict == "not distinguishable" else None,
    )
