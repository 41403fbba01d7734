"""Word (.docx) → Draft: paragraphs, headings and tables in document order, footnotes at the end.

python-docx opens the package and resolves styles; the body is walked here, because its own `paragraph.text` leaves out
inserted text of tracked changes, content controls, text boxes and equations. Knows nothing about other formats.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

from tunewise.errors import DataMistake
from tunewise.reading.charts import chart_text
from tunewise.reading.draft import Block, Draft, assemble, one_line, pipe_table, raised
from tunewise.reading.numbering import Numbering
from tunewise.reading.package import DAMAGED, open_package, tree, without_entities

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_M = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
_MC = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
_CHART = "{http://schemas.openxmlformats.org/drawingml/2006/chart}chart"
_ID = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_STRICT = b"http://purl.oclc.org/ooxml/"
_HEADING = re.compile(r"(?:heading|标题|標題|überschrift|titre|título)\s*([1-9])", re.IGNORECASE)
_SKIPPED = frozenset(
    (
        _W + "del",
        _W + "moveFrom",
        _W + "rPr",
        _W + "pPr",
        _W + "instrText",
        _W + "delText",
        _MC + "Fallback",
        _W + "txbxContent",
    )
)


def _over(power: str, sign: str) -> str:
    return f"{sign}{power}" if len(power) == 1 or power.isdigit() else f"{sign}({power})"


def _root(*parts: str) -> str:
    return f"√({parts[-1]})" if len(parts) < 2 or not parts[0] else f"{parts[0]}√({parts[-1]})"


# Formulas on one line: without the signs, πr² would read πr2 and a half 12.
_FORMULAS: dict[str, Callable[..., str]] = {
    _M + "sSup": lambda base="", power="": base + (raised(power) if raised(power) != power else _over(power, "^")),
    _M + "sSub": lambda base="", below="": base + _over(below, "_"),
    _M + "f": lambda above="", below="": f"({above})/({below})" if len(above + below) > 2 else f"{above}/{below}",
    _M + "rad": _root,
}


def read_word(data: bytes) -> Draft:
    """Word bytes → Draft; raises DataMistake for empty, encrypted, old (.doc) and damaged files."""
    document = _open(data)
    notes: dict[str, str] = {}
    for kind in ("footnote", "endnote"):
        notes.update(_notes(document, kind))
    styles = {style.style_id: style for style in document.styles}
    numbering = Numbering(document)
    blocks = list(_walk(document.element.body, styles, numbering))
    blocks.extend(_charts(document))
    blocks.extend(Block(f"[^{mark}]: {text}") for mark, text in notes.items())
    if not any(block.text.strip() for block in blocks):
        raise DataMistake(
            "the document holds no text (only pictures, or nothing)", tip="export it with its text, or take it away"
        )
    return assemble(blocks, title=_title(document, blocks))


def _charts(document: Any) -> Iterator[Block]:
    """The numbers of its charts, in the order of the text; what stands in them stands nowhere else."""
    parts = document.part.rels
    for chart in document.element.body.iter(_CHART):
        relation = parts.get(chart.get(_ID) or "")
        if relation is not None and not relation.is_external:
            yield from map(Block, chart_text(tree(relation.target_part.blob)))


def _open(data: bytes) -> Any:
    import docx
    from docx.opc.exceptions import OpcError, PackageNotFoundError
    from lxml.etree import XMLSyntaxError

    again = "open it in Word and save it again as .docx"
    package = open_package(data, suffix=".docx", program="Word")
    without_entities(package, program="Word")
    try:
        if any(_STRICT in package.read(name)[:4096] for name in package.namelist() if name == "word/document.xml"):
            data = _transitional(package)
        document = docx.Document(io.BytesIO(data))
        # What is no document at all is an element like any other, without one.
        if document.element.body is None:
            raise KeyError("its text is missing")
        return document
    except (OpcError, PackageNotFoundError, XMLSyntaxError, *DAMAGED) as error:
        raise DataMistake(f"the Word file is damaged: {one_line(str(error))[:120]}", tip=again) from error


def _transitional(package: zipfile.ZipFile) -> bytes:
    """ "Strict Open XML" differs from the usual kind in its namespaces only; python-docx knows the usual ones."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as copy:
        for name in package.namelist():
            content = package.read(name)
            if name.endswith((".xml", ".rels")):
                for part, year in (
                    (b"officeDocument", b"2006"),
                    (b"drawingml", b"2006"),
                    (b"wordprocessingml", b"2006"),
                ):
                    content = content.replace(
                        _STRICT + part + b"/", b"http://schemas.openxmlformats.org/" + part + b"/" + year + b"/"
                    )
            copy.writestr(name, content)
    return target.getvalue()


