"""Document → Chunks: passages by heading, table row and sentence, each an exact span of the document's text.

Spans never overlap (unless asked) and leave out nothing but white space. Knows nothing about embedders: how many
tokens a text has is a callable that is handed in.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tunewise.nouns import Chunk, Document
from tunewise.sentences import clauses, sentences, trimmed, words

Span = tuple[int, int]
Count = Callable[[str], int]

KINDS = ("sections", "pages", "parents")
"""sections: by headings. pages: no chunk crosses a page. parents: sections, each chunk inside a larger one that is read
in its place (search small, read large)."""
PARENT = 4
"""How many times as many tokens a parent has."""

TINY = 25
"""Sections below this many tokens may share a chunk with a neighbour that is as small."""

_CJK = "\u2e80-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003134f"
# A run of signs without white space counts once for each 20, so that no endless line hides in one "word".
_TOKENS = re.compile(f"[{_CJK}]|[^\\s{_CJK}]{{1,20}}")
_ROW = re.compile(r"[ \t]*\|.*\|[ \t]*$")
_RULE = re.compile(r"[ \t]*\|?(?:[ \t]*:?-+:?[ \t]*\|)+(?:[ \t]*:?-+:?)?[ \t]*$")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_ITEM = re.compile(
    r"[ \t]*(?:[-*+•]|\d{1,4}[.)]|\(?[a-zA-Z\d]{1,3}\)|（[^）]{1,4}）|[一二三四五六七八九十]+、)[ \t]*\S"
)


def count_words(text: str) -> int:
    """Words plus CJK characters; a run of other signs counts once for each 20."""
    return sum(1 for _ in _TOKENS.finditer(text))


@dataclass(slots=True)
class _Section:
    start: int
    end: int
    path: tuple[str, ...]


@dataclass(slots=True)
class _Atom:
    """The smallest span that is not torn; `first`: it opens a paragraph; `header`: the header row above it."""

    start: int
    end: int
    first: bool = False
    header: str = ""


def chunk(
    document: Document, *, tokens: int = 120, overlap: int = 0, count: Count | None = None, kind: str = "sections"
) -> list[Chunk]:
    """Chunks of at most `tokens` in the order of the text; each may repeat up to `overlap` tokens of the one before.

    `kind` is one of `KINDS`. `Chunk.heading` is the path of headings ("A > B"), followed by " | " and the header row
    where a chunk starts inside a table. A single character that counts more than `tokens` is a chunk of its own. Raises
    ValueError for bad numbers and unknown kinds.
    """
    if tokens < 1 or not 0 <= overlap < tokens:
        raise ValueError(f"tokens must be at least 1 and overlap between 0 and tokens - 1, got {tokens} and {overlap}")
    if kind not in KINDS:
        raise ValueError(f"kind {kind!r} is none of {', '.join(KINDS)}")
    count = count or count_words
    text = document.text
    chunks: list[Chunk] = []
    sections = _sections(document, tokens if kind != "parents" else PARENT * tokens, count)
    for section in _paged(document, sections) if kind == "pages" else sections:
        for large in _parents(text, section, tokens, count) if kind == "parents" else [section]:
            atoms = list(_atoms(text, large.start, large.end, tokens, count))
            for start, end, header in _pack(text, atoms, tokens, overlap, count):
                heading = " | ".join(filter(None, (" > ".join(section.path), header)))
                parent = (large.start, large.end) if kind == "parents" else None
                chunks.append(_chunk(document, start, end, heading, parent))
    return chunks


def _chunk(document: Document, start: int, end: int, heading: str, parent: Span | None) -> Chunk:
    page = None
    if document.pages:
        page = document.pages[max(bisect_right(document.pages, start, key=lambda page: page.start) - 1, 0)].number
    return Chunk(
        id=f"{document.id}@{document.revision[:12]}#{start}-{end}", document=document.id, revision=document.revision,
        start=start, end=end, text=document.text[start:end], title=document.title, heading=heading, page=page,
        language=document.language, groups=document.groups, parent=parent if parent != (start, end) else None,
    )


def _parents(text: str, section: _Section, tokens: int, count: Count) -> Iterator[_Section]:
    """The section in parts of at most `PARENT` times the tokens of a chunk."""
    size = PARENT * tokens
    for start, end, _ in _pack(text, list(_atoms(text, section.start, section.end, size, count)), size, 0, count):
        yield _Section(start, end, section.path)


def _paged(document: Document, sections: Sequence[_Section]) -> Iterator[_Section]:
    """The sections cut wherever a page begins; of a document without pages, as they are."""
    cuts = sorted(page.start for page in document.pages)
    for section in sections:
        edges = [section.start, *(cut for cut in cuts if section.start < cut < section.end), section.end]
        for start, end in pairwise(edges):
            if document.text[start:end].strip():
                yield _Section(start, end, section.path)


# ------------------------------------------------------------------------------------------------ sections


def _sections(document: Document, tokens: int, count: Count) -> list[_Section]:
    """The text cut before every heading; headings without a body, and tiny neighbours, are put together."""
    text = document.text
    sections = [_Section(0, len(text), ())]
    ends: list[int] = []
    path: list[tuple[int, str]] = []
    for heading in sorted(document.headings, key=lambda heading: heading.start):
        if heading.start < (ends[-1] if ends else 0):
            continue
        path = [item for item in path if item[0] < heading.level] + [(heading.level, heading.title)]
        sections[-1].end = heading.start
        sections.append(_Section(heading.start, len(text), tuple(title for _, title in path)))
        ends.append(heading.end)
    body = [not text[end : section.end].strip() for section, end in zip(sections[1:], ends, strict=True)]
    result: list[_Section] = []
    bare = False
    for section, empty in zip(sections, [False, *body], strict=True):
        if not text[section.start : section.end].strip():
            continue
        last = result[-1] if result else None
        if last and bare and len(section.path) > len(last.path):
            # A title above its first subsection has no words of its own: it opens the subsection's chunk.
            last.end, last.path = section.end, section.path
        elif last and _tiny_pair(text, last, section, tokens, count):
            last.end, last.path = section.end, _both(last.path, section.path)
        else:
            result.append(section)
        bare = empty
    return result


def _tiny_pair(text: str, one: _Section, two: _Section, tokens: int, count: Count) -> bool:
    # Length first: counting with an embedder's tokenizer is not free.
    if max(one.end - one.start, two.end - two.start) > 40 * TINY:
        return False
    return (
        count(text[one.start : one.end].strip()) < TINY
        and count(text[two.start : two.end].strip()) < TINY
        and count(text[one.start : two.end].strip()) <= tokens
    )


def _both(one: tuple[str, ...], two: tuple[str, ...]) -> tuple[str, ...]:
    """One path for two sections: what they share, then both ends."""
    shared = 0
    while shared < min(len(one), len(two)) and one[shared] == two[shared]:
        shared += 1
    ends = [" > ".join(path[shared:]) for path in (one, two) if path[shared:]]
    return (*one[:shared], "; ".join(ends)) if ends else one


# ------------------------------------------------------------------------------------------------ atoms


def _atoms(text: str, start: int, end: int, tokens: int, count: Count) -> Iterator[_Atom]:
    """Rows, lines of code, and sentences between `start` and `end`; none has more than `tokens`."""
    for lines, kind, header in _blocks(text, start, end):
        pieces = (
            lines
            if kind == "lines"
            else [span for part in _items(text, lines) for span in sentences(text, part[0][0], part[-1][1])]
        )
        first = True
        whole = _fitting(header, tokens, count)
        for number, (left, right) in enumerate(pieces):
            for low, high in _fit(text, left, right, tokens, count):
                above = ""
                if header and (number > 1 or not first):
                    part = (low, high) != (left, right)
                    above = _fitting(_over(text, left, low, high, header), tokens, count) if part else whole
                yield _Atom(low, high, first, above)
                first = False


def _over(text: str, left: int, low: int, high: int, header: str) -> str:
    """The header cells over a piece of a row that starts at `left` and was too long for one chunk."""
    first = max(0, text.count("|", left, low) - 1 + text.startswith("|", low)) if low > left else 0
    last = text.count("|", left, high) - text[low:high].rstrip().endswith("|")
    return " | ".join(header.split(" | ")[first:last])


def _fitting(header: str, tokens: int, count: Count) -> str:
    """As many cells of a header, from the left, as count at most `tokens`: a passage is more than its table's names."""
    if not header or count(header) <= tokens:
        return header
    cells = header.split(" | ")
    # The cut header counts the more the later it is cut.
    few = bisect_right(range(len(cells)), tokens, key=lambda n: count(" | ".join([*cells[:n], "…"]))) - 1
    return " | ".join([*cells[:few], "…"]) if few > 0 else ""


