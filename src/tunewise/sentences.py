"""Spans of sentences, clauses and words, in English and Chinese text alike; the terms and the language of a short text.

Functions of (text, start, end) yield spans in order that hold every sign that is not white space. Knows nothing about
documents.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

Span = tuple[int, int]

_CLOSING = "\"'”’」』）)》】\\]*_"
_END = re.compile(
    # Chinese: the mark itself ends the sentence. Western: the mark and white space, or a mark before Chinese.
    f"[。！？；][。！？；…{_CLOSING}]*|…+[{_CLOSING}]*|(?<![.!?])[.!?]+[{_CLOSING}]*(?=\\s|[\u3400-\u9fff])"
)
_ABBREVIATIONS = frozenset((
    "mr", "mrs", "ms", "dr", "prof", "sr", "jr", "st", "mt", "no", "nos", "vol", "vols", "fig", "figs", "eq", "eqs",
    "sec", "secs", "ch", "chap", "art", "arts", "p", "pp", "para", "paras", "ed", "eds", "e.g", "i.e", "cf", "al",
    "vs", "viz", "approx", "est", "dept", "inc", "ltd", "co", "corp", "llc", "bros", "gen", "col", "capt", "lt",
    "sgt", "rev", "hon", "gov", "sen", "rep", "pres", "jan", "feb", "mar", "apr", "jun", "jul", "aug", "sep",
    "sept", "oct", "nov", "dec", "mon", "tue", "tues", "wed", "thu", "thurs", "fri", "sat", "sun", "a.m", "p.m",
    "u.s", "u.k", "u.n", "e.u", "ph.d", "m.d", "b.a", "m.a", "b.sc", "m.sc", "ave", "blvd", "rd", "ext", "tel",
    "max", "min", "avg", "incl", "excl", "ref", "refs", "app", "appx", "ver", "min", "hr", "hrs", "sq", "ft", "oz",
    "lb", "lbs", "ca", "op", "cit", "ibid",
))
# These do end sentences often; they go on only before a small letter or a number.
_EITHER = frozenset(["etc", "inc", "ltd", "co", "corp", "a.m", "p.m", "jr", "sr", "al"])
_LONGEST = 40
_SIGN = re.compile(r"\S")
_WORD_BEFORE = re.compile(r"[^\s(\[{\"'“‘/]+$")
_CLAUSE = re.compile("[，、；：](?=.)|[,;:](?=\\s)|\\s[–—-]\\s|——|\n")
_WORD = re.compile(
    "[\u2e80-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003134f]"
    "[，。、；：！？”’）》】」』]*|[^\\s\u2e80-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003134f]+"
)
_CHINESE = re.compile(r"[一-鿿]")
_TERM = re.compile(r"[一-鿿]|[^\W_一-鿿]+")


def prompt_language(text: str) -> str:
    """"zh" for a text with Chinese characters in it, else "en": the language of a question and its prompt."""
    return "zh" if _CHINESE.search(text) else "en"


def terms(text: str) -> list[str]:
    """The words and single Chinese characters of a text, small, in their order."""
    return [term.casefold() for term in _TERM.findall(text)]


def sentences(text: str, start: int, end: int) -> Iterator[Span]:
    """Sentences; no break after abbreviations, initials and list numbers, nor inside decimals and addresses."""
    begin = start
    for match in _END.finditer(text, start, end):
        if match.start() < begin or not _ends(text, begin, match, end):
            continue
        yield from trimmed(text, begin, match.end())
        begin = match.end()
    yield from trimmed(text, begin, end)


def _ends(text: str, begin: int, match: re.Match[str], end: int) -> bool:
    mark = match.group()
    if mark[0] in "。！？；…":
        # "……" in the middle of a sentence goes on with a small letter or a comma.
        return mark[0] != "…" or text[match.end() : match.end() + 1] not in "，、,;abcdefghijklmnopqrstuvwxyz"
    after = _SIGN.search(text, match.end(), end)
    if not after:
        return True
    following = after.group()
    if following.islower():
        return False
    if mark[0] != ".":
        return True
    before = _WORD_BEFORE.search(text, max(begin, match.start() - _LONGEST), match.start())
    word = before.group() if before else ""
    if not word:
        return True
    opens = not _SIGN.search(text, begin, before.start())
    if word.casefold() in _EITHER:
        return not following.isdigit()
    if word.casefold() in _ABBREVIATIONS:
        # "No." and "Fig." stand before what they count; as the last word of a sentence "no" is a word.
        return word.casefold() in ("no", "sat", "sun", "mar", "art", "app", "min", "max") and not (
            following.isdigit() or word[0].isupper()
        )
    if len(word) == 1 and word.isalpha() and word.isupper():
        return word == "I" and following.isupper() and not opens
    # "1." or "2.3." or "a." in front of everything else is a number, not a sentence.
    return not (opens and (re.fullmatch(r"[\dA-Za-z]{1,3}(?:\.\d+)*", word) is not None))


def clauses(text: str, start: int, end: int) -> Iterator[Span]:
    """Parts that end in a comma, colon, semicolon, dash or line end."""
    begin = start
    for match in _CLAUSE.finditer(text, start, end):
        yield from trimmed(text, begin, match.end())
        begin = match.end()
    yield from trimmed(text, begin, end)


def words(text: str, start: int, end: int) -> Iterator[Span]:
    """Words, and CJK characters each with the marks that follow it."""
    for match in _WORD.finditer(text, start, end):
        yield match.span()


def trimmed(text: str, start: int, end: int) -> Iterator[Span]:
    """The span without white space at its ends; nothing when it is all white space."""
    piece = text[start:end]
    left = start + len(piece) - len(piece.lstrip())
    right = start + len(piece.rstrip())
    if left < right:
        yield left, right


__all__ = ["clauses", "sentences", "trimmed", "words"]
