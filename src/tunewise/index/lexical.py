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
    "base_tokenizer": "icu", "language": "English", "lower_case": True, "stem": True, "remove_stop_words": True,
    "ascii_folding": True, "max_token_length": 40, "with_position": False,
}
CODES = {
    "base_tokenizer": "whitespace", "language": "English", "lower_case": False, "stem": False,
    "remove_stop_words": False, "ascii_folding": False, "max_token_length": None, "with_position": False,
}
_CODE = re.compile(r"[a-z0-9]+(?:[-_./:#][a-z0-9]+)*")
_PATTERN = _CODE.pattern
FINGERPRINT = fingerprint(["lexical", 1, WORDS, CODES, _PATTERN])


def passage_text(chunk: Chunk) -> str:
    """What is embedded and indexed of a chunk: title, heading and text (its span stays that of the text)."""
    parts = [chunk.title, chunk.heading if chunk.heading != chunk.title else "", chunk.text]
    return "\n".join(part for part in parts if part)


def words(text: str) -> str:
    """The text as the word column sees it: compatibility forms ("ＡＸ", "①") as plain ones."""
    return unicodedata.normalize("NFKC", text)


def codes(text: str) -> str:
    """The codes of a text, whole, lower-case, joined by spaces: tokens with a digit and a letter or an inner sign."""
    found = (match.group() for match in _CODE.finditer(words(text).lower()))
    return " ".join(code for code in found if re.search(r"\d", code) and re.search(r"[^\d]", code))


def query(text: str) -> Any:
    """The full-text query of a question, None when nothing in it can be searched."""
    from lancedb.query import BooleanQuery, MatchQuery, Occur

    if not any(character.isalnum() for character in words(text)):
        return None
    ask = MatchQuery(words(text), "words")
    whole = codes(text)
    return BooleanQuery([(Occur.SHOULD, ask), (Occur.SHOULD, MatchQuery(whole, "codes"))]) if whole else ask
