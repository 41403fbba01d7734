"""Overlap of a long answer with its gold answers: ROUGE-1, ROUGE-2, ROUGE-L, BLEU and chrF, right for Chinese.

Knows nothing about facts: two sentences that differ in a "not" overlap almost wholly. BLEU and chrF are sacrebleu's
(Post 2018), with its Chinese tokenizer for Chinese. ROUGE (Lin 2004) is counted here, over the words of an alphabet and
single Chinese characters, because the package rouge-score splits Chinese into nothing and gives 0 to equal texts.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from tunewise.scorers.text import CJK, fold, words

SHORT = 5
"""Gold answers of fewer words than this are not measured by overlap: BLEU of two words says nothing."""
_TOKEN = re.compile(rf"[{CJK}]|[^\W_{CJK}]+")


def rouge_tokens(text: str) -> list[str]:
    """Words in small letters without marks, and single Chinese characters; no stemming."""
    return _TOKEN.findall(fold(text))


def _f(common: int, predicted: int, gold: int) -> float:
    return 2 * common / (predicted + gold) if common else 0.0


def rouge_n(predicted: Sequence[str], gold: Sequence[str], n: int) -> float:
    """F of the bags of n-grams (Lin 2004, section 2); 0 where either has none."""
    grams = [Counter(zip(*(some[i:] for i in range(n)), strict=False)) for some in (predicted, gold)]
    common = sum((grams[0] & grams[1]).values())
    return _f(common, sum(grams[0].values()), sum(grams[1].values()))


def longest_subsequence(a: Sequence[str], b: Sequence[str]) -> int:
    """Length of the longest common subsequence, a row of the table in one integer (Hyyrö 2004)."""
    places: dict[str, int] = {}
    for i, item in enumerate(a):
        places[item] = places.get(item, 0) | 1 << i
    every = (1 << len(a)) - 1
    row = every
    for item in b:
        met = row & places.get(item, 0)
        row = ((row + met) | (row - met)) & every
    return len(a) - row.bit_count()


def rouge_l(predicted: Sequence[str], gold: Sequence[str]) -> float:
    """F of the longest common subsequence (Lin 2004, section 3.1)."""
    return _f(longest_subsequence(predicted, gold), len(predicted), len(gold))


@lru_cache(maxsize=4)
def _sacrebleu(chinese: bool) -> tuple[Any, Any]:
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    return BLEU(tokenize="zh" if chinese else "13a", effective_order=True), CHRF()


def overlap_scores(text: str, answers: Sequence[str], *, language: str, refused: bool) -> dict[str, float]:
    """`rouge1`, `rouge2`, `rougeL` (best over the gold answers), `bleu` and `chrf` (all gold answers as references),
    0 to 1; a refusal scores 0. Absent unless some gold answer has 5 words or more."""
    if max(map(words, answers), default=0) < SHORT:
        return {}
    names = ("rouge1", "rouge2", "rougeL", "bleu", "chrf")
    if refused or not text.strip():
        return dict.fromkeys(names, 0.0)
    predicted, best = rouge_tokens(text), [0.0, 0.0, 0.0]
    for gold in answers:
        wanted = rouge_tokens(gold)
        found = (rouge_n(predicted, wanted, 1), rouge_n(predicted, wanted, 2), rouge_l(predicted, wanted))
        best = [max(pair) for pair in zip(best, found, strict=True)]
    bleu, chrf = _sacrebleu(language.lower().startswith("zh"))
    best += [metric.sentence_score(text, list(answers)).score / 100 for metric in (bleu, chrf)]
    return dict(zip(names, (min(1.0, value) for value in best), strict=True))
