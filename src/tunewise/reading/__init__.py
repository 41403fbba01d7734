"""Files → Document: Markdown, text, HTML, PDF and Word, each with exact spans of its headings and pages.

    draft.py   blocks in reading order → one text with spans
    plain.py   Markdown and text, any encoding
    web.py     HTML
    pdf.py     PDF; lines.py: lines of a page → paragraphs and headings
    word.py    Word; numbering.py: its list numbers
    folder.py  a folder, read by child processes (child.py, worker.py) that may die without harm
    pages.py   where a span stands on a page, and the page as a picture; views.py: the same through a child

Knows nothing about chunks, indexes or models, and never opens a connection.
"""

from __future__ import annotations

import datetime
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tunewise.errors import DataMistake
from tunewise.nouns import Document
from tunewise.store import sha256

_MARKDOWN = frozenset((".md", ".markdown"))
_TEXT = frozenset((".txt", ".text"))
_HTML = frozenset((".html", ".htm", ".xhtml"))
SUFFIXES: frozenset[str] = _MARKDOWN | _TEXT | _HTML | {".pdf", ".docx"}
"""What `read_file` takes, in lower case."""

_LARGEST = 256 << 20


@dataclass(frozen=True, slots=True)
class Unread:
    """A file, or pages of a file, that could not be read, and why in plain words."""

    source: str
    reason: str


def read_file(
    path: str | Path,
    *,
    id: str | None = None,
    password: str | None = None,
    passwords: Sequence[str] = (),
    notes: list[str] | None = None,
) -> Document:
    """Read one file in this process; what could not be read of it is appended to `notes`.

    `id` defaults to the file's name. Raises DataMistake with the cause and the way out.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise DataMistake(f"{path}: {unknown_suffix(path)}", tip=f"known suffixes: {', '.join(sorted(SUFFIXES))}")
    try:
        stat = path.stat()
        if not path.is_file():
            raise DataMistake(f"{path}: it is not a regular file")
        if stat.st_size > _LARGEST:
            raise DataMistake(f"{path}: it is larger than {_LARGEST >> 20} MiB", tip="split the file")
        data = path.read_bytes()
    except OSError as error:
        raise DataMistake(
            f"{path}: {error.strerror or error}", tip="check the path and who may read the file"
        ) from error
    tried = ((password,) if password is not None else ()) + tuple(passwords)
    try:
        draft = _read(suffix, data, tried)
    except DataMistake as error:
        raise DataMistake(f"{path}: {error.message}", tip=error.tip) from error
    if not draft.text.strip():
        raise DataMistake(f"{path}: it holds no text", tip="fill it or take it away")
    if notes is not None:
        notes.extend(draft.notes)
    modified = datetime.datetime.fromtimestamp(int(stat.st_mtime), datetime.UTC)
    return Document(
        id=unicodedata.normalize("NFC", id or path.name),
        text=draft.text,
        title=draft.title or path.stem,
        revision=sha256(draft.text),
        source=str(path),
        language=language_of(draft.text),
        pages=draft.pages,
        headings=draft.headings,
        modified=modified.strftime("%Y-%m-%dT%H:%M:%SZ"),
    )


def _read(suffix: str, data: bytes, passwords: Sequence[str]):
    if suffix in _MARKDOWN:
        from tunewise.reading.plain import read_markdown

        return read_markdown(data)
    if suffix in _TEXT:
        from tunewise.reading.plain import read_text

        return read_text(data)
    if suffix in _HTML:
        from tunewise.reading.web import read_html

        return read_html(data)
    if suffix == ".pdf":
        from tunewise.reading.pdf import read_pdf

        return read_pdf(data, passwords)
    from tunewise.reading.word import read_word

    return read_word(data)


def unknown_suffix(path: Path) -> str:
    """Why a file of this name is not read, in plain words."""
    known = ", ".join(sorted(SUFFIXES))
    if path.suffix.lower() == ".doc":
        return "old Word files (.doc) are not read: save it as .docx"
    return (
        f"files ending in {path.suffix!r} are not read (known: {known})"
        if path.suffix
        else (f"files without a suffix are not read (known: {known})")
    )


_LETTERS = {
    "zh": re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f]"),
    "ja": re.compile("[\u3041-\u30ff]"),
    "ko": re.compile("[\u1100-\u11ff\uac00-\ud7af]"),
}


def language_of(text: str) -> str:
    """ "zh", "ja", "ko" or "en" by the share of their letters; "und" for a text without letters.

    Every other language in an alphabet is "en", because nothing in this house tells them apart.
    """
    sample = text[:200_000]
    counts = {name: len(letters.findall(sample)) for name, letters in _LETTERS.items()}
    total = sum(map(str.isalpha, sample))
    if not total:
        return "und"
    east = sum(counts.values())
    if east <= 0.2 * total:
        return "en"
    if counts["ko"] > 0.3 * east:
        return "ko"
    # A Chinese text may quote a Japanese word; a Japanese one is full of kana.
    return "ja" if counts["ja"] > 0.1 * east else "zh"


def __getattr__(name: str) -> object:
    # Late: what starts children and draws pages is not needed by the children themselves.
    if name == "read_folder":
        from tunewise.reading.folder import read_folder

        return read_folder
    if name in ("page_boxes", "page_png"):
        from tunewise.reading import views

        return getattr(views, name)
    if name == "PageBoxes":
        from tunewise.reading.pages import PageBoxes

        return PageBoxes
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


if TYPE_CHECKING:
    from tunewise.reading.folder import read_folder
    from tunewise.reading.pages import PageBoxes
    from tunewise.reading.views import page_boxes, page_png

__all__ = [
    "SUFFIXES", "PageBoxes", "Unread", "language_of", "page_boxes", "page_png", "read_file", "read_folder",
]
