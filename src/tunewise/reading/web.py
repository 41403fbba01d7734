"""HTML → Draft: the article without navigation, its headings and tables kept.

trafilatura says which parts are the article; where it finds nothing, or would leave out much of the page, all of the
cleaned page is read. Knows nothing about the network: it never fetches.
"""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Iterator
from typing import Any

from tunewise.errors import DataMistake
from tunewise.reading.draft import Block, Draft, assemble, clean, grid, one_line, pipe_table, raised
from tunewise.reading.plain import decode

_CHARSET = re.compile(rb"<meta[^>]+charset\s*=\s*[\"']?\s*([A-Za-z0-9_\-]+)", re.IGNORECASE)
# A browser shows nothing for them, and lxml cannot write them.
_CONTROLS = re.compile(
    "[\x01-\x08\x0e-\x1f\x7f\ufffe\uffff]|&#(?:x0*[01]?[0-9a-f]|0*(?:[12]?[0-9]|3[01]))(?:;|(?![0-9a-f]))",
    re.IGNORECASE,
)
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
# What the names of an aside say: a remark on the text, or the furniture of the site.
_REMARK = re.compile(
    r"(?<![a-z])(?:note|warning|tip|caution|danger|attention|important|admonition|callout|remark|hint|doc-)",
    re.IGNORECASE,
)
_FURNITURE = re.compile(
    r"(?<![a-z])(?:related|recommend|shar(?:e|ing)|social|promo|advert|ads?(?![a-z])|sponsor|newsletter|subscri|sign-?up|"
    r"sidebar|nav|menu|toc(?![a-z])|cookie|comment|author|banner|widget)", re.IGNORECASE
)
_DEEPEST = 400
_LARGEST_ARTICLE = 4_000_000
"""Characters of a page's source above which it is taken whole: to look for the article in it takes minutes."""
_KEPT_SHARE = 0.6
_MENU = 0.5
"""Share of letters in links from which a block is a menu."""


def read_html(data: bytes) -> Draft:
    """HTML bytes → Draft; raises DataMistake when the page holds no text."""
    notes: list[str] = []
    source, page = _parsed(data, notes=notes)
    title = _title(page)
    blocks = _article(source, *_walk_page(page))
    if not blocks:
        raise DataMistake("the page holds no text", tip="save the page after its scripts have run, or as PDF")
    return assemble(blocks, title=title, notes=notes)


def page_blocks(data: bytes, *, encoding: str = "", notes: list[str] | None = None) -> list[Block]:
    """All blocks of an HTML page that is known to be an article as a whole: a chapter of a book, a message.

    What could not be read of it is appended to `notes`. Raises DataMistake when it holds no text.
    """
    blocks, _ = _walk_page(_parsed(data, encoding, notes)[1], whole=True)
    if not blocks:
        raise DataMistake("the page holds no text", tip="save the page again")
    return blocks


def _parsed(data: bytes, encoding: str = "", notes: list[str] | None = None) -> tuple[str, Any]:
    """Its source, and its tree."""
    import lxml.html
    from lxml.etree import ParserError

    if not data.strip():
        raise DataMistake("the file is empty", tip="save the page again, or take the file away")
    source = clean(data.decode(encoding, "replace") if encoding else _decode(data, notes))
    # lxml refuses a declared encoding in a text that is already decoded.
    source = re.sub(r"^\s*<\?xml[^>]*\?>", "", source)
    source = _CONTROLS.sub(" ", source)
    try:
        page = lxml.html.document_fromstring(source, parser=lxml.html.HTMLParser(encoding=None, huge_tree=True))
    except (ParserError, ValueError) as error:
        raise DataMistake(f"it is not an HTML page: {error}", tip="open it in a browser and save it again") from error
    return source, page


