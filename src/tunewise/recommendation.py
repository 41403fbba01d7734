"""`recommend`: Comparison + the user's needs → which approach to use, why, how sure that is, and what would change it.

Knows nothing about models or how anything was measured. The rule, for the comparison and for every bootstrap resample
alike:
1. gates: an approach that fails a hard need is out;
2. the best is the one with the highest mean of the deciding metric (weighted by need, as in `comparison`);
3. candidates are the best and all whose paired difference to it lies above `-margin` at the lower end of its
   clustered 95 % interval (Student's t with the cluster-robust standard error);
4. the lowest total cost wins; costs within 5 % count as equal, then the lower complexity wins (prompt, index,
   adapter, both), then the higher mean.
Support is the share of resamples (whole documents) in which the rule chooses the same. Under 0.8 it is a tie and called
one. Support alone would crown a lucky leader (it is no test), so it is also a tie with any approach that costs no more
and than which the choice is not shown to be better. It abstains (`choice` None) under 20 questions, when no approach
passes the gates, or when none got anything right.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tunewise.comparison import clusters_of, complexity, seconds_per_answer, total_cost, update_seconds, weights_of
from tunewise.nouns import Comparison, Needs, Reason, Recommendation, Standing
from tunewise.statistics import LEVEL, codes, holm, paired, resample_counts

FEWEST_QUESTIONS = 20
SUPPORT = 0.8
RIVAL = 0.1
"""Share of resamples from which on another approach counts as tied."""
EQUAL_COSTS = 1.05
CITED = 0.5
"""`citations_required`: at least this share of the answers has to carry a verified citation."""
RESAMPLES = 1000
RECALL_LOSS = 0.10
_NEED_ZH = {"facts": "事实", "form": "格式", "terms": "术语"}


@dataclass(frozen=True, slots=True)
class _Evidence:
    """The numbers that the rule reads: questions × approaches, in the order of `names`; NaN where absent."""

    names: tuple[str, ...]
    values: np.ndarray
    wrong: np.ndarray
    shy: np.ndarray
    weights: np.ndarray
    clusters: tuple[str, ...]
    fixed: np.ndarray
    costs: np.ndarray
    complexity: np.ndarray
    limits: tuple[float, float]
    margin: float

    def of(self, places: Sequence[int]) -> _Evidence:
        """The same for some of the questions."""
        at = np.asarray(places)
        return replace(self, values=self.values[at], wrong=self.wrong[at], shy=self.shy[at], weights=self.weights[at],
                       clusters=tuple(self.clusters[place] for place in places))


def _column(comparison: Comparison, names: Sequence[str], metric: str) -> np.ndarray:
    rows = [comparison.rows[question.id] for question in comparison.questions]
    return np.array([[row[name].scores.get(metric, np.nan) for name in names] for row in rows], float)


def _evidence(comparison: Comparison, needs: Needs, rejected: dict[str, str], costs: dict[str, float]) -> _Evidence:
    names = tuple(standing.approach.name for standing in comparison.standings)
    limits = (math.inf if needs.max_wrong is None else needs.max_wrong,
              math.inf if needs.max_false_refusals is None else needs.max_false_refusals)
    measured = {name for name, reason in rejected.items() if reason.startswith(("wrong answers", "false refusals"))}
    return _Evidence(
        names, _column(comparison, names, comparison.metric), _column(comparison, names, "wrong"),
        _column(comparison, names, "false_refusal"), weights_of(comparison.questions, needs),
        tuple(clusters_of(comparison.questions)[0]),
        # Gates on shares are asked again in every resample; the others are facts.
        np.array([name not in rejected or name in measured for name in names]),
        np.array([costs[name] for name in names]),
        np.array([complexity(standing.approach) for standing in comparison.standings]), limits, needs.margin,
    )


def _rule(evidence: _Evidence, counts: np.ndarray) -> np.ndarray:
    """The place of the chosen approach (-1: none) for each row of `counts` (resamples × clusters: how often drawn)."""
    from scipy.special import stdtrit

    groups, clusters = codes(evidence.clusters)
    whole = ~np.isnan(evidence.values).any(axis=1)
    weight = np.where(whole, evidence.weights, 0.0)
    values = np.where(whole[:, None], evidence.values, 0.0) * weight[:, None]

    def per_cluster(matrix: np.ndarray) -> np.ndarray:
        total = np.zeros((clusters, matrix.shape[1]))
        np.add.at(total, groups, matrix)
        return total

    sums, sizes = per_cluster(values), per_cluster(weight[:, None])
    size = np.maximum(counts @ sizes, 1e-12)
    means = (counts @ sums) / size
    passes = np.broadcast_to(evidence.fixed, means.shape).copy()
    for measure, limit in zip((evidence.wrong, evidence.shy), evidence.limits, strict=True):
        if limit < math.inf:
            there = ~np.isnan(measure)
            top = counts @ per_cluster(np.where(there, measure, 0.0))
            passes &= top <= (limit + 1e-12) * (counts @ per_cluster(there.astype(float))) + 1e-12
    best = np.where(passes, means, -np.inf).argmax(axis=1)
    t = -float(stdtrit(max(1, clusters - 1), LEVEL / 2))
    fit = np.zeros_like(passes)
    for place in range(len(evidence.names)):
        rows = best == place
        if not rows.any():
            continue
        drawn = counts[rows]
        apart = sums - sums[:, [place]]
        mean = (drawn @ apart) / size[rows]
        # Σ count · (D − mean·N)², the residuals of the ratio summed by cluster.
        square = drawn @ apart**2 - 2 * mean * (drawn @ (apart * sizes)) + mean**2 * (drawn @ sizes**2)
        error = np.sqrt(np.maximum(square, 0) * clusters / max(1, clusters - 1)) / size[rows]
        fit[rows] = passes[rows] & (mean - t * error > -evidence.margin)
        fit[rows, place] = passes[rows, place]
    costs = np.where(fit, evidence.costs, np.inf)
    equal = fit & (costs <= costs.min(axis=1, keepdims=True) * EQUAL_COSTS + 1e-9)
    order = np.where(equal, evidence.complexity * 10.0 - means, np.inf)
    return np.where(passes.any(axis=1), order.argmin(axis=1), -1)


def _point(evidence: _Evidence) -> str | None:
    place = int(_rule(evidence, np.ones((1, codes(evidence.clusters)[1])))[0])
    return evidence.names[place] if place >= 0 else None


def _rivals(evidence: _Evidence, choice: str) -> list[str]:
    """The approaches that cost no more than the choice (within 5 %) and than which it is not shown to be better."""
    mine = evidence.names.index(choice)
    found = []
    dearest = evidence.costs[mine] * EQUAL_COSTS + 1e-9
    kept = ~np.isnan(evidence.values).any(axis=1) & (evidence.weights > 0)
    clusters = [cluster for cluster, there in zip(evidence.clusters, kept, strict=True) if there]
    for place, name in enumerate(evidence.names):
        if place == mine or not evidence.fixed[place] or evidence.costs[place] > dearest:
            continue
        pair = evidence.values[kept][:, [mine, place]].T
        result = paired(*pair, clusters, weights=evidence.weights[kept])
        if result.low <= 0 and not result.low == result.high == 0:
            found.append(name)
    return found



def _support(evidence: _Evidence, seed: int) -> dict[str, float]:
    """Share of the resamples that choose each approach."""
    clusters = codes(evidence.clusters)[1]
    chosen = np.concatenate([_rule(evidence, counts) for counts in resample_counts(clusters, RESAMPLES, seed)])
    return {name: float((chosen == place).mean()) for place, name in enumerate(evidence.names)}


# ------------------------------------------------------------------------------------------- gates


def cited_share(comparison: Comparison, name: str) -> float:
    """Share of an approach's answers (neither refused nor failed) that carry a verified citation; 0 without answers."""
    answers = [row[name].answer for row in comparison.rows.values()]
    said = [answer for answer in answers if not answer.refused and answer.error is None]
    return sum(any(c.verified for c in answer.citations) for answer in said) / len(said) if said else 0.0


