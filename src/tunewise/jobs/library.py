"""A project's documents, opened for retrieval: catalog, index and embedder, for the jobs that answer or train."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tunewise.catalog import Catalog
from tunewise.embeddings import Embedder, load_embedder
from tunewise.index import Index, stored_bytes
from tunewise.jobs.fits import load_fit
from tunewise.jobs.ingest import indexes_folder
from tunewise.jobs.reranking import likelihood_reranker, scoring_model
from tunewise.jobs.search import ingested
from tunewise.nouns import Chunk, Citation, Question, Retrieval
from tunewise.retrieval import Generate, Retriever, make_retriever
from tunewise.store import project_folder, read_json

if TYPE_CHECKING:
    from tunewise.models import Model
    from tunewise.project import Project


@dataclass(frozen=True, slots=True)
class Library:
    """What stands ready to be searched."""

    catalog: Catalog
    index: Index
    embedder: Embedder
    home: Path
    """The project's own folder."""

    def retriever(
        self, settings: Retrieval, count: Callable[[str], int], *, generate: Generate | None = None,
        model: Model | None = None,
    ) -> Retriever:
        """The retriever of an approach; `count` gives the tokens of the model that reads the passages, `generate`
        writes queries. What was fitted (`settings.fit`) is read from the project. `model`: the one that answers, which
        also reranks where it is the one that is named."""
        fit = load_fit(self.home, settings.fit) if settings.fit else None
        scorer = scoring_model(settings.reranker)
        return make_retriever(
            self.index, self.embedder, settings, count=count, generate=generate, fit=fit,
            reranker=likelihood_reranker(scorer, model) if scorer else None,
        )

    def page_of(self, citation: Citation) -> int | None:
        """The page on which a citation's span begins; that of its passage where the document has changed since."""
        found = self.catalog.span(citation.document, citation.revision, citation.start, citation.end)
        return citation.page if found is None else found[1]

    def oracle(self, question: Question) -> Sequence[Chunk]:
        """The passage that holds each gold span of a question (that of the chunk with most of it), for training rows.

        Small chunks are read as their parents, as in retrieval.
        """
        found: list[Chunk] = []
        for gold in question.gold:
            if not gold.end:
                continue
            chunks = self.catalog.chunks(gold.document)
            best = max(chunks, key=lambda chunk: min(chunk.end, gold.end) - max(chunk.start, gold.start), default=None)
            if best is not None and best.start < gold.end and gold.start < best.end and best not in found:
                found.append(best)
        parents = self.index.parents(found)
        return list({parents[chunk.id].id: parents[chunk.id] for chunk in found}.values())


def index_cost(project: Project, books: Library) -> tuple[float, int]:
    """(seconds that building the current index took, its bytes where it lies)."""
    home = project_folder(project.root)
    kept = home / "ingest.json"
    known = read_json(kept) if kept.is_file() else {}
    id = books.index.generation.id
    return float(known.get(id, 0.0)), stored_bytes(indexes_folder(project.root), id)


@contextmanager
def library(project: Project) -> Iterator[Library]:
    """Open a project's documents; `DataMistake` when nothing was ingested."""
    with ingested(project.root) as catalog:
        index, home = Index(catalog, indexes_folder(project.root)), project_folder(project.root)
        yield Library(catalog, index, load_embedder(project.embedder, cache=home / "cache"), home)
