"""How good an answer to a training question is, as plain callables: preference tuning and rewards ask them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cache

from tunewise.citations import strip_markers
from tunewise.errors import Failed
from tunewise.models import Model, load_model
from tunewise.nouns import Answer, Decoding, Question
from tunewise.prompts import final_answer, is_refusal
from tunewise.scorers import score

_JUDGED = {
    "en": "Question: {question}\nCorrect answer: {gold}\nGiven answer: {given}\n\n"
    "How good is the given answer, from 0 (wrong) to 10 (correct, short, nothing added)? Reply with the number alone.",
    "zh": "问题：{question}\n正确答案：{gold}\n给出的答案：{given}\n\n"
    "给出的答案有多好？0 表示错误，10 表示正确、简短且没有多余内容。只回答数字。",
}


def _asked(question: Question, refuse: bool) -> Question:
    """The question as its row asks it: where the passages with the answer were taken out, only a refusal is right."""
    return replace(question, answerable=False, answers=(), gold=()) if refuse else question


def quality_of(
    question: str, text: str, *, questions: Mapping[str, Question], template: str, refuse: bool = False
) -> float:
    """The `quality` (0 to 1) of a model's text as answer to the question of that id, markers left out.

    `refuse`: the row's own completion is the refusal, since its passages do not hold the answer.
    """
    asked = _asked(questions[question], refuse)
    # Markers are checked when passages are at hand; here only the words count.
    plain = strip_markers(final_answer(template, text, language=asked.language))
    return score(asked, Answer(asked.id, plain, raw=text, refused=is_refusal(plain)))["quality"]


def judged(
    question: str, text: str, *, questions: Mapping[str, Question], template: str, judge: str, refuse: bool = False
) -> float:
    """What the model `judge` gives the answer, 0 to 1 (Lee et al. 2023, arXiv:2309.00267); else `Failed`."""
    asked = _asked(questions[question], refuse)
    language = "zh" if asked.language == "zh" else "en"
    gold = asked.answers[0] if asked.answers else "(the documents do not say; a refusal is correct)"
    given = final_answer(template, text, language=asked.language)
    prompt = _JUDGED[language].format(question=asked.question, gold=gold, given=given or "(nothing)")
    said = _judge(judge).generate([[{"role": "user", "content": prompt}]], Decoding(max_new_tokens=8))[0].text
    number = re.search(r"\d+(\.\d+)?", said)
    if number is None or not 0 <= float(number[0]) <= 10:
        raise Failed(f"the judge {judge} gave no number from 0 to 10 but {said[:60]!r}", tip="use a more capable judge")
    return float(number[0]) / 10


@cache
def _judge(name: str) -> Model:
    return load_model(name)