def _gate(comparison: Comparison, standing: Standing, needs: Needs) -> str:
    """The gates that an approach fails, in plain words with both numbers; empty when it passes all."""
    failed = []
    for metric, limit, label in (("wrong", needs.max_wrong, "wrong answers"),
                                 ("false_refusal", needs.max_false_refusals, "false refusals")):
        if limit is not None and metric in standing.metrics and standing.metrics[metric].mean > limit + 1e-12:
            failed.append(f"{label} {standing.metrics[metric].mean:.3f} > {limit:g}")
    cost = standing.cost
    memory = max(cost.peak_memory_bytes, cost.train_memory_bytes) / 1e9
    minutes = update_seconds(standing.approach, cost) / 60
    hard = []
    if needs.max_p95_seconds is not None and standing.seconds_p95 > needs.max_p95_seconds:
        hard.append(f"p95 latency {standing.seconds_p95:.2f} s > {needs.max_p95_seconds:g} s")
    if needs.max_memory_gb is not None and memory > needs.max_memory_gb:
        hard.append(f"memory {memory:.2f} GB > {needs.max_memory_gb:g} GB")
    if needs.max_update_minutes is not None and minutes > needs.max_update_minutes:
        hard.append(f"time to update a fact {minutes:.1f} min > {needs.max_update_minutes:g} min")
    if needs.citations_required and (share := cited_share(comparison, standing.approach.name)) < CITED:
        hard.append(f"answers with a verified citation {share:.2f} < {CITED:g}")
    return "; ".join(hard + failed)


