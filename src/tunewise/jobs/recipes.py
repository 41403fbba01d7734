"""Questions and documents → training rows, by recipe: what a run of `tune` learns from. Nothing is trained here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from tunewise.answers import QueryWriter
from tunewise.errors import ConfigMistake, DataMistake
from tunewise.jobs.library import Library
from tunewise.models import load_model, token_counter
from tunewise.nouns import Approach, Question
from tunewise.retrieval import ordered, stand_alone
from tunewise.training import RowReport, TrainingRow, TrainingSettings, raft_rows, sft_rows
from tunewise.training.mixtures import dap_rows, hybrid_rows, load_texts

if TYPE_CHECKING:
    from tunewise.project import Project

NEEDS_INDEX = frozenset({"raft", "hybrid", "dap"})
"""Recipes whose rows hold passages or documents."""
PREFERENCES = frozenset({"dpo", "kto", "grpo", "rloo"})
"""Recipes that improve on a parent; their prompts are the rows of the parent's recipe."""


def template_of(recipe: str, approach: Approach, settings: TrainingSettings) -> str:
    """The template in which the rows of a recipe put their questions."""
    if recipe not in NEEDS_INDEX:
        return "answer"
    return approach.prompt if approach.index else "quoted" if settings.quotes else "grounded"


def rows_of(
    project: Project,
    recipe: str,
    approach: Approach,
    questions: Sequence[Question],
    settings: TrainingSettings,
    books: Library | None,
) -> tuple[list[TrainingRow], RowReport]:
    """The rows of a recipe from these questions (dap: from all documents); `ConfigMistake` without a needed index."""
    if recipe in NEEDS_INDEX and books is None:
        raise ConfigMistake(f"{recipe} reads documents and needs an index", tip="index = true")
    if recipe == "dap":
        assert books is not None
        documents = [books.catalog.document(record.id) for record in books.catalog.documents()]
        general = load_texts(project.root / settings.general) if settings.general else []
        return dap_rows(documents, general=general, share=settings.general_share, seed=settings.seed)
    if not questions:
        return [], RowReport(0, 0)
    if not any(question.answerable for question in questions):
        raise DataMistake("all training questions are unanswerable: a model would only learn to refuse")
    plain, plain_report = [], RowReport(0, 0)
    if recipe in ("sft", "hybrid"):
        plain, plain_report = sft_rows(questions, max_refusals=settings.max_refusals, seed=settings.seed)
    if recipe == "sft":
        return plain, plain_report
    assert books is not None
    template = template_of(recipe, approach, settings)
    writer = QueryWriter(lambda: load_model(approach.model))
    how, count = approach.retrieval.follow_up, token_counter(approach.model)
    # Ranked as answering ranks them, only more of them: what stands behind the passages that are shown.
    deep = replace(approach.retrieval, k=3 * approach.retrieval.k + 2, budget=10**9, order="best-first")
    deeper = cache(lambda: books.retriever(deep, count, generate=writer))
    rows, report = raft_rows(
        questions,
        books.retriever(approach.retrieval, count, generate=writer),
        books.oracle,
        template=template,
        without_oracle=settings.without_oracle,
        shuffle=settings.shuffle,
        quotes=settings.quotes,
        max_refusals=settings.max_refusals,
        seed=settings.seed,
        arrange=lambda hits: ordered(hits, approach.retrieval.order),
        searched=lambda q: stand_alone(q.question, q.history, how=how, generate=writer),
        further=lambda query: deeper()([query])[0],
    )
    if recipe == "raft":
        return rows, report
    mixed, mixed_report = hybrid_rows(rows, plain, share=settings.instructions, seed=settings.seed)
    return mixed, RowReport(
        len(questions),
        len(mixed),
        report.oracle_found,
        report.oracle_added,
        report.refusals + plain_report.refusals,
        report.left_out + plain_report.left_out + mixed_report.left_out,
        (*report.notes, *plain_report.notes, *mixed_report.notes),
    )
