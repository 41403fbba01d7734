"""Pages that are pictures → lines, through OCR: scanned pages of a PDF, and picture files as documents.

Knows how a page becomes a picture and what a recognised line becomes; `ocr.py` knows the library.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from tunewise.errors import DataMistake
from tunewise.reading import ocr
from tunewise.reading.draft import Draft, Tell, assemble, pipe_table
from tunewise.reading.lines import Line, blocks_of, without_running_lines

_MOST_PAGES = 500
_FEW, _PART = 30, 0.2
_STAMP, _MOST = 250, 0.6
"""Letters of a page below which it is a scan when pictures cover at least that share of it."""
_LONG_SIDE = 1800
"""Pixels of the longer side of a page: about 150 for an inch of a letter or A4 page."""


def is_scan(letters: int, covered: float) -> bool:
    """Whether a page is a picture of text: so many letters of its own, and pictures on that share of it.

    A scan may bear a stamp, a Bates number or the header of a court, which are text.
    """
    return covered > 0 and (
        letters == 0 or (letters < _FEW and covered >= _PART) or (letters < _STAMP and covered >= _MOST)
    )


def scan_notes(pages: Sequence[int], some: bool) -> list[str]:
    """What to say of scanned pages that were not recognised; `some`: others of the same file were."""
    if not pages:
        return []
    if some:
        way = f"only the first {_MOST_PAGES} scanned pages of a file are recognised: split it"
    else:
        way = "pip install 'tunewise[ocr]' to have it recognised"
    return [f"{numbers(pages)} without text (a scan), or with little more than a stamp: {way}"]


def numbers(pages: Sequence[int]) -> str:
    """ "page 3 is" or "pages 1–20, 25 are"; 12 ranges at most."""
    ranges: list[list[int]] = []
    for page in pages:
        if ranges and page == ranges[-1][1] + 1:
            ranges[-1][1] = page
        else:
            ranges.append([page, page])
    shown = ", ".join(str(first) if first == last else f"{first}–{last}" for first, last in ranges[:12])
    more = sum(last - first + 1 for first, last in ranges[12:])
    return f"page {shown} is" if len(pages) == 1 else f"pages {shown}{f' and {more} more' if more else ''} are"


def recognise_pages(document: Any, numbers: Sequence[int], tell: Tell | None) -> dict[int, list[Line]]:
    """{page number: lines} of those pages of a pdfium document; empty without the extra `ocr`.

    Only the first 500 pages are recognised: one takes seconds.
    """
    if not numbers or not ocr.available():
        return {}
    found = {}
    for number in numbers[:_MOST_PAGES]:
        lines, _, height = seen_on(document[number - 1])
        found[number] = _lines(lines, number, height)
        if tell:
            tell()
    return found


def seen_on(page: Any) -> tuple[list[ocr.Seen], float, float]:
    """The lines recognised on a pdfium page in points from its top left, and its width and height."""
    width, height = page.get_size()
    scale = min(4.0, _LONG_SIDE / max(width, height, 1.0))
    picture = page.render(scale=scale, may_draw_forms=False).to_pil()
    return [one.scaled(1 / scale) for one in ocr.recognise(picture)], width, height


def read_picture(data: bytes, tell: Tell | None = None) -> Draft:
    """The bytes of a picture file → Draft, one page for each of its pictures.

    Raises MissingExtra without the extra `ocr`; DataMistake when it is damaged, too large, or without text.
    """
    picture = ocr.open_picture(data)
    pages = []
    for number, frame in enumerate(ocr.frames(picture), 1):
        pages.append(_lines(ocr.recognise(frame), number, frame.height))
        if tell:
            tell()
    if not any(pages):
        raise DataMistake("no text was recognised in the picture", tip="take it away, or describe it in a text file")
    return assemble(blocks_of(without_running_lines(pages), {}))


def _lines(seen: Sequence[ocr.Seen], number: int, height: float) -> list[Line]:
    """Recognised lines as lines of a page, rows with cells as tables.

    All but plainly larger ones have one size: the boxes of equal letters differ by a few pixels.
    """
    usual = statistics.median([one.bottom - one.top for one in seen]) if seen else 0.0
    lines: list[Line] = []
    before: ocr.Seen | None = None
    for group in _groups(seen):
        first, last = group[0], group[-1]
        # A row close above without cells is one whose cells were seen as one: then the first is not the header.
        whole = before is None or first.top - before.bottom > 0.8 * (first.bottom - first.top)
        before = last
        size = first.bottom - first.top
        text = _table(group, whole) if first.cells else first.text
        lines.append(
            Line(
                text, number, left=first.left, bottom=height - last.bottom,
                right=max(one.right for one in group), top=height - first.top, base=height - last.bottom,
                size=round(size if size > 1.4 * usual else usual, 1), bold=False, table=bool(first.cells),
            )
        )
    return lines


def _groups(seen: Sequence[ocr.Seen]) -> list[list[ocr.Seen]]:
    """Neighbouring rows with cells together, every other line alone."""
    groups: list[list[ocr.Seen]] = []
    for one in seen:
        if one.cells and groups and groups[-1][-1].cells:
            groups[-1].append(one)
        else:
            groups.append([one])
    return groups


def _table(rows: Sequence[ocr.Seen], whole: bool) -> str:
    """Rows as a pipe table where all are there and their cells stand below one another; else one row a line."""
    columns: list[list[float]] = []
    for _, left, right in sorted((cell for row in rows for cell in row.cells), key=lambda cell: cell[1]):
        if columns and left < columns[-1][1]:
            columns[-1][1] = max(columns[-1][1], right)
        else:
            columns.append([left, right])
    if whole and len(rows) > 1 and len(columns) > 1:
        grid = [
            [" ".join(text for text, left, _ in row.cells if start <= left < end) for start, end in columns]
            for row in rows
        ]
        # Cells that reach over several columns make one of them: then it is no table that can be told.
        if all(sum(map(bool, row)) == len(one.cells) for row, one in zip(grid, rows, strict=True)):
            return pipe_table(grid)
    return "\n".join("  ".join(text for text, _, _ in row.cells) for row in rows)
