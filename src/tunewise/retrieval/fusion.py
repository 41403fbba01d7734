"""Ranked lists → one list: reciprocal rank fusion, maximal marginal relevance, the order in a prompt, the token budget.

Knows nothing about indexes, embedders or queries.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from tunewise.nouns import Chunk, Hit

Leg = tuple[str, float, Sequence[tuple[Chunk, float]]]
"""(name, weight, passages with their scores, best first)."""

ORDERS = ("best-first", "best-last", "best-outside", "document")
"""best-outside: the best passages at both ends, where models read best (Liu et al. 2023, "Lost in the Middle");
document: as they stand in their documents."""

_RRF = 60
"""The constant of reciprocal rank fusion; Cormack, Clarke and Büttcher (SIGIR 2009) found 60 and little sensitivity."""


def fuse(legs: Sequence[Leg]) -> list[Hit]:
    """Reciprocal rank fusion of (name, weight, passages best first): score = sum of weight / (60 + rank)."""
    scores: dict[str, float] = {}
    ranks: dict[str, list[tuple[str, int]]] = {}
    chunks: dict[str, Chunk] = {}
    for name, weight, found in legs:
        for rank, (chunk, _) in enumerate(found, 1):
            chunks[chunk.id] = chunk
            scores[chunk.id] = scores.get(chunk.id, 0.0) + weight / (_RRF + rank)
            ranks.setdefault(chunk.id, []).append((name, rank))
    order = sorted(scores, key=lambda id: (-scores[id], min(rank for _, rank in ranks[id]), id))
    return [Hit(chunks[id], scores[id], rank, tuple(ranks[id])) for rank, id in enumerate(order, 1)]


def ranked(hits: Sequence[Hit]) -> list[Hit]:
    """The hits with ranks 1, 2, … in the order given."""
    return [replace(hit, rank=rank) for rank, hit in enumerate(hits, 1)]


def diversify(hits: Sequence[Hit], vectors: np.ndarray, *, diversity: float, k: int) -> list[Hit]:
    """The k hits of highest marginal relevance (Carbonell and Goldstein, SIGIR 1998), re-ranked in the order chosen.

    Each next hit has the highest (1 - diversity) * relevance - diversity * (largest cosine to one chosen already).
    Relevance is the hit's score, scaled to 0 to 1 over the hits. `vectors`: normalised, (len(hits), dimension).
    """
    scores = np.array([hit.score for hit in hits], dtype=np.float64)
    spread = float(np.ptp(scores)) if len(hits) else 0.0
    relevance = (scores - scores.min()) / spread if spread > 0 else np.ones(len(hits))
    likeness = vectors @ vectors.T
    chosen: list[int] = []
    left = list(range(len(hits)))
    while left and len(chosen) < k:
        redundancy = likeness[:, chosen].max(1) if chosen else np.zeros(len(hits))
        value = (1 - diversity) * relevance - diversity * redundancy
        best = max(left, key=lambda i: (value[i], -i))
        chosen.append(best)
        left.remove(best)
    return ranked([hits[i] for i in chosen])


def within(hits: Sequence[Hit], budget: int, tokens: Callable[[str], int]) -> list[Hit]:
    """The hits from the best on that fit into `budget` tokens; passages are dropped whole, the first never."""
    kept: list[Hit] = []
    used = 0
    for hit in hits:
        used += tokens(hit.chunk.text)
        if kept and used > budget:
            break
        kept.append(hit)
    return kept


def ordered(hits: list[Hit], order: str) -> list[Hit]:
    """Ranked hits in the order in which a prompt shows them (`ORDERS`)."""
    if order == "best-last":
        return hits[::-1]
    if order == "best-outside":
        return hits[::2] + hits[1::2][::-1]
    if order == "document":
        return sorted(hits, key=lambda hit: (hit.chunk.document, hit.chunk.start))
    return hits
