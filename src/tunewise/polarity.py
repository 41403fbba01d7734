"""Whether a sentence says the opposite of a claim that uses its words: a word denied here and affirmed there.

Word lists and no model: it sees "not refundable" against "refundable", 不得 against 可以, 返程前 against 返程后, and
nothing that is said in other words. Knows nothing about passages or citations.
"""

from __future__ import annotations

import re

_CJK = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002ebef"
_WORD = re.compile(rf"[^\W\d_{_CJK}]+(?:['’][^\W\d_{_CJK}]+)*")
_DENIES = frozenset(["not", "never", "no", "without", "non", "cannot", "neither", "nor"])
# What may stand between a negation and the word that it denies; "not only" denies nothing.
_BETWEEN = frozenset(
    """
    a an the any be been being is are was were do does did have has had to yet ever longer it they he she
    """.split()  # noqa: SIM905 - a list of quoted words is no better to read
)
_EMPTY = _BETWEEN | frozenset(
    """
    of in on at for from by with as and or but that this these those its their will
    """.split()  # noqa: SIM905
)
_HAN_RUN = re.compile(rf"[{_CJK}]+")
# Longer ones first. What a modal verb (得, 可以, 能 …) adds to a negation is part of it: 不得再次 denies 再次.
_HAN_DENIES = re.compile(
    "(?:没有|禁止|严禁|切勿|拒绝|谢绝|并非|无需|无须|无法|免于|不予|[不没無无非未勿])(?:可以|能够|应该|允许|得|可|能|会|应|准|许)*"
)
# Signs before which 不 and 无 belong to another word: 不仅, 不过, 不同, 无论, 非常, 未来 …
_NO_DENIAL = re.compile("[不没無无非未](?:仅|但|过|论|同|足|少|断|久|管|常|来|线|锈)")
_RIVALS = (
    ("之前", "之后"), ("以前", "以后"), ("前", "后"), ("以内", "以外"), ("内", "外"), ("以上", "以下"),
    ("超过", "不足", "少于", "低于"), ("至少", "至多", "最多"), ("最早", "最晚", "最迟"), ("早", "晚"), ("增", "减"),
    ("高", "低"), ("左", "右"), ("东", "南", "西", "北"), ("春", "夏", "秋", "冬"), ("第一", "最后"), ("男", "女"),
    ("同性", "异性"), ("买", "卖"), ("允许", "禁止"),
)


def _stem(word: str) -> str:
    """A word without its commonest ending: "covers", "covered" and "covering" deny and affirm the same."""
    for ending in ("ing", "ed", "es", "s", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word


def _sides(text: str) -> tuple[set[str], set[str]]:
    """(denied, affirmed): the stems of an English text's words behind a negation, and of all its other words."""
    denied: set[str] = set()
    affirmed: set[str] = set()
    words = [word.group().casefold().replace("’", "'") for word in _WORD.finditer(text)]
    waiting = False
    for i, word in enumerate(words):
        if word in _DENIES or word.endswith("n't"):
            waiting = not (word in ("not", "no") and i + 1 < len(words) and words[i + 1] in ("only", "just", "matter"))
        elif waiting and word not in _BETWEEN:
            denied.add(_stem(word))
            waiting = False
        elif word not in _EMPTY:
            affirmed.add(_stem(word))
    return denied, affirmed


def _han_sides(text: str) -> tuple[set[str], str]:
    """(the two signs behind each negation, the text without negations and what they deny)."""
    denied: set[str] = set()
    rest = []
    for run in _HAN_RUN.findall(text):
        cut = place = 0
        while (match := _HAN_DENIES.search(run, place)) is not None:
            place = match.end()
            if _NO_DENIAL.match(run, match.start()) or len(run) < match.end() + 2:
                continue
            denied.add(run[match.end() : match.end() + 2])
            rest.append(run[cut : match.start()])
            cut = place = match.end() + 2
        rest.append(run[cut:])
    return denied, "\0".join(rest)


def opposed(claim: str, sentence: str) -> str:
    """What a sentence says the other way round than a claim, in a word or two; empty when it sees nothing."""
    ours, theirs = _sides(claim), _sides(sentence)
    for (denied, also), (others, affirmed) in ((theirs, ours), (ours, theirs)):
        if found := (denied & affirmed) - others - also:
            return next(word.group() for word in _WORD.finditer(claim) if _stem(word.group().casefold()) in found)
    mine, yours = _han_sides(claim), _han_sides(sentence)
    for (denied, also), (others, affirmed) in ((yours, mine), (mine, yours)):
        for pair in sorted(denied - others):
            if pair in affirmed and pair not in also:
                return pair
    for rivals in _RIVALS:
        said = [word for word in rivals if word in claim]
        there = [word for word in rivals if word in sentence]
        if said and there and not set(said) & set(there):
            return said[0]
    return ""
