"""`compare`: runs on the same questions → Comparison, with uncertainty clustered by document.

Knows nothing about how answers were made or scored, and nothing about choosing. It refuses what can not be compared:
unequal question sets, and questions that training has seen.

One number per question (`metric`, usually `quality`) decides; the overall mean is over questions, each with the
weight of its need (`Needs.weight_*`, 1 by default, so that the plain mean over questions is the default). All other
metrics, and all strata, are unweighted. The cluster of a question is its first gold document; an unanswerable
question has none and stands alone. Under five documents nothing can be said about other documents: each question is a
cluster of its own then, the intervals speak of other questions about the same documents, and a note says so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from tunewise.amounts import signed
from tunewise.costs import bill, complexity
from tunewise.errors import DataMistake, GateFailed
from tunewise.nouns import Comparison, Difference, Estimate, Needs, Question, Reason, Row, Run, Standing
from tunewise.seeds import over_seeds, seed_sd
from tunewise.statistics import (
    CORRELATION,
    FEW_CLUSTERS,
    LEVEL,
    Paired,
    bootstrap_means,
    codes,
    design_effect,
    detectable,
    effective_clusters,
    holm,
    paired,
    questions_needed,
)
from tunewise.strata import strata_of

AGAIN = " (again)"
"""Suffix of the name of a run that repeats another one: the self-test of the report."""
FEW_DOCUMENTS = 5
_DOCUMENT = "document "
"""How the name of a cluster begins that is a document."""
USUAL_DISCORDANCE = 0.2
"""Share of pairs that differ, where nothing was measured yet."""
MORE = 1.05
"""A number of questions that would settle it is told where it is larger than that times those that were asked."""


def clusters_of(questions: Sequence[Question]) -> tuple[list[str], Reason | None]:
    """The cluster of each question, and a note where documents are too few to be resampled."""
    documents = {question.documents[0] for question in questions if question.documents}
    if len(documents) < FEW_DOCUMENTS:
        return [question.id for question in questions], Reason(
            f"The questions are about {len(documents)} document(s): intervals speak of other questions about these "
            "documents, not of other documents.",
            f"题目只涉及 {len(documents)} 份文档：区间说明的是关于这些文档的其他题目，而不是其他文档。",
            float(len(documents)))
    return [f"{_DOCUMENT}{q.documents[0]}" if q.documents else f"{q.kind} {q.id}" for q in questions], None


def weights_of(questions: Sequence[Question], needs: Needs) -> np.ndarray:
    """The weight of each question in the overall mean of the deciding metric."""
    weight = {"facts": needs.weight_facts, "form": needs.weight_form, "terms": needs.weight_terms}
    found = np.array([weight[question.need] for question in questions], float)
    if (found < 0).any() or not found.sum() > 0:
        raise DataMistake("the weights of the needs leave no question to decide by",
                          tip="give a positive weight to a need that the questions have")
    return found


def _some(ids: Sequence[str]) -> str:
    return ", ".join(ids[:8]) + (f" and {len(ids) - 8} more" if len(ids) > 8 else "")


def _refuse(
    runs: Sequence[Run], questions: Sequence[Question], leaks: Sequence[tuple[str, str, str]]
) -> None:
    if not runs or not questions:
        raise DataMistake("there is nothing to compare", tip="give at least one run and one question")
    names = [run.approach.name for run in runs]
    double = sorted({name for name in names if names.count(name) > 1})
    if double:
        raise DataMistake(f"approach name(s) that stand more than once: {', '.join(double)}",
                          tip="give each approach a name of its own")
    wanted = [question.id for question in questions]
    if len(set(wanted)) < len(wanted):
        raise DataMistake("question ids stand more than once", tip="tunewise questions check lists them")
    faults = []
    for run in runs:
        got = [row.question for row in run.rows]
        missing, extra = sorted(set(wanted) - set(got)), sorted(set(got) - set(wanted))
        if missing:
            faults.append(f"{run.approach.name} did not answer {_some(missing)}")
        if extra:
            faults.append(f"{run.approach.name} answered others: {_some(extra)}")
        if len(set(got)) < len(got):
            faults.append(f"{run.approach.name} answered some questions twice")
    if faults:
        raise GateFailed("the runs do not have the same questions: " + "; ".join(faults),
                         tip="run all approaches on the same question file")
    for run in runs:
        seen = sorted(run.trained_on & set(wanted))
        if seen:
            raise GateFailed(f"{run.approach.name} was trained on {len(seen)} of the questions it is measured on: "
                             f"{_some(seen)}", tip="train on the train split, measure on the test split")
    held = set(wanted)
    met = [leak for leak in leaks if leak[1] in held]
    if met:
        shown = "; ".join(f"{train} and {test} ({why})" for train, test, why in met[:5])
        raise GateFailed(f"{len(met)} training question(s) leak into the questions measured: {shown}",
                         tip="tunewise questions split deals them out anew")


def expected_detectable(questions: Sequence[Question], approaches: int) -> float:
    """What these questions can be expected to show among so many approaches, before anything is measured: a fifth of
    the pairs differs, and differences at one document's questions correlate by 0.05. Infinite where they can show
    nothing."""
    clusters, _ = clusters_of(questions)
    return _shown_by(len(questions), clusters, max(1, approaches * (approaches - 1) // 2))


def _shown_by(n: int, clusters: Sequence[str], tests: int, sd: float | None = None) -> float:
    """The smallest difference that so many questions show: by the spread that was measured, else by the usual share of
    pairs that differ. Infinite where no difference of shares is as large as that.

    Approaches that differ by d differ on a share of d of the questions at least, so that the spread is never taken as
    smaller than the difference that is told asks for.
    """
    how = {"clusters": effective_clusters(clusters), "tests": tests}
    unit = detectable(n, sd=1.0, **how)
    if sd is not None:
        found = detectable(n, sd=max(sd, unit), **how)
    else:
        least = ((unit + math.sqrt(unit**2 + 4 / max(1, n))) / 2) ** 2
        usual = USUAL_DISCORDANCE * design_effect(clusters, CORRELATION)
        found = detectable(n, discordant=max(usual, least), **how)
    return found if found <= 1 else math.inf


def _documents_wanted(clusters: Sequence[str], seen: float, single: bool) -> list[Reason]:
    """What few documents mean, where they are resampled (else a note of `clusters_of` speaks of it)."""
    count = sum(name.startswith(_DOCUMENT) for name in set(clusters))
    if seen == math.inf:
        return [Reason("These questions can show no difference at all among so many approaches: more documents would, "
                       "or fewer approaches.",
                       "方案太多，这些题目看不出任何差异：需要更多文档，或更少的方案。")]
    if single or count > FEW_CLUSTERS:
        return []
    return [Reason(f"The questions are about {count} documents: more documents, rather than more questions about "
                   "these, would show smaller differences.",
                   f"题目只涉及 {count} 份文档：要看出更小的差异，需要更多文档，而不是就这些文档出更多题目。",
                   float(count))]


def _unsettled(differences: Sequence[Difference], margin: float) -> list[Reason]:
    """What is left to do where a difference is not settled, and no number of questions is told that would settle it."""
    found = dict.fromkeys(
        f"{min(d.a, d.b)} − {max(d.a, d.b)}" for d in differences
        if d.verdict == "not distinguishable" and d.questions_needed is None and max(-d.low, d.high) >= margin
        and max(abs(d.mean), margin) > 0)
    if not found:
        return []
    return [Reason(f"As many questions should have told a difference of that size apart, and did not: "
                   f"{', '.join(found)}. Questions about more documents would settle it, rather than more about these.",
                   f"以这么多题目，这样大小的差异本应看得出，却没有：{'、'.join(found)}。"
                   "需要就更多文档出题，而不是就这些文档出更多题目。", float(len(found)))]


# ------------------------------------------------------------------------------------------- standings


def _matrix(runs: Sequence[Run], questions: Sequence[Question]) -> tuple[list[tuple[int, str]], np.ndarray]:
    """Columns (run, metric) and values (questions × columns), NaN where a metric does not apply."""
    by_id = [{row.question: row for row in run.rows} for run in runs]
    columns = [(i, name) for i, run in enumerate(runs) for name in sorted({k for row in run.rows for k in row.scores})]
    values = np.array([[by_id[i][q.id].scores.get(name, np.nan) for i, name in columns] for q in questions], float)
    return columns, values


def _estimates(
    columns: Sequence[tuple[int, str]], values: np.ndarray, clusters: Sequence[str], runs: int, **how: object
) -> list[dict[str, Estimate]]:
    """{metric: Estimate} of each run."""
    found: list[dict[str, Estimate]] = [{} for _ in range(runs)]
    for (i, name), estimate in zip(columns, bootstrap_means(values, clusters, **how), strict=True):
        if estimate is not None:
            found[i][name] = estimate
    return found


def _difference(
    a: str, b: str, metric: str, result: Paired, p: float, needs: Needs, *, tests: int = 1
) -> Difference:
    told = p < LEVEL and not result.low <= 0 <= result.high
    verdict = ("better" if result.mean > 0 else "worse") if told else "not distinguishable"
    wanted = None
    # Settled means: told apart, or shown to lie within the margin.
    settled = told or (result.low > -needs.margin and result.high < needs.margin)
    effect = max(abs(result.mean), needs.margin)
    if not settled and effect and np.isfinite(result.sd):
        enough = questions_needed(effect, sd=result.sd, clusters=result.effective, tests=tests)
        # Where as many as were asked should have done it, a number of questions is no way out.
        wanted = enough if enough > MORE * result.n else None
    return Difference(a, b, metric, result.mean, result.low, result.high, p, verdict, result.n, wanted)


def compare(
    runs: Sequence[Run],
    questions: Sequence[Question],
    *,
    metric: str = "quality",
    needs: Needs = Needs(),
    train_questions: Sequence[Question] = (),
    leaks: Sequence[tuple[str, str, str]] = (),
    seed: int = 0,
) -> Comparison:
    """Compare runs that answered exactly these questions.

    Standings hold Estimates of every metric over all and per stratum (`need=`, `kind=`, `language=`, `answerable=`,
    `documents=seen|untouched` from `train_questions`). Differences of `metric` are paired, and told against the best
    and against the cheapest; their p values are Holm's over *all* pairs, because the best was picked by looking. A
    run named "NAME (again)" is the self-test: compared with NAME only (`null`), it has to come out "not
    distinguishable". Runs named "NAME (seed N)" are NAME trained with other seeds: they are averaged question by
    question, and their spread is `Standing.seed_sd`. Latencies are those of questions asked alone where they were
    measured. `leaks` takes (train id, test id, why) of `questions.find_leaks`. `GateFailed`: unequal question sets,
    trained on what is measured, leaks.
    """
    _refuse(runs, questions, leaks)
    names = {run.approach.name for run in runs}
    repeats = [run for run in runs if run.approach.name.removesuffix(AGAIN) in names - {run.approach.name}]
    originals = {run.approach.name: run for run in runs}
    runs, seeded = over_seeds([run for run in runs if run not in repeats])
    clusters, note = clusters_of(questions)
    weights = weights_of(questions, needs)
    notes = [note] if note else []
    once = [run.approach.name for run in runs if run.approach.recipe and run.approach.name not in seeded]
    if once:
        notes.append(Reason(
            f"Trained with one seed only: {', '.join(once)}; how much luck in training matters was not measured "
            "(--seeds 3 does).",
            f"只用一个种子训练：{'、'.join(once)}；训练中的运气有多大影响未测量（可用 --seeds 3）。"))
    columns, values = _matrix(runs, questions)
    lacking = sorted({run.approach.name for i, run in enumerate(runs) if (i, metric) not in columns})
    if lacking:
        known = sorted({name for _, name in columns})
        raise DataMistake(f"no {metric!r} was measured for {', '.join(lacking)}", tip=f"known: {', '.join(known)}")
    overall = _estimates(columns, values, clusters, len(runs), seed=seed)
    if len(set(weights.tolist())) > 1:
        deciding = [columns.index((i, metric)) for i in range(len(runs))]
        weighted = bootstrap_means(values[:, deciding], clusters, weights=weights, seed=seed)
        for found, estimate in zip(overall, weighted, strict=True):
            if estimate is not None:
                found[metric] = estimate
        notes.append(Reason(
            f"The overall {metric} weighs needs: facts {needs.weight_facts:g}, form {needs.weight_form:g}, "
            f"terms {needs.weight_terms:g}.",
            f"总体质量（{metric}）按需求加权：事实 {needs.weight_facts:g}，格式 {needs.weight_form:g}，"
            f"术语 {needs.weight_terms:g}。"))
    strata: list[dict[str, Mapping[str, Estimate]]] = [{} for _ in runs]
    places_of = strata_of(questions, train_questions, runs)
    for key, places in places_of.items():
        part = [clusters[place] for place in places]
        # As many resamples as for the whole: a stratum of all questions has the whole's numbers.
        for i, found in enumerate(_estimates(columns, values[list(places)], part, len(runs), seed=seed)):
            strata[i][key] = found
    scores = {run.approach.name: values[:, columns.index((i, metric))] for i, run in enumerate(runs)}
    results, adjusted = _pairs(scores, clusters, weights, seed)

    def told(a: str, b: str) -> Difference:
        return _difference(a, b, metric, results[a, b], adjusted[frozenset((a, b))], needs, tests=len(adjusted))

    bills = [bill(run.approach, run.cost, run.rows, needs) for run in runs]
    price = [(due.total, complexity(run.approach), run.approach.name) for due, run in zip(bills, runs, strict=True)]
    # Of those that are level the one with fewer labels and less to look after stands first. Not what its seconds cost:
    # they are never the same twice, and a comparison that was killed ends with the same table.
    order = sorted(range(len(runs)), key=lambda i: (-round(overall[i][metric].mean, 9), bills[i].labels, *price[i][1:]))
    best, cheapest = runs[order[0]].approach.name, min(price)[-1]
    standings = []
    for i in order:
        name = runs[i].approach.name
        standings.append(_standing(
            runs[i], overall[i], strata[i],
            None if name == best else told(name, best), None if name == cheapest else told(name, cheapest),
            seed_sd(seeded.get(name, ()), metric),
        ))
    pairs = tuple(told(a, b) for a, b in combinations([runs[i].approach.name for i in order], 2))
    differences = [s.against_best for s in standings if s.against_best is not None]
    differences += [s.against_cheapest for s in standings if s.against_cheapest is not None and cheapest != best]
    null = _null(repeats, originals, questions, metric, clusters, weights, needs, seed)
    if null is not None and null.verdict != "not distinguishable":
        notes.append(Reason(
            f"Self-test failed: {null.b} run twice came out {null.verdict} ({signed(null.mean)} points, p "
            f"{null.p:.3f}); trust no difference of this size.",
            f"自检未通过：{null.b} 运行两次竟相差 {signed(null.mean)} 分（p {null.p:.3f}）；请勿相信这么大的差异。",
            null.mean))
    # Pairs that never differed have the spread of what they leave open, not one that was measured.
    spreads = [result.sd for result in results.values() if result.differing and np.isfinite(result.sd)]
    seen = _shown_by(len(questions), clusters, len(adjusted), float(np.median(spreads)) if spreads else None)
    notes += _documents_wanted(clusters, seen, note is not None) if adjusted else []
    notes += _unsettled(differences, needs.margin)
    return Comparison(
        metric=metric,
        questions=tuple(questions),
        standings=tuple(standings),
        differences=tuple(differences),
        rows=_rows(runs, questions),
        detectable=seen,
        identity={"runs": {run.approach.name: dict(run.identity) for run in runs}, "seed": seed,
                  "clusters": codes(clusters)[1]},
        null=null,
        notes=tuple(notes),
        places=places_of,
        pairs=pairs,
    )


def _pairs(
    scores: Mapping[str, np.ndarray], clusters: Sequence[str], weights: np.ndarray, seed: int
) -> tuple[dict[tuple[str, str], Paired], dict[frozenset[str], float]]:
    """Every ordered pair's difference over the questions that both have, and Holm's p of every unordered pair."""
    results: dict[tuple[str, str], Paired] = {}
    for a, b in combinations(scores, 2):
        both = ~np.isnan(scores[a]) & ~np.isnan(scores[b]) & (weights > 0)
        part = [cluster for cluster, kept in zip(clusters, both, strict=True) if kept]
        result = paired(scores[a][both], scores[b][both], part, weights=weights[both], seed=seed)
        results[a, b] = result
        results[b, a] = replace(result, mean=-result.mean, low=-result.high, high=-result.low)
    pairs = list(combinations(scores, 2))
    return results, dict(zip(map(frozenset, pairs), holm([results[pair].p for pair in pairs]), strict=True))


def _standing(
    run: Run,
    metrics: Mapping[str, Estimate],
    strata: Mapping[str, Mapping[str, Estimate]],
    against_best: Difference | None,
    against_cheapest: Difference | None,
    spread: float | None,
) -> Standing:
    fine = [row.answer for row in run.rows if row.answer.error is None]
    seconds = run.cost.alone_seconds or [answer.seconds for answer in fine] or [0.0]
    return Standing(
        approach=run.approach, metrics=metrics, strata=strata, cost=run.cost,
        seconds_p50=float(np.percentile(seconds, 50)), seconds_p95=float(np.percentile(seconds, 95)),
        tokens_in=float(np.mean([answer.tokens_in for answer in fine])) if fine else 0.0,
        tokens_out=float(np.mean([answer.tokens_out for answer in fine])) if fine else 0.0,
        errors=len(run.rows) - len(fine), against_best=against_best, against_cheapest=against_cheapest,
        seed_sd=spread,
    )


def _rows(runs: Sequence[Run], questions: Sequence[Question]) -> dict[str, dict[str, Row]]:
    found: dict[str, dict[str, Row]] = {question.id: {} for question in questions}
    for run in runs:
        for row in run.rows:
            found[row.question][run.approach.name] = row
    return found


def _null(
    repeats: Sequence[Run], originals: Mapping[str, Run], questions: Sequence[Question], metric: str,
    clusters: Sequence[str], weights: np.ndarray, needs: Needs, seed: int,
) -> Difference | None:
    """The first repeated run against its original; its p stands alone, as the test is planned before looking.

    The original is the run as it was measured: a mean over training seeds is not what was run twice.
    """
    if not repeats:
        return None
    again = repeats[0]
    name = again.approach.name.removesuffix(AGAIN)
    first = originals[name]
    columns, values = _matrix([again, first], questions)
    if (0, metric) not in columns or (1, metric) not in columns:
        return None
    scores = {again.approach.name: values[:, columns.index((0, metric))], name: values[:, columns.index((1, metric))]}
    results, adjusted = _pairs(scores, clusters, weights, seed)
    return _difference(again.approach.name, name, metric, results[again.approach.name, name],
                       adjusted[frozenset(scores)], needs)


def shown_better(comparison: Comparison, name: str, other: str) -> bool:
    """Whether an approach is shown to be better than another one: by the interval of their paired difference and by
    its p among all pairs. What every table and every sentence means by "better"."""
    return any((pair.a, pair.b, pair.verdict) in ((name, other, "better"), (other, name, "worse"))
               for pair in comparison.pairs)


__all__ = ["clusters_of", "compare", "expected_detectable", "shown_better", "weights_of"]
