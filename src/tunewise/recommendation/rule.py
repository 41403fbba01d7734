"""The rule by which one approach is chosen, for the comparison as measured and for every resample alike.

Knows numbers only: no words, no needs, no prices.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tunewise.nouns import Comparison
from tunewise.statistics import LEVEL, codes, effective_clusters, floored, least_error, resample_counts

EQUAL_COSTS = 1.05
DUST = 1e-9
"""Means that differ by no more are level: the last digits depend on the order of adding up."""
RESAMPLES = 1000
WEIGHT_DRAWS = 20
CONCENTRATION = 20.0
"""Of the Dirichlet distribution around the user's weights: three equal weights of 33 % then vary by ± 10 points."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """The numbers that the rule reads: questions × approaches, in the order of `names`; NaN where absent.

    `wrong` and `shy` (false refusals) are asked again in every resample, against `limits`; `fixed` says who passes the
    gates that are facts. `costs` is money over the months of the needs.
    """

    names: tuple[str, ...]
    values: np.ndarray
    wrong: np.ndarray
    shy: np.ndarray
    weights: np.ndarray
    needs: tuple[str, ...]
    clusters: tuple[str, ...]
    fixed: np.ndarray
    costs: np.ndarray
    complexity: np.ndarray
    limits: tuple[float, float]
    margin: float

    def of(self, places: Sequence[int]) -> Evidence:
        """The same for some of the questions."""
        at = np.asarray(places)
        return replace(self, values=self.values[at], wrong=self.wrong[at], shy=self.shy[at], weights=self.weights[at],
                       needs=tuple(self.needs[place] for place in places),
                       clusters=tuple(self.clusters[place] for place in places))


def _means(
    evidence: Evidence, counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Sums and sizes by cluster, and for each resample its size, the approaches' means and who passes the gates."""
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
    return sums, sizes, size, means, passes


def _cheapest(evidence: Evidence, fit: np.ndarray) -> np.ndarray:
    """For each resample a rank of those that are `fit` (least first): infinite where it costs over 5 % more than the
    cheapest of them, else by complexity. An unknown cost is an infinite one."""
    costs = np.where(fit, evidence.costs, np.inf)
    equal = fit & (costs <= costs.min(axis=1, keepdims=True) * EQUAL_COSTS + 1e-9)
    return np.where(equal, evidence.complexity * 10.0, np.inf)


def _by_price(evidence: Evidence) -> np.ndarray:
    """A crumb for each approach, by which the cheaper one goes first where all else is the same."""
    crumbs = np.empty(len(evidence.names))
    # Sums of the same parts in another order are the same.
    costs = np.array([float(f"{cost:.9g}") for cost in evidence.costs])
    crumbs[np.lexsort((evidence.complexity, costs))] = np.arange(len(evidence.names))
    return crumbs * DUST / 10 / max(1, len(evidence.names))


def _lead(evidence: Evidence, means: np.ndarray, passes: np.ndarray) -> np.ndarray:
    """The place of the best of each resample: the highest mean; of those that are level the cheapest (costs within 5 %
    are the same), then the simplest, whatever the order of names."""
    tops = np.where(passes, means, -np.inf)
    level = passes & (tops >= tops.max(axis=1, keepdims=True) - DUST)
    return (_cheapest(evidence, level) + _by_price(evidence)).argmin(axis=1)


