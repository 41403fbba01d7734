"""Pages of a PDF for people to look at: a picture of one, and where on it a span of the document's text stands.

The document's text is not the page's: lines were joined, hyphens taken out, tables written as rows. So the letters of
the span are looked for among the letters of the page, which both have in common. Knows nothing about reading a PDF.
"""

from __future__ import annotations

import ctypes
import io
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunewise.errors import DataMistake
from tunewise.nouns import Document
from tunewise.reading import ocr
from tunewise.reading.scans import seen_on

Box = tuple[float, float, float, float]
_LARGEST_PICTURE = 25_000_000
"""Pixels; a larger page is drawn smaller."""
_LETTERS = 200_000
"""Characters of one page that are looked at."""


@dataclass(frozen=True, slots=True)
class PageBoxes:
    """Where a span stands on one page: boxes (left, top, right, bottom), one for each line of it, in reading order.

    In points, from the top left corner of the page as it is shown (its rotation and crop applied). No boxes: the span
    touches the page, but its letters were not found there.
    """

    page: int
    width: float
    height: float
    boxes: tuple[Box, ...]


@dataclass(frozen=True, slots=True)
class PageSpan:
    """What is looked for on page `page` (from 1): `text[start:end]`, where `text` is all of the page's text."""

    page: int
    text: str
    start: int
    end: int


def touched(document: Document, start: int, end: int) -> list[PageSpan]:
    """The parts of `document.text[start:end]` by page; a page on which only white space falls is left out."""
    found = []
    for page in document.pages:
        first, last = max(start, page.start), min(end, page.end)
        if first < last and document.text[first:last].strip():
            text = document.text[page.start : page.end]
            found.append(PageSpan(page.number, text, first - page.start, last - page.start))
    return found


def boxes_of(path: Path, spans: Sequence[PageSpan], password: str | None = None) -> list[PageBoxes]:
    """The boxes of each span on its page of a PDF or picture; DataMistake when there is no such file or page."""
    if path.suffix.lower() != ".pdf":
        return [_on_picture(_frame(path, span.page), span) for span in spans]
    from tunewise.reading.pdf import open_pdf

    pdf, _ = open_pdf(path.read_bytes(), () if password is None else (password,))
    try:
        return [_on_page(_page(pdf, span.page), span) for span in spans]
    finally:
        pdf.close()


def png_of(path: Path, number: int, scale: float = 1.5, password: str | None = None) -> bytes:
    """Page `number` (from 1) as a PNG picture of `scale` pixels for one point; DataMistake when there is none."""
    if not 0.05 <= scale <= 10:
        raise DataMistake(f"a scale of {scale} pixels for one point is not drawn", tip="take one from 0.05 to 10")
    if path.suffix.lower() != ".pdf":
        # A picture is its own page, one point for each of its pixels: larger than it is it shows no more.
        picture = _frame(path, number).convert("RGB")
        picture.thumbnail((picture.width * scale, picture.height * scale))
        return _png(picture)
    from tunewise.reading.pdf import open_pdf

    pdf, _ = open_pdf(path.read_bytes(), () if password is None else (password,))
    try:
        page = _page(pdf, number)
        width, height = page.get_size()
        fitting = (_LARGEST_PICTURE / max(width * height, 1.0)) ** 0.5
        return _png(page.render(scale=min(scale, fitting), may_draw_forms=False).to_pil())
    finally:
        pdf.close()


def _png(picture: Any) -> bytes:
    target = io.BytesIO()
    picture.save(target, "PNG", compress_level=3)
    return target.getvalue()


def _frame(path: Path, number: int) -> Any:
    from tunewise.reading.ocr import frames, open_picture

    for place, frame in enumerate(frames(open_picture(path.read_bytes())), 1):
        if place == number:
            return frame
    raise DataMistake(f"it has no page {number}", tip="count its pages from 1")


def _page(pdf: Any, number: int) -> Any:
    if not 1 <= number <= len(pdf):
        raise DataMistake(f"it has no page {number}", tip=f"its pages are 1 to {len(pdf)}")
    return pdf[number - 1]


# ------------------------------------------------------------------------------------------------ letters


def _plain(text: str) -> str:
    """What a sign is in every spelling of it: "é", "É" and "e" with an accent are all "e", "ﬁ" is "fi"."""
    return "".join(c for c in unicodedata.normalize("NFKD", text).casefold() if c.isalnum())


def _on_page(page: Any, span: PageSpan) -> PageBoxes:
    textpage = page.get_textpage()
    try:
        width, height = page.get_size()
        signs = _signs(textpage)
        boxes = _located(signs, lambda index: _box(page, textpage, index), span)
        if not boxes and ocr.available():
            boxes = _recognised(seen_on(page)[0], span)
        return PageBoxes(span.page, width, height, boxes)
    finally:
        textpage.close()
        page.close()


def _on_picture(picture: Any, span: PageSpan) -> PageBoxes:
    boxes = _recognised(ocr.recognise(picture), span) if ocr.available() else ()
    return PageBoxes(span.page, float(picture.width), float(picture.height), boxes)


def _recognised(lines: Sequence[ocr.Seen], span: PageSpan) -> tuple[Box, ...]:
    """Boxes among recognised lines, of which only the whole is known: letters are taken to be of equal width."""
    signs: list[str] = []
    places: list[Box] = []
    for line in lines:
        width = (line.right - line.left) / len(line.text)
        for place, sign in enumerate([*line.text, "\n"]):
            signs.append(sign)
            left = line.left + width * place
            places.append((left, line.top, left + width, line.bottom))
    return _located(signs, lambda index: places[index], span)


