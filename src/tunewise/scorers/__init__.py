"""The scorers: one answer against its question gives numbers by name. `score` is the door, `METRICS` the list.

Knows nothing about models, runs or other questions. A metric that does not apply is absent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from tunewise.errors import DataMistake
from tunewise.nouns import Answer, Question
from tunewise.scorers.citation import citation_scores
from tunewise.scorers.form import form_scores
from tunewise.scorers.grounding import Entails, entailment_scores, grounding_scores
from tunewise.scorers.harm import harm_scores
from tunewise.scorers.judging import make_judge
from tunewise.scorers.metrics import METRICS, Metric
from tunewise.scorers.overlap import overlap_scores
from tunewise.scorers.refusal import refusal_scores
from tunewise.scorers.retrieval import retrieval_scores
from tunewise.scorers.style import style_scores
from tunewise.scorers.terminology import GlossaryEntry, load_glossary, terms_scores
from tunewise.scorers.text import outcome, text_scores, words
from tunewise.scorers.values import value_right, value_scores
from tunewise.store import fingerprint

Judge = Callable[[Question, Answer], float | None]
"""Somebody's verdict on one answer, 0 to 1 (None: no verdict): a larger model (`make_judge`), a person, a service."""


def score(
    question: Question,
    answer: Answer,
    *,
    glossary: Sequence[GlossaryEntry] = (),
    entails: Entails | None = None,
    judge: Judge | None = None,
    reads: bool = False,
) -> dict[str, float]:
    """All metrics that apply to one answer, by names in `METRICS`: 0 to 1 each (truthfulness: -1 to 1; words: a count).

    `quality`, the one number of a question: unanswerable: 1 if refused, else 0; need facts: f1 (or `number`, `list_f1`,
    `yes_no` where the question asks for such a value); need form: form × that; need terms: that × terms. A factor that
    does not apply (no rules, no gold answer) is left out. An answer with an `error` counts as an empty one: a failure
    is never better than silence. `entails` (see `grounding.load_nli`) and `judge` are closures: without them their
    metrics are absent. `reads`: the approach reads an index, so that no passages are passages not found. `DataMistake`
    when a question can not be scored at all.
    """
    text = "" if answer.error is not None else answer.text
    refused = answer.refused and answer.error is None
    # First, because it refuses rules that nobody could read.
    scores = form_scores(text, question.rules)
    if question.answerable and question.answers:
        scores |= text_scores(text, question.answers, language=question.language, refused=refused)
        scores |= overlap_scores(text, question.answers, language=question.language, refused=refused)
        scores |= value_scores(question, text, refused=refused)
    scores |= style_scores(text, question.rules)
    required = dict(question.rules).get("terms", ())
    scores |= terms_scores(
        text, (required,) if isinstance(required, str) else required, glossary, (question.question, *question.answers)
    )
    if question.answers or not question.answerable:
        result = outcome(text, question.answers, answerable=question.answerable, refused=refused)
        right = value_right(scores)
        if right is not None and result in ("correct", "wrong"):
            result = "correct" if right else "wrong"
        scores |= {name: float(name == result) for name in ("correct", "missing", "wrong")}
        scores["truthfulness"] = scores["correct"] - scores["wrong"]
    scores |= refusal_scores(question, answer if answer.error is None else Answer(answer.question, ""))
    scores |= harm_scores(question, answer, glossary=glossary, correct=scores.get("correct") == 1)
    scores |= grounding_scores(answer)
    scores |= retrieval_scores(answer.hits, question.gold, reads=reads)
    scores |= citation_scores(question, answer, reads=reads)
    if entails is not None:
        scores |= entailment_scores(answer, entails)
    if judge is not None and answer.error is None and (verdict := judge(question, answer)) is not None:
        scores["judged"] = verdict
    scores["words"] = float(words(text))
    if not question.answerable:
        scores["quality"] = float(refused)
        return scores
    facts = next((name for name in ("number", "list_f1", "yes_no") if name in scores), "f1")
    named = {"facts": (facts,), "form": ("form", facts), "terms": (facts, "terms")}[question.need]
    factors = [scores[name] for name in named if name in scores]
    if not factors:
        raise DataMistake(f"question {question.id} can not be scored: it has neither gold answers nor rules",
                          tip="give it answers, or rules of form, or mark it as unanswerable")
    quality = 1.0
    for factor in factors:
        quality *= factor
    scores["quality"] = 0.0 if refused else quality
    return scores


def rules() -> str:
    """A fingerprint of these scorers' own text: answers that others scored are not mixed with what these score."""
    return fingerprint([path.read_text(encoding="utf-8") for path in sorted(Path(__file__).parent.glob("*.py"))])


__all__ = ["METRICS", "GlossaryEntry", "Judge", "Metric", "load_glossary", "make_judge", "rules", "score"]