def _lows(evidence: Evidence, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """For each resample: the lower ends of the differences to its best (0 for the best itself), its best, the means,
    and who passes the gates."""
    sums, sizes, size, means, passes = _means(evidence, counts)
    best = _lead(evidence, means, passes)
    lows = np.zeros_like(means)
    for place in range(len(evidence.names)):
        rows = best == place
        if rows.any():
            lows[rows] = _against(evidence, place, counts[rows], sums, sizes, size[rows])
            lows[rows, place] = 0.0
    return lows, best, means, passes


def _against(
    evidence: Evidence, place: int, drawn: np.ndarray, sums: np.ndarray, sizes: np.ndarray, size: np.ndarray
) -> np.ndarray:
    """For each resample the lower ends of the differences of all approaches to the one at this place."""
    from scipy.special import stdtrit

    clusters = codes(evidence.clusters)[1]
    t = -float(stdtrit(max(1.0, effective_clusters(evidence.clusters) - 1), LEVEL / 2))
    unit = (least_error(evidence.weights, evidence.clusters) * evidence.weights.sum()) ** 2
    apart = sums - sums[:, [place]]
    mean = (drawn @ apart) / size
    # Σ count · (D − mean·N)², the residuals of the ratio summed by cluster.
    square = drawn @ apart**2 - 2 * mean * (drawn @ (apart * sizes)) + mean**2 * (drawn @ sizes**2)
    # That two approaches never differed on these questions does not show that they differ by nothing.
    error = np.sqrt(floored(np.maximum(square, 0) * clusters / max(1, clusters - 1), unit)) / size
    return mean - t * error


def rule(evidence: Evidence, counts: np.ndarray) -> np.ndarray:
    """The place of the chosen approach (-1: none) for each row of `counts` (resamples × clusters: how often drawn)."""
    lows, best, means, passes = _lows(evidence, counts)
    fit = passes & ((lows > -evidence.margin) | (np.arange(len(evidence.names)) == best[:, None]))
    order = _cheapest(evidence, fit) - np.round(means / DUST) * DUST + _by_price(evidence)
    return np.where(passes.any(axis=1), order.argmin(axis=1), -1)


def shortfalls(evidence: Evidence) -> tuple[str, dict[str, float]]:
    """Who leads as measured, and for each of the others that pass the gates the margin from which on it counts as not
    inferior to that one."""
    lows, best, _, passes = _lows(evidence, as_measured(evidence))
    return evidence.names[int(best[0])], {
        name: max(0.0, -float(lows[0, place])) for place, name in enumerate(evidence.names)
        if passes[0, place] and place != best[0]
    }


def point(evidence: Evidence) -> str | None:
    """Who is chosen as measured; None when nobody passes the gates."""
    place = int(rule(evidence, as_measured(evidence))[0])
    return evidence.names[place] if place >= 0 else None


def rivals(evidence: Evidence, choice: str, shown: Callable[[str, str], bool]) -> list[str]:
    """The approaches that the choice is tied with: those that cost no more (within 5 %) or score no less, and than
    which it is not `shown` to be better.

    None is a rival that costs more or is more to look after, and no less of either, where the choice is shown to be
    within the margin of it: that is what the rule asks for.
    """
    mine = evidence.names.index(choice)
    counts = as_measured(evidence)
    sums, sizes, size, means, _ = _means(evidence, counts)
    found = []
    for place, name in enumerate(evidence.names):
        if place == mine or not evidence.fixed[place] or shown(choice, name):
            continue
        cost, theirs = evidence.costs[[mine, place]]
        near = theirs <= cost * EQUAL_COSTS + 1e-9
        more = int(evidence.complexity[place]) - int(evidence.complexity[mine])
        less = not near or (cost <= theirs + 1e-9 and more >= 0 and (more > 0 or cost < theirs - 1e-9))
        within = float(_against(evidence, place, counts, sums, sizes, size)[0, mine]) > -evidence.margin
        if (near or means[0, place] >= means[0, mine] - DUST) and not (less and within):
            found.append(name)
    return found


def column(comparison: Comparison, names: Sequence[str], metric: str) -> np.ndarray:
    """One score as questions × approaches; NaN where it does not apply."""
    rows = [comparison.rows[question.id] for question in comparison.questions]
    return np.array([[row[name].scores.get(metric, np.nan) for name in names] for row in rows], float)


def _weights(evidence: Evidence, seed: int) -> list[np.ndarray]:
    """The user's weights, or (with more than one need that counts) draws around them from a Dirichlet distribution."""
    needs = np.asarray(evidence.needs)
    counted = [need for need in dict.fromkeys(evidence.needs) if evidence.weights[needs == need].sum() > 0]
    if len(counted) < 2:
        return [evidence.weights]
    given = np.array([evidence.weights[needs == need].max() for need in counted])
    rng = np.random.default_rng([seed, len(counted)])
    found = []
    for draw in rng.dirichlet(CONCENTRATION * given / given.sum(), WEIGHT_DRAWS):
        weights = evidence.weights.copy()
        for need, weight in zip(counted, draw, strict=True):
            weights[needs == need] = weight
        found.append(weights)
    return found


def resampled(evidence: Evidence, seed: int) -> tuple[dict[str, float], dict[str, float]]:
    """Over resamples of whole documents × draws of the weights: the share that chooses each approach, and the share in
    which it is on the Pareto front of mean and cost."""
    clusters = codes(evidence.clusters)[1]
    chosen, front = [], []
    draws = _weights(evidence, seed)
    for number, weights in enumerate(draws):
        drawn = replace(evidence, weights=weights)
        for counts in resample_counts(clusters, RESAMPLES // len(draws), seed + number):
            chosen.append(rule(drawn, counts))
            front.append(on_front(drawn, counts))
    picks, fronts = np.concatenate(chosen), np.concatenate(front)
    return ({name: float((picks == place).mean()) for place, name in enumerate(evidence.names)},
            {name: float(fronts[:, place].mean()) for place, name in enumerate(evidence.names)})


def on_front(evidence: Evidence, counts: np.ndarray) -> np.ndarray:
    """Which approaches that pass the gates are on the front of each resample: no other one is as good at less cost, or
    better at no more."""
    *_, means, passes = _means(evidence, counts)
    beaten = np.zeros_like(passes)
    for place in range(len(evidence.names)):
        cheaper, mine = evidence.costs[place] < evidence.costs, means[:, [place]]
        as_cheap = evidence.costs[place] <= evidence.costs
        beaten |= passes[:, [place]] & ((cheaper & (mine >= means)) | (as_cheap & (mine > means)))
    return passes & ~beaten


def as_measured(evidence: Evidence) -> np.ndarray:
    """The counts of no resampling at all: every cluster once."""
    return np.ones((1, codes(evidence.clusters)[1]))