def _blocks(text: str, start: int, end: int) -> Iterator[tuple[list[Span], str, str]]:
    """Paragraphs as (lines, "text" or "lines", header row of a table): tables and code keep their lines whole."""
    group: list[Span] = []
    fence = ""
    for left, right in _lines(text, start, end):
        line = text[left:right]
        mark = _FENCE.match(line)
        if fence:
            group.append((left, right))
            if mark and mark.group(1).startswith(fence):
                yield _strip(text, group), "lines", ""
                group, fence = [], ""
        elif mark:
            if group:
                yield _paragraph(text, group)
            group, fence = [(left, right)], mark.group(1)
        elif not line.strip():
            if group:
                yield _paragraph(text, group)
            group = []
        else:
            if group and bool(_ROW.match(line)) != bool(_ROW.match(text[group[-1][0] : group[-1][1]])):
                yield _paragraph(text, group)
                group = []
            group.append((left, right))
    if group:
        yield (_strip(text, group), "lines", "") if fence else _paragraph(text, group)


def _paragraph(text: str, group: list[Span]) -> tuple[list[Span], str, str]:
    if len(group) > 1 and _ROW.match(text[slice(*group[0])]):
        header = ""
        if _RULE.match(text[slice(*group[1])]):
            cells = [" ".join(cell.split()) for cell in text[slice(*group[0])].strip().strip("|").split("|")]
            header = " | ".join(cells)
        return _strip(text, group), "lines", header
    return _strip(text, group), "text", ""


