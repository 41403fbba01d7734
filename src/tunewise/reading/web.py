"""HTML → Draft: the article without navigation, its headings and tables kept.

trafilatura says which parts are the article; where it finds nothing, or would leave out much of the page, all of the
cleaned page is read. Knows nothing about the network: it never fetches.
"""

from __future__ import annotations

import logging
import re
import unicodedata
from typing import Any

from tunewise.errors import DataMistake
from tunewise.reading.draft import Block, Draft, assemble, clean, grid, one_line, pipe_table, raised
from tunewise.reading.plain import decode

_CHARSET = re.compile(rb"<meta[^>]+charset\s*=\s*[\"']?\s*([A-Za-z0-9_\-]+)", re.IGNORECASE)
_BLOCKS = frozenset((
    "address", "article", "aside", "blockquote", "body", "center", "dd", "details", "dialog", "div", "dl", "dt",
    "fieldset", "figcaption", "figure", "footer", "form", "header", "hr", "html", "li", "main", "nav", "ol", "p",
    "pre", "section", "summary", "table", "ul", "h1", "h2", "h3", "h4", "h5", "h6", "br", "td", "th", "tr", "tbody",
    "thead", "tfoot", "caption",
))
_SILENT = frozenset((
    "script", "style", "noscript", "template", "iframe", "object", "embed", "svg", "canvas", "select", "button",
    "input", "textarea",
))
_BOILERPLATE = frozenset(("nav", "footer", "aside", "form", "menu"))
_KEPT_SHARE = 0.6


def read_html(data: bytes) -> Draft:
    """HTML bytes → Draft; raises DataMistake when the page holds no text."""
    source, page = _parsed(data)
    title = _title(page)
    blocks = _article(source, _walk_page(page))
    if not blocks:
        raise DataMistake("the page holds no text", tip="save the page after its scripts have run, or as PDF")
    return assemble(blocks, title=title)


def page_blocks(data: bytes, *, encoding: str = "") -> list[Block]:
    """All blocks of an HTML page that is known to be an article as a whole: a chapter of a book, a message."""
    blocks = _walk_page(_parsed(data, encoding)[1])
    if not blocks:
        raise DataMistake("the page holds no text", tip="save the page again")
    return blocks


def _parsed(data: bytes, encoding: str = "") -> tuple[str, Any]:
    """Its source, and its tree."""
    import lxml.html
    from lxml.etree import ParserError

    if not data.strip():
        raise DataMistake("the file is empty", tip="save the page again, or take the file away")
    source = clean(data.decode(encoding, "replace") if encoding else _decode(data))
    # lxml refuses a declared encoding in a text that is already decoded.
    source = re.sub(r"^\s*<\?xml[^>]*\?>", "", source)
    try:
        page = lxml.html.document_fromstring(source, parser=lxml.html.HTMLParser(encoding=None, huge_tree=True))
    except (ParserError, ValueError) as error:
        raise DataMistake(f"it is not an HTML page: {error}", tip="open it in a browser and save it again") from error
    return source, page


