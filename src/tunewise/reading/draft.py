"""What a format reader hands over: blocks in reading order; and how blocks become one text with exact spans.

Knows the house's form of text (NFC, "\\n", no NUL) and nothing about files or formats.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from tunewise.nouns import Heading, Page

# Everything that Python or Unicode takes for a line end becomes "\n"; NUL and half surrogates cannot be stored at all.
_LINE_ENDS = re.compile("\r\n|[\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_UNSTORABLE = re.compile("[\ud800-\udfff]")


def clean(text: str) -> str:
    """The house's form of text: NFC, "\\n" line ends, no NUL, no byte order mark in front."""
    text = _LINE_ENDS.sub("\n", text.removeprefix("\ufeff")).replace("\0", "")
    return unicodedata.normalize("NFC", _UNSTORABLE.sub("\ufffd", text))


def one_line(text: str) -> str:
    """The text with every run of white space as one space."""
    return " ".join(text.split())


Tell = Callable[..., None]
"""Slow but honest work goes on: `tell()` starts the clock of the file anew, `tell(seconds)` gives that much back."""


@dataclass(slots=True)
class Block:
    """A paragraph, table or heading (`level` 1 to 6; 0: none); `page` is where it starts.

    `turns` are (offset in `text`, page) where a paragraph runs on over a page break.
    """

    text: str
    level: int = 0
    page: int | None = None
    turns: tuple[tuple[int, int], ...] = ()


@dataclass(slots=True)
class Draft:
    """A text with its spans, before it has an identity; `notes` say what could not be read of it."""

    text: str
    title: str = ""
    headings: tuple[Heading, ...] = ()
    pages: tuple[Page, ...] = ()
    notes: list[str] = field(default_factory=list)


def assemble(blocks: Iterable[Block], *, title: str = "", notes: Sequence[str] = ()) -> Draft:
    """Join blocks by blank lines; headings stand on their own lines, pages are spans that touch one another.

    A page without text has no span, because spans are never empty.
    """
    parts: list[str] = []
    headings: list[Heading] = []
    starts: dict[int, int] = {}
    position = 0
    for block in blocks:
        text = clean(block.text).strip("\n")
        # Offsets of page breaks hold for the text that they were counted in, and for no other.
        turns = block.turns if text == block.text else ()
        if block.level:
            text = one_line(text)
        if not text.strip():
            continue
        if parts:
            parts.append("\n\n")
            position += 2
        if block.page is not None:
            starts.setdefault(block.page, position)
        for offset, page in turns:
            starts.setdefault(page, position + offset)
        if block.level:
            headings.append(Heading(min(block.level, 6), text, position, position + len(text)))
        parts.append(text)
        position += len(text)
    text = "".join(parts)
    ordered = sorted(starts.items(), key=lambda item: (item[1], item[0]))
    ends = [start for _, start in ordered[1:]] + [len(text)] * bool(ordered)
    pages = tuple(Page(n, start, end) for (n, start), end in zip(ordered, ends, strict=True) if end > start)
    if not title and headings:
        title = min(headings, key=lambda heading: (heading.level, heading.start)).title
    return Draft(text, one_line(clean(title)), tuple(headings), pages, list(notes))


_RAISED = str.maketrans("0123456789+-=()ni", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿⁱ")
_RAISABLE = frozenset("0123456789+-=()ni−")


def raised(text: str) -> str:
    """A superscript as signs that keep the meaning: 10 and a raised 6 are "10⁶", never "106"."""
    if text and set(text) <= _RAISABLE and not text.startswith("("):
        return text.replace("−", "-").translate(_RAISED)
    return text


_MOST_COLUMNS = 2000


def grid(rows: Iterable[Sequence[tuple[str, int, int]]]) -> list[list[str]]:
    """Rows of (text, columns, rows) → cells in their columns.

    A cell over several rows is repeated in each: a row that is read alone keeps its label, and no value slips into
    another column. A cell over several columns stands in the first. Rows end after 2,000 columns.
    """
    result: list[list[str]] = []
    hanging: dict[int, tuple[str, int]] = {}
    for row in rows:
        due, hanging = hanging, {}
        cells: list[str] = []
        pending = list(row)
        furthest = max(due, default=-1)
        while (pending or furthest >= len(cells)) and len(cells) < _MOST_COLUMNS:
            column = len(cells)
            if column in due:
                text, left = due[column]
                cells.append(text)
                if left > 1:
                    hanging[column] = (text, left - 1)
                continue
            text, width, height = pending.pop(0) if pending else ("", 1, 1)
            for offset in range(min(width, 60)):
                cells.append("" if offset else text)
                if height > 1:
                    hanging[column + offset] = (cells[-1], min(height, 2000) - 1)
        result.append(cells)
    return result


def pipe_table(rows: Sequence[Sequence[str]]) -> str:
    """A Markdown pipe table; the first row is its header. Empty rows and columns are left out."""
    grid = [[one_line(cell).replace("|", "\\|") for cell in row] for row in rows]
    grid = [row for row in grid if any(row)]
    width = max((len(row) for row in grid), default=0)
    grid = [row + [""] * (width - len(row)) for row in grid]
    kept = [column for column in range(width) if any(row[column] for row in grid)]
    if not kept:
        return ""
    lines = ["| " + " | ".join(row[column] for column in kept) + " |" for row in grid]
    lines.insert(1, "|" + " --- |" * len(kept))
    return "\n".join(lines)
