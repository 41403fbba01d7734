"""Why a citation was not verified, in both languages: the reasons of the checks are kept in English with every answer.

A table and nothing else; what stands behind a colon is quoted from an answer or a passage and stays as it is.
"""

from __future__ import annotations

import re

from tunewise.reports.words import Say

_REASONS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.DOTALL), chinese)
    for pattern, chinese in (
        (r"not in the passage: (.*)", r"段落中没有：\1"),
        (r"only (\d+%) of its character pairs are in the passage", r"只有 \1 的字对在段落中"),
        (r"it says nothing that could be checked", "没有可核对的内容"),
        (r"the passage says the opposite: (.*)", r"段落说法相反：\1"),
        (r"there is no passage (\d+): only (\d+) were supplied", r"没有第 \1 段：只提供了 \2 段"),
        (r"there is no passage (\d+): none was supplied", r"没有第 \1 段：未提供段落"),
        (r"it names none of the documents", "未指向任何文档"),
        (r"its span is outside of the document", "位置超出文档"),
        (r"its quote does not stand in the document", "引文不在文档中"),
        (r"the document has no passages", "该文档没有段落"),
    )
)


def why(reason: str) -> Say:
    """A reason in both languages; one that is not known stays as it is."""
    for pattern, chinese in _REASONS:
        if found := pattern.fullmatch(reason):
            return Say(reason, found.expand(chinese))
    return Say(reason, reason)
