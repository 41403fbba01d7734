"""Multiple choice by likelihood: which of a question's choices the model that answered finds likeliest.

Nothing is generated, so no wording is judged. Only where the probabilities are those of the answer itself: local
models, one prompt for all passages, and a template in which the answer comes first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, cast

from tunewise.models import Model, is_local
from tunewise.nouns import Answer, Approach, Question
from tunewise.prompts import answer_mark, render
from tunewise.scorers.form import plain

if TYPE_CHECKING:
    from tunewise.models.local import LocalModel

Score = Callable[[Question, Answer], Mapping[str, float]]


def with_choices(score: Score, approach: Approach, model: Model, examples: Sequence[tuple[str, str]]) -> Score:
    """`score`, and `choice_likelihood` for questions whose rule `choices` holds a gold answer: 1 where that choice is
    the likeliest per byte after the very prompt that was answered, else 0."""
    if not is_local(approach.model) or approach.decoding.marginal != "none":
        return score

    def scored(question: Question, answer: Answer) -> Mapping[str, float]:
        scores = score(question, answer)
        choices = [str(choice) for choice in plain(dict(question.rules).get("choices", ()))]
        # Without tokens nobody was asked: questions are scored once beforehand, to see that they can be.
        unasked = answer.error is not None or not answer.tokens_in
        if unasked or not set(choices) & set(question.answers) or answer_mark(approach.prompt, question.language):
            return scores
        from tunewise.models.knowledge import likeliest

        prompt = render(approach.prompt, question.question, language=question.language, hits=answer.hits,
                        examples=(*examples, *question.history))
        (place,) = likeliest(cast("LocalModel", model), [(prompt, choices)])
        return {**scores, "choice_likelihood": float(choices[place] in question.answers)}

    return scored
