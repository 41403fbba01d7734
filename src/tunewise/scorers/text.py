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
from functools import lru_cache

WIDTHS = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20}
"""Full-width ASCII to ASCII, one code point to one, so that offsets stay."""

_CJK_PUNCTUATION = "，。！？；：、（）《》〈〉【】「」『』〔〕…—～·"
# ASCII punctuation vanishes, as in SQuAD. No space follows a Chinese mark: it becomes one, or words would be glued.
_DROP = {ord(c): None for c in string.punctuation + "“”‘’–￥"} | {ord(c): " " for c in _CJK_PUNCTUATION}
_ARTICLES = re.compile(r"\b(a|an|the)\b")
CJK = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u3040-\u30ff\U00020000-\U0002ebef"
_TOKEN = re.compile(rf"[{CJK}]|[^\s{CJK}]+")
_WORD = re.compile(rf"[{CJK}]|[^\W{CJK}]+(?:[.,:/'’_\-][^\W{CJK}]+)*")
MINUSES = {ord(c): "-" for c in "−–‑﹣"}
"""The signs that are written for a minus, one code point to one."""
_ALIKE = MINUSES | dict.fromkeys(map(ord, "≤≥≦≧"))
_BEFORE_MINUS = r"\s(\[{<>≤≥=≈~:,;|*\"'“‘$€£¥，。：；、为是到至达约于从由即温度率额润"
MINUS = rf"(?:(?<![^{_BEFORE_MINUS}])-(?=[$€£¥]?\.?\d)|\b(?:minus|negative)\s+|(?:零下|负)\s?)"
"""A minus before a number: not the dash of a range (5-10, 1995年-2002年), a code (AX-200) or a list ("- 5 items")."""
_BOUNDS = {
    "≤": "at most|up to|no more than|not more than|not exceeding|不超过|不大于|不多于|不高于|至多|最多",
    "≥": "at least|no less than|not less than|no fewer than|不小于|不少于|不低于|至少|最少",
    "<": "less than|fewer than|below|under|小于|少于|低于|不到|不足|未满",
    ">": "more than|greater than|above|over|exceeding|大于|多于|高于|超过",
}
_SIGNS = {"<=": "≤", ">=": "≥", "≦": "≤", "≧": "≥"}
_NUMBER = re.compile(
    # No bound: the arrow "->", the end of a tag "<b>5" and the mark of a quoted line.
    r"(?:(?<![a-zA-Z0-9_\-=/\"'])(?!(?<![^\n])>\s)(?P<than>[<>]=?|[≤≥≦≧])\s?"
    rf"|(?:{'|'.join(f'(?P<{name}>{_BOUNDS[sign]})' for name, sign in zip('abcd', '≤≥<>', strict=True))})\s*)?"
    rf"(?P<money>[$€£¥]\s?)?(?P<open>\()?(?P<minus>{MINUS})?[$€£¥]?(?P<value>\d+(?:[.,:]\d+)*)(?P<close>\s?%?\))?"
)
_AFTER_ALL = re.compile(r"(?:\s|[%.。]|percent|thousand|million|billion|mn|bn|[km](?![a-z])|[万亿元]|美元|dollars)*$")
_ANY_ARTICLE, _LETTER_FIRST = re.compile(r"\b(?:a|an|the)\b", re.IGNORECASE), re.compile(r"\W*A\s")
# No article stands before one of these: "A and B" are letters.
_NO_NOUN = "and|or|nor|but|is|are|was|were|be|to|of|in|on|at|for|from|with|has|had|have|will|can|means|if|as|than|then"
_ARTICLE = re.compile(
    rf"(?<![^\s\"'“‘(\[，。！？；：、（《])(?:(?P<name>A)|[aA][nN]|[tT][hH][eE]|a)"
    rf"(?=\s+(?!(?:{_NO_NOUN})(?![\w\-]))[\"'“‘]?(?P<next>[^\W_{CJK}]))"
)
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


@lru_cache(maxsize=4096)
def names_kept(text: str, *, titles: bool = False) -> tuple[str, ...]:
    """`tokens`, but an article goes only where it stands before another word, and a capital A inside a sentence stays.

    So "Hepatitis A", "Plan A" and the option "A) thirty" keep their letter. `titles`: a capital A before another
    capital goes too ("Once Upon A Time").
    """
    if not _ANY_ARTICLE.search(text):
        return tuple(tokens(text.translate(_ALIKE)))

    def drop(match: re.Match[str]) -> str:
        before = text[: match.start()].rstrip(" \t\"'“‘([")
        name = match["name"] and before and before[-1] not in ".!?:;\n。！？：；•*"
        return match.group() if name and not (titles and match["next"].isupper()) else " "

    return tuple(_bare(_ARTICLE.sub(drop, text)))


