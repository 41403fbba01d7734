"""Refusals: how often an approach says that the documents do not hold the answer, and how often it should not have.

Knows nothing about the words of a refusal: `Answer.refused` was decided where the answer was made. The recall of
refusals is the mean of `right_refusal`, their precision the mean of `refusal_precision`.
"""

from __future__ import annotations

from tunewise.nouns import Answer, Question


def refusal_scores(question: Question, answer: Answer) -> dict[str, float]:
    """`refused`, and `false_refusal` (answerable only) or `right_refusal` (unanswerable only): 0 or 1 each;
    `refusal_precision` (refused only): 1 where the question is unanswerable."""
    refused = float(answer.refused)
    scores = {"refused": refused, "false_refusal" if question.answerable else "right_refusal": refused}
    if answer.refused:
        scores["refusal_precision"] = float(not question.answerable)
    return scores
