"""A folder of documents → catalog → chunks → index: the way in, written down once.

Prints nothing and knows no terminal: it tells `progress(phase, done, total)`. A killed ingest is run again: what the
catalog holds is whole, what was embedded is not embedded twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from tunewise.catalog import Catalog, Generation, derived
from tunewise.embeddings import Embedder, load_embedder
from tunewise.errors import DataMistake
from tunewise.index import build
from tunewise.nouns import Chunk, Document
from tunewise.store import lock, project_folder, read_json, write_json

if TYPE_CHECKING:
    from tunewise.reading import Unread

Progress = Callable[[str, int, int], None]
_TRANSACTION = 64
"""Documents in one commit: few enough that a kill loses little, many enough that fsync does not rule."""


@dataclass(frozen=True, slots=True)
class IngestResult:
    """What an ingest did: counts of documents, those files that could not be read, and what the user should know."""

    generation: Generation
    documents: int
    added: int
    changed: int
    removed: int
    unchanged: int
    unread: tuple[Unread, ...]
    seconds: float
    notes: tuple[str, ...]


def open_catalog(project: Path) -> Catalog:
    """The catalog of a project's root folder."""
    return Catalog(f"sqlite:///{project_folder(project) / 'catalog.sqlite'}")


def indexes_folder(project: Path) -> Path:
    """Where the index generations of a project's root folder are."""
    return project_folder(project) / "indexes"


def assigned_groups(project: Path) -> dict[str, tuple[str, ...]]:
    """{document id: groups} as assigned one by one, by uploads; they come before the rules of tunewise.toml."""
    file = project_folder(project) / "groups.json"
    return {id: tuple(groups) for id, groups in read_json(file).items()} if file.is_file() else {}


def assign_groups(project: Path, id: str, groups: Sequence[str] | None) -> None:
    """Assign a document's groups (None: back to the rules), on the disk when this returns; one writer at a time."""
    known = assigned_groups(project)
    if groups is None:
        known.pop(id, None)
    else:
        known[id] = tuple(sorted(set(groups)))
    write_json(project_folder(project) / "groups.json", known)


def ingest(
    folder: Path,
    *,
    project: Path,
    embedder: str | Embedder = "minilm",
    tokens: int = 120,
    passwords: Sequence[str] = (),
    groups: Mapping[str, Sequence[str]] | None = None,
    progress: Progress | None = None,
) -> IngestResult:
    """Bring a project's catalog and index to what stands in a folder of documents.

    `tokens` is the size of a chunk in the embedder's tokens. `groups` maps globs over document ids ("hr/*") to the
    access groups of what they match; the last match wins; None leaves the groups that the catalog has. A file that
    cannot be read keeps its earlier version. `DataMistake` for an empty folder; `Failed` when another ingest runs.
    """
    from tunewise.chunks import chunk
    from tunewise.reading import read_folder

    started = time.monotonic()
    tell = progress or (lambda phase, done, total: None)
    home = project_folder(project)
    with lock(home / "ingest.lock"), open_catalog(project) as catalog:
        model = load_embedder(embedder, cache=home / "cache") if isinstance(embedder, str) else embedder
        documents, unread = read_folder(folder, passwords=passwords, progress=tell)
        before = catalog.current()
        known = {record.id: record for record in catalog.documents()}
        notes = []
        assigned = assigned_groups(project)
        if not documents:
            raise DataMistake(
                f"none of the files in {folder} could be read",
                tip="the reasons are listed with each file", faults=tuple(f"{u.source}: {u.reason}" for u in unread),
            )
        if groups is not None:
            notes += _idle_rules(documents, groups)
        counts = {"added": 0, "changed": 0, "unchanged": 0}
        waiting: list[tuple[Document, list[Chunk]]] = []
        for done, document in enumerate(documents, 1):
            record = known.get(document.id)
            own = assigned.get(document.id, _groups(document, groups, None if record is None else record.groups))
            document = replace(document, groups=own)
            pieces = chunk(document, tokens=tokens, count=model.count_tokens)
            if record is None:
                counts["added"] += 1
            elif record.settings != derived(document, pieces):
                counts["changed"] += 1
            else:
                counts["unchanged"] += 1
            if record is None or (record.settings, record.modified) != (derived(document, pieces), document.modified):
                waiting.append((document, pieces))
            if len(waiting) >= _TRANSACTION:
                catalog.put_all(waiting)
                waiting.clear()
            tell("chunk", done, len(documents))
        catalog.put_all(waiting)
        gone = sorted(known.keys() - {document.id for document in documents})
        kept = [id for id in gone if _stands_in(id, unread)]
        for id in kept:
            notes.append(f"{id} could not be read now: its earlier version is kept")
            _protect(catalog, id, groups, assigned.get(id))
        removed = [id for id in gone if id not in kept]
        for id in removed:
            catalog.remove(id)
        generation = build(catalog, indexes_folder(project), embedder=model, progress=progress, cache=home / "cache")
        notes += generation.notes
        seconds = time.monotonic() - started
        if before is None or before.id != generation.id:
            # What it costs to set this generation up; an ingest that changes little must not make it look free.
            file = home / "ingest.json"
            known_seconds = read_json(file) if file.is_file() else {}
            whole = known_seconds.get(before.id, 0.0) if before is not None else 0.0
            write_json(file, known_seconds | {generation.id: max(seconds, whole)})
        return IngestResult(
            generation=generation, documents=len(catalog.documents()), removed=len(removed), unread=tuple(unread),
            seconds=seconds, notes=tuple(notes), **counts,
        )


def _groups(
    document: Document, rules: Mapping[str, Sequence[str]] | None, before: tuple[str, ...] | None
) -> tuple[str, ...]:
    if rules is None:
        # Leaving out the rules must never open what an earlier ingest closed.
        return document.groups if before is None else before
    groups: Sequence[str] = document.groups
    for pattern, named in rules.items():
        if fnmatchcase(document.id, pattern):
            groups = named
    return tuple(sorted(set(groups)))


def _idle_rules(documents: Sequence[Document], rules: Mapping[str, Sequence[str]]) -> list[str]:
    return [
        f"the access rule {pattern!r} matches no document: check its spelling"
        for pattern in rules
        if not any(fnmatchcase(document.id, pattern) for document in documents)
    ]


def _protect(
    catalog: Catalog, id: str, rules: Mapping[str, Sequence[str]] | None, assigned: tuple[str, ...] | None
) -> None:
    """The rules hold for an earlier version too that is kept because its file cannot be read now."""
    document = catalog.document(id)
    groups = _groups(document, rules, document.groups) if assigned is None else assigned
    if groups != document.groups:
        catalog.put(replace(document, groups=groups), list(catalog.chunks(id)))


def _stands_in(id: str, unread: Sequence[Unread]) -> bool:
    """Whether a file, or a folder above it, is among what could not be read."""
    return any(id == one.source or id.startswith(f"{one.source}/") for one in unread)
