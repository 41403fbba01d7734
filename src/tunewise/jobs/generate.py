"""Questions made from a project's documents, by a model or by forms, appended to a file that a person may edit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tunewise.errors import DataMistake
from tunewise.jobs.foreign import refuse_leaving
from tunewise.jobs.globs import matches
from tunewise.jobs.library import library
from tunewise.models import describe_model, load_model
from tunewise.nouns import Chunk, Decoding, Retrieval
from tunewise.questions import load_questions
from tunewise.questions.generation import Report, generate
from tunewise.store import fingerprint, lock, project_folder

if TYPE_CHECKING:
    from tunewise.project import Project

Progress = Callable[[str, int, int], None]
VERSION = 1
"""Of prompts and forms: another one drafts again."""


def generate_questions(
    project: Project,
    *,
    output: Path,
    model: str | None = None,
    documents: Sequence[str] = (),
    limit: int | None = None,
    count: int = 2,
    k: int = 5,
    progress: Progress = lambda phase, done, total: None,
) -> Report:
    """Append questions about the project's passages to `output`; `model` None: by forms, without a model.

    `documents` are globs over document ids; `limit` takes that many passages, spread evenly; `count` is asked of the
    model for each passage; a question stays only if its passage is among the first `k` that retrieval gives for it.
    """
    if model:
        refuse_leaving(project, model, "the passages")
    with library(project) as books:
        chunks = _chosen(list(books.catalog.chunks()), documents, limit)
        by = describe_model(model) if model else {"forms": VERSION}
        mark = fingerprint([VERSION, by, count if model else 0, str(output.resolve())])
        log = project_folder(project.root) / "questions" / f"drafts-{mark[:12]}.jsonl"
        log.parent.mkdir(parents=True, exist_ok=True)
        settings = Retrieval(mode=project.retrieval.mode, k=k, budget=10**9)
        retriever = books.retriever(settings, len)
        existing = [one.question for one in load_questions(project.questions)] if project.questions.is_file() else []
        worker = load_model(model) if model else None
        decoding = Decoding(max_new_tokens=70 * count)
        with lock(log.with_suffix(".lock")):
            return generate(
                chunks, output=output, log=log, retrieve=retriever, existing=existing, count=count, progress=progress,
                write=None if worker is None else lambda m: [one.text for one in worker.generate(m, decoding)],
            )


def _chosen(chunks: Sequence[Chunk], documents: Sequence[str], limit: int | None) -> list[Chunk]:
    wanted = [c for c in chunks if not documents or any(matches(c.document, glob) for glob in documents)]
    if not wanted:
        raise DataMistake(f"no document matches {', '.join(documents)}", tip="tunewise documents list shows the ids")
    if limit is None or limit >= len(wanted):
        return wanted
    return [wanted[i * len(wanted) // limit] for i in range(limit)]
