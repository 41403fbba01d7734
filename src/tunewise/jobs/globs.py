"""Globs over document ids, as `[groups]` and `[max_age_days]` of tunewise.toml have them: one way to match for all.

Knows nothing about what a rule says.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable
from fnmatch import fnmatchcase


def nfc(name: str) -> str:
    """A name as document ids are written: macOS and some archives store accents and kana in two parts."""
    return unicodedata.normalize("NFC", name.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))


def matches(id: str, pattern: str) -> bool:
    """Whether a document's id matches a glob, however the accents of the glob are written."""
    return fnmatchcase(id, nfc(pattern))


def idle(patterns: Iterable[str], ids: Collection[str]) -> list[str]:
    """The patterns that match none of the ids."""
    return [pattern for pattern in patterns if not any(matches(id, pattern) for id in ids)]
