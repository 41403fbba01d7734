"""Which module reads which file, told by its suffix, and what a file is that is not what its suffix says.

A literal table: every format is one line of it. Knows nothing about files on disk.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Sequence
from pathlib import PurePath

from tunewise.errors import DataMistake
from tunewise.reading.draft import Draft, Tell

_KINDS: dict[str, tuple[str, ...]] = {
    "Markdown": (".md", ".markdown"),
    "text": (".txt", ".text", ".rst", ".adoc", ".log"),
    "HTML": (".html", ".htm", ".xhtml"),
    "PDF": (".pdf",),
    "Word": (".docx",),
    "PowerPoint": (".pptx",),
    "sheet": (".xlsx", ".xls", ".xlsb", ".ods"),
    "CSV": (".csv", ".tsv"),
    "book": (".epub",),
    "message": (".eml", ".msg"),
    "picture": (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp"),
}
_KIND = {suffix: kind for kind, suffixes in _KINDS.items() for suffix in suffixes}
SUFFIXES: frozenset[str] = frozenset(_KIND)
"""What `read_file` takes, in lower case."""

PAGED: frozenset[str] = frozenset((*_KINDS["PDF"], *_KINDS["picture"]))
"""Those whose pages can be shown as they are; slides and sheets are numbered like pages, but not drawn."""

PLAIN: frozenset[str] = frozenset((*_KINDS["Markdown"], *_KINDS["text"]))
"""Those that no library reads: nothing in them but their own characters."""

# Suffixes of what people have in such folders and what to do with it.
_OTHERS = {
    ".doc": "old Word files (.doc) are not read: save it as .docx",
    ".ppt": "old PowerPoint files (.ppt) are not read: save it as .pptx",
    ".rtf": "RTF files are not read: save it as .docx",
    ".odt": "OpenDocument texts (.odt) are not read: save it as .docx or PDF",
    ".pages": "Pages files are not read: export it as .docx or PDF",
} | {
    suffix: f"files that may hold macros ({suffix}) are not read: save it as {suffix[:-1]}x"
    for suffix in (".docm", ".xlsm", ".pptm")
} | dict.fromkeys((".zip", ".7z", ".rar", ".gz", ".tar", ".tgz"), "archives are not read: unpack it")
_DEEPEST = 3
"""How many messages may be attached to one another."""


def unknown_suffix(path: PurePath) -> str:
    """Why a file of this name is not read, in plain words."""
    reason = _unread(path)
    return reason if path.suffix.lower() in _OTHERS else f"{reason} (known: {', '.join(sorted(SUFFIXES))})"


def _unread(path: PurePath) -> str:
    what = f"files ending in {path.suffix!r}" if path.suffix else "files without a suffix"
    return _OTHERS.get(path.suffix.lower(), f"{what} are not read")


def read_bytes(
    suffix: str, data: bytes, passwords: Sequence[str] = (), tell: Tell | None = None, depth: int = 0
) -> Draft:
    """The bytes of a file whose suffix is one of SUFFIXES → Draft; DataMistake when it cannot be read.

    `tell` is called after each page that had to be recognised (OCR): work that takes seconds goes on.
    """
    kind = _KIND[suffix]
    if really := _mislabelled(suffix, data):
        raise DataMistake(f"it is {really}, not what its name says ({suffix})", tip="give it the suffix of its format")
    if kind == "Markdown":
        from tunewise.reading.plain import read_markdown

        return read_markdown(data)
    if kind == "text":
        from tunewise.reading.plain import read_text

        return read_text(data)
    if kind == "HTML":
        from tunewise.reading.web import read_html

        return read_html(data)
    if kind == "PDF":
        from tunewise.reading.pdf import read_pdf

        return read_pdf(data, passwords, tell)
    if kind == "Word":
        from tunewise.reading.word import read_word

        return read_word(data)
    if kind == "PowerPoint":
        from tunewise.reading.slides import read_slides

        return read_slides(data)
    if kind == "sheet":
        from tunewise.reading.sheets import read_sheets

        return read_sheets(data, suffix)
    if kind == "CSV":
        from tunewise.reading.tables import read_csv

        return read_csv(data, delimiter="\t" if suffix == ".tsv" else "")
    if kind == "book":
        from tunewise.reading.book import read_book

        return read_book(data)
    if kind == "picture":
        from tunewise.reading.scans import read_picture

        return read_picture(data, tell)
    from tunewise.reading.mail import read_eml, read_msg

    def attached(name: str, inner: bytes) -> Draft:
        path = PurePath(name)
        ending = path.suffix.lower()
        if ending not in SUFFIXES:
            raise DataMistake(_unread(path))
        if depth >= _DEEPEST:
            raise DataMistake("messages are attached to one another too deeply")
        return read_bytes(ending, inner, passwords, tell, depth + 1)

    return (read_msg if suffix == ".msg" else read_eml)(data, attached)


# ------------------------------------------------------------------------------------------------ mislabelled files

_PARTS = {
    "word/document.xml": ("Word", "a Word file (.docx)"),
    "ppt/presentation.xml": ("PowerPoint", "a PowerPoint file (.pptx)"),
    "xl/workbook.xml": ("sheet", "an Excel file (.xlsx)"),
    "xl/workbook.bin": ("sheet", "an Excel file (.xlsb)"),
    "META-INF/container.xml": ("book", "an e-book (.epub)"),
}
_PICTURES = {
    b"\x89PNG\r\n": "a PNG picture", b"\xff\xd8\xff": "a JPEG picture", b"GIF8": "a GIF picture",
    b"II*\0": "a TIFF picture", b"MM\0*": "a TIFF picture",
}
_PROGRAMS = {b"\x7fELF": "a program", b"MZ\x90\0": "a Windows program", b"{\\rtf": "an RTF file"}
_PLAIN = frozenset(("Markdown", "text", "HTML", "CSV"))
_HTML_HEAD = re.compile(rb"\s*(?:\xef\xbb\xbf)?\s*(?:<!doctype\s+html|<html[\s>])", re.IGNORECASE)


def _mislabelled(suffix: str, data: bytes) -> str:
    """What the file is for certain when that is not what its suffix says; "" when there is no contradiction."""
    if data.startswith(b"%PDF-") and suffix != ".pdf":
        return "a PDF"
    for mark, what in _PROGRAMS.items() if _KIND[suffix] == "picture" else (_PICTURES | _PROGRAMS).items():
        if data.startswith(mark):
            return what
    if data.startswith(b"\xd0\xcf\x11\xe0") and _KIND[suffix] in _PLAIN:
        return "an old Office file or a message"
    if data.startswith(b"PK\x03\x04"):
        return _packed(suffix, data)
    if _HTML_HEAD.match(data[:1024]) and _KIND[suffix] in ("Word", "PowerPoint", "sheet", "PDF", "book", "picture"):
        return "an HTML page"
    return ""


def _packed(suffix: str, data: bytes) -> str:
    if _KIND[suffix] in _PLAIN | {"PDF", "message", "picture"} or suffix == ".xls":
        return "a zip archive or an Office file"
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as package:
            names = set(package.namelist())
    except (ValueError, EOFError, NotImplementedError, zipfile.BadZipFile, zipfile.LargeZipFile):
        # What reads such files says better how it is damaged.
        return ""
    found = [(kind, what) for part, (kind, what) in _PARTS.items() if part in names]
    return "" if any(kind == _KIND[suffix] for kind, _ in found) or not found else found[0][1]