def _bare(text: str) -> list[str]:
    """The tokens of a text with all its articles."""
    return _TOKEN.findall(text.translate(_ALIKE).translate(_DROP).translate(WIDTHS).lower().translate(_DROP))


def says(text: str, gold: str) -> bool:
    """Whether a text is a gold answer or holds it as one run of words, names like "Hepatitis A" kept apart.

    Both are read alike, in one of three ways: articles dropped (`names_kept`), also those of a title, or none dropped
    ("hepatitis a virus" is the "Hepatitis A virus"; not where the gold begins or ends with an article).
    """
    # "A positive" at the start may be an article or a name: no other letter may stand in its place.
    letter = bool(_LETTER_FIRST.match(gold))
    for titles in (False, True):
        said, wanted = names_kept(text, titles=titles), names_kept(gold, titles=titles)
        if said == wanted or holds(said, wanted, letter=letter):
            return True
        if not _ANY_ARTICLE.search(gold):
            return False
    said, wanted = _bare(text), _bare(gold)
    return bool(wanted) and not {wanted[0], wanted[-1]} & {"a", "an", "the"} and holds(said, wanted)


def numbers(text: str, *, every: bool = False) -> Counter[str]:
    """The numbers of a text as written, with sign and bound, without the commas of thousands.

    "1,200.50" gives 1200.50, "12.5" never 125; "-5", "minus 5", "零下5" and, alone, "(5)" as in a balance sheet give
    -5; "<5" gives <5. `every`: a number counts in each way in which it may be meant: "less than 5" as 5 and as <5, and
    brackets in running text ("Smith (2019)", "was (12.5) in all") with and without a minus.
    """
    plain = fold(text).translate(MINUSES)
    found: Counter[str] = Counter()
    for match in _NUMBER.finditer(plain):
        value = re.sub(r",(?=\d{3}(?!\d))", "", match["value"])
        bracket = bool(match["open"] and match["close"])
        alone = not plain[: match.start()].strip() and _AFTER_ALL.match(plain, match.end())
        sure = bool(match["minus"]) or (bracket and bool(match["money"] or alone))
        signs = {"-" if sure else "", *(("-",) if every and bracket else ())}
        than = _SIGNS.get(match["than"] or "", match["than"] or "")
        bounds = {than}
        if every and (word := next((sign for name, sign in zip("abcd", "≤≥<>", strict=True) if match[name]), "")):
            bounds.add(word)
        found.update(bound + sign + value for bound in bounds for sign in signs)
    return found


def f1_tokens(predicted: Sequence[str], gold: Sequence[str]) -> float:
    """SQuAD's F1 of two bags of tokens; two empty bags agree, one empty bag scores 0."""
    if not predicted or not gold:
        return float(not predicted and not gold)
    same = sum((Counter(predicted) & Counter(gold)).values())
    return 2 * same / (len(predicted) + len(gold))


def holds(predicted: Sequence[str], gold: Sequence[str], *, letter: bool = False) -> bool:
    """Whether the gold tokens occur as one contiguous run of the predicted tokens; `letter`: not behind a single letter
    other than a."""
    size = len(gold)
    if not size or size > len(predicted):
        return False
    predicted, gold = list(predicted), list(gold)
    return any(predicted[i] == gold[0] and predicted[i : i + size] == gold
               and not (letter and i and re.fullmatch("[b-z]", predicted[i - 1]))
               for i in range(len(predicted) - size + 1))


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

    1. The tokens are equal, or the gold's occur in the answer's as one contiguous run. Articles do not count, but the
       letter of a name does (`says`): "Hepatitis B" is not "Hepatitis A", though SQuAD's F1 and EM take its A away.
    2. The answer has at most 25 words more than the gold (a shower of guesses is not an answer).
    3. Every number of the gold occurs in the answer as the same number: decimals, sign and bound kept (normalisation
       alone would take 12.5 for 125, -5 for 5 and ">5" for "<5").
    It does not read negations and does not know that 24 and 二十四 are one number: give such aliases as gold answers.
    """
    if not says(text, gold):
        return False
    return words(text) <= words(gold) + EXTRA_WORDS and not numbers(gold) - numbers(text, every=True)


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
        scores["contains"] = max(scores["contains"], float(says(text, gold)))
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
