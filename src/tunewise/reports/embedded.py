"""The questions as the page embeds them: what is shown and nothing else, defaults left out, passages once.

Built straight from the nouns, so that 10,000 questions of seven approaches stay a file that a browser opens. The whole
truth, with every score, is in the JSON report.
"""

from __future__ import annotations

from typing import Any

from tunewise.amounts import usable
from tunewise.nouns import Answer, Comparison, Question, Row
from tunewise.reports.cited import why
from tunewise.reports.schema import plain, status
from tunewise.reports.words import stratum_phrase


def _number(value: float) -> float:
    return round(value, 3) if usable(value) else 0


def _row(row: Row, metric: str, places: dict[tuple[str, str], int], passages: list[dict[str, Any]]) -> dict[str, Any]:
    answer = row.answer
    packed: dict[str, Any] = {
        "status": status(row, metric),
        "text": answer.text,
        "seconds": _number(answer.seconds),
        "in": answer.tokens_in,
        "out": answer.tokens_out,
    }
    if answer.error is not None:
        packed["error"] = answer.error
    elif answer.raw and answer.raw != answer.text:
        packed["raw"] = answer.raw
    if answer.refused:
        packed["refused"] = 1
    own = row.seeds[0].scores if row.seeds else row.scores
    if usable(own.get(metric)):
        packed["score"] = _number(own[metric])
    if row.seeds:
        # What the other seeds said to it, so that nobody has to take one seed's words for all of them.
        packed["seeds"] = [[status(one, metric), one.answer.text] for one in row.seeds]
    if answer.hits:
        packed["hits"] = [[_passage(answer, i, places, passages), hit.rank] for i, hit in enumerate(answer.hits)]
    if answer.citations:
        packed["citations"] = [_citation(answer, i, places) for i in range(len(answer.citations))]
    return packed


def _passage(answer: Answer, position: int, places: dict[tuple[str, str], int], passages: list[dict[str, Any]]) -> int:
    """The number of a passage; a new one is put down."""
    chunk = answer.hits[position].chunk
    key = (chunk.id, chunk.revision)
    if key not in places:
        places[key] = len(passages)
        passages.append(
            {
                "document": chunk.document,
                "start": chunk.start,
                "end": chunk.end,
                "text": chunk.text,
                "title": chunk.title,
                "heading": chunk.heading,
                "page": chunk.page,
            }
        )
    return places[key]


def _citation(answer: Answer, position: int, places: dict[tuple[str, str], int]) -> dict[str, Any]:
    """A citation with `on`, the numbers of the supplied passages that its span meets (none: it points elsewhere)."""
    cited = answer.citations[position]
    on = [
        places[(hit.chunk.id, hit.chunk.revision)]
        for hit in answer.hits
        if (hit.chunk.document, hit.chunk.revision) == (cited.document, cited.revision)
        and cited.start < hit.chunk.end
        and hit.chunk.start < cited.end
    ]
    packed: dict[str, Any] = {"marker": cited.marker, "start": cited.start, "end": cited.end, "on": on}
    if cited.how == "located":
        packed["located"] = 1
    if cited.verified:
        packed["verified"] = 1
    if cited.reason:
        packed["reason"] = list(why(cited.reason))
    return packed


def _question(question: Question) -> dict[str, Any]:
    packed: dict[str, Any] = {
        "id": question.id,
        "question": question.question,
        "answers": list(question.answers),
        "kind": question.kind,
        "gold": [{"document": gold.document, "start": gold.start, "end": gold.end} for gold in question.gold],
        "need": question.need,
        "language": question.language,
    }
    if not question.answerable:
        packed["unanswerable"] = 1
    if question.rules:
        packed["rules"] = plain(dict(question.rules))
    return packed


def embedded(comparison: Comparison, choice: str | None) -> dict[str, Any]:
    """Approaches, questions with their rows by approach, and the passages as a list that the rows point into."""
    passages: list[dict[str, Any]] = []
    places: dict[tuple[str, str], int] = {}
    questions = [
        {
            **_question(question),
            "rows": {
                name: _row(row, comparison.metric, places, passages)
                for name, row in comparison.rows.get(question.id, {}).items()
            },
        }
        for question in comparison.questions
    ]
    return {
        "approaches": [s.approach.name for s in comparison.standings],
        "choice": choice,
        "metric": comparison.metric,
        "questions": questions,
        # Need, kind and language are filters of their own.
        "strata": {key: list(places) for key, places in comparison.places.items()
                   if not key.startswith(("need=", "kind=", "language=")) and len(places) < len(questions)},
        "words": {key: list(stratum_phrase(key)) for key in comparison.places},
        "passages": passages,
    }
