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
_YEAR = re.compile(r"(?:19|20)\d\d(?:$|-\d\d-\d\d)")
_DELIMITERS = ",;\t|"
_MOST_CELLS = 3_000_000


def table_blocks(rows: Sequence[Sequence[str]], *, page: int | None = None, apart: bool = True) -> list[Block]:
    """The tables of a sheet in reading order: parted by empty rows, lone cells above them as paragraphs.

    Tables side by side are parted where each could stand alone; every other empty column only makes room. Without
    `apart` all columns are one table, as in a CSV file.
    """
    found: list[str | list[list[str]]] = []
    header: tuple[int, int, list[list[str]]] | None = None
    for left, island in _islands(rows, 0, apart):
        captions, table = _captions(island)
        found.extend(captions)
        if not table:
            continue
        width = max(map(len, table))
        if sum(any(row[column] for row in table) for column in range(width)) == 1:
            found.append("\n".join(one_line("".join(row)) for row in table if any(row)))
            continue
        # After an empty row a table may go on: its first row then holds values, not names.
        valued = any(map(_NUMBER.fullmatch, table[0])) and not captions
        if valued and header and header[0] == left and width <= header[1]:
            if found[-1] is header[2]:
                header[2].extend(table)
                continue
            # Words stand between: a table of its own, under the same names.
            table = [header[2][0], *table]
            width = header[1]
        elif valued and header and len(header[2]) == 1 and found[-1] is header[2] and (
            left <= header[0] and sum(header[:2]) <= left + width
        ):
            # Names above an empty row, and below them values with labels on their left.
            names = [""] * (header[0] - left) + header[2][0]
            table.insert(0, names + [""] * (width - len(names)))
            found.pop()
        header = (left, width, table)
        found.append(table)
    # Only now: a table that goes on after each of many empty rows would be written anew each time.
    return [Block(one if isinstance(one, str) else pipe_table(one), page=page) for one in found]


def _islands(rows: Sequence[Sequence[str]], left: int, apart: bool) -> Iterator[tuple[int, list[list[str]]]]:
    """(column, rows) of each table, from the top down; its rows are of one width."""
    width = max(map(len, rows), default=0)
    bands = _runs([any(row) for row in rows])
    for first, last in bands:
        band = [list(row) + [""] * (width - len(row)) for row in rows[first:last]]
        columns = _runs([any(row[column] for row in band) for column in range(width)])
        columns = _side_by_side(band, columns) if apart else [(columns[0][0], columns[-1][1])]
        for start, end in columns:
            part = [row[start:end] for row in band]
            if len(columns) == 1:
                yield left + start, part
            else:
                yield from _islands(part, left + start, apart)


def _side_by_side(band: Sequence[Sequence[str]], runs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Columns between empty ones, joined again where one of two neighbours could not stand alone.

    To join two tables makes long rows; to tear one apart takes the names from its values.
    """
    joined: list[tuple[int, int]] = []
    for run in runs:
        if joined and not _apart(band, joined[-1], run):
            joined[-1] = joined[-1][0], run[1]
        else:
            joined.append(run)
    return joined


def _apart(band: Sequence[Sequence[str]], *sides: tuple[int, int]) -> bool:
    """Whether both sides are tables of their own: at least two columns wide, in other rows or under other names."""
    if min(end - start for start, end in sides) < 2:
        return False
    one, two = ([place for place, row in enumerate(band) if any(row[start:end])] for start, end in sides)
    if 2 * (min(one[-1], two[-1]) - max(one[0], two[0]) + 1) < min(len(one), len(two)):
        return True
    first, tables = [], []
    for places, (start, end) in zip((one, two), sides, strict=True):
        captions, rows = _captions([list(band[place][start:end]) for place in places])
        if len(rows) < 2 or not _named(rows):
            return False
        first.append(places[len(captions)])
        tables.append(rows[1:])
    if first[0] == first[1]:
        # Values alone have their labels on the other side.
        return not any(all(_is_amount(row[0]) for row in rows if row[0]) for rows in tables)
    # Names beside values begin a table, if it has values of its own: else they are the labels of those beside.
    lower = first.index(max(first))
    beside = band[first[lower]][slice(*sides[1 - lower])]
    return any(map(_is_amount, beside)) and any(_is_amount(cell) for row in tables[lower] for cell in row)


def _named(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row holds a name for each column, years and days beside the first among them."""
    filled = [cell for place, cell in enumerate(rows[0]) if any(row[place] for row in rows)]
    return all(filled) and not _is_value(filled[0]) and not any(map(_is_amount, filled))


def _is_value(cell: str) -> bool:
    return bool(_NUMBER.fullmatch(cell))


def _is_amount(cell: str) -> bool:
    """Whether it is a number that is no year and no day: those are names of rows and columns too."""
    return _is_value(cell) and not _YEAR.match(cell)


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
    """Rows with one cell above a wider table are its captions, unless that cell names the column of values below it."""
    captions = []
    if rows and max(map(len, rows)) > 1:
        while len(rows) > 1 and sum(map(bool, rows[0])) == 1:
            place = next(column for column, cell in enumerate(rows[0]) if cell)
            if place and rows[1][0] and _is_amount(rows[1][place]):
                break
            captions.append(one_line("".join(rows[0])))
            rows = rows[1:]
    return captions, rows


# ------------------------------------------------------------------------------------------------ CSV


def read_csv(data: bytes, *, delimiter: str = "") -> Draft:
    """CSV or TSV bytes of any encoding → Draft with one table; the delimiter is told from the rows.

    Raises DataMistake when it is empty, binary or larger than 3 million cells.
    """
    notes: list[str] = []
    text = clean(decode(data, notes))
    if not text.strip():
        raise DataMistake("the file is empty", tip="fill it or take it away")
    named = re.match(r"sep=(.)\n", text)
    if named:
        delimiter, text = named.group(1), text[named.end() :]
    rows = _rows(text, delimiter or _delimiter(text))
    if not rows:
        raise DataMistake("its cells are empty", tip="fill it or take it away")
    return assemble(table_blocks(rows, apart=False), notes=notes)


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
