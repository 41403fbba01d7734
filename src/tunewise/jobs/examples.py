"""A few of a project's own questions, to show a first visitor what may be asked."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from tunewise.questions import load_questions

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


def split_counts(project: Project) -> dict[str, int]:
    """How many questions each split has."""
    counts: dict[str, int] = {}
    for question in load_questions(project.questions):
        counts[question.split] = counts.get(question.split, 0) + 1
    return counts
