"""What the full-text side indexes and asks: one object for both sides, so that they cannot differ.

LanceDB's `icu` tokenizer segments words of every language without dictionary files and stems English; it splits codes
("AX-200/B" → ax, 200, b), so these also stand whole in a column of their own. Knows nothing about tables or files.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from tunewise.nouns import Chunk
from tunewise.store import fingerprint

WORDS = {
    "base_tokenizer": "icu", "language": "English", "lower_case": True, "stem": True,
    # Its list of stop words is that of many languages at once: "war", "door" and "hat" would be found nowhere.
    "remove_stop_words": False, "ascii_folding": True, "max_token_length": 40, "with_position": False,
}
CODES = {
    "base_tokenizer": "whitespace", "language": "English", "lower_case": False, "stem": False,
    "remove_stop_words": False, "ascii_folding": False, "max_token_length": None, "with_position": False,
}
_CODE = re.compile(r"[a-z0-9]+(?:[-_./:#][a-z0-9]+)*")
_PATTERN = _CODE.pattern
FINGERPRINT = fingerprint(["lexical", 2, WORDS, CODES, _PATTERN])

_STOP = frozenset(
    """
    a about after again all also am an and any are as at be been before being between both but by can could did do does
    doing during each for from had has have having he her here hers him his how i if in into is it its itself just may
    me might more most must my no nor not of off on once only or other our out over own same shall she should so some
    such than that the their theirs them then there these they this those through to too under until up upon us very was
    we were what when where which while who whom whose why will with would you your yours
    """.split()  # noqa: SIM905 - a list of a hundred quoted words is no better to read
)
"""Left out of English questions, never out of passages: they would only rank long passages before short ones."""
_ENGLISH_WORD = re.compile(r"(?<![\w\-/])[A-Za-z]+(?:['’][a-z]{1,2})?(?![\w\-/])")


def passage_text(chunk: Chunk) -> str:
    """What is embedded and indexed of a chunk: title, heading and text (its span stays that of the text)."""
    parts = [chunk.title, chunk.heading if chunk.heading != chunk.title else "", chunk.text]
    return "\n".join(part for part in parts if part)


def words(text: str) -> str:
    """The text as the word column sees it: compatibility forms ("ＡＸ", "①") as plain ones."""
    return unicodedata.normalize("NFKC", text)


def codes(text: str) -> str:
    """The codes of a text, whole, lower-case, joined by spaces: tokens with a digit and a letter or an inner sign."""
    found = _CODE.findall(words(text).lower())
    # Nearly all are words or numbers: those are told without a pattern.
    return " ".join(
        code for code in found if not code.isalpha() and not code.isdecimal() and any(map(str.isdecimal, code))
    )


def query(text: str) -> Any:
    """The full-text query of a question, None when nothing in it can be searched."""
    from lancedb.query import BooleanQuery, MatchQuery, Occur

    content = _ENGLISH_WORD.sub(lambda match: " " if match.group().casefold() in _STOP else match.group(), words(text))
    if not any(character.isalnum() for character in content):
        return None
    ask = MatchQuery(content, "words")
    whole = codes(text)
    return BooleanQuery([(Occur.SHOULD, ask), (Occur.SHOULD, MatchQuery(whole, "codes"))]) if whole else ask
