"""Rows that begin alike, computed once: one prompt prefix, many answers, under a block mask.

RAFT rows of neighbouring questions bring the same passages, and a prompt shows the passages before the question. So
such rows have a long prefix in common, whose keys and values are equal in all of them. `pack` lays several rows out as
one sequence that holds the common part once, and says for every token which tokens before it belong to its own row;
positions count along the row. Loss and gradients are those of the rows apart (the test asks for 1e-4).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tunewise.training.encoding import IGNORED

WORTH = 0.3
"""A row joins a pack when at least this share of it is there already; attention over the others costs the rest."""


def common(a: Sequence[int], b: Sequence[int]) -> int:
    """How many tokens two rows have in common at their beginnings."""
    size = min(len(a), len(b))
    if list(a[:size]) == list(b[:size]):
        return size
    return next(i for i in range(size) if a[i] != b[i])


def pack(rows: Sequence[dict[str, Any]], *, most: int = 8, tokens: int = 1200) -> list[dict[str, Any]]:
    """The rows as packs of at most `most` rows and `tokens` tokens; a row that shares nothing is a pack of its own.

    Rows are sorted by their tokens first, so rows that begin alike stand together. Every row is in exactly one pack.
    """
    order = sorted(range(len(rows)), key=lambda i: (rows[i]["input_ids"], i))
    groups: list[list[int]] = []
    size = 0
    for i in order:
        ids = rows[i]["input_ids"]
        shared = common(rows[groups[-1][-1]]["input_ids"], ids) if groups else 0
        extra = len(ids) - shared
        if groups and shared >= WORTH * len(ids) and len(groups[-1]) < most and size + extra <= tokens:
            groups[-1].append(i)
            size += extra
        else:
            groups.append([i])
            size = len(ids)
    # Back into the order of their first rows: the sort was for finding, not for learning.
    return [_lay_out([rows[i] for i in group]) for group in sorted(groups, key=min)]


def _lay_out(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One sequence for rows that are sorted: each begins where it leaves the one before.

    `segments` holds (start in the sequence, position of its first token, parent) for each row: its own tokens go on
    from the first `position` tokens of the parent row's path.
    """
    first = rows[0]
    packed = {
        "input_ids": list(first["input_ids"]),
        "labels": list(first["labels"]),
        "positions": list(range(len(first["input_ids"]))),
        "segments": [(0, 0, -1)],
        "rows": len(rows),
        "alone": sum(len(row["input_ids"]) for row in rows),
    }
    for number, (before, row) in enumerate(zip(rows, rows[1:], strict=False), 1):
        shared = common(before["input_ids"], row["input_ids"])
        # A position has one label: where two rows part, the last common token predicts two different tokens.
        while shared and any(label != IGNORED for label in row["labels"][:shared]):
            shared -= 1
        packed["segments"].append((len(packed["input_ids"]), shared, number - 1))
        packed["input_ids"] += row["input_ids"][shared:]
        packed["labels"] += row["labels"][shared:]
        packed["positions"] += range(shared, len(row["input_ids"]))
    return packed


def _paths(pack: dict[str, Any]) -> list[list[tuple[int, int]]]:
    """For each row of a pack the pieces (start, end) of the sequence that are its tokens, in order."""
    length = len(pack["input_ids"])
    segments = pack.get("segments", [(0, 0, -1)])
    paths: list[list[tuple[int, int]]] = []
    for number, (start, position, parent) in enumerate(segments):
        end = segments[number + 1][0] if number + 1 < len(segments) else length
        pieces, left = [], position
        for a, b in paths[parent] if parent >= 0 else []:
            if left <= 0:
                break
            pieces.append((a, min(b, a + left)))
            left -= pieces[-1][1] - pieces[-1][0]
        paths.append([*pieces, (start, end)])
    return paths


def block_mask(batch: Sequence[dict[str, Any]], width: int) -> Any:
    """(packs, 1, width, width) booleans: a token may look at another if that is on its own row, before it."""
    import torch

    allowed = torch.zeros((len(batch), 1, width, width), dtype=torch.bool)
    for i, pack in enumerate(batch):
        for pieces in _paths(pack):
            start, end = pieces[-1]
            for a, b in pieces[:-1]:
                allowed[i, 0, start:end, a:b] = True
            allowed[i, 0, start:end, start:end] = torch.ones(end - start, end - start, dtype=torch.bool).tril()
        # A padded position looks at itself: a row of the softmax without any entry is NaN.
        for place in range(len(pack["input_ids"]), width):
            allowed[i, 0, place, place] = True
    return allowed
