"""Lines of a laid-out page → paragraphs and headings.

Knows sizes and places of lines in points (origin at the bottom left) and nothing about PDF files. What it decides:
which lines are running headers, which belong to one paragraph (also over a page break), which are headings.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from tunewise.reading.draft import Block, one_line

_CJK = re.compile("[\u2e80-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uffef\u2018-\u201d\u2026]")
_ENDED = re.compile(r"[.!?:;。！？：；…][\"'”’)\]】）」』]*$")
_ITEM = re.compile(
    r"(?:[•●▪■□◦‣·∙○◆◇➢✓*–—-]|\(?(?:\d{1,3}|[a-zA-Z]|[ivxIVX]{1,5})[.)、）]|（[一二三四五六七八九十\d]+）|[一二三四五六七八九十]+、|"
    r"第[一二三四五六七八九十百\d]+[章节条款]|\[\d+\]|\d+(?:\.\d+)+)(?:\s|(?<=[、）条章节款]))"
)
_PAGE_NUMBER = re.compile(
    r"[-–—\s]*(?:page\s*)?\d{1,4}(?:\s*(?:of|/)\s*\d{1,4})?[-–—\s]*|第\s*\d+\s*页(?:\s*[共/]\s*\d+\s*页)?",
    re.IGNORECASE,
)
_NUMBERED = re.compile(r"(?:\d+(?:\.\d+)*\.?|第[一二三四五六七八九十百\d]+[章节条]|[IVX]+\.|Appendix [A-Z])\s*\S")


@dataclass(slots=True)
class Line:
    """One line of a page, or a whole table (`table`); `size` is the height of its characters in points.

    pdfium sometimes gives two lines as one: `top` and `base` (the foot) are those of its first character, `bottom` and
    `right` those of its last.
    """

    text: str
    page: int
    left: float
    bottom: float
    right: float
    top: float
    base: float
    size: float
    bold: bool
    table: bool = False


def without_running_lines(pages: list[list[Line]]) -> list[list[Line]]:
    """The pages without page numbers and without headers and footers that repeat (their first occurrence stays)."""
    edges = [{id(line) for line in _edge(lines)} for lines in pages]
    keys = Counter(
        key
        for lines, edge in zip(pages, edges, strict=True)
        for key in {key for line in lines if id(line) in edge for key in _keys(line)}
    )
    many = max(3, (len(pages) + 2) // 3)
    seen: set[str] = set()
    result = []
    for lines, edge in zip(pages, edges, strict=True):
        kept = []
        for line in lines:
            if id(line) in edge:
                number = _PAGE_NUMBER.fullmatch(line.text)
                running = [key for key in _keys(line) if keys[key] >= (2 if number and "#" in key else many)]
                if running and (number or running[0] in seen):
                    continue
                seen.update(running)
            kept.append(line)
        result.append(kept)
    return result


def _edge(lines: list[Line]) -> list[Line]:
    by_height = sorted((line for line in lines if not line.table), key=lambda line: -line.top)
    return by_height[:2] + by_height[-2:] if len(by_height) > 4 else by_height[:1] + by_height[-1:]


def _keys(line: Line) -> list[str]:
    """What a running line has in common with itself on other pages: its words and place, or these with a page number.

    Only a number at its start or end that keeps its distance to the count of pages is a page number. Lines that differ
    in any other number are different lines: forms and price lists are full of them.
    """
    place = f"@{round(line.bottom / 8)}"
    text = line.text.casefold()
    numbers = [
        match
        for match in re.finditer(r"\d{1,5}", text)
        if not re.search(r"[\w.]", text[: match.start()])
        or (not re.search(r"\w", text[match.end() :]))
        or _PAGE_NUMBER.fullmatch(text)
    ]
    return [text + place] + [
        f"{text[: match.start()]}#{int(match.group()) - line.page}{text[match.end() :]}{place}" for match in numbers
    ]


# ------------------------------------------------------------------------------------------------ paragraphs


def blocks_of(pages: list[list[Line]], outline: Mapping[str, int]) -> list[Block]:
    """Blocks in reading order. `outline` holds the bookmarks: {title in lower case: level}."""
    lines = [line for page in pages for line in page]
    body = _body_size(lines)
    levels = _levels(lines, body)
    words = Counter(re.findall(r"[a-z]+(?:-[a-z]+)?", " ".join(line.text.lower() for line in lines)))
    margins, pitch = _margins(lines), _pitch(lines)
    blocks: list[Block] = []
    group: list[Line] = []

    def close() -> None:
        if group:
            blocks.append(_paragraph(group, words))
            group.clear()

    position = 0
    while position < len(lines):
        line = lines[position]
        if line.table:
            close()
            blocks.append(Block(line.text, page=line.page))
        elif level := _heading_level(line, lines, position, body, levels, outline):
            close()
            text, position = _whole_heading(lines, position, body, outline)
            blocks.append(Block(text, level=level, page=line.page))
        else:
            if group and not _goes_on(group, line, margins, pitch):
                close()
            group.append(line)
        position += 1
    close()
    return blocks


def _body_size(lines: list[Line]) -> float:
    sizes: Counter[float] = Counter()
    for line in lines:
        if not line.table:
            sizes[line.size] += len(line.text)
    return sizes.most_common(1)[0][0] if sizes else 0.0


def _levels(lines: list[Line], body: float) -> list[float]:
    """Sizes that stand out from the body, largest first; neighbours within 5 % are one size."""
    sizes = sorted({line.size for line in lines if _large(line, body)}, reverse=True)
    kept: list[float] = []
    for size in sizes:
        if not kept or size < kept[-1] * 0.95:
            kept.append(size)
    return kept


def _large(line: Line, body: float) -> bool:
    return not line.table and line.size > body * 1.12 and bool(re.search(r"\w", line.text)) and len(line.text) <= 160


def _heading_level(
    line: Line, lines: list[Line], position: int, body: float, levels: list[float], outline: Mapping[str, int]
) -> int:
    text = one_line(line.text)
    if text.casefold() in outline:
        return outline[text.casefold()]
    if not any(c.isalpha() for c in text) or len(text) < 2 or text.endswith(("\ufffe", ",", "，", "、")):
        return 0
    if _large(line, body):
        # A sentence in large type is a lead or a quotation, not a heading.
        if len(text) > 110 or (_ENDED.search(text) and len(text) > 60):
            return 0
        return min(1 + next((i for i, size in enumerate(levels) if line.size >= size * 0.95), 5), 6)
    if not line.bold or len(text) > 90 or _ENDED.search(text) or abs(line.size - body) > body * 0.12:
        return 0
    before = lines[position - 1] if position else None
    after = lines[position + 1] if position + 1 < len(lines) else None
    if after is None or after.table or (after.bold and not _NUMBERED.match(text)):
        return 0
    if _beside(line, before) or _beside(line, after):
        return 0
    return min(len(levels) + 1, 6)


def _beside(line: Line, other: Line | None) -> bool:
    """Do both stand at one height, as label and value do?"""
    return (
        other is not None
        and other.page == line.page
        and not other.table
        and abs((other.bottom + other.top) - (line.bottom + line.top)) < line.size
    )


def _whole_heading(lines: list[Line], position: int, body: float, outline: Mapping[str, int]) -> tuple[str, int]:
    """A heading that was wrapped: following lines of the same large size, close below."""
    first = lines[position]
    text = first.text
    while position + 1 < len(lines) and _large(first, body) and one_line(text).casefold() not in outline:
        after = lines[position + 1]
        near = 0 < first.bottom - after.base < 1.7 * first.size * (text.count("\n") + 1)
        if after.page != first.page or after.table or abs(after.size - first.size) > 0.5 or not near or len(text) > 160:
            break
        if _NUMBERED.match(after.text) and _NUMBERED.match(first.text):
            break
        text, position = text + "\n" + after.text, position + 1
    joined = text.split("\n")
    whole = joined[0]
    for part in joined[1:]:
        whole = _join(whole, part, Counter())
    return one_line(whole), position


def _margins(lines: list[Line]) -> dict[int, float]:
    """Right margin at each line (by `id`): how far the nearest lines reach that start at about the same place.

    Near ones only: a title across two columns says nothing about the width of one.
    """
    margins: dict[int, float] = {}
    for position, line in enumerate(lines):
        near = lines[max(0, position - 5) : position + 6]
        margins[id(line)] = max(
            (
                other.right
                for other in near
                if other.page == line.page
                and not other.table
                and abs(other.left - line.left) < 40
                and abs(other.size - line.size) < 0.15 * line.size + 0.1
            ),
            default=line.right,
        )
    return margins


def _pitch(lines: list[Line]) -> float:
    """The usual distance from line to line, in sizes of their letters; 1.2 where there is none."""
    distances: Counter[float] = Counter()
    for one, two in pairwise(lines):
        if one.page == two.page and one.size and abs(one.size - two.size) < 0.3 and not (one.table or two.table):
            distance = (one.bottom - two.base) / one.size
            if 0.9 < distance < 2.6 and len(two.text) > 20:
                distances[round(distance, 1)] += 1
    return max(distances.most_common(1)[0][0], 1.2) if distances else 1.2


def _goes_on(group: list[Line], line: Line, margins: Mapping[int, float], pitch: float) -> bool:
    """Does `line` continue the paragraph of `group`?"""
    last = group[-1]
    if _ITEM.match(line.text) or min(last.size, line.size) < 0.8 * max(last.size, line.size):
        return False
    if last.text.endswith("\ufffe"):
        return True
    starts_small = line.text[:1].islower() or line.text[:1] in "，。；、）)],;"
    margin = margins[id(last)]
    short = last.right < margin - 0.18 * max(margin - last.left, 1.0) - last.size
    below = line.page == last.page and line.top < last.top + 0.2 * last.size
    if not below:
        # A new column or page: the sentence must be open, and the new line must look like its continuation.
        chinese = bool(_CJK.match(line.text)) and bool(_CJK.search(last.text[-1:]))
        return not _ENDED.search(last.text) and (
            starts_small or (chinese and not short) or (not short and len(group) > 1)
        )
    if last.bottom - line.base > 1.35 * pitch * max(last.size, line.size):
        return False
    if len(group) > 1:
        usual = min((a.bottom - b.base for a, b in pairwise(group) if a.bottom > b.base), default=0.0)
        if usual and last.bottom - line.base > 1.45 * usual and not (starts_small and not _ENDED.search(last.text)):
            return False
    if short and not starts_small:
        return False
    indented = (
        line.left > last.left + 1.2 * line.size and line.left > min(other.left for other in group) + 1.2 * line.size
    )
    return not (indented and _ENDED.search(last.text))


def _paragraph(group: list[Line], words: Mapping[str, int]) -> Block:
    text = unicodedata.normalize("NFC", group[0].text)
    turns = []
    for before, line in pairwise(group):
        joined = _join(text, line.text, words)
        if line.page != before.page:
            turns.append((len(joined) - len(line.text), line.page))
        text = joined
    # A hyphen sign at the very end has nothing to join.
    text = text.replace("\ufffe", "-")
    return Block(text, page=group[0].page, turns=tuple(turns))


def _join(text: str, more: str, words: Mapping[str, int]) -> str:
    """Two lines of one paragraph: no space between Chinese characters, hyphenated words made whole."""
    if text.endswith("\ufffe"):
        return (text[:-1] if more[:1].islower() else text[:-1] + "-") + more
    if text.endswith("-") and len(text) > 2 and text[-2].isalpha() and more[:1].islower():
        tail, head = re.findall(r"[A-Za-z]+(?=-$)", text), re.match(r"[a-z]+", more)
        whole = f"{tail[-1]}{head.group()}".lower() if tail and head else ""
        apart = f"{tail[-1]}-{head.group()}".lower() if tail and head else ""
        return (text[:-1] if words.get(whole, 0) > words.get(apart, 0) else text) + more
    if _CJK.match(text[-1:]) and _CJK.match(more[:1]):
        return text + more
    return f"{text} {more}"
