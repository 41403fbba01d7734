"""A folder of documents → catalog → chunks → index: the way in, written down once.

Prints nothing and knows no terminal: it tells `progress(phase, done, total)`. A killed ingest is run again: what the
catalog holds is whole, what was embedded is not embedded twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunewise import __version__
from tunewise.catalog import Catalog, Generation, derived
from tunewise.embeddings import Embedder, load_embedder
from tunewise.errors import DataMistake, DiskFull
from tunewise.index import Ahead, build, passage_text
from tunewise.jobs import reserve
from tunewise.jobs.files import SeenFiles
from tunewise.jobs.groups import AccessRules, assigned_groups, read_rules
from tunewise.jobs.watermark import leave
from tunewise.nouns import Chunk, Document
from tunewise.store import fingerprint, lock, project_folder, read_json, write_json

if TYPE_CHECKING:
    from tunewise.project import Project
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


def ingest(
    folder: Path,
    *,
    project: Path,
    embedder: str | Embedder = "minilm",
    tokens: int = 120,
    passwords: Sequence[str] = (),
    seconds_per_file: float = 28,
    groups: Mapping[str, Sequence[str]] | None = None,
    kind: str = "sections",
    index: str | None = None,
    again: bool = False,
    progress: Progress | None = None,
) -> IngestResult:
    """Bring a project's catalog and index to what stands in a folder of documents.

    `tokens` is the size of a chunk in the embedder's tokens, `kind` one of `chunks.KINDS`. `groups` maps globs over
    document ids ("hr/*") to the access groups of what they match; the last match wins; None leaves the groups that the
    catalog has; `.groups.toml` files in the folders speak before them. `index`: a URI of object storage for the index,
    "" for the project's own folder, None for where it was. Files with the size and time of the last ingest
    are not read `again`. A file that cannot be read keeps its earlier version. `DataMistake` for an empty folder or a
    broken `.groups.toml`; `Failed` when another ingest runs.
    """
    from tunewise.chunks import chunk
    from tunewise.reading import read_folder

    started = time.monotonic()
    tell = progress or (lambda phase, done, total: None)
    home = project_folder(project)
    with lock(home / "ingest.lock"), open_catalog(project) as catalog, ExitStack() as under:
        model = load_embedder(embedder, cache=home / "cache") if isinstance(embedder, str) else embedder
        reserve.keep(home)
        rules = read_rules(Path(folder), groups)
        before = catalog.current()
        known = {record.id: record for record in catalog.documents()}
        settings = fingerprint([__version__, tokens, kind, model.fingerprint])
        files = SeenFiles(home / "files.json", settings, known, again=again)
        cut: dict[str, list[Chunk]] = {}
        ahead = under.enter_context(Ahead(home / "cache", model))

        def arrived(document: Document) -> None:
            cut[document.id] = chunk(document, tokens=tokens, count=model.count_tokens, kind=kind)
            ahead.give(map(passage_text, cut[document.id]))

        documents, unread = read_folder(
            folder, passwords=passwords, seconds_per_file=seconds_per_file, progress=tell, skip=files.same,
            arrived=arrived,
        )
        # Only now: an upload's groups are written before its file, so they are there for every file that was read.
        rules = replace(rules, assigned=assigned_groups(project))
        notes: list[str] = []
        if not documents and not files.skipped:
            raise DataMistake(
                f"none of the files in {folder} could be read",
                tip="the reasons are listed with each file", faults=tuple(f"{u.source}: {u.reason}" for u in unread),
            )
        notes += rules.idle([*files.skipped, *(document.id for document in documents)])
        gone = sorted(known.keys() - {document.id for document in documents} - set(files.skipped))
        kept = [id for id in gone if _stands_in(id, unread)]
        removed = [id for id in gone if id not in kept]
        counts = {"added": 0, "changed": 0, "unchanged": 0}
        waiting: list[tuple[Document, list[Chunk]]] = []
        try:
            for done, document in enumerate(documents, 1):
                record = known.get(document.id)
                held = rules.of(document.id, document.groups, None if record is None else record.groups)
                document = replace(document, groups=held)
                pieces = [replace(piece, groups=held) for piece in cut[document.id]]
                settled = derived(document, pieces)
                what = "added" if record is None else "changed" if record.settings != settled else "unchanged"
                counts[what] += 1
                if record is None or (record.settings, record.modified) != (settled, document.modified):
                    waiting.append((document, pieces))
                if len(waiting) >= _TRANSACTION:
                    catalog.put_all(waiting)
                    waiting.clear()
                tell("chunk", done, len(documents))
            catalog.put_all(waiting)
            for id in files.skipped:
                counts["changed" if _protect(catalog, id, rules) else "unchanged"] += 1
            for id in kept:
                notes.append(f"{id} could not be read now: its earlier version is kept")
                _protect(catalog, id, rules)
        except DiskFull:
            # What the user took away must be gone even where nothing new fits.
            reserve.release(home)
            for id in removed:
                catalog.remove(id)
            raise
        for id in removed:
            catalog.remove(id)
        ahead.finish(progress)
        generation = build(
            catalog, indexes_folder(project), embedder=model, progress=progress, cache=home / "cache", uri=index
        )
        # What was read in part is read again, so that its fault is named again.
        faulty = {one.source for one in unread}
        files.keep([document.id for document in documents if document.id not in faulty])
        leave(catalog, home)
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


def ingest_project(project: Project, **more: Any) -> IngestResult:
    """`ingest` with the settings of a project's tunewise.toml; `more` goes over them."""
    settings = {
        "project": project.root, "embedder": project.embedder, "tokens": project.tokens, "kind": project.chunks,
        "groups": project.groups, "index": project.index or "", "seconds_per_file": project.seconds_per_file,
    }
    return ingest(project.documents, **(settings | more))


def _protect(catalog: Catalog, id: str, rules: AccessRules) -> bool:
    """Let the rules hold for a version that was not read now; whether that changed its groups."""
    document = catalog.document(id)
    groups = rules.of(id, (), document.groups)
    if groups == document.groups:
        return False
    catalog.put(replace(document, groups=groups), list(catalog.chunks(id)))
    return True


def _stands_in(id: str, unread: Sequence[Unread]) -> bool:
    """Whether a file, or a folder above it, is among what could not be read."""
    return any(id == one.source or id.startswith(f"{one.source}/") for one in unread)
