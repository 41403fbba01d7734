"""How good an answer to a training question is, as a plain callable: preference tuning and rewards ask it."""

from __future__ import annotations

from collections.abc import Mapping

from tunewise.nouns import Answer, Question
from tunewise.prompts import final_answer, is_refusal
from tunewise.scorers import score


def quality_of(question: str, text: str, *, questions: Mapping[str, Question], template: str) -> float:
    """The `quality` (0 to 1) of a model's text as answer to the question of that id, markers left out."""
    import re

    asked = questions[question]
    # Markers are checked when passages are at hand; here only the words count.
    plain = re.sub(r"\s*\[\d+\]", "", final_answer(template, text, language=asked.language)).strip()
    return score(asked, Answer(asked.id, plain, raw=text, refused=is_refusal(plain)))["quality"]
