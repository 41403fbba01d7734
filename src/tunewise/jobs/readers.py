"""What a reader of some access groups may be shown: documents, and examples made from them. None = the owner: all."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from tunewise.catalog import DocumentRecord
from tunewise.index.access import open_to
from tunewise.nouns import Question


def readable(records: Iterable[DocumentRecord], groups: Collection[str] | None) -> list[DocumentRecord]:
    """The documents that a reader of these groups may see."""
    return [one for one in records if open_to(one.groups, groups)]


def examples_for(
    questions: Sequence[Question], records: Iterable[DocumentRecord], groups: Collection[str] | None
) -> list[Question]:
    """The questions whose answers a reader of these groups may be shown as worked examples.

    All its gold documents have to be open to them; one that is gone is open to nobody but the owner. A question that
    names no document rests on nobody knows what: it is shown to who may read every document, or belongs to its groups.
    """
    if groups is None:
        return list(questions)
    everything = list(records)
    seen = {one.id for one in readable(everything, groups)}
    whole = len(seen) == len(everything)

    def shown(question: Question) -> bool:
        if not set(question.groups) <= set(groups):
            return False
        return seen.issuperset(question.documents) if question.documents else whole or bool(question.groups)

    return [question for question in questions if shown(question)]
