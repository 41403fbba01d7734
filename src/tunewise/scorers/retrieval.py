"""Retrieval scores of the passages that were supplied, by overlap of their spans with the gold spans.

Knows nothing about how passages were found. Passages are taken in the order of their rank, whatever their order in the
prompt was. A passage finds a gold span when both are of one document and share at least one code point; a gold without
span is found by any passage of its document. Depth is the number of passages supplied (no fixed k): compare approaches
that supply different amounts of text with that in mind.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from tunewise.nouns import Gold, Hit


def overlaps(gold: Gold, document: str, start: int, end: int) -> bool:
    """Whether a span of a document meets the gold (the whole document where the gold has no span)."""
    if gold.document != document:
        return False
    return (gold.start, gold.end) == (0, 0) or (start < gold.end and gold.start < end)


NOTHING = {"recall": 0.0, "recall_per_1000_chars": 0.0, "mrr": 0.0, "ndcg": 0.0}


def retrieval_scores(hits: Sequence[Hit], gold: Sequence[Gold], *, reads: bool = False) -> dict[str, float]:
    """`recall`, `mrr`, `ndcg` and `recall_per_1000_chars`; empty when there is nothing to measure.

    Without passages they are 0 for an approach that `reads` an index (it found nothing, or skipped the search), and
    absent for one that does not.

    recall: share of gold spans that some passage meets. recall_per_1000_chars: recall divided by the thousands of
    characters supplied: long passages find more by being long, and cost more.
    mrr: 1 / position of the first passage that meets any.
    ndcg: a passage gains 1 when it meets a gold span that no earlier one met (Järvelin & Kekäläinen 2002, binary, a
    span counted once); the ideal list has the same gains first and then one passage for each span not met, cut to as
    many passages as were supplied.
    """
    if not gold:
        return {}
    if not hits:
        return dict(NOTHING) if reads else {}
    left = set(range(len(gold)))
    gains: list[int] = []
    first = 0
    for position, hit in enumerate(sorted(hits, key=lambda hit: hit.rank), 1):
        chunk = hit.chunk
        met = {i for i, item in enumerate(gold) if overlaps(item, chunk.document, chunk.start, chunk.end)}
        if met and not first:
            first = position
        if met & left:
            gains.append(position)
            left -= met
    ideal = sum(1 / math.log2(1 + i) for i in range(1, min(len(gains) + len(left), len(hits)) + 1))
    recall = 1 - len(left) / len(gold)
    return {
        "recall": recall,
        "recall_per_1000_chars": 1000 * recall / max(1, sum(len(hit.chunk.text) for hit in hits)),
        "mrr": 1 / first if first else 0.0,
        "ndcg": sum(1 / math.log2(1 + position) for position in gains) / ideal,
    }
