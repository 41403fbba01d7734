"""Distance of an answer's style from examples that its question's rule `style` gives (a list of at least two texts).

Knows nothing about content: lengths, sentences, marks, digits, capitals, lists, first and second person. A profile of
such counts says "as short and dry as these", in English and Chinese; it does not say "as witty".
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from tunewise.scorers.text import CJK, words
from tunewise.sentences import sentences

_PERSON = re.compile(r"\b(?:i|we|you|your|our|my|us|me)\b|[我您你]|咱们", re.IGNORECASE)
_MARKS = (re.compile(r"[,，、;；:：]"), re.compile(r"[!！?？]"), re.compile(r"[()（）\[\]【】\"“”「」『』]"),
          re.compile(r"\d"), re.compile(r"[A-Z]"), re.compile(rf"[^\W\d_{CJK}]"))


def profile(text: str) -> tuple[float, ...]:
    """What is counted of a text: logarithms of lengths, and rates per word or character."""
    count, size = max(1, words(text)), max(1, len(text.strip()))
    spans = list(sentences(text, 0, len(text)))
    lines = [line for line in text.splitlines() if line.strip()]
    return (
        math.log(count),
        math.log(max(1, count / max(1, len(spans)))),
        math.log(max(1, len(lines))),
        *(len(mark.findall(text)) / size * 10 for mark in _MARKS),
        len(_PERSON.findall(text)) / count * 10,
        float(bool(re.match(r"\s*(?:[-*•]|\d+[.)、])\s", text))),
        float(text.rstrip()[-1:] in ".。!！?？"),
    )


@lru_cache(maxsize=1024)
def _wanted(examples: tuple[str, ...]) -> tuple[tuple[float, float], ...]:
    columns = list(zip(*map(profile, examples), strict=True))
    means = [sum(column) / len(column) for column in columns]
    return tuple(
        (mean, math.sqrt(sum((value - mean) ** 2 for value in column) / len(column)))
        for mean, column in zip(means, columns, strict=True)
    )


def style_distance(text: str, examples: Sequence[str]) -> float:
    """0 (like the examples) to 1: the root mean square over the counts of (d − 1) / d, where it is positive; d is the
    distance from the examples' mean in their standard deviations, each taken as at least 0.25."""
    found = [abs(value - mean) / max(0.25, sd) for value, (mean, sd) in zip(
        profile(text), _wanted(tuple(examples)), strict=True)]
    return math.sqrt(sum((max(0.0, d - 1) / max(1.0, d)) ** 2 for d in found) / len(found))


def style_scores(text: str, rules: Sequence[tuple[str, Any]]) -> dict[str, float]:
    """`style_distance`, where the question has the rule `style` and the answer is not empty."""
    examples = dict(rules).get("style")
    return {"style_distance": style_distance(text, examples)} if examples and text.strip() else {}
