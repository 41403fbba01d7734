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
from tunewise.jobs.ingest import indexes_folder
from tunewise.jobs.search import ingested
from tunewise.jobs.watermark import leave
from tunewise.store import lock, project_folder, read_json, recover_jsonl

if TYPE_CHECKING:
    from tunewise.project import Project


@dataclass(frozen=True, slots=True)
class EraseResult:
    """What was erased: the document, and runs that had its passages; `adapters` that were trained on it stay."""

    document: str
    runs: tuple[str, ...]
    adapters: tuple[str, ...]


def erase(project: Project, document: str) -> EraseResult:
    """Erase a document from catalog, every index generation, runs and kept answers; nothing finds it from now on.

    `DataMistake` when there is no such document, or when its file still lies among the documents.
    """
    home = project_folder(project.root)
    if (project.documents / document).is_file():
        raise DataMistake(
            f"{document} still lies in {project.documents}: the next ingest would bring it back",
            tip="delete or move the file, then run the same command",
        )
    with lock(home / "ingest.lock"), ingested(project.root) as catalog:
        catalog.remove(document)
        if next(catalog.chunks(), None) is None:
            shutil.rmtree(indexes_folder(project.root), ignore_errors=True)
        else:
            model = load_embedder(project.embedder, cache=home / "cache")
            build(catalog, indexes_folder(project.root), embedder=model, cache=home / "cache")
        runs = [folder.name for folder in _runs_with(home / "runs", document)]
        for name in runs:
            shutil.rmtree(home / "runs" / name)
        kept = home / "freshness.json"
        if kept.is_file() and any(fact[1] == document for fact in read_json(kept)["facts"]):
            kept.unlink()
        leave(catalog, home)
    return EraseResult(document, tuple(runs), tuple(_adapters_with(home / "adapters", document)))


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
