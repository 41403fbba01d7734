"""Which questions belong together: the strata of a report, by need, kind, language, evidence and what training saw.

Knows questions and answered rows; nothing about scores' uncertainty. A stratum is named "what=value".
"""

from __future__ import annotations

from collections.abc import Sequence

from tunewise.nouns import Approach, Question, Run

WITHOUT = "without-documents"
"""Answerable without documents: the bare model got it right (by its own luck, too: a stratum, not a property)."""


def bare(approach: Approach) -> bool:
    """Whether an approach is the bare model: no index, no adapter, no examples, nobody else's system."""
    others = (approach.index, approach.adapter, approach.recipe, approach.answers, approach.endpoint)
    return not any(others) and not approach.examples


def _known(runs: Sequence[Run]) -> dict[str, bool]:
    """{question id: whether the bare model got it right}; empty where no bare model was measured."""
    zero = sorted((run for run in runs if bare(run.approach)), key=lambda run: run.approach.prompt != "answer")
    rows = zero[0].rows if zero else ()
    return {row.question: row.scores["correct"] >= 0.5 for row in rows if "correct" in row.scores}


def _tabled(runs: Sequence[Run], questions: Sequence[Question]) -> dict[str, bool]:
    """{question id: whether its evidence stands in a row of a table}, for questions whose evidence any approach read.

    Documents are not at hand here, so the supplied passages are looked at: a line that starts with "|" is a row.
    """
    golds = {question.id: question.gold for question in questions}
    found: dict[str, bool] = {}
    for run in runs:
        for row in run.rows:
            for hit in row.answer.hits:
                chunk = hit.chunk
                for gold in golds.get(row.question, ()):
                    if gold.end and gold.document == chunk.document and chunk.start <= gold.start < chunk.end:
                        at = gold.start - chunk.start
                        line = chunk.text[chunk.text.rfind("\n", 0, at) + 1 : at + 1]
                        found[row.question] = found.get(row.question, False) or line.lstrip().startswith("|")
    return found


def strata_of(
    questions: Sequence[Question], train_questions: Sequence[Question] = (), runs: Sequence[Run] = ()
) -> dict[str, tuple[int, ...]]:
    """Places of the questions of each stratum, sorted by name.

    `need=`, `kind=`, `language=`, `answerable=yes|no`; `documents=seen|untouched` (about which some training question
    is, or none); `evidence=one|several` documents; `table=yes|no`; `without-documents=yes|no` of what can be answered.
    """
    learned = {name for question in train_questions for name in question.documents}
    known, tabled = _known(runs), _tabled(runs, questions)
    found: dict[str, list[int]] = {}
    for place, question in enumerate(questions):
        keys = [f"need={question.need}", f"kind={question.kind}", f"language={question.language}",
                f"answerable={'yes' if question.answerable else 'no'}"]
        if question.documents:
            keys.append(f"evidence={'several' if len(question.documents) > 1 else 'one'}")
            if learned:
                keys.append(f"documents={'seen' if learned & set(question.documents) else 'untouched'}")
        if question.id in tabled:
            keys.append(f"table={'yes' if tabled[question.id] else 'no'}")
        if question.answerable and question.id in known:
            keys.append(f"{WITHOUT}={'yes' if known[question.id] else 'no'}")
        for key in keys:
            found.setdefault(key, []).append(place)
    # A split with one side says nothing that the others do not.
    sides = [key.partition("=")[0] for key in found]
    plain = ("table", WITHOUT, "evidence")
    return {key: tuple(found[key]) for key in sorted(found)
            if key.partition("=")[0] not in plain or sides.count(key.partition("=")[0]) > 1}


__all__ = ["WITHOUT", "bare", "strata_of"]
