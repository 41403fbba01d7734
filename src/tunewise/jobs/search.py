"""Find passages in a project's index, and look after the index's generations.

Knows nothing about prompts and models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tunewise.catalog import Catalog, Generation
from tunewise.errors import DataMistake
from tunewise.jobs.ingest import indexes_folder, open_catalog
from tunewise.jobs.watermark import leave
from tunewise.nouns import Hit
from tunewise.store import lock, project_folder

if TYPE_CHECKING:
    from tunewise.project import Project


def ingested(root: Path, *, empty: bool = False) -> Catalog:
    """The catalog of an ingested project; `DataMistake` when there is none yet, or, unless `empty` will do, no index.
    """
    nothing = DataMistake(f"no documents were ingested into {root} yet", tip="tunewise ingest")
    if not (project_folder(root) / "catalog.sqlite").is_file():
        raise nothing
    catalog = open_catalog(root)
    # An ingest that failed on its first run leaves an empty catalog, which knows of no folder either.
    if catalog.current() is None and not (empty and catalog.source() is not None):
        catalog.close()
        raise nothing
    return catalog


def search(project: Project, query: str, *, groups: Sequence[str] | None = None) -> list[Hit]:
    """The passages that an answer to `query` would be given, by the project's retrieval settings, best first.

    The token budget is not applied here: it depends on the model that reads the passages. Queries that a model would
    write are written by the project's model.
    """
    from tunewise.answers import QueryWriter
    from tunewise.jobs.fits import settled
    from tunewise.jobs.foreign import refuse_leaving
    from tunewise.jobs.library import library
    from tunewise.models import load_model
    from tunewise.questions import load_questions

    if project.retrieval.rewrite != "none":
        refuse_leaving(project, project.model, "the query")
    with library(project) as books:
        wanted = replace(project.retrieval, budget=10**9)
        questions = load_questions(project.questions) if wanted.gate == "adaptive" else []
        settings = settled(project, books, wanted, questions)
        writer = QueryWriter(lambda: load_model(project.model))
        retrieve = books.retriever(settings, books.embedder.count_tokens, generate=writer)
        return retrieve([query], groups=groups)[0]


def document_texts(project: Project) -> dict[str, str]:
    """{document id: text} of everything that was ingested."""
    with ingested(project.root) as catalog:
        return {record.id: catalog.document(record.id).text for record in catalog.documents()}


def generations(project: Project) -> tuple[str | None, list[Generation]]:
    """(id of the current generation or None, all generations)."""
    with ingested(project.root) as catalog:
        current = catalog.current()
        return (current.id if current else None), catalog.generations()


def switch(project: Project, generation: str) -> None:
    """Make a generation the current one: every answer reads it from now on.

    Nothing is switched unless its files are what was built, and unless the project's embedder and tokenizer are those
    that it was built with: `Damaged`, `DataMistake`; `Failed` while an ingest runs, which would switch back.
    """
    from tunewise.embeddings import load_embedder
    from tunewise.index import Index

    home = project_folder(project.root)
    with lock(home / "ingest.lock"), ingested(project.root) as catalog:
        index = Index(catalog, indexes_folder(project.root), generation, deep=True)
        model, built = load_embedder(project.embedder, cache=home / "cache"), index.generation.embedder
        if model.fingerprint != index.embedder_fingerprint:
            raise DataMistake(
                f"generation {generation} was built with the embedder {built!r}, not with {model.name!r}: "
                "no question could be compared with it",
                tip=f'embedder = "{built}" under [project] in tunewise.toml, then run the same command',
            )
        catalog.switch(generation)
        leave(catalog, home)