# ------------------------------------------------------------------------------------------- what would flip it


def _less_recall(comparison: Comparison, evidence: _Evidence) -> _Evidence:
    """The evidence if retrieval found 10 points less.

    Approximation: of the questions whose passages were found (recall r of them), a share 0.10 / r would lose theirs,
    and with them everything they earned; so each such question keeps 1 - 0.10 / r of its score. Pessimistic where a
    model knows the answer anyway; questions without evidence (unanswerable) stay as they are, though some might be
    refused more often.
    """
    recall = _column(comparison, evidence.names, "recall")
    reads = np.array([bool(standing.approach.index) for standing in comparison.standings])
    found = (np.nan_to_num(recall) > 0) & reads
    measured = np.maximum((~np.isnan(recall)).sum(axis=0), 1)
    rate = found.sum(axis=0) / measured
    keep = 1 - np.minimum(1.0, RECALL_LOSS / np.maximum(rate, RECALL_LOSS))
    return replace(evidence, values=np.where(found, evidence.values * keep, evidence.values))


def _costs(comparison: Comparison, needs: Needs) -> dict[str, float]:
    found = {}
    for standing in comparison.standings:
        name = standing.approach.name
        seconds = seconds_per_answer([row[name] for row in comparison.rows.values()])
        found[name] = total_cost(standing.approach, standing.cost, seconds, needs)
    return found


def _flips(comparison: Comparison, needs: Needs, evidence: _Evidence, choice: str) -> tuple[Reason, ...]:
    dear = max(needs.price_cpu_hour * 10, 0.01)
    changes = [
        ("ten times as many answers", "回答量增至十倍", replace(needs, answers_per_month=needs.answers_per_month * 10)),
        ("daily updates", "每天更新", replace(needs, updates_per_month=max(30, needs.updates_per_month))),
        ("machine hours at ten times the price", "机时价格为十倍", replace(needs, price_cpu_hour=dear)),
        ("labels at ten times the price", "标注价格为十倍", replace(needs, price_label=needs.price_label * 10)),
        ("labels for nothing", "标注免费", replace(needs, price_label=0.0)),
    ]
    found, kept, kept_zh = [], [], []
    for text, text_zh, changed in changes:
        costs = _costs(comparison, changed)
        other = _point(replace(evidence, costs=np.array([costs[name] for name in evidence.names])))
        if other is not None and other != choice:
            found.append(Reason(f"With {text}, {other} would be chosen: it then costs {costs[other]:.2f}, {choice} "
                                f"{costs[choice]:.2f}.",
                                f"若{text_zh}，则会选择 {other}：届时其成本为 {costs[other]:.2f}，{choice} 为 "
                                f"{costs[choice]:.2f}。",
                                costs[other]))
        else:
            kept.append(text)
            kept_zh.append(text_zh)
    other = _point(_less_recall(comparison, evidence))
    if other is not None and other != choice:
        found.append(Reason(f"With retrieval recall 10 points lower, {other} would be chosen.",
                            f"若检索召回率下降 10 个百分点，则会选择 {other}。", -RECALL_LOSS))
    else:
        kept.append("retrieval recall 10 points lower")
        kept_zh.append("检索召回率下降 10 个百分点")
    if kept:
        found.append(Reason(f"The choice stays with: {', '.join(kept)}.",
                            f"以下情况不改变选择：{'、'.join(kept_zh)}。"))
    return tuple(found)


