"""`against`: what is measured now against an earlier report, with a stated margin: has it become worse?

Knows the JSON report (docs/report-schema.md) and a Comparison. What would be used then stands against what would be
used now (the recommended approach, else the best), and so does every approach that both have. On the same questions the
differences are paired; otherwise they are differences of two independent means, and say so. A question is the same when
its id, its words and its gold answers are. Questions count by the weights of today's needs, then and now, and documents
are the clusters on both sides, as in every comparison.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tunewise.comparison import clusters_of, weights_of
from tunewise.errors import DataMistake
from tunewise.nouns import Comparison, Difference, Estimate, Gold, Needs, Question, Recommendation
from tunewise.statistics import LEVEL, bootstrap_means, paired
from tunewise.store import read_json

SCHEMA = "tunewise-report/"


@dataclass(frozen=True, slots=True)
class Earlier:
    """What an earlier report said: whom it would use, each question's score by approach, and its questions by id (a
    run keeps none)."""

    name: str
    metric: str
    choice: str
    scores: Mapping[str, Mapping[str, float]]
    asked: Mapping[str, Question]


@dataclass(frozen=True, slots=True)
class Change:
    """One approach then and now: `difference.mean` is now − then. `regressed`: the mean fell by more than the margin
    (and, where the questions are not the same, chance is no explanation). `shown`: it is told apart from none. `same`:
    every question has the score that it had."""

    then: str
    now: str
    difference: Difference
    paired: bool
    regressed: bool
    shown: bool
    same: bool = False


@dataclass(frozen=True, slots=True)
class Against:
    """`used` is the change of what is recommended, and decides; `others` are the approaches that both have."""

    baseline: str
    margin: float
    questions: int
    shared: int
    used: Change
    others: tuple[Change, ...]


def load_baseline(path: Path) -> Earlier:
    """An earlier report (`tunewise report --json`) or the folder of one finished run."""
    if path.is_dir():
        return _run(path)
    if not path.is_file():
        raise DataMistake(f"{path} does not exist", tip="tunewise report --output baseline.json writes one")
    value = read_json(path)
    if not isinstance(value, dict) or not str(value.get("schema", "")).startswith(SCHEMA):
        raise DataMistake(f"{path} is no report", tip="tunewise report --output baseline.json writes one")
    try:
        metric, questions = value["metric"], value["questions"]
        standings = [one["approach"]["name"] for one in value["standings"]]
        scores = {name: {q["id"]: float(q["rows"][name]["scores"][metric]) for q in questions
                         if metric in q["rows"].get(name, {}).get("scores", {})} for name in standings}
        choice = (value.get("recommendation") or {}).get("choice") or standings[0]
        return Earlier(str(path), metric, choice, scores, {q["id"]: _question(q) for q in questions})
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise DataMistake(f"{path} is not a whole report: {error!r}", tip="write it again from its project") from error


def _question(value: Mapping[str, Any]) -> Question:
    """What comparing reads of a question: which one it is, its documents and its need."""
    gold = tuple(Gold(**one) for one in value.get("gold", ()))
    return Question(value["id"], value["question"], tuple(value["answers"]), gold,
                    answerable=value.get("answerable", True), need=value.get("need", "facts"))


def _run(folder: Path) -> Earlier:
    from tunewise.evaluation import load_run

    run = load_run(folder)
    name = run.approach.name
    scores = {row.question: row.scores["quality"] for row in run.rows if "quality" in row.scores}
    # A run keeps no words of its questions; the same id counts as the same question there.
    return Earlier(str(folder), "quality", name, {name: scores}, {})


def against(
    comparison: Comparison, recommendation: Recommendation, earlier: Earlier, *, margin: float, needs: Needs = Needs(),
    seed: int = 0,
) -> Against:
    """Compare with an earlier report; `margin` is how much of the deciding metric may be lost, weighted as in `needs`.
    `DataMistake` when the metrics are not the same or the earlier report shares neither approach nor question."""
    if earlier.metric != comparison.metric:
        raise DataMistake(f"the baseline was decided by {earlier.metric!r}, this by {comparison.metric!r}",
                          tip="compare what was measured alike")
    now = recommendation.choice or comparison.standings[0].approach.name
    shared = [q for q in comparison.questions if _same(q, earlier)]
    used = _change(comparison, earlier, earlier.choice, now, shared, margin, needs, seed)
    names = [s.approach.name for s in comparison.standings if s.approach.name in earlier.scores]
    others = tuple(_change(comparison, earlier, name, name, shared, margin, needs, seed) for name in names)
    return Against(earlier.name, margin, len(comparison.questions), len(shared), used, others)


def _same(question: Question, earlier: Earlier) -> bool:
    if not earlier.asked:
        return any(question.id in scores for scores in earlier.scores.values())
    then = earlier.asked.get(question.id)
    return then is not None and (then.question, then.answers) == (question.question, question.answers)


def _scores(comparison: Comparison, name: str) -> dict[str, float]:
    rows = {id: row[name].scores for id, row in comparison.rows.items() if name in row}
    return {id: scores[comparison.metric] for id, scores in rows.items() if comparison.metric in scores}


def _change(comparison: Comparison, earlier: Earlier, then: str, now: str, shared: Sequence[Question], margin: float,
            needs: Needs, seed: int) -> Change:
    before, after = earlier.scores[then], _scores(comparison, now)
    both = [q for q in shared if q.id in before and q.id in after]
    words = f"{now} (now)", f"{then} (then)"
    # As long as at least half of the questions are the same, those say more than two different sets do.
    if len(both) >= max(1, len(after) // 2):
        weights = weights_of(both, needs)
        both, weights = [q for q, weight in zip(both, weights, strict=True) if weight], weights[weights > 0]
        ours, others = [after[q.id] for q in both], [before[q.id] for q in both]
        result = paired(ours, others, clusters_of(both)[0], weights=weights, seed=seed)
        shown = result.p < LEVEL and not result.low <= 0 <= result.high
        difference = _difference(*words, comparison.metric, result.mean, result.low, result.high, result.p, shown,
                                 result.n)
        return Change(then, now, difference, True, result.mean < -margin - 1e-12, shown, ours == others)
    if not before or not after:
        raise DataMistake(f"{earlier.name} shares nothing with this comparison", tip="use a report of the same project")
    known = {q.id: q for q in comparison.questions} | dict(earlier.asked)
    mine = _mean([q for q in comparison.questions if q.id in after], after, needs, seed)
    theirs = _mean([known.get(id, Question(id, "")) for id in before], before, needs, seed)
    mean = mine.mean - theirs.mean
    low = mean - float(np.hypot(mine.mean - mine.low, theirs.high - theirs.mean))
    high = mean + float(np.hypot(mine.high - mine.mean, theirs.mean - theirs.low))
    shown = not low <= 0 <= high
    difference = _difference(*words, comparison.metric, mean, low, high, float("nan"), shown, len(after))
    return Change(then, now, difference, False, mean < -margin and shown, shown)


def _mean(questions: Sequence[Question], scores: Mapping[str, float], needs: Needs, seed: int) -> Estimate:
    values = np.array([[scores[q.id]] for q in questions])
    (found,) = bootstrap_means(values, clusters_of(questions)[0], weights=weights_of(questions, needs), seed=seed)
    assert found is not None, "it has scores"
    return found


def _difference(a: str, b: str, metric: str, mean: float, low: float, high: float, p: float, shown: bool,
                n: int) -> Difference:
    verdict = ("better" if mean > 0 else "worse") if shown else "not distinguishable"
    return Difference(a, b, metric, mean, low, high, p, verdict, n)


__all__ = ["Against", "Change", "Earlier", "against", "load_baseline"]
