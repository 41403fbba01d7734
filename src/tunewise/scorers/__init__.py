"""The scorers: one answer against its question gives numbers by name. `score` is the door, `METRICS` the list.

Knows nothing about models, runs or other questions. A metric that does not apply is absent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tunewise.errors import DataMistake
from tunewise.nouns import Answer, Question
from tunewise.scorers.citation import citation_scores
from tunewise.scorers.form import form_scores
from tunewise.scorers.grounding import Entails, entailment_scores, grounding_scores
from tunewise.scorers.harm import harm_scores
from tunewise.scorers.overlap import overlap_scores
from tunewise.scorers.refusal import refusal_scores
from tunewise.scorers.retrieval import retrieval_scores
from tunewise.scorers.style import style_scores
from tunewise.scorers.terminology import GlossaryEntry, load_glossary, terms_scores
from tunewise.scorers.text import outcome, text_scores, words
from tunewise.scorers.values import value_right, value_scores

Judge = Callable[[Question, Answer], float]
"""Somebody's verdict on one answer, 0 to 1: a larger model, a person, a service."""


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
        Metric("truthfulness", "truthfulness (correct − wrong)", "真实性（正确 − 错误）"),
        Metric("em", "exact match", "完全匹配"),
        Metric("f1", "F1 (tokens)", "F1（词或字）"),
        Metric("f1_hotpot", "F1 (HotpotQA)", "F1（HotpotQA）"),
        Metric("f1_cmrc", "F1 (CMRC, longest common run)", "F1（CMRC，最长公共子串）"),
        Metric("em_cmrc", "exact match (CMRC)", "完全匹配（CMRC）"),
        Metric("contains", "contains the gold answer", "包含标准答案"),
        Metric("number", "right number", "数值正确"),
        Metric("list_f1", "F1 (list items)", "F1（列表项）"),
        Metric("list_exact", "exact list", "列表完全正确"),
        Metric("yes_no", "right yes / no / maybe", "是/否/不确定 判断正确"),
        Metric("rouge1", "ROUGE-1", "ROUGE-1"),
        Metric("rouge2", "ROUGE-2", "ROUGE-2"),
        Metric("rougeL", "ROUGE-L", "ROUGE-L"),
        Metric("bleu", "BLEU", "BLEU"),
        Metric("chrf", "chrF", "chrF"),
        Metric("refused", "refused", "拒答", None),
        Metric("false_refusal", "false refusals", "误拒", False),
        Metric("right_refusal", "right refusals", "正确拒答"),
        Metric("refusal_precision", "refusal precision", "拒答精确率"),
        Metric("fabricated", "something from nowhere", "含无出处内容", False),
        Metric("fabricated_numbers", "numbers from nowhere", "含无出处数字", False),
        Metric("fabricated_names", "names from nowhere", "含无出处名称", False),
        Metric("fabricated_terms", "terms from nowhere", "含无出处术语", False),
        Metric("parametric", "right without a passage", "正确但无段落支持", None),
        Metric("grounded", "lexical groundedness", "字面依据度"),
        Metric("entailed", "entailed by a passage", "被段落蕴含"),
        Metric("judged", "judge's verdict", "评判分"),
        Metric("form", "form kept", "符合格式"),
        Metric("style_distance", "distance from the style wanted", "与目标文风的距离", False),
        Metric("terms", "terms used", "术语使用"),
        Metric("term_coverage", "terms covered", "术语覆盖"),
        Metric("forbidden_terms", "forbidden variants", "使用禁用变体", False),
        Metric("term_precision", "key-term precision", "关键术语精确率"),
        Metric("recall", "retrieval recall", "检索召回率"),
        Metric("recall_per_1000_chars", "recall per 1,000 characters", "每千字召回率", True, "per 1000"),
        Metric("mrr", "retrieval MRR", "检索 MRR"),
        Metric("ndcg", "retrieval nDCG", "检索 nDCG"),
        Metric("citation_precision", "citation precision", "引用精确率"),
        Metric("citation_recall", "citation recall", "引用召回率"),
        Metric("words", "words per answer", "每个回答的字数", None, "words"),
    )
}


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
    if judge is not None and answer.error is None:
        scores["judged"] = judge(question, answer)
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


__all__ = ["METRICS", "GlossaryEntry", "Judge", "Metric", "load_glossary", "score"]
