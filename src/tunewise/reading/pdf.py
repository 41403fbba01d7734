"""PDF → Draft: the text of every page with pdfium; `ruled.py` finds its tables, `scans.py` recognises its pictures.

Knows how to open a PDF and what is on its pages; `lines.py` knows how lines become paragraphs and headings.
"""

from __future__ import annotations

import ctypes
import math
import re
import statistics
import unicodedata
from collections.abc import Sequence
from typing import Any

from tunewise.errors import DataMistake
from tunewise.reading.columns import gutter, in_columns
from tunewise.reading.draft import Block, Draft, Tell, assemble, one_line
from tunewise.reading.lines import Line, blocks_of, without_running_lines
from tunewise.reading.ruled import put_tables
from tunewise.reading.scans import is_scan, numbers, recognise_pages, scan_notes

_AGAIN = "open it in a PDF viewer and export it again, or copy it again from where it came from"
# Some Chinese fonts map common characters to the radicals that look the same: a search for them would find nothing.
_LOOKALIKES = re.compile("[\u2e80-\u2fdf\ufb00-\ufb06]")
_UNMAPPED = re.compile("[\ufffd\ue000-\uf8ff\x01\x03-\x08\x0e-\x1b]")


def read_pdf(data: bytes, passwords: Sequence[str] = (), tell: Tell | None = None) -> Draft:
    """PDF bytes → Draft with page spans; pages that are pictures go through OCR, or are named in its notes.

    `tell` is called after each page that had to be recognised or has tables. Raises DataMistake when it is damaged,
    needs a password, or holds no text at all.
    """
    document, password = open_pdf(data, passwords)
    pages: list[list[Line]] = []
    scanned: list[int] = []
    unread: list[int] = []
    tables: list[int] = []
    try:
        outline = _outline(document)
        for index in range(len(document)):
            try:
                lines, ruled, covered = _page(document, index)
            except Exception as error:  # noqa: BLE001 - one bad page costs one page; pypdfium2 raises many kinds
                if isinstance(error, MemoryError):
                    raise
                lines, ruled, covered = [], False, 0.0
                unread.append(index + 1)
            if is_scan(sum(len(line.text) for line in lines), covered):
                scanned.append(index + 1)
            pages.append(lines)
            if ruled and lines:
                tables.append(index)
        recognised = recognise_pages(document, scanned, tell)
        for number, seen in recognised.items():
            # What little text a scanned page has (a stamp, a page number) stands on its picture too. A page with a
            # few words and a logo is no scan: its own words are exact.
            if sum(len(line.text) for line in seen) > 2 * sum(len(line.text) for line in pages[number - 1]):
                pages[number - 1] = seen
        title = document.get_metadata_dict().get("Title", "") if document else ""
    finally:
        document.close()
    characters = "".join(line.text for lines in pages for line in lines)
    scanned = [number for number in scanned if number not in recognised]
    notes = scan_notes(scanned, bool(recognised))
    if unread:
        notes.append(f"{numbers(unread)} could not be read (damaged); the other pages were read")
    if not characters.strip():
        if scanned and not recognised:
            raise DataMistake(
                f"all of its {len(pages)} page(s) are pictures without text (a scan)",
                tip="pip install 'tunewise[ocr]' to have them recognised",
            )
        raise DataMistake(f"none of its {len(pages)} page(s) holds text", tip=_AGAIN)
    unmapped = len(_UNMAPPED.findall(characters))
    if unmapped * 3 > len(characters):
        raise DataMistake(
            "its fonts do not say which characters their signs are",
            tip="export it again with embedded Unicode fonts, or run OCR over it",
        )
    if unmapped * 50 > len(characters):
        notes.append(f"{100 * unmapped // len(characters)} % of its characters have no Unicode meaning")
    if tables:
        notes += put_tables(data, password, pages, tables, tell)
    # After the tables: the header that one of them repeats on each page belongs to it.
    pages = without_running_lines(pages)
    blocks = blocks_of(pages, outline)
    return assemble(blocks, title=_title(title, blocks), notes=notes)


def open_pdf(data: bytes, passwords: Sequence[str]) -> tuple[Any, str | None]:
    """The PDF as pdfium opens it and the password that opened it; DataMistake when nothing opens it."""
    import pypdfium2 as pdfium

    if not data:
        raise DataMistake("the file is empty (0 bytes)", tip="copy it again from where it came from")
    for password in (None, *passwords):
        try:
            document = pdfium.PdfDocument(data, password=password)
            if not len(document):
                raise DataMistake("it has no pages", tip=_AGAIN)
            return document, password
        except pdfium.PdfiumError as error:
            reason = str(error)
            if "password" in reason.lower():
                continue
            if "security" in reason.lower():
                raise DataMistake(
                    "it is encrypted in a way that cannot be read", tip="save it without encryption"
                ) from error
            raise DataMistake("it is damaged or cut off: no page table was found in it", tip=_AGAIN) from error
    raise DataMistake(
        "it is protected by a password" + (" and none of those given opens it" if passwords else ""),
        tip="give its password with --password",
    )


