"""Excel (.xlsx, .xlsb, .xls) and OpenDocument (.ods) → Draft: each sheet a page and a heading, its tables as Markdown.

calamine reads the cells; formulas give the value that was saved with them. Knows nothing about other formats.
"""

from __future__ import annotations

import datetime
import io
import re
import zipfile
from typing import Any

from tunewise.errors import DataMistake
from tunewise.reading.draft import Block, Draft, assemble, one_line
from tunewise.reading.package import open_package, tree, without_entities
from tunewise.reading.tables import table_blocks

_MOST_CELLS = 3_000_000
_S = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_PERCENT = {"9": 0, "10": 2}
"""Excel's own formats for percentages: number → places after the point."""


def read_sheets(data: bytes, suffix: str) -> Draft:
    """The bytes of a workbook → Draft; hidden sheets are read too.

    Raises DataMistake when it is damaged, protected, holds no text or more than 3 million cells.
    """
    import python_calamine as calamine

    package = None
    if suffix == ".xls":
        if not data.startswith(b"\xd0\xcf\x11\xe0"):
            raise DataMistake(
                "it is no .xls file" if data else "the file is empty (0 bytes)",
                tip="open it in Excel and save it again as .xlsx",
            )
    else:
        package = open_package(data, suffix=suffix, program="Excel")
        without_entities(package, program="Excel")
    try:
        workbook = calamine.CalamineWorkbook.from_filelike(io.BytesIO(data))
        percents = _percents(package) if package and suffix == ".xlsx" else {}
        kinds = {sheet.name: sheet.typ for sheet in workbook.sheets_metadata}
        blocks: list[Block] = []
        notes: list[str] = []
        cells = 0
        for page, name in enumerate(workbook.sheet_names, 1):
            try:
                sheet = workbook.get_sheet_by_name(name)
            except calamine.WorksheetNotFound:
                sheet = None
            if sheet is None or kinds.get(name) == calamine.SheetTypeEnum.ChartSheet:
                notes.append(f"its sheet {name!r} has no cells (a chart) and is not read")
                continue
            cells += sheet.total_height * sheet.total_width
            if cells > _MOST_CELLS:
                raise DataMistake(f"it holds more than {_MOST_CELLS:,} cells", tip="split the workbook")
            rows = _rows(sheet, percents.get(name, {}))
            found = table_blocks(rows, page=page)
            if found:
                blocks.append(Block(name, level=1, page=page))
                blocks.extend(found)
    except calamine.PasswordError as error:
        raise DataMistake("it is protected by a password", tip="save it without a password") from error
    except BaseException as error:
        # ZipError, XmlError and the like are kinds of CalamineError. A panic of its Rust code, which damaged .xls and
        # .xlsb files bring about, is no Exception and has no name that could be imported.
        panicked = type(error).__name__ == "PanicException"
        if not (panicked or isinstance(error, (calamine.CalamineError, ValueError, OSError))):
            raise
        raise DataMistake(
            f"the workbook is damaged: {one_line(str(error))[:120]}", tip="open it in Excel and save it again as .xlsx"
        ) from error
    if not blocks:
        raise DataMistake("its sheets hold no text", tip="fill it or take it away")
    return assemble(blocks, title=_title(package), notes=notes)


def _rows(sheet: Any, percents: dict[tuple[int, int], int]) -> list[list[str]]:
    top, left = sheet.start or (0, 0)
    rows = [
        [_written(value, percents.get((row, column))) for column, value in enumerate(values, left)]
        for row, values in enumerate(sheet.iter_rows(), top)
    ]
    for (first, start), (last, _) in sheet.merged_cell_ranges or ():
        # Rows are read alone: a label over several of them is repeated. Over columns it stands in the first.
        if first == last or first < top or start < left or first - top >= len(rows):
            continue
        text = rows[first - top][start - left] if start - left < len(rows[first - top]) else ""
        for row in rows[first - top + 1 : last - top + 1]:
            if start - left < len(row) and not row[start - left]:
                row[start - left] = text
    return rows


def _written(value: Any, places: int | None = None) -> str:
    """A value as people write it: 3.0 is "3", midnight is no time of day, a share in a percent cell is "15%"."""
    if isinstance(value, str):
        return one_line(value)
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, (int, float)):
        if places is not None:
            return f"{value * 100:.{places}f}%"
        # Sums of decimals carry the noise of binary numbers: Excel shows 15 digits and so do we.
        return f"{value:.15g}" if abs(value) < 1e15 or isinstance(value, float) else str(value)
    if isinstance(value, datetime.datetime):
        return value.strftime("%Y-%m-%d" if value.time() == datetime.time() else "%Y-%m-%d %H:%M:%S")
    return str(value)


# ------------------------------------------------------------------------------------------------ percentages


def _percents(package: zipfile.ZipFile) -> dict[str, dict[tuple[int, int], int]]:
    """{sheet: {(row, column): places}} of the cells that show percentages; calamine gives their bare number."""
    names = set(package.namelist())
    if "xl/styles.xml" not in names or "xl/workbook.xml" not in names:
        return {}
    styles = tree(package.read("xl/styles.xml"))
    formats = dict(_PERCENT)
    for own in styles.iter(_S + "numFmt"):
        # Only plain ones: 0.0% and the like; a text in quotes may hold the sign too.
        if plain := re.fullmatch(r"[#,0]*0(?:\.(0+))?\\?\s?%(?:;.*)?", own.get("formatCode") or ""):
            formats[own.get("numFmtId") or ""] = len(plain.group(1) or "")
    cell_styles = styles.find(_S + "cellXfs")
    wanted = {
        str(number): formats[style.get("numFmtId")]
        for number, style in enumerate(cell_styles if cell_styles is not None else ())
        if style.get("numFmtId") in formats
    }
    if not wanted or "xl/_rels/workbook.xml.rels" not in names:
        return {}
    targets = {
        relation.get("Id"): "xl/" + (relation.get("Target") or "").removeprefix("/xl/").removeprefix("xl/")
        for relation in tree(package.read("xl/_rels/workbook.xml.rels"))
    }
    found = {}
    for sheet in tree(package.read("xl/workbook.xml")).iter(_S + "sheet"):
        part = targets.get(sheet.get(_R + "id"), "")
        if part in names:
            found[sheet.get("name") or ""] = _percent_cells(package, part, wanted)
    return found


def _percent_cells(package: zipfile.ZipFile, part: str, wanted: dict[str, int]) -> dict[tuple[int, int], int]:
    """Cells of the wanted styles. Found by their spelling: a tree of a large sheet would take seconds."""
    xml = package.read(part)
    cells: dict[tuple[int, int], int] = {}
    for cell in re.finditer(rb"<c\s([^>]*)>", xml):
        style = re.search(rb'\bs="(\d+)"', cell.group(1))
        place = re.search(rb'\br="([A-Z]{1,3})(\d{1,7})"', cell.group(1))
        if style and place and style.group(1).decode() in wanted:
            column = 0
            for letter in place.group(1):
                column = column * 26 + letter - 64
            cells[int(place.group(2)) - 1, column - 1] = wanted[style.group(1).decode()]
    return cells


def _title(package: zipfile.ZipFile | None) -> str:
    if package is None or "docProps/core.xml" not in package.namelist():
        return ""
    for element in tree(package.read("docProps/core.xml")):
        if isinstance(element.tag, str) and element.tag.endswith("}title"):
            return element.text or ""
    return ""
