"""Rows of cells → blocks: the tables that stand on a sheet, each as a Markdown table; and CSV and TSV files.

Knows nothing about Excel: a sheet is a list of rows, "" where nothing stands.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence

from tunewise.errors import DataMistake
from tunewise.reading.draft import Block, Draft, assemble, clean, one_line, pipe_table
from tunewise.reading.plain import decode

_NUMBER = re.compile(r"[-+(]?[$€£¥]?\s?\d[\d.,]*\s?[%)]?|\d{4}-\d\d-\d\d.*")
_DELIMITERS = ",;\t|"
_MOST_CELLS = 3_000_000


def table_blocks(rows: Sequence[Sequence[str]], *, page: int | None = None) -> list[Block]:
    """The tables of a sheet in reading order: parted by empty rows and columns, lone cells above as paragraphs."""
    blocks: list[Block] = []
    header: tuple[int, int, list[list[str]]] | None = None
    for left, island in _islands(rows, 0):
        captions, table = _captions(island)
        blocks.extend(Block(caption, page=page) for caption in captions)
        if not table:
            continue
        width = max(map(len, table))
        if width == 1:
            blocks.append(Block("\n".join(one_line(row[0]) for row in table if row[0]), page=page))
            continue
        # After an empty row a table may go on: its first row then holds values, not names.
        valued = any(map(_NUMBER.fullmatch, table[0])) and not captions
        if valued and header and header[0] == left and width <= header[1]:
            header[2].extend(table)
            blocks[-1] = Block(pipe_table(header[2]), page=page)
            continue
        header = (left, width, list(table))
        blocks.append(Block(pipe_table(table), page=page))
    return blocks


def _islands(rows: Sequence[Sequence[str]], left: int) -> Iterator[tuple[int, list[list[str]]]]:
    """(column, rows) of each rectangle that empty rows and columns part from the others, from the top down."""
    width = max(map(len, rows), default=0)
    bands = _runs([any(row) for row in rows])
    for first, last in bands:
        band = [list(row) + [""] * (width - len(row)) for row in rows[first:last]]
        columns = _runs([any(row[column] for row in band) for column in range(width)])
        for start, end in columns:
            part = [row[start:end] for row in band]
            if len(columns) == 1:
                yield left + start, part
            else:
                yield from _islands(part, left + start)


def _runs(filled: Sequence[bool]) -> list[tuple[int, int]]:
    """[start, end) of each run of True."""
    runs: list[tuple[int, int]] = []
    start = None
    for place, full in enumerate([*filled, False]):
        if full and start is None:
            start = place
        elif not full and start is not None:
            runs.append((start, place))
            start = None
    return runs


def _captions(rows: list[list[str]]) -> tuple[list[str], list[list[str]]]:
    """Rows with one cell above a wider table are its captions, not its header."""
    captions = []
    if max(map(len, rows)) > 1:
        while len(rows) > 1 and sum(map(bool, rows[0])) == 1:
            captions.append(one_line("".join(rows[0])))
            rows = rows[1:]
    return captions, rows


# ------------------------------------------------------------------------------------------------ CSV


def read_csv(data: bytes, *, delimiter: str = "") -> Draft:
    """CSV or TSV bytes of any encoding → Draft with one table; the delimiter is told from the rows.

    Raises DataMistake when it is empty, binary or larger than 3 million cells.
    """
    text = clean(decode(data))
    if not text.strip():
        raise DataMistake("the file is empty", tip="fill it or take it away")
    named = re.match(r"sep=(.)\n", text)
    if named:
        delimiter, text = named.group(1), text[named.end() :]
    rows = _rows(text, delimiter or _delimiter(text))
    if not rows:
        raise DataMistake("its cells are empty", tip="fill it or take it away")
    return assemble(table_blocks(rows))


def _rows(text: str, delimiter: str, most: int | None = None) -> list[list[str]]:
    limit = csv.field_size_limit(1 << 24)
    try:
        rows = []
        cells = 0
        for row in csv.reader(io.StringIO(text), delimiter=delimiter, skipinitialspace=delimiter == ","):
            if any(cell.strip() for cell in row):
                rows.append([cell.strip() for cell in row])
            cells += len(row)
            if cells > _MOST_CELLS:
                raise DataMistake(f"it holds more than {_MOST_CELLS:,} cells", tip="split the file")
            if most and len(rows) >= most:
                break
        return rows
    except csv.Error as error:
        raise DataMistake(f"its rows cannot be told apart: {error}", tip="save it again as CSV") from error
    finally:
        csv.field_size_limit(limit)


def _delimiter(text: str) -> str:
    """The sign that cuts most rows into the same number of cells, more than one."""
    best, found = (0.0, 0), ","
    for sign in _DELIMITERS:
        try:
            widths = Counter(map(len, _rows(text[:200_000], sign, 200)))
        except DataMistake:
            continue
        if not widths:
            continue
        width, count = max(widths.items(), key=lambda item: (item[0] > 1, item[1]))
        share = count / widths.total()
        if width > 1 and (round(share, 1), width) > best:
            best, found = (round(share, 1), width), sign
    return found