def _lines(text: str, start: int, end: int) -> Iterator[Span]:
    while start < end:
        stop = text.find("\n", start, end)
        stop = end if stop < 0 else stop
        yield start, stop
        start = stop + 1


def _strip(text: str, spans: list[Span]) -> list[Span]:
    return [inner for span in spans for inner in trimmed(text, *span)]


def _items(text: str, lines: list[Span]) -> Iterator[list[Span]]:
    """The paragraph's lines, apart at every list item: an item is not the rest of the sentence above it."""
    group: list[Span] = []
    for line in lines:
        if group and _ITEM.match(text[slice(*line)]):
            yield group
            group = []
        group.append(line)
    if group:
        yield group


def _fit(text: str, start: int, end: int, tokens: int, count: Count) -> Iterator[Span]:
    """The span itself, or parts of at most `tokens`: clauses, then words, then characters, as many as go in each."""
    if count(text[start:end]) <= tokens:
        yield start, end
        return
    for split in (clauses, words):
        pieces = list(split(text, start, end))
        if len(pieces) < 2:
            continue
        first = 0
        while first < len(pieces):
            last = _reach(text, pieces, first, tokens, count)
            yield from _fit(text, pieces[first][0], pieces[last][1], tokens, count)
            first = last + 1
        return
    signs = [(place, place + 1) for place in range(start, end)]
    first = 0
    while first < len(signs):
        last = _reach(text, signs, first, tokens, count)
        yield signs[first][0], signs[last][1]
        first = last + 1


def _reach(text: str, spans: Sequence[Span], first: int, tokens: int, count: Count) -> int:
    """Index of the last span that still fits into one chunk with `first`; `first` itself is never refused.

    Doubling steps, then halving: an embedder's tokenizer is asked a few times for each chunk, not for each word.
    """
    fits, step = first, 1
    while fits + step < len(spans) and count(text[spans[first][0] : spans[fits + step][1]]) <= tokens:
        fits, step = fits + step, 2 * step
    too_far = min(fits + step, len(spans))
    while too_far - fits > 1:
        middle = (fits + too_far) // 2
        fits, too_far = (
            (middle, too_far) if count(text[spans[first][0] : spans[middle][1]]) <= tokens else (fits, middle)
        )
    return fits


# ------------------------------------------------------------------------------------------------ packing


def _pack(text: str, atoms: list[_Atom], tokens: int, overlap: int, count: Count) -> Iterator[tuple[int, int, str]]:
    """(start, end, header) of chunks: as many atoms as fit, breaking between paragraphs where that wastes little."""
    spans = [(atom.start, atom.end) for atom in atoms]
    first = 0
    while first < len(atoms):
        last = _reach(text, spans, first, tokens, count)
        if last + 1 < len(atoms):
            last = _better_break(text, atoms, first, last, tokens, count)
        yield atoms[first].start, atoms[last].end, atoms[first].header
        if last + 1 >= len(atoms):
            return
        following = last + 1
        while following - 1 > first and overlap:
            back = text[atoms[following - 1].start : atoms[last].end]
            if count(back) > overlap or count(text[atoms[following - 1].start : atoms[last + 1].end]) > tokens:
                break
            following -= 1
        first = following


def _better_break(text: str, atoms: list[_Atom], first: int, last: int, tokens: int, count: Count) -> int:
    """End at a paragraph's end if the chunk stays at least half full; never leave a crumb for the next chunk."""
    paragraph = next((i for i in range(last, first, -1) if atoms[i + 1].first), None)
    if atoms[last + 1].first:
        paragraph = last
    if paragraph is not None and 2 * count(text[atoms[first].start : atoms[paragraph].end]) >= tokens:
        last = paragraph
    end, crumb = atoms[-1].end, min(TINY, tokens // 3)
    # Length first: the rest of a long section need not be counted for every chunk of it.
    while last > first and end - (begin := atoms[last + 1].start) < 40 * TINY and count(text[begin:end]) < crumb:
        # The last chunk of a section would be a crumb: hand it sentences of this one while both stay of use.
        if 2 * count(text[atoms[first].start : atoms[last - 1].end]) < tokens:
            break
        last -= 1
    return last


__all__ = ["KINDS", "PARENT", "TINY", "chunk", "count_words"]
