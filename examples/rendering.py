"""Render one source document of an example (Markdown with front matter) as md, html, pdf or docx bytes.

The same source gives the same bytes each time. Knows nothing about questions. Needs markdown-it-py, reportlab,
python-docx and, for Chinese PDF files, the Debian package fonts-droid-fallback.
"""

from __future__ import annotations

import datetime
import html
import io
import re
import unicodedata
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunewise.errors import DataMistake, MissingExtra
from tunewise.scorers.text import CJK

FORMATS = ("md", "html", "pdf", "docx")
FONT = "DroidSansFallbackFull.ttf"
FONT_PACKAGE = "fonts-droid-fallback"
FONT_FOLDERS = (Path("/usr/share/fonts/truetype/droid"), Path("/usr/share/fonts-droid-fallback/truetype"))
DATE = datetime.datetime(2026, 7, 1)
"""Stands in every docx, so that the same source gives the same bytes."""
_SHELL = """<!DOCTYPE html>
<html lang="{language}">
<head><meta charset="utf-8"><title>{title}</title></head>
<body>
<header><nav><ul>{nav}</ul></nav></header>
<main><article>
{body}</article></main>
<footer><p>{footer}</p></footer>
</body>
</html>
"""
_NAV = {
    "en": (("Home", "Search", "Print this page", "Log out"),
           "Intranet of Tarnwick Instruments. For internal use only."),
    "zh": (("首页", "搜索", "打印本页", "退出登录"), "公司内网，仅供内部使用。"),
}


@dataclass(frozen=True)
class Block:
    """One heading (`level` 1 to 6), paragraph, list item or table of a source."""

    kind: str
    text: str = ""
    level: int = 0
    rows: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Source:
    """One source document: where it goes, its title, its Markdown and its language."""

    name: str
    title: str
    format: str
    body: str
    language: str


# ------------------------------------------------------------------------------------------------ sources


def read_source(path: Path, root: Path) -> Source:
    """A source with its front matter; its body always starts with the title as a heading of level 1."""
    match = re.fullmatch(r"---\n(.*?)\n---\n(.*)", path.read_text(encoding="utf-8"), re.DOTALL)
    fields = dict(re.findall(r"^(\w+): *(.+?) *$", match[1], re.MULTILINE)) if match else {}
    if match is None or set(fields) != {"title", "format"} or fields["format"] not in FORMATS:
        raise DataMistake(f"{path}: it needs front matter with title and format", tip=f"formats: {', '.join(FORMATS)}")
    body = unicodedata.normalize("NFC", match[2]).strip() + "\n"
    if not body.startswith("# "):
        body = f"# {fields['title']}\n\n{body}"
    name = path.relative_to(root).with_suffix("." + fields["format"]).as_posix()
    return Source(name, fields["title"], fields["format"], body, "zh" if re.search(f"[{CJK}]", body) else "en")


def _markdown() -> Any:
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark").enable("table")


def blocks(body: str) -> list[Block]:
    """The Markdown of a source as plain blocks, without marks of emphasis."""
    found: list[Block] = []
    rows: list[tuple[str, ...]] | None = None
    cells: list[str] = []
    kind, level, items = "paragraph", 0, []
    for token in _markdown().parse(body):
        if token.type == "heading_open":
            kind, level = "heading", int(token.tag[1])
        elif token.type == "paragraph_open":
            kind, level = ("item" if items else "paragraph"), 0
        elif token.type in ("ordered_list_open", "bullet_list_open"):
            items.append(0 if token.type.startswith("ordered") else None)
        elif token.type in ("ordered_list_close", "bullet_list_close"):
            items.pop()
        elif token.type == "list_item_open" and items[-1] is not None:
            items[-1] += 1
        elif token.type == "table_open":
            rows = []
        elif token.type == "tr_open":
            cells = []
        elif token.type == "tr_close" and rows is not None:
            rows.append(tuple(cells))
        elif token.type == "table_close" and rows is not None:
            found.append(Block("table", rows=tuple(rows)))
            rows = None
        elif token.type == "inline":
            plain = "".join(" " if child.type.endswith("break") else child.content for child in token.children or ())
            if rows is not None:
                cells.append(plain)
            else:
                mark = "" if kind != "item" else f"{items[-1]}. " if items[-1] is not None else "• "
                found.append(Block(kind, mark + plain, level))
    return found


# ------------------------------------------------------------------------------------------------ renderers


def render_md(source: Source) -> bytes:
    return source.body.encode()


def render_html(source: Source) -> bytes:
    links, footer = _NAV[source.language]
    nav = "".join(f'<li><a href="#">{html.escape(link)}</a></li>' for link in links)
    page = _SHELL.format(language=source.language, title=html.escape(source.title), nav=nav, footer=html.escape(footer),
                         body=_markdown().render(source.body))
    return page.encode()


