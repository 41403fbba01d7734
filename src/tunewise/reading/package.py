"""Zip packages (Office files, EPUB) opened so that a hostile one is refused before anything of it is unpacked.

Nothing is ever written to disk, so names inside a package lead nowhere. Knows nothing about what the parts mean.
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from typing import Any

from tunewise.errors import DataMistake

LARGEST = 512 << 20
"""Bytes of all parts of a package, unpacked."""
_LARGEST_TEXT = 192 << 20
"""Bytes of its parts that hold text: a tree in memory takes several times as much as its XML."""
_MOST_PARTS = 20_000
_MACROS = re.compile(rb"macroEnabled|vbaProject", re.IGNORECASE)
_ENTITY = re.compile(rb"<!(?:ENTITY|DOCTYPE)")
DAMAGED = (
    KeyError, ValueError, AttributeError, TypeError, IndexError, EOFError, NotImplementedError, AssertionError,
    RuntimeError, zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, OverflowError, UnicodeError,
)
"""What libraries raise on a damaged package or on XML that is not what they expect."""


def open_package(data: bytes, *, suffix: str, program: str) -> zipfile.ZipFile:
    """The package, its size and checksums verified; `program` is what the user opens such files with.

    Raises DataMistake when it is empty, protected, damaged, too large unpacked, or holds macros or entities.
    """
    again = f"open it in {program} and save it again as {suffix}"
    if not data:
        raise DataMistake("the file is empty (0 bytes)", tip="copy it again from where it came from")
    if data.startswith(b"\xd0\xcf\x11\xe0"):
        raise DataMistake(
            f"it is an old {program} file ({suffix.rstrip('x')}) or protected by a password",
            tip=f"save it as {suffix} without a password",
        )
    try:
        package = zipfile.ZipFile(io.BytesIO(data))
        parts = package.infolist()
    except DAMAGED as error:
        raise DataMistake(
            f"the file is damaged or cut off (a {suffix} is a zip archive, this is none)", tip=again
        ) from error
    whole = sum(part.file_size for part in parts)
    text = sum(part.file_size for part in parts if part.filename.endswith((".xml", ".rels", ".html", ".xhtml", ".opf")))
    if whole > LARGEST or text > _LARGEST_TEXT or len(parts) > _MOST_PARTS:
        raise DataMistake(
            f"unpacked it is {whole >> 20} MiB in {len(parts)} parts, which is more than is read of one file",
            tip="split the file; a small file that unpacks to this much is made to do harm",
        )
    if any(part.flag_bits & 1 for part in parts):
        raise DataMistake("its parts are protected by a password", tip=f"save it as {suffix} without a password")
    try:
        broken = package.testzip()
        types = package.read("[Content_Types].xml") if "[Content_Types].xml" in package.namelist() else b""
    except DAMAGED as error:
        raise DataMistake(f"the file is damaged: {str(error)[:120]}", tip=again) from error
    if broken:
        raise DataMistake(f"the file is damaged (its part {broken} is not what was saved)", tip=again)
    if _MACROS.search(types):
        raise DataMistake("it holds macros", tip=f"save it as {suffix} without macros")
    return package


def without_entities(package: zipfile.ZipFile, *, program: str) -> None:
    """Refuse a package whose XML declares entities: Office never writes them, only an attack does."""
    for part in package.infolist():
        if part.filename.endswith((".xml", ".rels", ".vml")):
            with package.open(part) as opened:
                head = opened.read(65536)
            # UTF-16 hides the words from a search for bytes.
            if _ENTITY.search(head.replace(b"\0", b"")):
                raise DataMistake(
                    f"its part {part.filename} declares XML entities, which {program} never does",
                    tip="do not trust this file; save its text in a new one",
                )


def tree(xml: bytes) -> Any:
    """XML bytes → lxml element, with nothing fetched and no entity resolved; DataMistake when it is no XML."""
    from lxml import etree

    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        return etree.fromstring(xml, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise DataMistake(f"a part of it is damaged: {str(error)[:120]}", tip="save the file again") from error
