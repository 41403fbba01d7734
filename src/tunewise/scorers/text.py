"""Text scores of one answer against its gold answers: exact match, F1, containment, correct / missing / wrong.

Knows nothing about passages, models or files. One normalisation for English and Chinese: SQuAD's (Rajpurkar et al.
2016: lower case, punctuation, the articles a/an/the, white space) with full-width characters folded to ASCII first and
Chinese punctuation dropped like ASCII's; each Chinese character is a token of its own.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

WIDTHS = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20}
"""Full-width ASCII to ASCII, one code point to one, so that offsets stay."""

_CJK_PUNCTUATION = "，。！？；：、（）《》〈〉【】「」『』〔〕…—～·"
# ASCII punctuation vanishes, as in SQuAD. No space follows a Chinese mark: it becomes one, or words would be glued.
_DROP = {ord(c): None for c in string.punctuation + "“”‘’–￥"} | {ord(c): " " for c in _CJK_PUNCTUATION}
_ARTICLES = re.compile(r"\b(a|an|the)\b")
CJK = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u3040-\u30ff\U00020000-\U0002ebef"
_TOKEN = re.compile(rf"[{CJK}]|[^\s{CJK}]+")
_WORD = re.compile(rf"[{CJK}]|[^\W{CJK}]+(?:[.,:/'’_\-][^\W{CJK}]+)*")
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
EXTRA_WORDS = 25
"""How many words more than the gold an answer may have and still be `correct`."""


def fold(text: str) -> str:
    """Lower case with full-width characters as ASCII."""
    return text.translate(WIDTHS).lower()


def tokens(text: str) -> list[str]:
    """SQuAD's normalised tokens, each Chinese character one token."""
    return _TOKEN.findall(_ARTICLES.sub(" ", text.translate(_DROP).translate(WIDTHS).lower().translate(_DROP)))


def words(text: str) -> int:
    """How many words a reader would count: words between spaces, and each Chinese character."""
    return len(_WORD.findall(text))


def numbers(text: str) -> Counter[str]:
    """The numbers of a text as written, without the commas of thousands: "1,200.50" gives 1200.50, "12.5" never 125."""
    found = _NUMBER.findall(text.translate(WIDTHS))
    return Counter(re.sub(r",(?=\d{3}(?!\d))", "", number) for number in found)


def f1_tokens(predicted: Sequence[str], gold: Sequence[str]) -> float:
    """SQuAD's F1 of two bags of tokens; two empty bags agree, one empty bag scores 0."""
    if not predicted or not gold:
        return float(not predicted and not gold)
    same = sum((Counter(predicted) & Counter(gold)).values())
    return 2 * same / (len(predicted) + len(gold))


def holds(predicted: Sequence[str], gold: Sequence[str]) -> bool:
    """Whether the gold tokens occur as one contiguous run of the predicted tokens."""
    size = len(gold)
    if not size or size > len(predicted):
        return False
    gold = list(gold)
    return any(predicted[i] == gold[0] and predicted[i : i + size] == gold for i in range(len(predicted) - size + 1))


_CMRC_DROP = frozenset("-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』")
_CMRC_TOKEN = re.compile(
    r"[\u4e00-\u9fa5]|[^\W\u4e00-\u9fa5]+(?:(?:\.|,(?=\d))[^\W\u4e00-\u9fa5]+)*|[^\w\s]"
)


def cmrc_segments(text: str) -> list[str]:
    """CMRC 2018's mixed segmentation without punctuation: Chinese characters one by one, other runs as words.

    The official script splits the other runs with NLTK's word tokenizer; here a pattern keeps words, 3.5 and 1,000
    whole and splits other signs off, which is the same but for quotes, contractions and the ends of English sentences.
    """
    return _CMRC_TOKEN.findall("".join(c for c in text.lower().strip() if c not in _CMRC_DROP))


def longest_run(a: Sequence[str], b: Sequence[str]) -> int:
    """Length of the longest common contiguous run of two token lists (bisection over the length: a shorter run of a
    common run is common)."""
    signs: dict[str, str] = {}
    one, other = ("".join(signs.setdefault(item, chr(len(signs))) for item in some) for some in (a, b))
    low, high = 0, min(len(one), len(other))
    while low < high:
        size = (low + high + 1) // 2
        runs = {one[i : i + size] for i in range(len(one) - size + 1)}
        if any(other[i : i + size] in runs for i in range(len(other) - size + 1)):
            low = size
        else:
            high = size - 1
    return low


