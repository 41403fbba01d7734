"""Leg weights and the gate, fitted on validation questions by what each leg found for them; no model is asked.

Knows nothing about projects and files. It is handed what the legs found, never a test question.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tunewise.nouns import Gold, Hit
from tunewise.retrieval.fusion import Leg, fuse
from tunewise.retrieval.gate import FEATURES, WIDER, Fit, breadth, features
from tunewise.sentences import prompt_language

Score = Callable[[Sequence[Hit], Sequence[Gold]], dict[str, float]]
"""Passages, best first, and gold → `recall` and `ndcg`; empty where there is nothing to measure."""

GRID = tuple(n / 10 for n in range(11))
FEWEST = 20
"""Validation questions with evidence from which a weight is fitted."""
_FEWEST_WITHOUT = 5
_FOLDS = 5
_MAY_LOSE = 0.01
_GAIN_KEPT = 0.9
_TELLS = 0.67
"""Widening by chance would take as large a share of the questions as of the gain: two thirds of it is worth a gate."""


@dataclass(frozen=True, slots=True)
class Searched:
    """One validation question with what each leg found for it, before fusion (weights in the legs are ignored)."""

    question: str
    gold: tuple[Gold, ...]
    legs: tuple[Leg, ...]

    def fused(self, weight: float) -> list[Hit]:
        weights = {"dense": weight, "lexical": 1 - weight}
        return fuse([(name, weights[name], found) for name, _, found in self.legs if weights[name] > 0])


def fit_weights(
    searched: Sequence[Searched], derived: Callable[[str], float], score: Score
) -> tuple[dict[str, float], list[str]]:
    """({language: weight of the dense leg}, reasons): the weight of highest nDCG@10 by language.

    It replaces the derived one only when it is better by more than one standard error of the paired difference (the
    one-standard-error rule of Breiman et al. 1984): few questions must not move it by chance.
    """
    weights: dict[str, float] = {}
    reasons: list[str] = []
    by_language: dict[str, list[Searched]] = {}
    for one in searched:
        if one.gold:
            by_language.setdefault(prompt_language(one.question), []).append(one)
    for language, questions in sorted(by_language.items()):
        before = derived(language)
        if len(questions) < FEWEST:
            weights[language] = before
            reasons.append(f"{language}: {len(questions)} validation questions are too few (at least {FEWEST}): "
                           f"the derived weight {before:g} stays")
            continue
        scores = {
            weight: np.array([score(one.fused(weight)[:10], one.gold).get("ndcg", 0.0) for one in questions])
            for weight in dict.fromkeys((*GRID, before))
        }
        best = max(scores, key=lambda weight: (scores[weight].mean(), -abs(weight - before)))
        gain = scores[best] - scores[before]
        error = float(gain.std(ddof=1) / np.sqrt(len(gain)))
        better = float(gain.mean()) > error and best != before
        weights[language] = best if better else before
        numbers = f"nDCG@10 {scores[best].mean():.3f} with {best:g}, {scores[before].mean():.3f} with the derived " \
                  f"{before:g}, standard error of the difference {error:.3f}, {len(questions)} questions"
        reasons.append(f"{language}: {'fitted ' + format(best, 'g') if better else 'the derived weight stays'}: "
                       f"{numbers}")
    return weights, reasons


def fit_gate(searched: Sequence[Searched], weights: dict[str, float], score: Score, *, k: int) -> Fit:
    """Leg weights with a gate: logistic regression on `FEATURES`, thresholds from out-of-fold probabilities.

    skip: the highest threshold that loses at most 1 % of the questions whose evidence would be found; none where fewer
    than five validation questions have no evidence. widen: the lowest that keeps 90 % of what `WIDER` times k gains.
    """
    rows, narrow, wide, folds = [], [], [], []
    for one in searched:
        hits = one.fused(weights.get(prompt_language(one.question), 0.5))
        rows.append(features(one.question, one.legs, hits))
        narrow.append(score(hits[:k], one.gold).get("recall", 0.0))
        wide.append(score(hits[: WIDER * k], one.gold).get("recall", 0.0))
        # Questions of one document stay together: they share passages.
        place = one.gold[0].document if one.gold else one.question
        folds.append(zlib.crc32(place.encode()) % _FOLDS)
    x, found, fold = np.array(rows), np.array(wide) > 0, np.array(folds)
    gained = np.array(wide) - np.array(narrow)
    reasons: list[str] = []
    chance = np.full(len(rows), found.mean() if len(rows) else 1.0)
    for number in range(_FOLDS):
        rest = fold != number
        if rest.any() and (~rest).any():
            chance[~rest] = _sigmoid(_with_one(x[~rest]) @ _logistic(x[rest], found[rest]))
    skip, widen = 0.0, 0.0
    without = int((~found).sum())
    if without < _FEWEST_WITHOUT:
        reasons.append(f"never skips: {without} validation question(s) without evidence, at least {_FEWEST_WITHOUT} "
                       "are needed to learn from")
    else:
        have = np.sort(chance[found])
        skip = float(have[int(_MAY_LOSE * len(have))]) if len(have) else 0.0
        skipped = chance < skip
        if not (skipped & ~found).any():
            skip = 0.0
        what = f"skips below {skip:.3f}" if skip else "never skips, since what was found does not tell"
        reasons.append(f"{what}: {int((skipped & ~found).sum())} of {without} questions without evidence, "
                       f"{int((skipped & found).sum())} of {int(found.sum())} with it")
    total = float(gained.sum())
    if total <= 0:
        reasons.append(f"never widens: {WIDER * k} passages find nothing that {k} do not")
    else:
        order = np.argsort(chance)
        kept = np.cumsum(gained[order]) >= _GAIN_KEPT * total
        last = int(np.argmax(kept))
        share = float(gained[order][: last + 1].sum()) / total
        what = (f"{last + 1} of {len(rows)} questions, which keep {share:.0%} of the recall that {WIDER * k} passages "
                "add")
        if (last + 1) / len(rows) > _TELLS * share:
            reasons.append(f"never widens: what was found does not tell where more helps ({what})")
        else:
            widen = float(chance[order][last]) + 1e-9
            reasons.append(f"widens below {widen:.3f}: {what}")
    coefficients = tuple(round(float(value), 6) for value in _logistic(x, found))
    fit = Fit(weights, coefficients, round(skip, 6), round(widen, 6), tuple(reasons), len(rows))
    counts = [breadth(fit, row) for row in rows]
    shares = ", ".join(f"{name} {counts.count(times) / max(1, len(counts)):.0%}" for name, times in
                       (("skips", 0), ("as set", 1), ("widens", WIDER)))
    return Fit(weights, fit.coefficients, fit.skip, fit.widen,
               (*reasons, f"on these {len(rows)} questions: {shares}"), len(rows))


def _logistic(x: np.ndarray, y: np.ndarray, *, ridge: float = 1.0) -> np.ndarray:
    """Coefficients, intercept last, of logistic regression with an L2 penalty on the slopes, by Newton's method."""
    x = _with_one(x)
    beta = np.zeros(x.shape[1])
    penalty = ridge * np.eye(x.shape[1])
    penalty[-1, -1] = 1e-6
    for _ in range(50):
        p = _sigmoid(x @ beta)
        step = np.linalg.solve((x * (p * (1 - p))[:, None]).T @ x + penalty, x.T @ (y - p) - penalty @ beta)
        beta = beta + np.clip(step, -5, 5)
        if np.abs(step).max() < 1e-8:
            break
    return beta


def _with_one(x: np.ndarray) -> np.ndarray:
    return np.hstack([x, np.ones((len(x), 1))]) if len(x) else np.zeros((0, len(FEATURES) + 1))


def _sigmoid(value: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(value, -30, 30)))
