"""Who is best where: the winner of each need and each stratum, and whether a router by question type beats one choice.

Knows the rule and the strata; a router's gain is cross-validated, because its routes are picked by looking.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tunewise.amounts import apart, number
from tunewise.nouns import Bill, Comparison, Needs, Reason, Router, Winner
from tunewise.recommendation.money import NEED_ZH
from tunewise.recommendation.rule import Evidence, point
from tunewise.statistics import LEVEL, codes, holm, paired
from tunewise.strata import WITHOUT, bare

FOLDS = 5
FEWEST = 10
"""Questions of a type, under which a router sends them where the single choice is."""
TYPES = ("need", "kind", "language")
_TYPE_ZH = {"need": "需求", "kind": "题型", "language": "语言"}


def by_need(comparison: Comparison, evidence: Evidence) -> dict[str, str]:
    """The rule on each need's questions alone."""
    found = {}
    for need in dict.fromkeys(question.need for question in comparison.questions):
        part = evidence.of([i for i, question in enumerate(comparison.questions) if question.need == need])
        winner = point(replace(part, weights=np.ones(len(part.weights))))
        if winner is not None:
            found[need] = winner
    return found


def _pair(evidence: Evidence, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray, list[str], np.ndarray]:
    kept = ~np.isnan(a) & ~np.isnan(b) & (evidence.weights > 0)
    clusters = [cluster for cluster, there in zip(evidence.clusters, kept, strict=True) if there]
    return a[kept], b[kept], clusters, evidence.weights[kept]


def winners(comparison: Comparison, evidence: Evidence, choice: str) -> tuple[Winner, ...]:
    """The approach with the highest mean on each stratum, among those that pass the gates; where that is not the
    choice, whether it is shown to be better (Holm over all strata). The bare model does not win what it defines."""
    tested: list[tuple[Winner, float, float]] = []
    bares = {s.approach.name for s in comparison.standings if bare(s.approach)}
    mine = evidence.names.index(choice)
    for stratum, places in comparison.places.items():
        part = evidence.of(places)
        there = [place for place, name in enumerate(part.names) if part.fixed[place]
                 and not (stratum.startswith(WITHOUT) and name in bares) and not np.isnan(part.values[:, place]).all()]
        if not there:
            continue
        means = {place: float(np.nanmean(part.values[:, place])) for place in there}
        best = max(there, key=lambda place: (means[place], place == mine))
        p = low = 1.0
        if best != mine:
            even = replace(part, weights=np.ones(len(part.weights)))
            a, b, clusters, _ = _pair(even, *part.values[:, [best, mine]].T)
            result = paired(a, b, clusters)
            p, low = result.p, result.low
        own = float(np.nanmean(part.values[:, mine])) if not np.isnan(part.values[:, mine]).all() else 0.0
        tested.append((Winner(stratum, part.names[best], means[best], len(places), own, False), p, low))
    adjusted = holm([p for _, p, _ in tested])
    return tuple(replace(winner, better=winner.name != choice and q < LEVEL and low > 0)
                 for (winner, _, low), q in zip(tested, adjusted, strict=True))


def _types(comparison: Comparison, by: str) -> list[str]:
    """The type of each question as a router could know it: that a question has no answer shows only afterwards."""
    return [getattr(question, by) if question.answerable else "" for question in comparison.questions]


def _routes(evidence: Evidence, types: list[str], places: list[int], choice: str) -> dict[str, str]:
    found = {}
    for kind in dict.fromkeys(types):
        mine = [place for place in places if types[place] == kind]
        if kind and len(mine) >= FEWEST:
            part = evidence.of(mine)
            means = np.where(part.fixed, np.nan_to_num(np.nanmean(part.values, axis=0), nan=-1.0), -1.0)
            found[kind] = part.names[int(means.argmax())] if means.max() > means[part.names.index(choice)] else choice
    return found


def router(
    comparison: Comparison, evidence: Evidence, choice: str, lines: tuple[Bill, ...], needs: Needs, *, seed: int
) -> Router | None:
    """The router with the highest cross-validated gain over the choice; None where no type is sent elsewhere.

    Five folds of whole documents: routes are learned on four, the fifth is answered by them. The choice itself was
    picked on all questions, so the gain is rather too small than too large. `better`: p of the paired difference under
    5 % after Holm over the kinds of types.
    """
    groups, count = codes(evidence.clusters)
    fold = np.random.default_rng(seed).permutation(count)[groups] % FOLDS
    mine = evidence.names.index(choice)
    found: list[Router] = []
    for by in TYPES:
        types = _types(comparison, by)
        routes = _routes(evidence, types, list(range(len(types))), choice)
        if set(routes.values()) <= {choice} or len(set(filter(None, types))) < 2:
            continue
        routed = np.empty(len(types))
        for part in range(FOLDS):
            learned = _routes(evidence, types, np.flatnonzero(fold != part).tolist(), choice)
            for place in np.flatnonzero(fold == part):
                routed[place] = evidence.values[place, evidence.names.index(learned.get(types[place], choice))]
        a, b, clusters, weights = _pair(evidence, routed, evidence.values[:, mine])
        result = paired(a, b, clusters, weights=weights, seed=seed)
        used = dict.fromkeys([choice, *routes.values()])
        share = {name: float(np.mean([routes.get(kind, choice) == name for kind in types])) for name in used}
        cost = sum(line.fixed + share[line.name] * line.rate * needs.answers_per_month
                   for line in lines if line.name in used)
        found.append(Router(by, routes, result.mean, result.low, result.high, result.p, False, cost))
    if not found:
        return None
    adjusted = holm([one.p for one in found])
    found = [replace(one, p=p, better=p < LEVEL and one.low > 0) for one, p in zip(found, adjusted, strict=True)]
    return max(found, key=lambda one: (one.better, one.gain))


def router_reasons(found: Router | None, choice: str) -> list[Reason]:
    """What is said of a router that is shown to be better; nothing of one that is not."""
    if found is None or not found.better:
        return []
    sent: dict[str, list[str]] = {}
    for kind, name in found.routes.items():
        if name != choice:
            sent.setdefault(name, []).append(kind)
    words = "; ".join(f"{name} for {', '.join(kinds)}" for name, kinds in sent.items())
    named = {name: "、".join(NEED_ZH.get(kind, kind) for kind in kinds) for name, kinds in sent.items()}
    words_zh = "；".join(f"{kinds}类问题用 {name}" for name, kinds in named.items())
    return [Reason(
        f"A router by {found.by} would do better: {words}, {choice} for the rest ("
        f"{apart(found.gain, found.low, found.high)} points over all questions, cross-validated); all its parts cost "
        f"{number(found.cost)}. It needs something that tells the {found.by} of a question when it comes in.",
        f"按{_TYPE_ZH[found.by]}分流会更好：{words_zh}，其余用 {choice}（全部题目上 "
        f"{apart(found.gain, found.low, found.high)} 分，经交叉验证）；各部分合计成本 {number(found.cost)}。"
        f"前提是提问时能判断问题的{_TYPE_ZH[found.by]}。", found.gain)]


__all__ = ["by_need", "router", "router_reasons", "winners"]