def f1_cmrc(text: str, gold: str) -> float:
    """CMRC 2018's F1 (Cui et al. 2019): precision and recall of the longest common *contiguous* run of segments."""
    predicted, wanted = cmrc_segments(text), cmrc_segments(gold)
    common = longest_run(predicted, wanted)
    return 2 * common / (len(predicted) + len(wanted)) if common else 0.0


def em_cmrc(text: str, gold: str) -> float:
    """CMRC 2018's exact match: equal once lower case, outer space and its list of signs are taken out."""
    one, other = ("".join(c for c in some.lower().strip() if c not in _CMRC_DROP) for some in (text, gold))
    return float(one == other)


_HOTPOT = (["yes"], ["no"], ["noanswer"])


def f1_hotpot(text: str, gold: str) -> float:
    """HotpotQA's F1 (Yang et al. 2018): SQuAD's, but "yes", "no" and "noanswer" agree only with themselves."""
    predicted, wanted = tokens(text), tokens(gold)
    if predicted != wanted and (predicted in _HOTPOT or wanted in _HOTPOT):
        return 0.0
    same = sum((Counter(predicted) & Counter(wanted)).values())
    return 2 * same / (len(predicted) + len(wanted)) if same else 0.0


def is_correct(text: str, gold: str) -> bool:
    """The rule of `correct` for one gold answer; all three must hold.

    1. The normalised tokens are equal, or the gold's occur in the answer's as one contiguous run.
    2. The answer has at most 25 words more than the gold (a shower of guesses is not an answer).
    3. Every number of the gold occurs in the answer as the same number, decimals kept (normalisation alone would take
       12.5 for 125).
    It does not read negations and does not know that 24 and 二十四 are one number: give such aliases as gold answers.
    """
    predicted, wanted = tokens(text), tokens(gold)
    if predicted != wanted and not holds(predicted, wanted):
        return False
    return words(text) <= words(gold) + EXTRA_WORDS and not numbers(gold) - numbers(text)


def text_scores(text: str, answers: Sequence[str], *, language: str, refused: bool) -> dict[str, float]:
    """`em`, `f1`, `contains` and, in Chinese, `f1_cmrc` and `em_cmrc`, each the best over the gold answers; a refusal
    scores 0. `f1_hotpot` only where some gold answer is yes, no or noanswer: elsewhere it is `f1`."""
    scores = {"em": 0.0, "f1": 0.0, "contains": 0.0}
    chinese = language.lower().startswith("zh")
    hotpot = any(tokens(gold) in _HOTPOT for gold in answers)
    if chinese:
        scores |= {"f1_cmrc": 0.0, "em_cmrc": 0.0}
    if hotpot:
        scores["f1_hotpot"] = 0.0
    if refused or not text.strip():
        return scores
    predicted = tokens(text)
    for gold in answers:
        wanted = tokens(gold)
        scores["em"] = max(scores["em"], float(predicted == wanted))
        scores["f1"] = max(scores["f1"], f1_tokens(predicted, wanted))
        scores["contains"] = max(scores["contains"], float(holds(predicted, wanted)))
        if chinese:
            scores["f1_cmrc"] = max(scores["f1_cmrc"], f1_cmrc(text, gold))
            scores["em_cmrc"] = max(scores["em_cmrc"], em_cmrc(text, gold))
        if hotpot:
            scores["f1_hotpot"] = max(scores["f1_hotpot"], f1_hotpot(text, gold))
    return scores


def outcome(text: str, answers: Sequence[str], *, answerable: bool, refused: bool) -> str:
    """"correct", "missing" or "wrong" (after CRAG, Yang et al. 2024: harm is not the same as silence).

    Answerable: refused or empty is missing; else correct by `is_correct` with any gold answer, or wrong.
    Unanswerable: refused is correct, empty is missing, anything else is wrong.
    """
    if refused:
        return "missing" if answerable else "correct"
    if not text.strip():
        return "missing"
    return "correct" if answerable and any(is_correct(text, gold) for gold in answers) else "wrong"
