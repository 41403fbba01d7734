"""What an approach costs at which volume, where that turns, and what would flip the choice.

Knows the rule, not how it is said to be sure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tunewise.amounts import number
from tunewise.costs import bill
from tunewise.nouns import Bill, BreakEven, Comparison, Needs, Reason
from tunewise.recommendation.rule import Evidence, column, point

RECALL_LOSS = 0.10
NEED_ZH = {"facts": "事实", "form": "格式", "terms": "术语"}


def less_recall(comparison: Comparison, evidence: Evidence) -> Evidence:
    """The evidence if retrieval found 10 points less.

    Approximation: of the questions whose passages were found (recall r of them), a share 0.10 / r would lose theirs,
    and with them everything they earned; so each such question keeps 1 - 0.10 / r of its score. Pessimistic where a
    model knows the answer anyway; questions without evidence (unanswerable) stay as they are, though some might be
    refused more often.
    """
    recall = column(comparison, evidence.names, "recall")
    reads = np.array([bool(standing.approach.index) for standing in comparison.standings])
    found = (np.nan_to_num(recall) > 0) & reads
    measured = np.maximum((~np.isnan(recall)).sum(axis=0), 1)
    rate = found.sum(axis=0) / measured
    keep = 1 - np.minimum(1.0, RECALL_LOSS / np.maximum(rate, RECALL_LOSS))
    return replace(evidence, values=np.where(found, evidence.values * keep, evidence.values))


def bills(comparison: Comparison, needs: Needs) -> tuple[Bill, ...]:
    """The total cost of every approach as a line over the answers a month, in the order of the standings."""
    return tuple(
        bill(standing.approach, standing.cost, [row[standing.approach.name] for row in comparison.rows.values()], needs)
        for standing in comparison.standings
    )


def costs_of(comparison: Comparison, needs: Needs) -> dict[str, float]:
    """Money over the months by approach."""
    return {line.name: line.total for line in bills(comparison, needs)}


def volumes(needs: Needs) -> tuple[int, int, int]:
    """The three volumes at which a report shows costs: a tenth of the user's, the user's, ten times as many."""
    here = max(needs.answers_per_month, 10)
    return here // 10, here, here * 10


def break_even(lines: Sequence[Bill], choice: str, allowed: Sequence[str]) -> tuple[BreakEven, ...]:
    """For each other approach that is allowed: at which answers a month it begins to cost less than the choice (from
    there on, or up to there), or that it never does."""
    mine = next(line for line in lines if line.name == choice)
    found = []
    for other in lines:
        if other.name == choice or other.name not in allowed or not math.isfinite(other.rate + mine.rate):
            continue
        ahead, saved = other.fixed - mine.fixed, mine.rate - other.rate
        if ahead < 0 <= saved or (ahead == 0 < saved):
            found.append(BreakEven(choice, other.name, 0.0))
        elif ahead * saved > 0:
            found.append(BreakEven(choice, other.name, ahead / saved, below=saved < 0))
        else:
            found.append(BreakEven(choice, other.name, None))
    return tuple(found)


def _weighted(evidence: Evidence) -> list[tuple[str, Evidence]]:
    """The evidence with each need's weight three times as large, where there is more than one need."""
    kinds = list(dict.fromkeys(evidence.needs))
    asked = np.asarray(evidence.needs)
    return [(need, replace(evidence, weights=np.where(asked == need, 3 * evidence.weights, evidence.weights)))
            for need in kinds] if len(kinds) > 1 else []


def flips(comparison: Comparison, needs: Needs, evidence: Evidence, choice: str) -> tuple[Reason, ...]:
    """What would change the choice, and what would not: the rule under changed volumes, prices, weights, recall."""
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
        costs = costs_of(comparison, changed)
        other = point(replace(evidence, costs=np.array([costs[name] for name in evidence.names])))
        if other is not None and other != choice:
            found.append(Reason(f"With {text}, {other} would be chosen: it then costs {number(costs[other])}, {choice} "
                                f"{number(costs[choice])}.",
                                f"若{text_zh}，则会选择 {other}：届时其成本为 {number(costs[other])}，{choice} 为 "
                                f"{number(costs[choice])}。",
                                costs[other]))
        else:
            kept.append(text)
            kept_zh.append(text_zh)
    for need, changed in _weighted(evidence):
        other = point(changed)
        text, text_zh = f"{need} counting three times as much", f"{NEED_ZH.get(need, need)}的权重增至三倍"
        if other is not None and other != choice:
            found.append(Reason(f"With {text}, {other} would be chosen.", f"若{text_zh}，则会选择 {other}。", 3.0))
        else:
            kept.append(text)
            kept_zh.append(text_zh)
    other = point(less_recall(comparison, evidence))
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
