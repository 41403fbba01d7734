"""Ruled tables of a PDF → pipe tables in the place of their lines, with pdfplumber.

Knows which cells a table has and nothing about paragraphs; what pdfium read of a page stays what its words are.
"""

from __future__ import annotations

import io
import logging
import re
import time
from collections.abc import Sequence
from typing import Any

from tunewise.reading.draft import Tell, pipe_table
from tunewise.reading.lines import Line

_MOST_PAGES = 400
_USUAL = 1.0
"""Seconds of a page whose time is given back: with the most pages, a file made to be slow costs these minutes more."""


def put_tables(
    data: bytes, password: str | None, pages: list[list[Line]], wanted: Sequence[int], tell: Tell | None = None
) -> list[str]:
    """Replace the lines inside each ruled table by one pipe table, where no word would be lost by it.

    `wanted` are indexes of pages with ruled lines; the first 400 are looked at. `tell` is given the seconds of each
    page that took no more than one. Returns notes: what kept it from doing so.
    """
    import pdfplumber

    logging.getLogger("pdfminer").setLevel(logging.ERROR)
    try:
        with pdfplumber.open(io.BytesIO(data), password=password or "") as plumber:
            for index in wanted[:_MOST_PAGES]:
                if index >= len(pages):
                    continue
                started = time.monotonic()
                _tables_of(plumber.pages[index], pages[index], index + 1)
                took = time.monotonic() - started
                # A long report is no attack: only pages that are slow themselves use up what its file may take.
                if tell and took <= _USUAL:
                    tell(took)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - pdfminer stumbles over damage that pdfium mends; its errors have no kind
        return [f"its tables stand as plain lines: the file is damaged ({type(error).__name__})"]
    if beyond := wanted[_MOST_PAGES:]:
        return [
            f"from page {beyond[0] + 1} on its tables stand as plain lines: "
            f"only the first {_MOST_PAGES} pages with tables are looked at"
        ]
    return []


def _tables_of(page: Any, lines: list[Line], number: int) -> None:
    if page.rotation:
        return
    left, top = page.bbox[0], page.bbox[3]
    for table in page.find_tables():
        rows = [[cell or "" for cell in row] for row in table.extract()]
        filled = sum(bool(cell.strip()) for row in rows for cell in row)
        if len(rows) < 2 or max(map(len, rows)) < 2 or filled * 2 < sum(map(len, rows)) or filled < 4:
            continue
        x0, y0, x1, y1 = table.bbox
        _swap(lines, (x0 + left - page.bbox[0], top - y1, x1, top - y0), rows, number)
    page.close()


def _swap(lines: list[Line], box: tuple[float, float, float, float], rows: list[list[str]], number: int) -> None:
    left, bottom, right, top = box
    inside = [
        i
        for i, line in enumerate(lines)
        if bottom - 1 <= (line.bottom + line.top) / 2 <= top + 1 and left - 2 <= line.left and line.right <= right + 2
    ]
    table = pipe_table([[_squeeze(cell) for cell in row] for row in rows])
    if not inside or not table:
        return
    flowing = re.findall(r"\w", "".join(lines[i].text for i in inside))
    tabled = re.findall(r"\w", table)
    largest = max((len(cell) for row in rows for cell in row), default=0)
    if largest > 150 and largest * 2 > sum(len(cell) for row in rows for cell in row):
        # A frame around running text, not a table.
        return
    # Letters, not words: pdfium and pdfminer put their spaces differently.
    if len(flowing) > len(tabled) * 1.02 + 2 or len(tabled) > len(flowing) * 1.05 + 4:
        return
    first = inside[0]
    kept = [line for i, line in enumerate(lines) if i not in set(inside)]
    place = sum(1 for i in range(first) if i not in set(inside))
    kept.insert(place, Line(table, number, left, bottom, right, top, bottom, 0.0, False, table=True))
    lines[:] = kept


def _squeeze(cell: str) -> str:
    """A cell's lines joined: without a space between Chinese characters, with one elsewhere."""
    return re.sub(r"(?<=[\u3000-\u9fff\uff00-\uffef])\n(?=[\u3000-\u9fff\uff00-\uffef])", "", cell).replace("\n", " ")
