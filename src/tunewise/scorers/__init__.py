"""The scorers: one answer against its question gives numbers by name. `score` is the door, `METRICS` the list.

Knows nothing about models, runs or other questions. A metric that does not apply is absent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tunewise.errors import DataMistake
from tunewise.nouns import Answer, Question
from tunewise.scorers.citation import citation_scores
from tunewise.scorers.form import form_scores
from tunewise.scorers.refusal import refusal_scores
from tunewise.scorers.retrieval import retrieval_scores
from tunewise.scorers.terminology import GlossaryEntry, load_glossary, terms_scores
from tunewise.scorers.text import outcome, text_scores, words


@dataclass(frozen=True, slots=True)
class Metric:
    """How a metric is called and read: `higher_is_better` is None where neither direction is good in itself."""

    name: str
    label: str
    label_zh: str
    higher_is_better: bool | None = True
    unit: str = "share"


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("quality", "quality", "质量"),
        Metric("correct", "correct", "正确"),
        Metric("missing", "missing", "未作答", False),
        Metric("wrong", "wrong", "错误", False),
        Metric("em", "exact match", "完全匹配"),
        Metric("f1", "F1 (tokens)", "F1（词或字）"),
        Metric("f1_cmrc", "F1 (CMRC, longest common run)", "F1（CMRC，最长公共子串）"),
        Metric("contains", "contains the gold answer", "包含标准答案"),
        Metric("refused", "refused", "拒答", None),
        Metric("false_refusal", "false refusals", "误拒", False),
        Metric("right_refusal", "right refusals", "正确拒答"),
        Metric("form", "form kept", "符合格式"),
        Metric("terms", "terms used", "术语使用"),
        Metric("recall", "retrieval recall", "检索召回率"),
        Metric("recall_per_1000_chars", "recall per 1,000 characters", "每千字召回率", True, "per 1000"),
        Metric("mrr", "retrieval MRR", "检索 MRR"),
        Metric("ndcg", "retrieval nDCG", "检索 nDCG"),
        Metric("citation_precision", "citation precision", "引用精确率"),
        Metric("citation_recall", "citation recall", "引用召回率"),
        Metric("words", "words per answer", "每个回答的字数", None, "words"),
    )
}


def score(question: Question, answer: Answer, *, glossary: Sequence[GlossaryEntry] = ()) -> dict[str, float]:
    """All metrics that apply to one answer, 0 to 1 each (`words`: a count); names in `METRICS`.

    `quality`, the one number of a question: unanswerable: 1 if refused, else 0; need facts: f1; need form: form × f1;
    need terms: f1 × terms. A factor that does not apply (no rules, no gold answer) is left out. An answer with an
    `error` counts as an empty one: a failure is never better than silence. `DataMistake` when a question can not be
    scored at all.
    """
    text = "" if answer.error is not None else answer.text
    refused = answer.refused and answer.error is None
    scores: dict[str, float] = {}
    if question.answerable and question.answers:
        scores |= text_scores(text, question.answers, language=question.language, refused=refused)
    scores |= form_scores(text, question.rules)
    required = dict(question.rules).get("terms", ())
    scores |= terms_scores(text, (required,) if isinstance(required, str) else required, glossary)
    if question.answers or not question.answerable:
        result = outcome(text, question.answers, answerable=question.answerable, refused=refused)
        scores |= {name: float(name == result) for name in ("correct", "missing", "wrong")}
    scores |= refusal_scores(question, answer if answer.error is None else Answer(answer.question, ""))
    scores |= retrieval_scores(answer.hits, question.gold)
    scores |= citation_scores(question, answer)
    scores["words"] = float(words(text))
    if not question.answerable:
        scores["quality"] = float(refused)
        return scores
    named = {"facts": ("f1",), "form": ("form", "f1"), "terms": ("f1", "terms")}[question.need]
    factors = [scores[name] for name in named if name in scores]
    if not factors:
        raise DataMistake(f"question {question.id} can not be scored: it has neither gold answers nor rules",
                          tip="give it answers, or rules of form, or mark it as unanswerable")
    quality = 1.0
    for factor in factors:
        quality *= factor
    scores["quality"] = 0.0 if refused else quality
    return scores


__all__ = ["METRICS", "GlossaryEntry", "Metric", "load_glossary", "score"]