# ------------------------------------------------------------------------------------------- reasons


def _abstain(reasons: list[Reason], rejected: dict[str, str], costs: dict[str, float]) -> Recommendation:
    return Recommendation(None, 0.0, (), tuple(reasons), rejected, {}, (), costs)


def _by_need(comparison: Comparison, evidence: _Evidence) -> dict[str, str]:
    found = {}
    for need in dict.fromkeys(question.need for question in comparison.questions):
        part = evidence.of([i for i, question in enumerate(comparison.questions) if question.need == need])
        winner = _point(replace(part, weights=np.ones(len(part.weights))))
        if winner is not None:
            found[need] = winner
    return found


def _router(comparison: Comparison, evidence: _Evidence, by_need: dict[str, str], choice: str) -> list[Reason]:
    """A reason for each need for which another approach is shown to be better than the choice (Holm over the needs)."""
    tested = []
    for need, winner in by_need.items():
        if winner == choice:
            continue
        part = evidence.of([i for i, question in enumerate(comparison.questions) if question.need == need])
        columns = [part.names.index(name) for name in (winner, choice)]
        kept = ~np.isnan(part.values[:, columns]).any(axis=1)
        clusters = [cluster for cluster, there in zip(part.clusters, kept, strict=True) if there]
        tested.append((need, winner, paired(*part.values[kept][:, columns].T, clusters)))
    reasons = []
    for (need, winner, result), p in zip(tested, holm([item[2].p for item in tested]), strict=True):
        if p < LEVEL and result.low > 0:
            reasons.append(Reason(
                f"A router by need would do better: {winner} for {need} ({result.mean:+.3f}, 95 % {result.low:+.3f} to "
                f"{result.high:+.3f}, against {choice}), {choice} for the rest.",
                f"按需求分流会更好：{_NEED_ZH[need]}类问题用 {winner}（比 {choice} 高 {result.mean:+.3f}，95% "
                f"区间 {result.low:+.3f} 至 "
                f"{result.high:+.3f}），其余用 {choice}。", result.mean))
    return reasons


def _why(
    comparison: Comparison, needs: Needs, evidence: _Evidence, choice: str, rejected: dict[str, str],
    costs: dict[str, float], support: dict[str, float], tie: Sequence[str],
) -> list[Reason]:
    standings = {standing.approach.name: standing for standing in comparison.standings}
    passing = [name for name in standings if name not in rejected]
    metric = comparison.metric
    best = max(passing, key=lambda name: standings[name].metrics[metric].mean)
    top, mine = standings[best].metrics[metric], standings[choice].metrics[metric]
    reasons = [
        Reason(f"{len(passing)} of {len(standings)} approaches pass your gates.",
               f"{len(standings)} 个方案中有 {len(passing)} 个通过您的门槛。", float(len(passing))),
        Reason(f"{best} has the highest {metric}: {top.mean:.3f} (95 % {top.low:.3f} to {top.high:.3f}, {top.n} "
               "questions).",
               f"{best} 的质量（{metric}）最高：{top.mean:.3f}"
               f"（95% 区间 {top.low:.3f} 至 {top.high:.3f}，{top.n} 题）。", top.mean),
    ]
    if choice == best:
        reasons.append(Reason(
            f"No cheaper approach is shown to be within {needs.margin:g} of it.",
            f"没有更便宜的方案被证明与其差距在 {needs.margin:g} 以内。", needs.margin))
    else:
        gap = mine.mean - top.mean
        reasons.append(Reason(
            f"{choice} is not inferior to {best}: {gap:+.3f}, and the lower end of the paired interval lies within "
            f"your margin of {needs.margin:g}.",
            f"{choice} 不劣于 {best}：差值 {gap:+.3f}，配对区间的下限在您允许的 {needs.margin:g} 以内。", gap))
        reasons.append(Reason(
            f"Of those that are as good, it costs least over {needs.months} months: {costs[choice]:.2f}, {best} "
            f"{costs[best]:.2f}.",
            f"在同样好的方案中，其 {needs.months} 个月的总成本最低：{costs[choice]:.2f}，"
            f"{best} 为 {costs[best]:.2f}。", costs[choice]))
    share = support[choice]
    if tie:
        cheap = min((choice, *tie), key=lambda name: costs[name])
        seen, count = f"{comparison.detectable:.3f}", len(comparison.questions)
        reasons.append(Reason(
            f"It is a tie with {', '.join(tie)}: {share:.0%} of {RESAMPLES} resamples of the documents choose "
            f"{choice}. The cheapest of them is {cheap} ({costs[cheap]:.2f}). {count} questions do not show "
            f"differences under {seen}.",
            f"与 {'、'.join(tie)} 打平：对文档重抽样 {RESAMPLES} 次，{share:.0%} 选择 {choice}；"
            f"其中最便宜的是 {cheap}（{costs[cheap]:.2f}）。{count} 题看不出小于 {seen} 的差异。", share))
    else:
        reasons.append(Reason(f"{share:.0%} of {RESAMPLES} resamples of the documents choose it too.",
                              f"对文档重抽样 {RESAMPLES} 次，{share:.0%} 同样选择它。", share))
    null = comparison.null
    if null is not None and null.verdict != "not distinguishable":
        reasons.append(Reason(
            f"Careful: the self-test failed, {null.b} run twice came out {null.verdict} ({null.mean:+.3f}).",
            f"注意：自检未通过，{null.b} 运行两次的结果相差 {null.mean:+.3f}。", null.mean))
    return reasons