def _title(document: Any, blocks: list[Block]) -> str:
    styles = {style.style_id: style for style in document.styles}
    for element in document.element.body.iter(_W + "p"):
        named = _style_name(element, styles).lower() in ("title", "标题")
        if named and (text := one_line(_text(element))):
            return text
    for block in blocks:
        if block.level:
            return block.text
    return (document.core_properties.title or "") if _has_core(document) else ""


def _has_core(document: Any) -> bool:
    return any(rel.reltype.endswith("/core-properties") for rel in document.part.package.rels.values())


# ------------------------------------------------------------------------------------------------ body


def _walk(body: Any, styles: dict[str, Any], numbering: Numbering) -> Iterator[Block]:
    listed: list[str] = []
    for element in _children(body):
        if element.tag == _W + "tbl":
            if listed:
                yield Block("\n".join(listed))
                listed = []
            yield from _table(element)
            continue
        text = _text(element).strip()
        level = _level(element, styles)
        marker = numbering.marker(element, styles)
        if marker and text and not level:
            listed.append(f"{marker} {one_line(text)}")
        elif text:
            if listed:
                yield Block("\n".join(listed))
                listed = []
            yield Block(f"{marker} {text}" if level and marker and marker != "-" else text, level=level)
        for box in _boxes(element):
            if listed:
                yield Block("\n".join(listed))
                listed = []
            yield from _walk(box, styles, numbering)
    if listed:
        yield Block("\n".join(listed))


def _children(parent: Any) -> Iterator[Any]:
    """Paragraphs and tables, also those inside content controls; a generated table of contents is left out."""
    for element in parent:
        if element.tag in (_W + "p", _W + "tbl"):
            yield element
        elif element.tag == _W + "sdt":
            gallery = element.find(f"{_W}sdtPr/{_W}docPartObj/{_W}docPartGallery")
            if gallery is not None and gallery.get(_W + "val") == "Table of Contents":
                continue
            content = element.find(_W + "sdtContent")
            if content is not None:
                yield from _children(content)
        elif element.tag in (_W + "ins", _W + "moveTo", _W + "customXml", _W + "smartTag"):
            yield from _children(element)


def _boxes(paragraph: Any) -> Iterator[Any]:
    for box in paragraph.iter(_W + "txbxContent"):
        # The fallback picture of a text box holds the same text again.
        if not any(above.tag == _MC + "Fallback" for above in box.iterancestors()):
            yield box


def _text(element: Any) -> str:
    parts: list[str] = []
    for child in element:
        tag = child.tag
        if tag in _SKIPPED or not isinstance(tag, str):
            continue
        if tag in (_W + "t", _M + "t"):
            parts.append(child.text or "")
        elif tag == _W + "r":
            lifted = child.find(f"{_W}rPr/{_W}vertAlign")
            text = _text(child)
            parts.append(raised(text) if lifted is not None and lifted.get(_W + "val") == "superscript" else text)
        elif tag in _FORMULAS:
            parts.append(
                _FORMULAS[tag](
                    *(_text(part) for part in child if part.tag.startswith(_M) and not part.tag.endswith("Pr"))
                )
            )
        elif tag == _W + "tab":
            parts.append("\t")
        elif tag in (_W + "br", _W + "cr"):
            parts.append("\n")
        elif tag == _W + "noBreakHyphen":
            parts.append("-")
        elif tag in (_W + "footnoteReference", _W + "endnoteReference"):
            parts.append(f"[^{'e' if 'endnote' in tag else ''}{child.get(_W + 'id')}]")
        else:
            parts.append(_text(child))
    return "".join(parts)


