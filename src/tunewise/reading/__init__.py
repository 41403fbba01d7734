"""Files → Document: text, HTML, PDF, Office files, e-mail and books, each with exact spans of its headings and pages.

    draft.py   blocks in reading order → one text with spans
    plain.py   Markdown and text, any encoding
    web.py     HTML
    book.py    EPUB, chapter by chapter as HTML
    mail.py    e-mail: .eml and Outlook's .msg, with what is attached
    pdf.py     PDF; lines.py: lines of a page → paragraphs and headings; ruled.py: its tables
    columns.py columns that were written row by row
    scans.py   pages and files that are pictures; ocr.py: a picture → lines of text (the extra `ocr`)
    word.py    Word; numbering.py: its list numbers
    slides.py  PowerPoint
    sheets.py  Excel and OpenDocument sheets; tables.py: rows of cells → Markdown tables, CSV
    charts.py  charts in Office files: the numbers behind them
    package.py the zip archives that Office files and books are, opened with care
    formats.py which module reads which file, and what a file that is not what its suffix says really is
    folder.py  a folder, read by child processes (child.py, worker.py) that may die without harm
    pages.py   where a span stands on a page, and the page as a picture; views.py: the same through a child
    address.py a web address fetched with care; web_sources.py: where saved pages came from

Knows nothing about chunks, indexes or models; only `address.py` ever opens a connection.
"""

from __future__ import annotations

import datetime
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tunewise.errors import DataMistake, MissingExtra
from tunewise.nouns import Document
from tunewise.reading.draft import Tell
from tunewise.reading.formats import SUFFIXES, read_bytes, unknown_suffix
from tunewise.store import sha256

_LARGEST = 256 << 20
_LONGEST = 30_000_000
"""Characters of one document: what is larger is a data set, or made to do harm."""


@dataclass(frozen=True, slots=True)
class Unread:
    """A file, or pages of a file, that could not be read, and why in plain words; `partly`: the rest of it was read."""

    source: str
    reason: str
    partly: bool = False


def read_file(
    path: str | Path,
    *,
    id: str | None = None,
    password: str | None = None,
    passwords: Sequence[str] = (),
    notes: list[str] | None = None,
    tell: Tell | None = None,
) -> Document:
    """Read one file in this process; what could not be read of it is appended to `notes`.

    `id` defaults to the file's name. `tell` is called while slow but honest work goes on:
    after each page that had to be recognised (OCR), and each one whose tables were found in good time.
    Raises DataMistake with the cause and the way out; MissingExtra for a picture without the extra `ocr`.
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
        draft = read_bytes(suffix, data, tried, tell)
    except (DataMistake, MissingExtra) as error:
        raise type(error)(f"{path}: {error.message}", tip=error.tip) from error
    if len(draft.text) > _LONGEST:
        raise DataMistake(f"{path}: it holds more than {_LONGEST:,} characters", tip="split the file")
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