def _decode(data: bytes, notes: list[str] | None) -> str:
    declared = _CHARSET.search(data[:4096])
    if declared and not data.startswith((b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf")):
        name = declared.group(1).decode().lower()
        try:
            return data.decode("gb18030" if name in ("gb2312", "gbk") else name)
        except (LookupError, UnicodeDecodeError):
            # Pages lie about their encoding; the bytes do not.
            return decode(data, notes)
    return decode(data, notes)


def _title(page: Any) -> str:
    for path in ("//head/title", "//h1"):
        for element in page.xpath(path):
            if name := one_line(element.text_content()):
                return name
    return ""


def _article(source: str, blocks: list[Block], links: list[float]) -> list[Block]:
    """The blocks of the article; `links` is the share of each block's letters that stand in links.

    trafilatura says where the article begins and ends; it only chooses that, because its own output loses headings,
    lists and merged cells. It is cautious at both ends, so the blocks next to them are taken too until menus begin:
    blocks that are mostly links. Nothing between the ends is taken away.
    """
    if len(source) > _LARGEST_ARTICLE:
        return blocks
    import trafilatura

    # It reports every page without an article as an error; here that is one of two ways.
    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)
    found = trafilatura.extract(
        source, include_comments=False, include_tables=True, favor_recall=True, output_format="txt"
    )
    chosen = _letters(found or "")
    if not chosen:
        return blocks
    kept = [bool(letters := _letters(block.text)[:400]) and letters in chosen for block in blocks]
    if not any(kept):
        return blocks
    first, last = kept.index(True), len(kept) - 1 - kept[::-1].index(True)
    while first and links[first - 1] < _MENU:
        first -= 1
    while last + 1 < len(blocks) and links[last + 1] < _MENU:
        last += 1
    article = blocks[first : last + 1]
    letters = sum(len(block.text) for block in blocks)
    return article if sum(len(block.text) for block in article) >= _KEPT_SHARE * letters else blocks


def _letters(text: str) -> str:
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", text))


def _walk_page(page: Any, *, whole: bool = False) -> tuple[list[Block], list[float]]:
    """The blocks of a page and for each the share of its letters that stand in links.

    `whole`: all of the page is an article.
    """
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
    # Before the cleaner, which takes away elements that are newer than it.
    for element in [one for one in page.iter("aside", "footer") if _is_remark(one, whole)]:
        element.tag = "div"
    page = cleaner.clean_html(page)
    letters = _weight(page)
    for element in list(page.iter(*_BOILERPLATE)):
        # Some programs put all of a page into one form: what holds most of the words is no boilerplate.
        if element.getparent() is not None and _weight(element) <= _MENU * letters:
            element.drop_tree()
    body = page.find("body")
    walked = _Walk()
    walked.walk(body if body is not None else page)
    walked.flush()
    return _join_lists(walked.blocks, walked.links)


def _is_remark(element: Any, whole: bool) -> bool:
    """Whether an aside is part of the article: a warning, a note, a box. So is the name under a quotation."""
    above = {one.tag for one in element.iterancestors()}
    if element.tag != "aside":
        return element.tag == "footer" and "blockquote" in above
    if sum(map(_weight, element.iter("a"))) >= _MENU * _weight(element):
        return False
    names = " ".join(element.get(key) or "" for key in ("class", "id", "role", "aria-label", "epub:type"))
    if _REMARK.search(names):
        return True
    inside = above & {"main", "article"} or any(one.get("role") == "main" for one in element.iterancestors())
    return bool(whole or inside) and not _FURNITURE.search(names)


def _weight(element: Any) -> int:
    return sum(len(text.strip()) for text in element.itertext(with_tail=False) if isinstance(text, str))


# ------------------------------------------------------------------------------------------------ tree → blocks


class _Walk:
    """Blocks of an HTML tree in the order of the page, and for each the share of its letters that stand in links."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.links: list[float] = []
        self.running: list[tuple[str, bool]] = []
        self.pending = ""
        """The sign of a list item that has not been written yet."""
        self.numbers: dict[Any, int] = {}
        """The number of the last item of each numbered list."""

    def flush(self) -> None:
        """Close the paragraph that runs. "\0" is a forced line end; two of them part paragraphs, as without <p>."""
        running, self.running = self.running, []
        linked = sum(len(text.strip()) for text, inside in running if inside)
        letters = sum(len(text.strip(" \n\t\0")) for text, _ in running)
        for part in re.split(r"\0\s*\0", "".join(text for text, _ in running)):
            if text := "\n".join(filter(None, map(one_line, part.split("\0")))):
                self.add(Block(self.pending + text), linked / max(letters, 1))
                self.pending = ""

    def add(self, block: Block, linked: float = 0.0) -> None:
        self.blocks.append(block)
        self.links.append(linked)

    def sign(self, item: Any) -> str:
        """What stands before a list item: its number where it has one."""
        above = item.getparent()
        if above is None or above.tag != "ol":
            return "- "
        following = self.numbers[above] + 1 if above in self.numbers else _number(above.get("start"))
        self.numbers[above] = _number(item.get("value")) if item.get("value") else following
        return f"{self.numbers[above]}. "

    def walk(self, element: Any, depth: int = 0, lists: int = 0, inside: bool = False) -> None:
        """Add what stands in `element`; `lists` counts the lists around it, `inside`: it stands in a link."""
        tag = element.tag if isinstance(element.tag, str) else ""
        if not tag or tag in _SILENT:
            return
        if tag in ("sup", "br"):
            self.running.append(("\0" if tag == "br" else _words(element), inside))
            return
        if re.fullmatch("h[1-6]", tag):
            self.flush()
            if text := one_line(_words(element)):
                self.add(Block(text, level=int(tag[1])))
            return
        if tag == "table" and not element.xpath(".//table"):
            self.flush()
            links = sum(_weight(link) for link in element.iter("a"))
            for block in _table(element):
                self.add(block, links / max(_weight(element), 1))
            return
        if tag == "pre" or (tag == "code" and "\n" in "".join(element.itertext())):
            self.flush()
            self.add(Block("".join(element.itertext()).strip("\n")))
            return
        if tag in _BLOCKS:
            self.flush()
        if tag == "li":
            self.pending = "  " * max(0, lists - 1) + self.sign(element)
        inside = inside or tag == "a"
        lists += tag in ("ul", "ol")
        self.running.append((element.text or "", inside))
        for child in element:
            if depth < _DEEPEST:
                self.walk(child, depth + 1, lists, inside)
            elif isinstance(child.tag, str):
                self.running.append((" ".join(child.itertext()), inside))
            # The tail belongs to this element, not to the child.
            self.running.append((child.tail or "", inside))
        if tag in _BLOCKS:
            self.flush()
        if tag == "li":
            self.pending = ""


def _table(element: Any) -> Iterator[Block]:
    for caption in element.xpath("./caption"):
        if text := one_line("".join(caption.itertext())):
            yield Block(text)
    rows: list[list[tuple[str, int, int]]] = []
    for row in element.xpath(".//tr"):
        cells = [
            (one_line(_words(cell)), _number(cell.get("colspan")), _number(cell.get("rowspan")))
            for cell in row.xpath("./td | ./th")
        ]
        if cells:
            rows.append(cells)
    if max((sum(bool(text) for text, _, _ in row) for row in rows), default=0) > 1:
        yield Block(pipe_table(grid(rows)))
    else:
        # A table with one cell in a row is a frame, not a table.
        yield from (Block(text) for row in rows for text, _, _ in row if text)


def _number(value: str | None) -> int:
    return max(int(value), 1) if value and re.fullmatch("[0-9]{1,5}", value) else 1


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


_ITEM = re.compile(r" *(?:- |\d{1,5}\. )")


def _join_lists(blocks: list[Block], links: list[float]) -> tuple[list[Block], list[float]]:
    """Items of one list stand on neighbouring lines, so that the list stays one paragraph."""
    groups: list[list[int]] = []
    before = False
    for place, block in enumerate(blocks):
        item = not block.level and bool(_ITEM.match(block.text))
        if item and before:
            groups[-1].append(place)
        else:
            groups.append([place])
        before = item
    joined, shares = [], []
    for group in groups:
        one = blocks[group[0]]
        joined.append(one if len(group) == 1 else Block("\n".join(blocks[place].text for place in group)))
        letters = sum(len(blocks[place].text) for place in group)
        shares.append(sum(links[place] * len(blocks[place].text) for place in group) / max(letters, 1))
    return joined, shares