def _outline(document: Any) -> dict[str, int]:
    """Titles of the bookmarks and their depth from 1: what the author calls a heading."""
    found: dict[str, int] = {}
    for item in document.get_toc(max_depth=6):
        if title := one_line(item.get_title()):
            found.setdefault(title.casefold(), item.level + 1)
        if len(found) >= 5000:
            break
    return found


def _title(metadata: str, blocks: list[Block]) -> str:
    """The metadata's title unless a program wrote its own file name there; else the largest heading of page 1."""
    title = one_line(metadata)
    if title and not re.search(
        r"\.(docx?|pptx?|xlsx?|indd|dvi|tex|pdf|rtf)$|^microsoft |^untitled|^无标题", title, re.IGNORECASE
    ):
        return title
    first = [block for block in blocks if block.level and block.page == 1]
    return min(first, key=lambda block: block.level).text if first else ""


# ------------------------------------------------------------------------------------------------ one page


def _page(document: Any, index: int) -> tuple[list[Line], bool, float]:
    """Lines of one page, whether ruled lines are drawn on it, and the share of it that pictures cover."""
    import pypdfium2.raw as raw

    page = document[index]
    textpage = page.get_textpage()
    try:
        ruled, covered = _drawn(page, raw)
        count = textpage.count_chars()
        text = textpage.get_text_range(errors="replace") if count > 0 else ""
        lines = _lines(text, textpage.raw, raw, index + 1)
        place = None if ruled or page.get_rotation() else gutter(lines, list(_gaps(text, textpage.raw, raw)))
        if place is not None:
            lines = in_columns(_lines(text, textpage.raw, raw, index + 1, cut=place), place) or lines
        return lines, ruled, covered
    finally:
        textpage.close()
        page.close()


def _drawn(page: Any, raw: Any) -> tuple[bool, float]:
    """(Are there enough thin or boxed paths for a table?, share of the page that pictures cover) without rendering.

    A picture covers something, however small or wrongly placed it is.
    """
    covered, horizontal, vertical = 0.0, 0, 0
    whole = raw.FS_RECTF()
    if not raw.FPDF_GetPageBoundingBox(page.raw, whole):
        whole.right, whole.top = page.get_size()
    left, bottom, right, top = (ctypes.c_float() for _ in range(4))
    for number in range(min(raw.FPDFPage_CountObjects(page.raw), 20_000)):
        item = raw.FPDFPage_GetObject(page.raw, number)
        kind = raw.FPDFPageObj_GetType(item)
        if kind in (raw.FPDF_PAGEOBJ_IMAGE, raw.FPDF_PAGEOBJ_FORM):
            share = _share(item, whole, raw) if kind == raw.FPDF_PAGEOBJ_IMAGE else _inside(item, whole, raw)
            covered += max(share, 1e-6)
        elif kind == raw.FPDF_PAGEOBJ_PATH and raw.FPDFPageObj_GetBounds(item, left, bottom, right, top):
            width, height = right.value - left.value, top.value - bottom.value
            boxed = width > 15 and height > 6
            horizontal += boxed or (width > 15 and height <= 3)
            vertical += boxed or (height > 6 and width <= 3)
    return horizontal >= 3 and vertical >= 2, covered


def _bounds(item: Any, raw: Any) -> Any:
    """Left, bottom, right and top of what is drawn; all 0 where that is not known."""
    left, bottom, right, top = (ctypes.c_float() for _ in range(4))
    raw.FPDFPageObj_GetBounds(item, left, bottom, right, top)
    return raw.FS_RECTF(left=left.value, bottom=bottom.value, right=right.value, top=top.value)


def _share(item: Any, whole: Any, raw: Any) -> float:
    """The share of the page `whole` that a thing drawn on it covers."""
    box = _bounds(item, raw)
    width = min(box.right, whole.right) - max(box.left, whole.left)
    height = min(box.top, whole.top) - max(box.bottom, whole.bottom)
    return max(width, 0.0) * max(height, 0.0) / max((whole.right - whole.left) * (whole.top - whole.bottom), 1.0)


def _inside(form: Any, whole: Any, raw: Any, depth: int = 0) -> float:
    """The share of the page that the pictures inside of a form cover: also whole pages of text are forms."""
    count = min(raw.FPDFFormObj_CountObjects(form), 200) if depth < 4 else 0
    items = [raw.FPDFFormObj_GetObject(form, number) for number in range(count)]
    boxes = [_bounds(item, raw) for item in items]
    if not items:
        return 0.0
    # Inside, places are told in the form's own measure: its pictures have the same share of it as on the page.
    extent = raw.FS_RECTF(
        left=min(box.left for box in boxes), bottom=min(box.bottom for box in boxes),
        right=max(box.right for box in boxes), top=max(box.top for box in boxes),
    )
    inner = 0.0
    for item in items:
        kind = raw.FPDFPageObj_GetType(item)
        if kind == raw.FPDF_PAGEOBJ_IMAGE:
            inner += _share(item, extent, raw)
        elif kind == raw.FPDF_PAGEOBJ_FORM:
            inner += _inside(item, extent, raw, depth + 1)
    return min(inner, 1.0) * _share(form, whole, raw)


