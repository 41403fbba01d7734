"""Erase a document from everything that a project keeps, and name what cannot be erased: adapters that learned from it.

The source file is the user's; while it lies among the documents, an ingest would bring it back.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tunewise.embeddings import load_embedder
from tunewise.errors import DataMistake
from tunewise.index import build
from tunewise.jobs.files import files_of
from tunewise.jobs.ingest import clear, indexes_folder, unemptied
from tunewise.jobs.search import ingested
from tunewise.jobs.watermark import leave
from tunewise.store import lock, project_folder, read_json, recover_jsonl, sync_folder

if TYPE_CHECKING:
    from tunewise.catalog import Catalog
    from tunewise.project import Project


@dataclass(frozen=True, slots=True)
class EraseResult:
    """What was erased: the document, the runs that had its passages, and how many conversations.

    `adapters` that were trained on it stay. `left`: what could not be reached, in plain words.
    """

    document: str
    runs: tuple[str, ...]
    adapters: tuple[str, ...]
    conversations: int = 0
    left: tuple[str, ...] = ()


def erase(project: Project, document: str, *, forget: Callable[[str], int] = lambda id: 0) -> EraseResult:
    """Erase a document from catalog, index generations, runs, ratings and kept answers; nothing finds it from now on.

    Also when an ingest, or an erasure that was killed, has taken it out of the catalog already: it is run as often as
    one likes. `forget` erases the server's conversations that show a document and tells how many there were.
    `DataMistake` when nothing that is kept names it, or when its file still lies among the documents.
    """
    home = project_folder(project.root)
    if files_of(project.documents, document):
        raise DataMistake(
            f"{document} still lies in {project.documents}: the next ingest would bring it back",
            tip="delete or move the file, then run the same command",
        )
    with lock(home / "ingest.lock"), ingested(project.root, empty=True) as catalog:
        there = document in {record.id for record in catalog.documents()}
        adapters = tuple(_adapters_with(home / "adapters", document))
        # A removal that was killed before its index was built leaves passages in the generations and vectors.
        torn = [one.id for one in catalog.generations() if not catalog.is_whole(one.id)]
        named = (
            there or bool(adapters) or any(_showing(home, document)) or any(_naming(home, document))
            or any(id.rpartition("@")[0] == document for one in torn for id in catalog.members(one))
        )
        # What shows it goes first: while the catalog has it, nobody takes a killed erasure for a finished one.
        talks = forget(document)
        halfway = bool(torn)
        runs = purge(project, document) if named or talks else ()
        if there:
            catalog.remove(document)
            # A server may have answered from it in between.
            talks += forget(document)
        if not drop_empty_index(project, catalog) and (there or halfway):
            model = load_embedder(project.embedder, cache=home / "cache")
            build(catalog, indexes_folder(project.root), embedder=model, cache=home / "cache")
        leave(catalog, home)
    if not (named or talks):
        raise DataMistake(
            f"nothing that is kept names a document {document!r}", tip="tunewise documents list shows the ids"
        )
    return EraseResult(document, runs, adapters, talks, tuple(unemptied(project.root)))


def purge(project: Project, document: str) -> tuple[str, ...]:
    """Erase what shows passages of a document outside of catalog and index; the names of the runs that are gone.

    Runs, those of `robustness` too, kept answers of `freshness`, drafts of questions, reports of jobs, what preference
    tuning had begun, and rating sessions with a pair that rests on it. What the server remembers of conversations is
    its own to forget.
    """
    home = project_folder(project.root)
    runs = tuple(folder.name for folder in _runs_with(home / "runs", document))
    for path in list(_showing(home, document)):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    # None says for sure which passages it shows: a report can be made again, drafts are written again, and a copy of
    # the documents is what a killed `freshness` left.
    for file in _uncertain(home):
        file.unlink()
    for copy in _copies(home):
        shutil.rmtree(copy)
    # What was erased must not come back with a power loss.
    for folder in (*(home / name for name in ("runs", "robustness", "questions", "rating", "jobs")), home):
        if folder.is_dir():
            sync_folder(folder)
    return runs


def _showing(home: Path, document: str) -> Iterator[Path]:
    """Files and folders of a project that show passages of a document for sure."""
    yield from _runs_with(home / "runs", document)
    yield from _runs_with(home / "robustness", document)
    for pairs in sorted(home.glob("adapters/*/checkpoints/pairs.json")):
        if document in pairs.read_text(encoding="utf-8"):
            yield pairs.parent
    kept = home / "freshness.json"
    if kept.is_file() and any(fact[1] == document for fact in read_json(kept)["facts"]):
        yield kept
    # Judgements name pairs by their place: without one of them the others would be taken for one another.
    for file in sorted((home / "rating").glob("*.json")):
        if any(document in pair["documents"] for pair in read_json(file)["pairs"]):
            yield file


def _uncertain(home: Path) -> list[Path]:
    return [*home.glob("jobs/*/report.html"), *home.glob("questions/drafts-*.jsonl")]


def _copies(home: Path) -> list[Path]:
    return [folder for folder in home.glob("freshness-*") if folder.is_dir()]


def _naming(home: Path, document: str) -> Iterator[Path]:
    """Files that may show it and have its name in them, and copies of it."""
    yield from (file for file in _uncertain(home) if document in file.read_text(encoding="utf-8"))
    yield from (copy for copy in _copies(home) if files_of(copy / "documents", document))


def drop_empty_index(project: Project, catalog: Catalog) -> bool:
    """Erase the index files when no passage is left, for nothing is built then that would replace them."""
    if next(catalog.chunks(), None) is not None:
        return False
    clear(project.root, catalog)
    return True


def _runs_with(folder: Path, document: str) -> list[Path]:
    """Folders of runs in which a passage of the document was supplied, cited or answered from."""
    found = []
    for rows in sorted(folder.glob("*/rows.jsonl")):
        named = (
            {chunk["document"] for chunk in row["chunks"]} | {one["document"] for one in row["answer"]["citations"]}
            for row in recover_jsonl(rows)
        )
        if any(document in names for names in named):
            found.append(rows.parent)
    return found


def _adapters_with(folder: Path, document: str) -> list[str]:
    return [
        about.parent.name for about in sorted(folder.glob("*/tunewise.json"))
        if document in read_json(about).get("documents", ())
    ]
