"""Rows of the catalog ↔ nouns. Knows nothing about connections and transactions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tunewise.catalog.seals import check_row, seal_access, seal_chunk
from tunewise.errors import DataMistake
from tunewise.nouns import Chunk, Document
from tunewise.store import fingerprint

if TYPE_CHECKING:
    from sqlalchemy import RowMapping

_MANY = 500
"""Values in one IN (...): below SQLite's limit of bound variables on every build."""


@dataclass(frozen=True, slots=True)
class DocumentRecord:
    """A document without its text. `settings` fingerprints everything that was derived from it, chunks included."""

    id: str
    revision: str
    title: str
    language: str
    source: str
    modified: str | None
    groups: tuple[str, ...]
    settings: str
    characters: int


@dataclass(frozen=True, slots=True)
class Generation:
    """One state of the index. `unknown` is the embedder's share of unknown tokens by language of the documents;
    `lexical` fingerprints the settings of the full-text side; `manifest` is the SHA-256 of the folder's manifest.json.
    """

    id: str
    fingerprint: str
    embedder: str
    embedder_fingerprint: str
    precision: str
    dimension: int
    lexical: str
    chunks: int
    documents: int
    unknown: dict[str, float]
    dense_weight: float
    created: str
    manifest: str
    notes: tuple[str, ...] = ()


def derived(document: Document, chunks: Sequence[Chunk]) -> str:
    """Fingerprint of everything that is kept of a document except when it was modified: equal = nothing to do."""
    return fingerprint(
        [
            [document.revision, document.title, document.language, document.source, list(document.groups)],
            [[p.number, p.start, p.end] for p in document.pages],
            [[h.level, h.title, h.start, h.end] for h in document.headings],
            [[c.id, c.start, c.end, c.title, c.heading, c.page, c.language, *(c.parent or ())] for c in chunks],
        ]
    )


def check_spans(document: Document, chunks: Sequence[Chunk]) -> None:
    for chunk in chunks:
        if chunk.document != document.id or document.text[chunk.start : chunk.end] != chunk.text:
            raise ValueError(f"chunk {chunk.id} is no span of document {document.id}")


def document_row(document: Document, chunks: Sequence[Chunk]) -> dict[str, Any]:
    """A document's row; ValueError when one of its chunks is no span of it."""
    check_spans(document, chunks)
    groups = sorted(set(document.groups))
    return {
        "id": document.id, "revision": document.revision, "title": document.title, "language": document.language,
        "source": document.source, "modified": document.modified, "groups": groups, "text": document.text,
        "pages": [[p.number, p.start, p.end] for p in document.pages],
        "headings": [[h.level, h.title, h.start, h.end] for h in document.headings],
        "settings": derived(document, chunks), "characters": len(document.text), "seal": seal_access(groups),
    }


def portions(values: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(values), _MANY):
        yield values[start : start + _MANY]


def absent(what: str, id: str) -> DataMistake:
    return DataMistake(f"there is no {what} {id!r} in the catalog", tip="tunewise documents list shows what there is")


def row_of(c: Chunk, document: Document) -> dict[str, Any]:
    start, end = c.parent or (None, None)
    row = {
        "id": c.id, "document": document.id, "live": True, "revision": document.revision, "start": c.start,
        "end": c.end, "text": c.text, "title": c.title, "heading": c.heading, "page": c.page, "language": c.language,
        "parent_start": start, "parent_end": end,
    }
    return row | {"seal": seal_chunk(row)}


def chunk_of(row: RowMapping) -> Chunk:
    check_row(row)
    return Chunk(
        id=row["id"], document=row["document"], revision=row["revision"], start=row["start"], end=row["end"],
        text=row["text"], title=row["title"], heading=row["heading"], page=row["page"], language=row["language"],
        groups=tuple(row["groups"]),
        parent=None if row["parent_start"] is None else (row["parent_start"], row["parent_end"]),
    )


def generation_of(row: RowMapping) -> Generation:
    return Generation(**{**row, "notes": tuple(row["notes"])})
