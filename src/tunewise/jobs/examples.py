"""What a first visitor is shown: a few of the project's own questions, and the example in a project that is empty."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from tunewise.errors import DataMistake
from tunewise.jobs.demo import example
from tunewise.questions import load_questions
from tunewise.store import write_bytes

if TYPE_CHECKING:
    from tunewise.project import Project

_LONGEST = 80


def sample_questions(project: Project, visible: Collection[str], *, count: int) -> list[str]:
    """At most `count` short answerable questions, each of another document, all of documents in `visible`.

    Test questions are left out: who asks them by hand would see what the comparison is to find out.
    """
    if not project.questions.is_file():
        return []
    taken: set[str] = set()
    found: list[str] = []
    for question in load_questions(project.questions):
        sources = set(question.documents)
        if (
            question.split != "test" and question.answerable and question.need == "facts" and sources
            and sources <= set(visible) and not sources & taken and len(question.question) <= _LONGEST
        ):
            found.append(question.question)
            taken |= sources
            if len(found) == count:
                break
    return found


def load_example(project: Project, *, language: str) -> int:
    """Copy an example's documents and questions into a project that has none, and return how many documents.

    `DataMistake` when the project has documents: the example must not mix with what answers rest on.
    """
    if project.documents.is_dir() and any(path.is_file() for path in project.documents.rglob("*")):
        raise DataMistake("there are documents already", tip="tunewise demo makes a project of its own for the example")
    source = example("handbook-zh" if language == "zh" else "handbook")
    files = sorted(path for path in (source / "documents").rglob("*") if path.is_file())
    for path in files:
        write_bytes(project.documents / path.relative_to(source / "documents"), path.read_bytes())
    if not project.questions.exists():
        write_bytes(project.questions, (source / "questions.jsonl").read_bytes())
    return len(files)


def split_counts(project: Project) -> dict[str, int]:
    """How many questions each split has."""
    counts: dict[str, int] = {}
    for question in load_questions(project.questions):
        counts[question.split] = counts.get(question.split, 0) + 1
    return counts
