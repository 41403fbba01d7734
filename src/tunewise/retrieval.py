"""Questions → passages: a dense and a lexical leg, fused by rank, within a budget of tokens.

Knows nothing about prompts or models; counting tokens is handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Protocol

from tunewise.errors import ConfigMistake, ModelMistake
from tunewise.index.generation import dense_weight
from tunewise.nouns import Chunk, Hit, Retrieval

if TYPE_CHECKING:
    from tunewise.embeddings import Embedder
    from tunewise.index import Index

MODES = ("hybrid", "dense", "lexical")
ORDERS = ("best-first", "best-last")
_RRF = 60
"""The constant of reciprocal rank fusion; Cormack, Clarke and Büttcher (SIGIR 2009) found 60 and little sensitivity."""


class Retriever(Protocol):
    """`groups`: None = no access filter (the project's owner), () = only public passages, else those and theirs."""

    def __call__(self, queries: Sequence[str], groups: Collection[str] | None = None) -> list[list[Hit]]: ...


def make_retriever(
    index: Index, embedder: Embedder | None, settings: Retrieval, *, count: Callable[[str], int] | None = None
) -> Retriever:
    """A callable from queries to their hits, the best `settings.k` within `settings.budget` tokens.

    `count` gives the tokens of a text for the model that will read it (default: the embedder's count). The budget drops
    hits from the lowest rank; the first is always kept. `ConfigMistake` lists all bad settings; `ModelMistake` when the
    index was built with another embedder.
    """
    _check(settings)
    weight = {"dense": 1.0, "lexical": 0.0}.get(settings.mode)
    if weight is None:
        weight = index.dense_weight if settings.dense_weight is None else settings.dense_weight
    if weight > 0:
        _check_embedder(index, embedder)
    derived = settings.mode == "hybrid" and settings.dense_weight is None
    tokens = count or (embedder.count_tokens if embedder is not None else lambda text: len(text))

    def retrieve(queries: Sequence[str], groups: Collection[str] | None = None) -> list[list[Hit]]:
        weights = [weight] * len(queries)
        if derived and embedder is not None and weight > 0:
            # Documents in two languages share one index: a question that the embedder cannot read is asked in words.
            weights = [min(weight, dense_weight(embedder.unknown_share([query]))) for query in queries]
        asked = [i for i, one in enumerate(weights) if one > 0]
        vectors = {}
        if asked and embedder is not None:
            vectors = dict(zip(asked, embedder.embed([queries[i] for i in asked]), strict=True))
        depth = max(20, 4 * settings.k)
        results = []
        for i, query in enumerate(queries):
            legs: list[tuple[str, float, list[tuple[Chunk, float]]]] = []
            if weights[i] > 0:
                legs.append(("dense", weights[i], index.search_dense(vectors[i], depth, groups=groups)))
            if weights[i] < 1:
                legs.append(("lexical", 1 - weights[i], index.search_lexical(query, depth, groups=groups)))
            hits = _within(fuse(legs)[: settings.k], settings.budget, tokens)
            results.append(hits if settings.order == "best-first" else hits[::-1])
        return results

    return retrieve


def fuse(legs: Sequence[tuple[str, float, Sequence[tuple[Chunk, float]]]]) -> list[Hit]:
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


def _within(hits: list[Hit], budget: int, tokens: Callable[[str], int]) -> list[Hit]:
    kept, used = [], 0
    for hit in hits:
        used += tokens(hit.chunk.text)
        if kept and used > budget:
            break
        kept.append(hit)
    return kept


def _check(settings: Retrieval) -> None:
    faults = []
    if settings.mode not in MODES:
        faults.append(f"mode {settings.mode!r} is none of {', '.join(MODES)}")
    if settings.order not in ORDERS:
        faults.append(f"order {settings.order!r} is none of {', '.join(ORDERS)}")
    if settings.k < 1 or settings.budget < 1:
        faults.append("k and budget must be at least 1")
    if settings.dense_weight is not None and not 0 <= settings.dense_weight <= 1:
        faults.append(f"dense_weight {settings.dense_weight} is not between 0 and 1")
    if faults:
        raise ConfigMistake("retrieval: " + "; ".join(faults), tip="mend the approach's retrieval settings")


def _check_embedder(index: Index, embedder: Embedder | None) -> None:
    built = index.generation.embedder
    if embedder is None:
        raise ModelMistake(f"the index needs its embedder {built!r} to search by meaning", tip="or use mode lexical")
    if embedder.fingerprint != index.embedder_fingerprint:
        raise ModelMistake(
            f"the index was built with the embedder {built!r}, not with {embedder.name!r}: vectors do not compare",
            tip=f"tunewise ingest --embedder {embedder.name} builds it again, or go back to {built!r}",
        )
