"""Checksums of what is served from the catalog: a flipped bit is refused instead of shown. Knows nothing about SQL."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from tunewise.errors import Damaged
from tunewise.store import fingerprint, sha256

_CHUNK = ("id", "document", "revision", "start", "end", "text", "title", "heading", "page", "language",
          "parent_start", "parent_end")
_TIP = "tunewise index check shows what is damaged; restore a copy, or delete .tunewise and ingest again"


def _checksum(values: list[Any]) -> str:
    try:
        return fingerprint(values)[:32]
    except TypeError as error:
        # A flipped bit can make bytes of a text.
        raise Damaged("a row of the catalog holds what was never written to it", tip=_TIP) from error


def seal_chunk(row: Mapping[str, Any]) -> str:
    """Checksum of a chunk's row."""
    return _checksum([row[name] for name in _CHUNK])


def seal_access(groups: list[str]) -> str:
    """Checksum of who may read a document: a flipped bit must not open it."""
    names = tuple(groups)
    # Damaged groups may be anything; what is no name is not remembered.
    return _remembered(names) if all(type(name) is str for name in names) else _access(names)


def _access(groups: tuple[Any, ...]) -> str:
    return _checksum(["access", list(groups)])


_remembered = lru_cache(maxsize=4096)(_access)
"""A search checks some fifty passages, and most of them have the groups of the one before."""


def check_access(id: str, kept: str | None, groups: list[str]) -> None:
    """`Damaged` unless a document's groups are those that were written with the seal `kept` (None: before seals)."""
    if kept is not None and kept != seal_access(groups):
        raise Damaged(f"the access groups of {id!r} are not those that were set", tip=_TIP)


def check_text(id: str, revision: str, text: str) -> None:
    """`Damaged` unless a document's text is that of its revision, which is its SHA-256."""
    if sha256(text) != revision:
        raise Damaged(f"the text of {id!r} is not the one that was read", tip=_TIP)


def check_row(row: Mapping[str, Any]) -> None:
    """`Damaged` unless a chunk's row, joined with its document's groups, is what was written.

    Rows of a catalog that was made before there were seals have none; the next change of their document adds them.
    """
    if row["groups"] is None:
        raise Damaged(f"the document of the catalog's passage {row['id']!r} cannot be found", tip=_TIP)
    for kept, found in ((row["seal"], seal_chunk(row)), (row["access"], seal_access(row["groups"]))):
        if kept is not None and kept != found:
            raise Damaged(f"the catalog's passage {row['id']!r} is not what was written", tip=_TIP)
