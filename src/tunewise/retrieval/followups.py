"""A follow-up question → one that stands alone, from what was asked before.

Rules in English and Chinese, no model: a small model rewrites questions worse than it answers them. A question that
leans on what came before (a pronoun, "and …?", two words) is asked together with the last question that stands alone
and the last two asked since; any other is left as it is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_OPENS = re.compile(
    r"^\s*(and|but|or|so|then|also|what about|how about|what if|why(\s+not)?\s*\?|which ones?|same|else|really|even|"
    r"那|那么|还有|另外|为什么[？?]?$|如果|要是|呢|然后|其中|同样)(\b|(?<=[一-鿿]))",
    re.IGNORECASE,
)
_POINTS = re.compile(
    r"\b(it|its|they|them|their|theirs|he|she|him|her|his|the same|former|latter)\b"
    # Not "the deposit that I pay", which points to the deposit.
    r"|\b(this|these|those)\b|\b(about|with|does|did|do|is|was|can|will|for|like|than) that\b|\bthat\W*$"
    # Not "is there a fee" or "there is", which ask whether one exists.
    r"|(?<!is )(?<!are )(?<!was )(?<!were )\bthere\b(?! (?:is|are|was|were)\b)"
    # 该 before what it names, not 应该 and not 该怎么.
    r"|[它他她]们?|这[个些样]|那[个些样]|(?<!应)该(?=[产设商订合规文项机手客服公部型])|上述|前者|后者|其[中他余]|此[项类次外前后]",
    re.IGNORECASE,
)
_WORD = re.compile(r"[一-鿿]|[^\W_一-鿿]+")
SHORT, POINTING = 3, 12
"""Words (Chinese: characters) up to which a question leans anyway, and up to which a pronoun points outside of it."""

_SINCE = 2
"""So many of the questions asked since are joined: more would draw away from the question itself."""


def leans(question: str) -> bool:
    """Whether a question cannot be understood without the one before."""
    words = _WORD.findall(question)
    chinese = sum("一" <= word <= "鿿" for word in words) > len(words) / 2
    size = len(words) / 2 if chinese else len(words)
    if size <= SHORT or _OPENS.search(question) or (chinese and re.search(r"呢[？?]?\s*$", question)):
        return True
    return size <= POINTING and bool(_POINTS.search(question))


def understood(question: str, before: Sequence[str]) -> str:
    """The question as it is to be asked; `before` are the earlier questions of the conversation, oldest first."""
    if not before or not leans(question):
        return question
    first = next((i for i in range(len(before) - 1, -1, -1) if not leans(before[i])), 0)
    since = before[first + 1 :][-_SINCE:]
    return " ".join(text.strip() for text in (before[first], *since, question))