def render_pdf(source: Source) -> bytes:
    """A PDF of B5 pages with larger headings, ruled tables and page numbers; the same bytes each time (`invariant`)."""
    from reportlab.lib.pagesizes import B5
    from reportlab.lib.styles import ParagraphStyle
    from reportlab.pdfbase import pdfmetrics
    from reportlab.platypus import BaseDocTemplate, Frame, PageTemplate, Paragraph, Spacer

    chinese = source.language == "zh"
    if chinese:
        _register_chinese()

    def style(size: float, **more: Any) -> ParagraphStyle:
        return ParagraphStyle("s", fontName="Helvetica", fontSize=size, leading=size * 1.45,
                              wordWrap="CJK" if chinese else None, **more)

    sizes = (20, 15, 13, 12, 12, 12)
    story: list[Any] = []
    for block in blocks(source.body):
        if block.kind == "table":
            story += [_pdf_table(block, style(9), B5[0] - 100), Spacer(1, 10)]
        elif block.kind == "heading":
            look = style(sizes[block.level - 1], spaceBefore=10, spaceAfter=6, keepWithNext=1)
            story.append(Paragraph(_markup(block.text, bold=True), look))
        else:
            story.append(Paragraph(_markup(block.text), style(11, spaceAfter=7)))

    def footer(canvas: Any, document: Any) -> None:
        x = B5[0] / 2 - 15
        for font, run in _runs(f"第{document.page}页" if chinese else f"Page {document.page}"):
            canvas.setFont(font, 8)
            canvas.drawString(x, 24, run)
            x += pdfmetrics.stringWidth(run, font, 8)

    out = io.BytesIO()
    document = BaseDocTemplate(
        out, pagesize=B5, leftMargin=50, rightMargin=50, topMargin=50, bottomMargin=50, title=source.title, author="",
        lang=source.language, invariant=1,
    )
    frame = Frame(50, 50, B5[0] - 100, B5[1] - 100, 0, 0, 0, 0)
    document.addPageTemplates(PageTemplate(frames=[frame], onPageEnd=footer))
    document.build(story)
    return out.getvalue()


def _pdf_table(block: Block, style: Any, width: float) -> Any:
    """A ruled table; cells stay on one line unless the whole table would be wider than the page."""
    from reportlab.lib import colors
    from reportlab.pdfbase import pdfmetrics
    from reportlab.platypus import Paragraph, Table

    def wide(text: str, bold: bool) -> float:
        return sum(pdfmetrics.stringWidth(run, font, style.fontSize) for font, run in _runs(text, bold=bold)) + 14

    columns = [max(wide(row[i], n == 0) for n, row in enumerate(block.rows)) for i in range(len(block.rows[0]))]
    if sum(columns) > width:
        widest = columns.index(max(columns))
        columns[widest] = max(60.0, width - sum(columns) + columns[widest])
    rows = [[Paragraph(_markup(cell, bold=n == 0), style) for cell in row] for n, row in enumerate(block.rows)]
    return Table(rows, colWidths=columns, hAlign="LEFT", repeatRows=1, style=[
        ("GRID", (0, 0), (-1, -1), 0.5, colors.grey), ("BACKGROUND", (0, 0), (-1, 0), colors.whitesmoke),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
    ])


def _runs(text: str, *, bold: bool = False) -> list[tuple[str, str]]:
    """(font, run) in order: the Chinese font has no Latin letters and curly quotes: those are Helvetica."""
    latin = "Helvetica-Bold" if bold else "Helvetica"
    return [(latin if match[1] else "Droid", match[0])
            for match in re.finditer(r"([\u0000-\u00ff\u2013-\u2022]+)|[^\u0000-\u00ff\u2013-\u2022]+", text)]


def _markup(text: str, *, bold: bool = False) -> str:
    return "".join(f'<font name="{font}">{html.escape(run)}</font>' for font, run in _runs(text, bold=bold))


def _register_chinese() -> None:
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.ttfonts import TTFont

    if "Droid" in pdfmetrics.getRegisteredFontNames():
        return
    found = next((folder / FONT for folder in FONT_FOLDERS if (folder / FONT).is_file()), None)
    if found is None:
        raise MissingExtra(f"a Chinese PDF needs the font {FONT}, which is not installed",
                           tip=f"apt-get install {FONT_PACKAGE}")
    pdfmetrics.registerFont(TTFont("Droid", str(found)))


def render_docx(source: Source) -> bytes:
    """A Word file with real heading styles and tables; its dates and its archive's dates are fixed."""
    import docx

    document = docx.Document()
    core = document.core_properties
    core.author, core.title, core.language = "", source.title, source.language
    core.created = core.modified = core.last_printed = DATE
    for block in blocks(source.body):
        if block.kind == "table":
            table = document.add_table(len(block.rows), len(block.rows[0]), style="Table Grid")
            for cells, row in zip(table.rows, block.rows, strict=True):
                for cell, value in zip(cells.cells, row, strict=True):
                    cell.text = value
        elif block.kind == "heading":
            document.add_heading(block.text, level=block.level)
        else:
            document.add_paragraph(block.text)
    first, out = io.BytesIO(), io.BytesIO()
    document.save(first)
    # The library stamps the members with the time of day.
    with zipfile.ZipFile(first) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            info = zipfile.ZipInfo(name, DATE.timetuple()[:6])
            info.compress_type = zipfile.ZIP_DEFLATED
            new.writestr(info, old.read(name))
    return out.getvalue()


RENDERERS = {"md": render_md, "html": render_html, "pdf": render_pdf, "docx": render_docx}
