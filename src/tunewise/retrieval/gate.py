"""Does retrieval help this question? A small fitted judge that skips it, leaves it, or widens it.

Looks only at what the legs found, never at gold or answers; what it goes by was fitted on validation questions
(`fitting.py`). After Self-RAG and Adaptive-RAG (Asai et al. 2023; Jeong et al. 2024), judging by evidence alone.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from tunewise.nouns import Hit
from tunewise.retrieval.fusion import Leg

GATES = ("always", "adaptive")
WIDER = 2
"""How many times as many passages, and tokens for them, thin evidence gets."""

FEATURES = ("cosine", "agreement", "coverage", "words")
_AGREE = 5
_TERM = re.compile(r"[一-鿿]+|[^\W_一-鿿]+")


@dataclass(frozen=True, slots=True)
class Fit:
    """What was learned from validation questions, and why.

    `weights`: of the dense leg by language of the question ("en", "zh"). `coefficients`: of `FEATURES`, the intercept
    last; they give the probability that the gold passage is among the wide list. Below `skip` nothing is retrieved,
    below `widen` more. `reasons` say what each number rests on.
    """

    weights: dict[str, float]
    coefficients: tuple[float, ...] = ()
    skip: float = 0.0
    widen: float = 0.0
    reasons: tuple[str, ...] = ()
    questions: int = 0


def features(question: str, legs: Sequence[Leg], hits: Sequence[Hit]) -> tuple[float, ...]:
    """`FEATURES` of one search: best cosine; share of the five best that both legs found; share of the question's terms
    in the two best passages; log of the best BM25 score."""
    found = {name: passages for name, _, passages in legs}
    dense, lexical = found.get("dense", ()), found.get("lexical", ())
    both = {chunk.id for chunk, _ in dense[:_AGREE]} & {chunk.id for chunk, _ in lexical[:_AGREE]}
    wanted = _terms(question)
    there = " ".join(f"{hit.chunk.title} {hit.chunk.heading} {hit.chunk.text}" for hit in hits[:2]).casefold()
    return (
        dense[0][1] if dense else 0.0,
        len(both) / _AGREE,
        sum(term in there for term in wanted) / len(wanted) if wanted else 0.0,
        math.log1p(max(0.0, lexical[0][1])) if lexical else 0.0,
    )


def _terms(question: str) -> set[str]:
    """Words of four letters or more, or with a digit; Chinese: pairs of characters."""
    terms: set[str] = set()
    for run in _TERM.findall(question.casefold()):
        if "一" <= run[0] <= "鿿":
            terms.update(run[i : i + 2] for i in range(max(1, len(run) - 1)))
        elif len(run) > 3 or any(map(str.isdigit, run)):
            terms.add(run)
    return terms


def probability(fit: Fit, values: Sequence[float]) -> float:
    """Probability, 0 to 1, that the wide list holds the evidence."""
    *slopes, intercept = fit.coefficients
    total = intercept + sum(slope * value for slope, value in zip(slopes, values, strict=True))
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, total))))


def breadth(fit: Fit, values: Sequence[float]) -> int:
    """0: skip retrieval, 1: as set, `WIDER`: more passages."""
    if not fit.coefficients:
        return 1
    chance = probability(fit, values)
    return 0 if chance < fit.skip else WIDER if chance < fit.widen else 1