def _signs(textpage: Any) -> list[str]:
    import pypdfium2.raw as raw

    found = []
    for index in range(min(textpage.count_chars(), _LETTERS)):
        code = raw.FPDFText_GetUnicode(textpage.raw, index)
        found.append(chr(code) if 0 < code < 0x110000 and not 0xD800 <= code < 0xE000 else "\0")
    return found


def _located(signs: Sequence[str], box: Callable[[int], Box | None], span: PageSpan) -> tuple[Box, ...]:
    """Boxes of the span's lines among the page's signs, of which `box` gives the place."""
    letters: list[str] = []
    owners: list[int] = []
    for index, sign in enumerate(signs):
        for letter in _plain(sign):
            letters.append(letter)
            owners.append(index)
    before = len(_plain(span.text[: span.start]))
    ranges = _find("".join(letters), span.text[span.start : span.end], before, _plain(span.text))
    boxes: list[Box] = []
    for first, last in ranges:
        boxes.extend(_lines(signs, box, owners[first], owners[last - 1]))
    return tuple(_merged(boxes))


def _find(letters: str, span: str, offset: int, whole: str) -> list[tuple[int, int]]:
    """Ranges of `letters` that hold the pieces of `span`, which begins at letter `offset` of the text `whole`."""
    found: list[tuple[int, int]] = []
    # The page's letters may hold a running header that the text has not: positions are near, not equal.
    shift = 0
    for line in _pieces(letters, span):
        plain = _plain(line)
        if not plain:
            continue
        place = _occurrence(letters, plain, offset, offset + shift, whole)
        if place >= 0:
            found.append((place, place + len(plain)))
            shift = place - offset
        offset += len(plain)
    return found


def _pieces(letters: str, span: str) -> list[str]:
    """The span in the largest pieces that stand on the page as they are: itself, its lines, sentences, cells, words."""
    pieces = [span]
    for cut in (r"(?<=\n)", r"(?<=[.!?。！？；|])", r"(?<=\s)"):
        pieces = [part for piece in pieces for part in ([piece] if _plain(piece) in letters else re.split(cut, piece))]
    return pieces


def _occurrence(letters: str, plain: str, offset: int, expected: int, whole: str) -> int:
    """Where `plain` stands: the same one of its occurrences as in the text, or the one nearest to `expected`; or -1."""
    places = []
    place = letters.find(plain)
    while place >= 0 and len(places) < 5000:
        places.append(place)
        place = letters.find(plain, place + 1)
    if not places:
        return -1
    before = 0
    place = whole.find(plain)
    total = 0
    while place >= 0 and total < 5000:
        before += place < offset
        total += 1
        place = whole.find(plain, place + 1)
    if total == len(places) and before < total and len(plain) > 3:
        return places[before]
    return min(places, key=lambda found: abs(found - expected))


# ------------------------------------------------------------------------------------------------ boxes


def _lines(signs: Sequence[str], box: Callable[[int], Box | None], first: int, last: int) -> list[Box]:
    """Boxes of the signs `first` to `last`, one for each line, with the signs that close the last word."""
    while last + 1 < len(signs) and signs[last + 1] > " " and not signs[last + 1].isspace():
        if _plain(signs[last + 1]):
            break
        last += 1
    lines: list[Box] = []
    before: Box | None = None
    for index in range(first, last + 1):
        found = None if signs[index].isspace() else box(index)
        if found is None:
            continue
        if before and (_one_line(before, found) or _one_column(lines[-1], before, found)):
            lines[-1] = _around(lines[-1], found)
        else:
            lines.append(found)
        before = found
    return lines


def _box(page: Any, textpage: Any, index: int) -> Box | None:
    """The box of a character in points from the top left of the page as it is shown; None when it has none.

    The loose box: the tight one has no height in some Chinese fonts.
    """
    import pypdfium2.raw as raw

    box = raw.FS_RECTF()
    if not raw.FPDFText_GetLooseCharBox(textpage.raw, index, box):
        return None
    width, height = page.get_size()
    fine = 64
    x, y = ctypes.c_int(), ctypes.c_int()
    corners = []
    for left, top in ((box.left, box.top), (box.right, box.bottom)):
        raw.FPDF_PageToDevice(page.raw, 0, 0, round(width * fine), round(height * fine), 0, left, top, x, y)
        corners.append((x.value / fine, y.value / fine))
    (x0, y0), (x1, y1) = corners
    if x0 == x1 or y0 == y1:
        return None
    return min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)


def _one_line(one: Box, two: Box) -> bool:
    """Do they overlap in height by half, and is the gap between them no wider than two letters are high?"""
    low, high = max(one[1], two[1]), min(one[3], two[3])
    height = min(one[3] - one[1], two[3] - two[1])
    gap = max(two[0] - one[2], one[0] - two[2])
    return high - low >= 0.5 * height and gap <= 2 * max(one[3] - one[1], two[3] - two[1])


def _one_column(line: Box, before: Box, found: Box) -> bool:
    """Is it written downwards or upwards, one letter wide, as on a turned page?"""
    width = max(before[2] - before[0], found[2] - found[0])
    side = min(before[2], found[2]) - max(before[0], found[0])
    gap = max(found[1] - before[3], before[1] - found[3])
    return side >= 0.5 * width and line[2] - line[0] <= 1.5 * width and gap <= width


def _around(one: Box, two: Box) -> Box:
    return min(one[0], two[0]), min(one[1], two[1]), max(one[2], two[2]), max(one[3], two[3])


def _merged(boxes: list[Box]) -> list[Box]:
    """Neighbouring pieces of one line as one box, rounded to a hundredth of a point."""
    lines: list[Box] = []
    for box in boxes:
        if lines and _one_line(lines[-1], box):
            lines[-1] = _around(lines[-1], box)
        else:
            lines.append(box)
    return [tuple(round(value, 2) for value in line) for line in lines]
