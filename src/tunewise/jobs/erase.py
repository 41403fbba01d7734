"""Erase a document from everything that a project keeps, and name what cannot be erased: adapters that learned from it.

The source file is the user's; while it lies among the documents, an ingest would bring it back.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tunewise.embeddings import load_embedder
from tunewise.errors import DataMistake
from tunewise.index import build
from tunewise.jobs.files import files_of
from tunewise.jobs.ingest import clear, indexes_folder
from tunewise.jobs.search import ingested
from tunewise.jobs.watermark import leave
from tunewise.store import lock, project_folder, read_json, recover_jsonl, sync_folder

if TYPE_CHECKING:
    from tunewise.catalog import Catalog
    from tunewise.project import Project


@dataclass(frozen=True, slots=True)
class EraseResult:
    """What was erased: the document, and runs that had its passages; `adapters` that were trained on it stay."""

    document: str
    runs: tuple[str, ...]
    adapters: tuple[str, ...]


def erase(project: Project, document: str) -> EraseResult:
    """Erase a document from catalog, index generations, runs, ratings and kept answers; nothing finds it from now on.

    `DataMistake` when there is no such document, or when its file still lies among the documents.
    """
    home = project_folder(project.root)
    if files_of(project.documents, document):
        raise DataMistake(
            f"{document} still lies in {project.documents}: the next ingest would bring it back",
            tip="delete or move the file, then run the same command",
        )
    with lock(home / "ingest.lock"), ingested(project.root) as catalog:
        if document not in {record.id for record in catalog.documents()}:
            raise DataMistake(f"there is no document {document!r}", tip="tunewise search shows the ids")
        # First what shows it: an erasure that is killed here is run again, since the document is still there.
        runs = purge(project, document)
        catalog.remove(document)
        if not drop_empty_index(project, catalog):
            model = load_embedder(project.embedder, cache=home / "cache")
            build(catalog, indexes_folder(project.root), embedder=model, cache=home / "cache")
        leave(catalog, home)
    return EraseResult(document, runs, tuple(_adapters_with(home / "adapters", document)))


def purge(project: Project, document: str) -> tuple[str, ...]:
    """Erase what shows passages of a document outside of catalog and index; the names of the runs that are gone.

    Runs, those of `robustness` too, kept answers of `freshness`, drafts of questions, reports of jobs, what preference
    tuning had begun, and rating sessions with a pair that rests on it. What the server remembers of conversations is
    its own to forget.
    """
    home = project_folder(project.root)
    runs = [folder.name for folder in _runs_with(home / "runs", document)]
    for folder in (*(home / "runs" / name for name in runs), *_runs_with(home / "robustness", document)):
        shutil.rmtree(folder)
    # Neither says which passages it shows: a report can be made again, and drafts are written again.
    for file in (*home.glob("jobs/*/report.html"), *home.glob("questions/drafts-*.jsonl")):
        file.unlink()
    for pairs in sorted(home.glob("adapters/*/checkpoints/pairs.json")):
        if document in pairs.read_text(encoding="utf-8"):
            shutil.rmtree(pairs.parent)
    kept = home / "freshness.json"
    if kept.is_file() and any(fact[1] == document for fact in read_json(kept)["facts"]):
        kept.unlink()
    # What a killed `freshness` left: a copy of the documents.
    for copy in (folder for folder in home.glob("freshness-*") if folder.is_dir()):
        shutil.rmtree(copy)
    # Judgements name pairs by their place: without one of them the others would be taken for one another.
    for file in sorted((home / "rating").glob("*.json")):
        if any(document in pair["documents"] for pair in read_json(file)["pairs"]):
            file.unlink()
    # What was erased must not come back with a power loss.
    for folder in (*(home / name for name in ("runs", "robustness", "questions", "rating", "jobs")), home):
        if folder.is_dir():
            sync_folder(folder)
    return tuple(runs)


def drop_empty_index(project: Project, catalog: Catalog) -> bool:
    """Erase the index files when no passage is left, for nothing is built then that would replace them."""
    if next(catalog.chunks(), None) is not None:
        return False
    clear(project.root)
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