def _decode(data: bytes) -> str:
    declared = _CHARSET.search(data[:4096])
    if declared and not data.startswith((b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf")):
        name = declared.group(1).decode().lower()
        try:
            return data.decode("gb18030" if name in ("gb2312", "gbk") else name)
        except (LookupError, UnicodeDecodeError):
            # Pages lie about their encoding; the bytes do not.
            return decode(data)
    return decode(data)


def _title(page: Any) -> str:
    for path in ("//head/title", "//h1"):
        for element in page.xpath(path):
            if name := one_line(element.text_content()):
                return name
    return ""


def _article(source: str, blocks: list[Block]) -> list[Block]:
    """The blocks from the first to the last that trafilatura takes for the article, with the headings above.

    It only chooses where to begin and to end: its own output loses headings and merged cells.
    """
    import trafilatura

    # It reports every page without an article as an error; here that is one of two ways.
    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)
    found = trafilatura.extract(
        source, include_comments=False, include_tables=True, favor_recall=True, output_format="txt"
    )
    chosen = _letters(found or "")
    if not chosen:
        return blocks
    kept = [_letters(block.text)[:400] in chosen for block in blocks]
    if not any(kept):
        return blocks
    first, last = kept.index(True), len(kept) - 1 - kept[::-1].index(True)
    # Headings right above the first part belong to it; nothing between the first and the last is taken away.
    while first and blocks[first - 1].level:
        first -= 1
    article = blocks[first : last + 1]
    letters = sum(len(block.text) for block in blocks)
    return article if sum(len(block.text) for block in article) >= _KEPT_SHARE * letters else blocks


def _letters(text: str) -> str:
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", text))


def _walk_page(page: Any) -> list[Block]:
    from lxml_html_clean import Cleaner

    cleaner = Cleaner(
        scripts=True,
        javascript=True,
        style=True,
        comments=True,
        embedded=True,
        forms=False,
        links=False,
        meta=False,
        page_structure=False,
        safe_attrs_only=False,
    )
    page = cleaner.clean_html(page)
    for element in list(page.iter()):
        if isinstance(element.tag, str) and element.tag in _BOILERPLATE and element.getparent() is not None:
            element.drop_tree()
    body = page.find("body")
    return _blocks(body if body is not None else page)


# ------------------------------------------------------------------------------------------------ tree → blocks


def _blocks(root: Any) -> list[Block]:
    """Blocks of an HTML tree in the order of the page."""
    blocks: list[Block] = []
    running: list[str] = []

    def flush(prefix: str = "") -> None:
        # "\0" is a forced line end; two of them part paragraphs, as pages without <p> do.
        for part in re.split(r"\0\s*\0", "".join(running)):
            if text := "\n".join(filter(None, map(one_line, part.split("\0")))):
                blocks.append(Block(prefix + text))
        running.clear()

    def walk(element: Any, prefix: str, depth: int) -> None:
        tag = element.tag if isinstance(element.tag, str) else ""
        if not tag or tag in _SILENT:
            return
        if tag in ("sup", "br"):
            running.append("\0" if tag == "br" else _words(element))
            return
        level = int(tag[1]) if re.fullmatch("h[1-6]", tag) else 0
        if level:
            flush(prefix)
            if text := one_line(_words(element)):
                blocks.append(Block(text, level=level))
            return
        if tag == "table" and not element.xpath(".//table"):
            flush(prefix)
            _table(element, blocks)
            return
        if tag == "pre" or (tag == "code" and "\n" in "".join(element.itertext())):
            flush(prefix)
            blocks.append(Block("".join(element.itertext()).strip("\n")))
            return
        inner = "- " if tag == "li" else "" if tag in _BLOCKS and tag not in ("p", "div", "span") else prefix
        if tag in _BLOCKS:
            flush(prefix)
        running.append(element.text or "")
        for child in element:
            if depth < 400:
                walk(child, inner, depth + 1)
            elif isinstance(child.tag, str):
                running.append(" ".join(child.itertext()))
            # The tail belongs to this element, not to the child.
            running.append(child.tail or "")
        if tag in _BLOCKS:
            flush(inner)

    walk(root, "", 0)
    flush()
    return _join_lists(blocks)


def _table(element: Any, blocks: list[Block]) -> None:
    for caption in element.xpath("./caption"):
        if text := one_line("".join(caption.itertext())):
            blocks.append(Block(text))
    rows: list[list[tuple[str, int, int]]] = []
    for row in element.xpath(".//tr"):
        cells = [
            (one_line(_words(cell)), _number(cell.get("colspan")), _number(cell.get("rowspan")))
            for cell in row.xpath("./td | ./th")
        ]
        if cells:
            rows.append(cells)
    if max((sum(bool(text) for text, _, _ in row) for row in rows), default=0) > 1:
        blocks.append(Block(pipe_table(grid(rows))))
    else:
        # A table with one cell in a row is a frame, not a table.
        blocks.extend(Block(text) for row in rows for text, _, _ in row if text)


def _number(value: str | None) -> int:
    return max(int(value), 1) if value and value.isdigit() and len(value) < 6 else 1


def _words(element: Any) -> str:
    """The text inside, with a space between blocks and superscripts that keep their meaning."""
    if not isinstance(element.tag, str) or element.tag in _SILENT:
        return ""
    parts = [element.text or ""]
    for child in element:
        parts.append(_words(child))
        parts.append(child.tail or "")
    text = "".join(parts)
    return raised(text) if element.tag == "sup" else f" {text} " if element.tag in _BLOCKS else text


def _join_lists(blocks: list[Block]) -> list[Block]:
    """Items of one list stand on neighbouring lines, so that the list stays one paragraph."""
    joined: list[Block] = []
    for block in blocks:
        if joined and block.text.startswith("- ") and joined[-1].text.startswith("- ") and not block.level:
            joined[-1] = Block(joined[-1].text + "\n" + block.text)
        else:
            joined.append(block)
    return joined
