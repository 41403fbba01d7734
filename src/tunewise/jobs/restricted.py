"""Whose knowledge training rows hold: the access groups of every document and question that went into each of them.

What an adapter learned cannot be taken out of its answers, so it is as restricted as all of it together: its manifest,
and every export of it, names the groups that are found here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from tunewise.catalog import DocumentRecord
from tunewise.jobs.ingest import open_catalog
from tunewise.nouns import Question
from tunewise.store import project_folder
from tunewise.training import TrainingRow

if TYPE_CHECKING:
    from pathlib import Path

    from tunewise.jobs.library import Library
    from tunewise.training.preference import Pair

Row = TypeVar("Row", "TrainingRow", "Pair")


def records_of(root: Path, books: Library | None) -> list[DocumentRecord]:
    """The documents of a project as its catalog has them now; none where nothing was ingested yet."""
    if books is not None:
        return books.catalog.documents()
    if not (project_folder(root) / "catalog.sqlite").is_file():
        return []
    with open_catalog(root) as catalog:
        return catalog.documents()


def with_groups(
    rows: Sequence[Row], questions: Iterable[Question], records: Iterable[DocumentRecord]
) -> tuple[list[Row], tuple[str, ...]]:
    """The rows with the groups of their documents and questions, and a note where some rest on nobody knows what.

    An answer that names no document may come from any of them: without groups of its own it is for those who may read
    every document, the same rule that worked examples go by (`readers.examples_for`).
    """
    held = {record.id: record.groups for record in records}
    every = {group for groups in held.values() for group in groups}
    asked = {question.id: question for question in questions}
    made, loose = [], 0
    for row in rows:
        groups = {*row.groups, *(group for document in row.documents for group in held.get(document, ()))}
        question = asked.get(row.question)
        if question is not None:
            groups |= set(question.groups)
            unknown = bool(question.answers) and not (question.documents or question.groups)
        else:
            # A row of a file of the user's; those of raw text have no name, and are documents or general text.
            unknown = bool(row.question) and not (row.documents or row.groups)
        if unknown and every:
            groups |= every
            loose += 1
        made.append(replace(row, groups=tuple(sorted(groups))))
    if not loose:
        return made, ()
    return made, (
        f"{loose} rows name neither a document nor a group, and some documents are not for everybody: only who may "
        f"read all of them ({', '.join(sorted(every))}) may ask what learns from these rows",
    )