def recommend(comparison: Comparison, needs: Needs = Needs(), *, seed: int = 0) -> Recommendation:
    """Choose by the rule of this room's docstring; every reason in English and Chinese, with its number.

    `support` is that of the choice; `tie` names the others that at least 10 % of the resamples choose, when it is under
    0.8, and those that cost no more and are not shown to be worse. `by_need` is the rule on each need's questions
    alone. `flips` re-apply the rule under changed volumes, prices and recall.
    """
    costs = _costs(comparison, needs)
    rejected = {s.approach.name: gate for s in comparison.standings if (gate := _gate(comparison, s, needs))}
    count = len(comparison.questions)
    if count < FEWEST_QUESTIONS:
        few = Reason(f"{count} questions are too few to choose by: at least {FEWEST_QUESTIONS} are needed.",
                     f"只有 {count} 个问题，不足以作出选择：至少需要 {FEWEST_QUESTIONS} 个。", float(count))
        return _abstain([few], rejected, costs)
    if len(rejected) == len(comparison.standings):
        failed = "; ".join(f"{name}: {gate}" for name, gate in rejected.items())
        return _abstain([Reason(f"No approach passes your gates. {failed}.", f"没有方案通过您的门槛。{failed}。", 0.0)],
                        rejected, costs)
    evidence = _evidence(comparison, needs, rejected, costs)
    left = [s for s in comparison.standings if s.approach.name not in rejected]
    if max(standing.metrics[comparison.metric].mean for standing in left) <= 0:
        return _abstain([Reason("No approach that passes your gates got a single question right.",
                                "通过门槛的方案没有答对任何一个问题。", 0.0)], rejected, costs)
    allowed = np.array([name not in rejected for name in evidence.names])
    point = replace(evidence, fixed=allowed, limits=(math.inf, math.inf))
    choice = _point(point)
    assert choice is not None, "an approach passes the gates, so the rule chooses one"
    support = _support(evidence, seed)
    others = sorted((name for name in support if name != choice and name not in rejected),
                    key=lambda name: (-support[name], -comparison_mean(comparison, name), name))
    rivals = set(_rivals(point, choice))
    if support[choice] < SUPPORT:
        rivals |= {name for name in others if support[name] >= RIVAL} or set(others[:1])
    tie = tuple(name for name in others if name in rivals)
    by_need = _by_need(comparison, point)
    reasons = _why(comparison, needs, point, choice, rejected, costs, support, tie)
    reasons += _router(comparison, point, by_need, choice)
    return Recommendation(
        choice=choice, support=support[choice], tie=tie, reasons=tuple(reasons), rejected=rejected, by_need=by_need,
        flips=_flips(comparison, needs, point, choice), total_cost=costs, runner_up=others[0] if others else None,
    )


def comparison_mean(comparison: Comparison, name: str) -> float:
    """The mean of the deciding metric of one approach."""
    return next(s.metrics[comparison.metric].mean for s in comparison.standings if s.approach.name == name)


__all__ = ["cited_share", "recommend"]
