"""PowerPoint (.pptx) → Draft: each slide a page, its title a heading, tables and charts as Markdown, notes at its end.

python-pptx opens the package; text stands in the order in which people read a slide. Knows nothing about other formats.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

from tunewise.errors import DataMistake
from tunewise.reading.charts import chart_text
from tunewise.reading.draft import Block, Draft, assemble, one_line, pipe_table, raised
from tunewise.reading.package import DAMAGED, open_package, tree, without_entities

_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_MATH = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
_DIAGRAM = "http://schemas.openxmlformats.org/drawingml/2006/diagram"
_AGAIN = "open it in PowerPoint and save it again as .pptx"
_DEEPEST = 30
# What stands on every slide: page number, date, footer, header.
_RUNNING = frozenset((13, 14, 15, 16))


def read_slides(data: bytes) -> Draft:
    """PowerPoint bytes → Draft; raises DataMistake for damaged, protected and macro files and for one without text."""
    from lxml.etree import LxmlError
    from pptx import Presentation
    from pptx.exc import PythonPptxError

    without_entities(open_package(data, suffix=".pptx", program="PowerPoint"), program="PowerPoint")
    notes: list[str] = []
    blocks: list[Block] = []
    try:
        presentation = Presentation(io.BytesIO(data))
        for number, slide in enumerate(presentation.slides, 1):
            try:
                blocks.extend(_slide(slide, number))
            except DAMAGED as error:
                notes.append(f"slide {number} could not be read in full: {one_line(str(error))[:80]}")
        title = one_line(presentation.core_properties.title or "")
    except (PythonPptxError, LxmlError, *DAMAGED) as error:
        raise DataMistake(f"the PowerPoint file is damaged: {one_line(str(error))[:120]}", tip=_AGAIN) from error
    if not blocks:
        raise DataMistake(
            "its slides hold no text (only pictures, or nothing)", tip="export it with its text, or take it away"
        )
    # Programs write their own words there.
    if title.lower() in ("powerpoint presentation", "powerpoint 演示文稿", "演示文稿", "presentation"):
        title = ""
    return assemble(blocks, title=title, notes=notes)


def _slide(slide: Any, number: int) -> Iterator[Block]:
    title = slide.shapes.title
    name = one_line(_frame(title.text_frame)) if title is not None and title.has_text_frame else ""
    if name:
        yield Block(name, level=1, page=number)
    for shape in _ordered(slide.shapes):
        if title is None or shape.shape_id != title.shape_id:
            for block in _shape(shape, 0):
                yield Block(block, page=number)
    spoken = slide.notes_slide.notes_text_frame if slide.has_notes_slide else None
    if spoken is not None and (text := _frame(spoken)):
        yield Block(f"Notes: {text}", page=number)


def _ordered(shapes: Any) -> list[Any]:
    """From the top down; what begins at about the same height from the left to the right."""
    # A tenth of a slide counts as one height (slides are 7.5 inches high, 914,400 units each).
    band = 685_800
    return sorted(shapes, key=lambda shape: (int(shape.top or 0) // band, int(shape.left or 0)))


def _shape(shape: Any, depth: int) -> Iterator[str]:
    if depth > _DEEPEST:
        raise ValueError("its groups are nested too deeply")
    if shape.is_placeholder and shape.placeholder_format.type in _RUNNING:
        return
    if hasattr(shape, "shapes"):
        for inner in _ordered(shape.shapes):
            yield from _shape(inner, depth + 1)
    elif shape.has_text_frame:
        if text := _frame(shape.text_frame):
            yield text
    elif getattr(shape, "has_table", False) and shape.has_table:
        if table := _table(shape.table):
            yield table
    elif getattr(shape, "has_chart", False) and shape.has_chart:
        yield from chart_text(shape.chart._chartSpace)
    elif (diagram := shape.element.find(f".//{{{_DIAGRAM}}}relIds")) is not None:
        if text := _diagram(shape, diagram):
            yield text
    else:
        # A picture has only what its author wrote about it; file names say nothing.
        described = one_line(shape.element.xpath("string(.//p:cNvPr/@descr)"))
        if described and "." not in described[-6:-1]:
            yield described


def _frame(frame: Any) -> str:
    """Paragraphs of a text frame, one a line; indented ones as list items."""
    lines = []
    for paragraph in frame.paragraphs:
        if text := _paragraph(paragraph._p):
            properties = paragraph._p.find(_A + "pPr")
            bullet = properties is not None and (
                properties.find(_A + "buChar") is not None or properties.find(_A + "buAutoNum") is not None
            )
            lines.append(f"{'  ' * paragraph.level}- {text}" if bullet or paragraph.level else text)
    return "\n".join(lines)


def _paragraph(element: Any) -> str:
    parts = []
    for part in element.iter(_A + "t", _A + "br", _MATH + "t"):
        if part.tag == _A + "br":
            parts.append("\n")
            continue
        properties = part.getparent().find(_A + "rPr")
        lifted = properties is not None and (properties.get("baseline") or "0").lstrip("+").isdigit()
        above = lifted and int(properties.get("baseline") or "0") > 0
        parts.append(raised(part.text or "") if above else part.text or "")
    return "".join(parts).replace("\x0b", "\n").strip()


def _table(table: Any) -> str:
    rows: list[list[str]] = []
    for row in table.rows:
        cells: list[str] = []
        for column, cell in enumerate(row.cells):
            if cell.is_spanned:
                # Below a merged cell its label is repeated, so that a row can be read alone.
                above = cell._tc.vMerge and rows and column < len(rows[-1])
                cells.append(rows[-1][column] if above else "")
            else:
                cells.append(_frame(cell.text_frame))
        rows.append(cells)
    if len(rows) == 1 or max(map(len, rows), default=0) == 1:
        return "\n".join(cell for row in rows for cell in row if cell)
    return pipe_table(rows)


def _diagram(shape: Any, relations: Any) -> str:
    part = shape.part.related_part(relations.get(_R + "dm"))
    return "\n".join(filter(None, (_paragraph(paragraph) for paragraph in tree(part.blob).iter(_A + "p"))))
