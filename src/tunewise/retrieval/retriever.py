"""`make_retriever`: the settings of an approach → the callable from questions to hits.

Knows nothing about prompts or models; counting tokens and writing queries are handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from tunewise.errors import ConfigMistake, ModelMistake
from tunewise.index import passage_text
from tunewise.index.generation import dense_weight
from tunewise.nouns import Hit, Retrieval
from tunewise.retrieval import gate
from tunewise.retrieval.fusion import ORDERS, Leg, diversify, fuse, ordered, ranked, within
from tunewise.retrieval.queries import FOLLOW_UPS, REWRITES, Generate, Query, expand
from tunewise.retrieval.rerank import RERANKED, load_reranker
from tunewise.sentences import prompt_language

if TYPE_CHECKING:
    from tunewise.embeddings import Embedder
    from tunewise.index import Index
    from tunewise.retrieval.gate import Fit
    from tunewise.retrieval.rerank import Reranker

MODES = ("hybrid", "dense", "lexical")


class Retriever(Protocol):
    """`groups`: None = no access filter (the project's owner), () = only public passages, else those and theirs."""

    def __call__(self, queries: Sequence[str], groups: Collection[str] | None = None) -> list[list[Hit]]: ...


def make_retriever(
    index: Index,
    embedder: Embedder | None,
    settings: Retrieval,
    *,
    count: Callable[[str], int] | None = None,
    generate: Generate | None = None,
    fit: Fit | None = None,
    reranker: Reranker | None = None,
) -> Retriever:
    """A callable from questions to their hits, the best `settings.k` within `settings.budget` tokens.

    `count` gives the tokens of a text for the model that will read it (default: the embedder's count). `generate`
    writes queries (`settings.rewrite`); `fit` holds the leg weights and the gate that were fitted on validation
    questions. The budget drops hits from the lowest rank; the first is always kept. `ConfigMistake` lists all bad
    settings; `ModelMistake` when the index was built with another embedder.
    """
    _check(settings, generate, fit)
    dense = _weight(index, settings, fit, "") > 0 or any(fit.weights.values() if fit else ())
    # Also where no weight was derived for it: another embedder was named so that it gets one, and wants an ingest.
    if dense or (embedder is not None and settings.mode == "hybrid" and settings.dense_weight is None):
        _check_embedder(index, embedder)
    tokens = count or (embedder.count_tokens if embedder is not None else lambda text: len(text))
    rerank = reranker or (load_reranker(settings.reranker) if settings.reranker else None)
    adaptive = settings.gate == "adaptive"
    depth = max(20, 4 * settings.k * (gate.WIDER if adaptive else 1))

    def retrieve(queries: Sequence[str], groups: Collection[str] | None = None) -> list[list[Hit]]:
        expanded = expand(queries, settings.rewrite, generate)
        results = []
        for question, legs in zip(queries, search_legs(index, embedder, settings, expanded, depth, groups, fit),
                                  strict=True):
            hits = fuse(legs)
            times = 1
            if adaptive and fit is not None:
                times = gate.breadth(fit, gate.features(question, legs, hits))
            results.append([] if times == 0 else choose(question, hits, times))
        return results

    def choose(question: str, hits: list[Hit], times: int) -> list[Hit]:
        if rerank is not None:
            hits = _reranked(question, hits[: max(settings.rerank_depth, settings.k * times)], rerank)
        k = settings.k * times
        hits, small = _lifted(index, hits)
        if settings.diversity > 0:
            near = hits[:depth]
            hits = diversify(near, index.vectors([small[hit.chunk.id] for hit in near]),
                             diversity=settings.diversity, k=k)
        return ordered(within(hits[:k], settings.budget * times, tokens), settings.order)

    return retrieve


def search_legs(
    index: Index, embedder: Embedder | None, settings: Retrieval, queries: Sequence[Sequence[Query]], depth: int,
    groups: Collection[str] | None, fit: Fit | None = None,
) -> list[list[Leg]]:
    """The legs of each question over all its queries; all queries are embedded at once, each counts alike."""
    flat = [(i, number, query) for i, own in enumerate(queries) for number, query in enumerate(own, 1)]
    weights = [_weight(index, settings, fit, queries[i][0].words) for i, _, _ in flat]
    if settings.mode == "hybrid" and settings.dense_weight is None and embedder is not None:
        # Documents in two languages share one index: a question that the embedder cannot read is asked in words.
        weights = [min(one, dense_weight(embedder.unknown_share(query.meanings[:1]))) if one > 0 else one
                   for one, (_, _, query) in zip(weights, flat, strict=True)]
    asked = [n for n, one in enumerate(weights) if one > 0]
    vectors: dict[int, np.ndarray] = {}
    if asked and embedder is not None:
        vectors = dict(zip(asked, _embed(embedder, [flat[n][2].meanings for n in asked]), strict=True))
    legs: list[list[Leg]] = [[] for _ in queries]
    for n, (i, number, query) in enumerate(flat):
        name = "" if number == 1 else f" {number}"
        share = 1 / len(queries[i])
        text = query.words if weights[n] < 1 else None
        near, worded = index.search_both(vectors.get(n), text, depth, groups=groups)
        if n in vectors:
            legs[i].append((f"dense{name}", share * weights[n], near))
        if text is not None:
            legs[i].append((f"lexical{name}", share * (1 - weights[n]), worded))
    return legs


def _embed(embedder: Embedder, texts: Sequence[Sequence[str]]) -> list[np.ndarray]:
    """One normalised vector for each list of texts, the mean of theirs; everything is embedded in one call."""
    vectors = iter(embedder.embed([text for own in texts for text in own]))
    means = []
    for own in texts:
        total = sum(next(vectors) for _ in own)
        means.append(total if len(own) == 1 else total / max(1e-12, float(np.linalg.norm(total))))
    return means


def _weight(index: Index, settings: Retrieval, fit: Fit | None, question: str) -> float:
    """Weight of the dense leg: what the mode says, else what the user set, else what was fitted, else the derived."""
    if settings.mode != "hybrid":
        return float(settings.mode == "dense")
    if settings.dense_weight is not None:
        return settings.dense_weight
    if fit is not None:
        return fit.weights.get(prompt_language(question), index.dense_weight)
    return index.dense_weight


def _reranked(question: str, hits: Sequence[Hit], rerank: Reranker) -> list[Hit]:
    scores = rerank(question, [passage_text(hit.chunk) for hit in hits])
    pairs = sorted(zip(scores, hits, strict=True), key=lambda pair: (-pair[0], pair[1].rank))
    return ranked([replace(hit, score=score, legs=(*hit.legs, (RERANKED, rank)))
                   for rank, (score, hit) in enumerate(pairs, 1)])


def _lifted(index: Index, hits: list[Hit]) -> tuple[list[Hit], dict[str, str]]:
    """Hits with each chunk replaced by its parent (each parent once, at its best chunk's rank), and
    {chunk id: id of the chunk that was found}."""
    if not any(hit.chunk.parent for hit in hits):
        return hits, {hit.chunk.id: hit.chunk.id for hit in hits}
    parents = index.parents([hit.chunk for hit in hits])
    kept: list[Hit] = []
    small: dict[str, str] = {}
    for hit in hits:
        large = parents[hit.chunk.id]
        if large.id not in small:
            small[large.id] = hit.chunk.id
            kept.append(replace(hit, chunk=large))
    return ranked(kept), small


def _check(settings: Retrieval, generate: Generate | None, fit: Fit | None) -> None:
    faults = []
    for name, known in (("mode", MODES), ("order", ORDERS), ("rewrite", REWRITES), ("follow_up", FOLLOW_UPS),
                        ("gate", gate.GATES)):
        if getattr(settings, name) not in known:
            faults.append(f"{name} {getattr(settings, name)!r} is none of {', '.join(known)}")
    if min(settings.k, settings.budget, settings.rerank_depth) < 1:
        faults.append("k, budget and rerank_depth must be at least 1")
    if settings.dense_weight is not None and not 0 <= settings.dense_weight <= 1:
        faults.append(f"dense_weight {settings.dense_weight} is not between 0 and 1")
    if not 0 <= settings.diversity <= 1:
        faults.append(f"diversity {settings.diversity} is not between 0 and 1")
    if settings.rewrite in REWRITES[1:] and generate is None:
        faults.append(f"rewrite {settings.rewrite!r} needs a model that writes, and there is none here")
    if settings.gate == "adaptive" and (fit is None or not fit.coefficients):
        faults.append("gate 'adaptive' needs a fit on validation questions (tunewise index fit)")
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