def _gaps(text: str, page: Any, raw: Any, cut: float | None = None) -> dict[tuple[float, float], int]:
    """{(right end of a word, left end of the next): offset of the space between} of wide gaps within lines.

    With `cut` only those around that place.
    """
    found = {}
    one, two = raw.FS_RECTF(), raw.FS_RECTF()
    for space in re.finditer(r"(?<=[^\s])[ \t\u3000]+(?=[^\s])", text):
        before = raw.FPDFText_GetCharIndexFromTextIndex(page, space.start() - 1)
        after = raw.FPDFText_GetCharIndexFromTextIndex(page, space.end())
        if before < 0 or after < 0 or not raw.FPDFText_GetLooseCharBox(page, before, one):
            continue
        if not raw.FPDFText_GetLooseCharBox(page, after, two) or abs(one.bottom - two.bottom) > one.top - one.bottom:
            continue
        wide = two.left - one.right > max(0.9 * (one.top - one.bottom), 7.0)
        if wide and (cut is None or one.right < cut < two.left):
            # Rows of equal width end at equal places: the offset keeps them apart.
            found[one.right + space.start() * 1e-7, two.left] = space.start()
    return found


def _lines(text: str, page: Any, raw: Any, number: int, cut: float | None = None) -> list[Line]:
    """The lines of a page; with `cut` those that run across a gap around that place are parted there."""
    lines: list[Line] = []
    box, matrix = raw.FS_RECTF(), raw.FS_MATRIX()
    position = 0
    if cut is not None:
        for offset in _gaps(text, page, raw, cut).values():
            # One sign for one sign: offsets stay what they are.
            text = text[:offset] + "\n" + text[offset + 1 :]
    for piece in re.split("(\r\n|\r|\n)", text):
        start, position = position, position + len(piece)
        if not piece.strip():
            continue
        stripped = piece.strip()
        first = start + len(piece) - len(piece.lstrip())
        spots = sorted({first, first + len(stripped) // 2, first + len(stripped) - 1})
        boxes: list[tuple[float, float, float, float]] = []
        sizes: list[float] = []
        bold = 0
        for spot in spots:
            # Text and character indexes differ where pdfium leaves signs out of the text.
            char = raw.FPDFText_GetCharIndexFromTextIndex(page, spot)
            if char < 0 or not raw.FPDFText_GetLooseCharBox(page, char, box):
                continue
            boxes.append((box.left, box.bottom, box.right, box.top))
            # The box of a character depends on its font; only size times scale compares between fonts.
            scaled = raw.FPDFText_GetMatrix(page, char, matrix)
            size = raw.FPDFText_GetFontSize(page, char) * (math.hypot(matrix.c, matrix.d) if scaled else 1.0)
            sizes.append(size or abs(box.top - box.bottom))
            bold += _bold(page, char, raw)
        if not boxes:
            boxes, sizes = [(0.0, 0.0, 0.0, 0.0)], [0.0]
        clean = _LOOKALIKES.sub(lambda match: unicodedata.normalize("NFKC", match.group()), stripped)
        clean = unicodedata.normalize("NFC", clean.replace("\0", "").replace("\u00ad", "\ufffe"))
        if clean.endswith(("\x02", "\ufffe")):
            clean = clean[:-1] + "\ufffe"
        clean = re.sub("[\x02\ufffe](?!$)", "", clean)
        clean = re.sub("[\ud800-\udfff]", "\ufffd", clean)
        clean = re.sub(r"[\x00-\x1f\x85\u2028\u2029]", " ", clean)
        lines.append(
            Line(
                clean,
                number,
                left=min(b[0] for b in boxes),
                bottom=boxes[-1][1],
                right=boxes[-1][2],
                top=boxes[0][3],
                base=boxes[0][1],
                size=round(statistics.median(sizes), 1),
                bold=bold * 2 > len(spots),
            )
        )
    return lines


def _bold(page: Any, char: int, raw: Any) -> bool:
    if raw.FPDFText_GetFontWeight(page, char) >= 600:
        return True
    name, flags = ctypes.create_string_buffer(96), ctypes.c_int()
    raw.FPDFText_GetFontInfo(page, char, name, 96, flags)
    return bool(re.search(rb"bold|black|heavy|demi|simhei|cmbx|sfbx|-medi", name.value, re.IGNORECASE))
