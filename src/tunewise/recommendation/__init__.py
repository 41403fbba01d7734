"""`recommend`: Comparison + the user's needs → which approach to use, why, how sure that is, and what would change it.

Knows nothing about models or how anything was measured. The rule, for the comparison and for every bootstrap resample
alike:
1. gates: an approach that fails a hard need is out;
2. the best is the one with the highest mean of the deciding metric (weighted by need, as in `comparison`); of those
   that are level the cheapest, then the simplest;
3. candidates are the best and all whose paired difference to it lies above `-margin` at the lower end of its
   clustered 95 % interval (Student's t with the cluster-robust standard error);
4. the lowest total cost wins; costs within 5 % count as equal, then the lower complexity wins (prompt, index,
   adapter, both), then the higher mean.
Support is the share of resamples (whole documents, and weights of the needs drawn around the user's) in which the rule
chooses the same. Under 0.8 it is a tie and called one. Support alone would crown a lucky leader (it is no test), so it
is also a tie with any approach that costs no more or scores no less, and than which the choice is neither shown to be
better nor, where it costs less or is simpler, shown to be within the margin. It abstains
(`choice` None) under 20 questions, when no approach passes the gates, or when none got anything right.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from tunewise.amounts import interval, number, points, signed
from tunewise.comparison import clusters_of, shown_better, weights_of
from tunewise.costs import assembly, complexity
from tunewise.nouns import Comparison, Needs, Reason, Recommendation
from tunewise.recommendation.gates import SHARES, Fault, cited_share, gate, said, stays_here
from tunewise.recommendation.money import bills, break_even, costs_of, flips, volumes
from tunewise.recommendation.routing import by_need, router, router_reasons, winners
from tunewise.recommendation.rule import (
    RESAMPLES,
    Evidence,
    as_measured,
    column,
    on_front,
    point,
    resampled,
    rivals,
    shortfalls,
)
from tunewise.recommendation.thresholds import sentences, thresholds

FEWEST_QUESTIONS = 20
SUPPORT = 0.8
RIVAL = 0.1
"""Share of resamples from which on another approach counts as tied."""
SHY = 0.2
"""Share of answerable questions refused, from which on the choice carries a warning."""
MONOTONE = 0.8
"""Share of answerable questions that are given one and the same answer, from which on it does too."""


def _evidence(
    comparison: Comparison, needs: Needs, faults: Mapping[str, Sequence[Fault]], costs: Mapping[str, float]
) -> Evidence:
    names = tuple(standing.approach.name for standing in comparison.standings)
    limits = (math.inf if needs.max_wrong is None else needs.max_wrong,
              math.inf if needs.max_false_refusals is None else needs.max_false_refusals)
    return Evidence(
        names, column(comparison, names, comparison.metric), column(comparison, names, "wrong"),
        column(comparison, names, "false_refusal"), weights_of(comparison.questions, needs),
        tuple(question.need for question in comparison.questions),
        tuple(clusters_of(comparison.questions)[0]),
        # Gates on shares are asked again in every resample; the others are facts, and so is what was not measured.
        np.array([all(f.gate in SHARES and f.value is not None for f in faults.get(name, ())) for name in names]),
        np.array([costs[name] for name in names]),
        np.array([complexity(standing.approach) for standing in comparison.standings]), limits, needs.margin,
    )


def _abstain(why: Reason, **rest: Any) -> Recommendation:
    return Recommendation(choice=None, support=0.0, tie=(), reasons=(why,), by_need={}, flips=(), **rest)


def _why(
    comparison: Comparison, needs: Needs, evidence: Evidence, choice: str, rejected: Mapping[str, Reason],
    costs: Mapping[str, float], support: Mapping[str, float], tie: Sequence[str],
) -> list[Reason]:
    standings = {standing.approach.name: standing for standing in comparison.standings}
    passing = [name for name in standings if name not in rejected]
    metric = comparison.metric
    best, short = shortfalls(evidence)
    top, mine = standings[best].metrics[metric], standings[choice].metrics[metric]
    of_those, of_those_zh = (" of those that pass", "在通过者中") if rejected else ("", "")
    reasons = [
        Reason(f"{len(passing)} of {len(standings)} approaches pass your gates.",
               f"{len(standings)} 个方案中有 {len(passing)} 个通过您的门槛。", float(len(passing))),
        Reason(f"{best} has the highest {metric}{of_those}: {interval(top)} ({top.n} questions).",
               f"{best} 的质量（{metric}）{of_those_zh}最高：{interval(top)}（{top.n} 题）。", top.mean),
    ]
    if choice == best:
        reasons += _why_best(choice, [name for name in passing if costs[name] < costs[choice]], short, needs)
    else:
        gap = mine.mean - top.mean
        reasons.append(Reason(
            f"{choice} is not inferior to {best}: {signed(gap)} points, and the lower end of the paired interval lies "
            f"within your margin of {points(needs.margin)}.",
            f"{choice} 不劣于 {best}：相差 {signed(gap)} 分，配对区间的下限在您允许的 {points(needs.margin)} 分以内。",
            gap))
        equal = costs[choice] > costs[best]
        reasons.append(Reason(
            f"Over {needs.months} months it costs {number(costs[choice])}, {best} "
            f"{_unless(costs[best], 'an unknown sum')}: "
            + ("within 5 % the same, and there is less to look after." if equal
               else "the least of those that are as good, up to 5 %."),
            f"{needs.months} 个月的总成本为 {number(costs[choice])}，{best} 为 {_unless(costs[best], '未知')}："
            + ("相差不到 5%，视为相同，且需维护的更少。" if equal else "在同样好的方案中最低（5% 以内视为相同）。"),
            costs[choice]))
    share = support[choice]
    if tie:
        cheap = min((choice, *tie), key=lambda name: costs[name])
        seen, count = points(comparison.detectable), len(comparison.questions)
        small, small_zh = (f"{count} questions do not show differences under {seen} points.",
                           f"{count} 题看不出小于 {seen} 分的差异。")
        if not math.isfinite(comparison.detectable):
            small, small_zh = f"{count} questions show no difference here.", f"{count} 题看不出任何差异。"
        reasons.append(Reason(
            f"It is a tie with {', '.join(tie)}: {share:.0%} of {RESAMPLES} resamples of documents and weights choose "
            f"{choice}. The cheapest of them is {cheap} ({_unless(costs[cheap], 'at an unknown cost')}). {small}",
            f"与 {'、'.join(tie)} 打平：对文档与权重重抽样 {RESAMPLES} 次，{share:.0%} 选择 {choice}；"
            f"其中最便宜的是 {cheap}（{_unless(costs[cheap], '成本未知')}）。{small_zh}", share))
    else:
        reasons.append(Reason(f"{share:.0%} of {RESAMPLES} resamples of documents and weights choose it too.",
                              f"对文档与权重重抽样 {RESAMPLES} 次，{share:.0%} 同样选择它。", share))
    null = comparison.null
    if null is not None and null.verdict != "not distinguishable":
        reasons.append(Reason(
            f"Careful: the self-test failed, {null.b} run twice came out {null.verdict} ({signed(null.mean)} points).",
            f"注意：自检未通过，{null.b} 运行两次的结果相差 {signed(null.mean)} 分。", null.mean))
    return reasons


def _why_best(choice: str, cheaper: Sequence[str], short: Mapping[str, float], needs: Needs) -> list[Reason]:
    """Why the best is chosen, and none of those that cost less."""
    margin = needs.margin
    within = [name for name in cheaper if short[name] < margin]
    if not cheaper:
        return [Reason(f"Nothing that passes costs less than {choice}.",
                       f"通过门槛的方案中，没有比 {choice} 更便宜的。")]
    if within:
        names, names_zh = ", ".join(within), "、".join(within)
        return [Reason(
            f"{names} {'costs less and is' if len(within) == 1 else 'cost less and are'} as good within "
            f"{points(margin)} points, but by under 5 %, which counts as the same; {choice} has no more to look after.",
            f"{names_zh} 成本更低，且差距在 {points(margin)} 分以内；但只便宜不到 5%，视为相同，而 {choice} "
            "需维护的不更多。",
            margin)]
    return [Reason(f"No cheaper approach is shown to be within {points(margin)} points of it.",
                   f"没有更便宜的方案被证明与其差距在 {points(margin)} 分以内。", margin)]


def _unless(cost: float, unknown: str) -> str:
    """A cost, or what is said where nobody knows it."""
    return number(cost) if math.isfinite(cost) else unknown


def recommend(comparison: Comparison, needs: Needs = Needs(), *, seed: int = 0) -> Recommendation:
    """Choose by the rule of this room's docstring; every reason in English and Chinese, with its number.

    `support` is that of the choice; `tie` names the others that at least 10 % of the resamples choose, when it is under
    0.8, and the `rivals` that it is not told apart from. `by_need` is the rule on each need's questions
    alone. `flips` re-apply the rule under changed volumes, prices and recall.
    """
    lines = bills(comparison, needs)
    costs = costs_of(comparison, needs)
    faults = {s.approach.name: failed for s in comparison.standings if (failed := gate(comparison, s, needs))}
    rejected = {name: said(failed) for name, failed in faults.items()}
    rest = {"rejected": rejected, "total_cost": costs, "bills": lines, "volumes": volumes(needs),
            "assemblies": {s.approach.name: assembly(s.approach, s.cost) for s in comparison.standings}}
    count = len(comparison.questions)
    if count < FEWEST_QUESTIONS:
        few = Reason(f"{count} questions are too few to choose by: at least {FEWEST_QUESTIONS} are needed.",
                     f"只有 {count} 个问题，不足以作出选择：至少需要 {FEWEST_QUESTIONS} 个。", float(count))
        return _abstain(few, **rest)
    if len(rejected) == len(comparison.standings):
        failed = "; ".join(f"{name}: {why.text}" for name, why in rejected.items())
        failed_zh = "；".join(f"{name}：{why.text_zh}" for name, why in rejected.items())
        none = Reason(f"No approach passes your gates. {failed}.", f"没有方案通过您的门槛。{failed_zh}。", 0.0)
        return _abstain(none, **rest)
    evidence = _evidence(comparison, needs, faults, costs)
    left = [s for s in comparison.standings if s.approach.name not in rejected]
    if max(standing.metrics[comparison.metric].mean for standing in left) <= 0:
        return _abstain(Reason("No approach that passes your gates got a single question right.",
                               "通过门槛的方案没有答对任何一个问题。", 0.0), **rest)
    allowed = np.array([name not in rejected for name in evidence.names])
    measured = replace(evidence, fixed=allowed, limits=(math.inf, math.inf))
    choice = point(measured)
    assert choice is not None, "an approach passes the gates, so the rule chooses one"
    support, front = resampled(evidence, seed)
    others = sorted((name for name in support if name != choice and name not in rejected),
                    key=lambda name: (-support[name], -comparison_mean(comparison, name), name))
    tied = set(rivals(measured, choice, partial(shown_better, comparison)))
    if support[choice] < SUPPORT:
        tied |= {name for name in others if support[name] >= RIVAL} or set(others[:1])
    tie = tuple(name for name in others if name in tied)
    routed = router(comparison, measured, choice, lines, needs, seed=seed)
    reasons = _why(comparison, needs, measured, choice, rejected, costs, support, tie)
    reasons += router_reasons(routed, choice)
    found = thresholds(comparison, needs, measured, choice, lines, faults)
    return Recommendation(
        choice=choice, support=support[choice], tie=tie, reasons=tuple(reasons),
        by_need=by_need(comparison, measured), thresholds=found,
        flips=(*sentences(found, choice), *flips(comparison, needs, measured, choice)),
        runner_up=others[0] if others else None, front={name: front[name] for name in support if name not in rejected},
        on_front=tuple(np.array(evidence.names)[on_front(measured, as_measured(measured))[0]].tolist()),
        winners=winners(comparison, measured, choice), router=routed, break_even=break_even(lines, choice, others),
        warnings=_warnings(comparison, choice), **rest,
    )


def _warnings(comparison: Comparison, choice: str) -> tuple[Reason, ...]:
    """What somebody has to know before the choice is put to use."""
    mine = next(s for s in comparison.standings if s.approach.name == choice)
    shy, found = mine.metrics.get("false_refusal"), []
    if shy is not None and shy.mean > SHY:
        found.append(Reason(
            f"Over-refusal: {choice} declines {shy.mean:.0%} of the questions that the documents answer (95 % "
            f"{shy.low:.0%} to {shy.high:.0%}). It is safe, but less useful than its quality says; max_false_refusals "
            "in [needs] makes it a gate.",
            f"过度拒答：对文档中有答案的问题，{choice} 拒答了 {shy.mean:.0%}"
            f"（95% 区间 {shy.low:.0%} 至 {shy.high:.0%}）。"
            "这样虽然安全，但实用性低于其质量分数；可在 [needs] 中用 max_false_refusals 设为门槛。", shy.mean))
    right, wrong = mine.metrics.get("correct"), mine.metrics.get("wrong")
    if right is not None and wrong is not None and wrong.mean > right.mean:
        found.append(Reason(
            f"More wrong than right: {choice} is the best of these, and answers {right.mean:.0%} correctly and "
            f"{wrong.mean:.0%} wrongly. Do not let it answer unseen; max_wrong in [needs] makes it a gate.",
            f"错多于对：{choice} 是其中最好的，但答对 {right.mean:.0%}，答错 {wrong.mean:.0%}。请勿在无人审阅时使用；"
            "可在 [needs] 中用 max_wrong 设为门槛。", right.mean - wrong.mean))
    text, said, fits = _same_answer(comparison, choice)
    if said > MONOTONE and 0 < fits < said:
        found.append(Reason(
            f"One answer for everything: {choice} says {text!r} to {said:.0%} of the answerable questions; that is "
            f"right for {fits:.0%} of them, whoever says it. It learned the common answer, not what documents say.",
            f"千篇一律：{choice} 对 {said:.0%} 的可回答问题都回答“{text}”，而这样回答对其中 {fits:.0%} 总是正确的。"
            "它学到的是常见答案，而不是文档内容。", said))
    if mine.approach.recipe and mine.seed_sd is None:
        found.append(Reason(
            f"{choice} was trained with one seed only: how far another training would lie from it was not measured. "
            "Train it with three (--seeds 3) before you rely on a small lead.",
            f"{choice} 只用一个种子训练过：换一次训练会相差多少没有测量。在依赖微小优势之前，请用三个种子训练"
            "（--seeds 3）。"))
    if mine.errors:
        found.append(Reason(f"{choice} failed on {mine.errors} question(s); each counts as an empty answer.",
                            f"{choice} 有 {mine.errors} 题报错，均按空答案计分。", float(mine.errors)))
    return tuple(found)


def _same_answer(comparison: Comparison, choice: str) -> tuple[str, float, float]:
    """(an approach's commonest answer, the share of answerable questions that get it, the share it is right for)."""
    asked = [question for question in comparison.questions if question.answerable]
    rows = [comparison.rows.get(question.id, {}).get(choice) for question in asked]
    said = Counter(row.answer.text.strip().casefold() for row in rows if row is not None)
    if not said:
        return "", 0.0, 0.0
    text, count = said.most_common(1)[0]
    fits = sum(text in (answer.strip().casefold() for answer in question.answers) for question in asked)
    return text, count / len(asked), fits / len(asked)


def comparison_mean(comparison: Comparison, name: str) -> float:
    """The mean of the deciding metric of one approach."""
    return next(s.metrics[comparison.metric].mean for s in comparison.standings if s.approach.name == name)


__all__ = ["cited_share", "recommend", "stays_here"]