def _style_name(paragraph: Any, styles: dict[str, Any]) -> str:
    style = paragraph.find(f"{_W}pPr/{_W}pStyle")
    found = styles.get(style.get(_W + "val")) if style is not None else None
    return (found.name or "") if found is not None else ""


def _level(paragraph: Any, styles: dict[str, Any]) -> int:
    """1 to 6 for a heading, by its own outline level, its style's, or the style's name; 0 for other text."""
    own = paragraph.find(f"{_W}pPr/{_W}outlineLvl")
    if own is not None and (own.get(_W + "val") or "9").isdigit():
        value = int(own.get(_W + "val") or "9")
        return min(value + 1, 6) if value < 9 else 0
    style = paragraph.find(f"{_W}pPr/{_W}pStyle")
    current = styles.get(style.get(_W + "val")) if style is not None else None
    seen = 0
    while current is not None and seen < 12:
        if named := _HEADING.fullmatch((current.name or "").strip()):
            return min(int(named.group(1)), 6)
        if (current.name or "").lower() == "title":
            return 1
        outline = current.element.find(f"{_W}pPr/{_W}outlineLvl")
        if outline is not None and (outline.get(_W + "val") or "9").isdigit() and int(outline.get(_W + "val")) < 9:
            return min(int(outline.get(_W + "val")) + 1, 6)
        current, seen = current.base_style, seen + 1
    return 0


def _table(table: Any) -> Iterator[Block]:
    rows: list[list[str]] = []
    above: dict[int, str] = {}
    for row in table.iter(_W + "tr"):
        if next(row.iterancestors(_W + "tbl")) is not table:
            continue
        before = row.find(f"{_W}trPr/{_W}gridBefore")
        cells = [""] * (_value(before) if before is not None else 0)
        for cell in _cells(row):
            merge = cell.find(f"{_W}tcPr/{_W}vMerge")
            column = len(cells)
            # A cell merged with the one above repeats it, so that each row can be read alone.
            goes_on = merge is not None and merge.get(_W + "val") != "restart"
            text = above.get(column, "") if goes_on else _cell(cell)
            above[column] = text
            span = cell.find(f"{_W}tcPr/{_W}gridSpan")
            cells += [text] + [""] * (min(_value(span), 60) - 1 if span is not None else 0)
        if any(cells):
            rows.append(cells)
    if max((sum(map(bool, row)) for row in rows), default=0) > 1 and len(rows) > 1:
        yield Block(pipe_table(rows))
    else:
        # A frame around text is no table.
        yield from (Block(cell) for row in rows for cell in row if cell)


def _value(element: Any) -> int:
    value = element.get(_W + "val") or "1"
    return int(value) if value.isdigit() and len(value) < 4 else 1


def _cells(row: Any) -> Iterator[Any]:
    for element in row:
        if element.tag == _W + "tc":
            yield element
        elif element.tag == _W + "sdt" and element.find(_W + "sdtContent") is not None:
            yield from _cells(element.find(_W + "sdtContent"))


def _cell(cell: Any) -> str:
    parts = [one_line(_text(paragraph)) for paragraph in cell.iter(_W + "p")]
    return " ".join(part for part in parts if part)


def _notes(document: Any, kind: str) -> dict[str, str]:
    """Foot- or endnotes by the mark that `_text` leaves in the text."""
    from lxml import etree

    for relation in document.part.rels.values():
        if relation.is_external or not relation.reltype.endswith(f"/{kind}s"):
            continue
        root = etree.fromstring(relation.target_part.blob, etree.XMLParser(resolve_entities=False, no_network=True))
        found = {}
        for note in root.iter(_W + kind):
            text = " ".join(one_line(_text(paragraph)) for paragraph in note.iter(_W + "p")).strip()
            if text and note.get(_W + "type") is None:
                found[("e" if kind == "endnote" else "") + (note.get(_W + "id") or "")] = text
        return found
    return {}
