"""EPUB → Draft: the chapters in the order of the book's spine, each read as HTML.

Knows the package of a book and nothing about HTML: `web.py` turns chapters into blocks.
"""

from __future__ import annotations

import posixpath
import re
import urllib.parse
import zipfile
from typing import Any

from tunewise.errors import DataMistake
from tunewise.reading.draft import Block, Draft, assemble, one_line
from tunewise.reading.package import DAMAGED, open_package, tree
from tunewise.reading.web import page_blocks

_PAGES = frozenset(("application/xhtml+xml", "text/html", "application/html+xml"))
_AGAIN = "export the book again, or convert it with the program that made it"


def read_book(data: bytes) -> Draft:
    """EPUB bytes → Draft; chapters that are missing are named in its notes.

    Raises DataMistake when it is damaged, protected against copying, or holds no text.
    """
    package = open_package(data, suffix=".epub", program="the e-book program")
    names = set(package.namelist())
    if "META-INF/encryption.xml" in names and _protected(package):
        raise DataMistake("it is protected against copying (DRM)", tip="get it without protection from its publisher")
    try:
        path = _contents(package, names)
        contents = tree(package.read(path))
    except DAMAGED as error:
        raise DataMistake("it is no e-book, or damaged: its list of contents is missing", tip=_AGAIN) from error
    blocks: list[Block] = []
    parts, notes = _spine(contents, path)
    for part in parts:
        if part not in names:
            notes.append(f"its part {part} is missing")
            continue
        try:
            said: list[str] = []
            blocks.extend(page_blocks(package.read(part), notes=said))
            notes.extend(f"its part {part}: {note}" for note in said)
        except DataMistake as error:
            # Covers and empty pages are usual; what is damaged has been found by its checksum.
            if "holds no text" not in error.message and "empty" not in error.message:
                notes.append(f"its part {part}: {error.message}")
    if not blocks:
        raise DataMistake("the book holds no text (only pictures, or nothing)", tip=_AGAIN)
    return assemble(blocks, title=_named(contents, "title"), notes=notes)


def _protected(package: zipfile.ZipFile) -> bool:
    """Whether more than its fonts is encrypted (fonts usually are)."""
    listed = tree(package.read("META-INF/encryption.xml"))
    targets = [element.get("URI") or "" for element in _all(listed, "CipherReference")]
    return any(not re.search(r"\.(otf|ttf|woff2?)$|/?fonts?/", target, re.IGNORECASE) for target in targets)


def _contents(package: zipfile.ZipFile, names: set[str]) -> str:
    if "META-INF/container.xml" in names:
        for root in _all(tree(package.read("META-INF/container.xml")), "rootfile"):
            if root.get("full-path") in names:
                return root.get("full-path")
    # Some converters forget the container; the list of contents is known by its suffix.
    return min(name for name in names if name.endswith(".opf"))


def _spine(contents: Any, path: str) -> tuple[list[str], list[str]]:
    """Names of the parts in reading order, resolved inside of the package, and notes on those that are no pages.

    What stands outside of the order (`linear="no"`: notes, answers to exercises) comes last.
    """
    listed = {item.get("id"): item for item in _all(contents, "item")}
    pages = {id: item for id, item in listed.items() if (item.get("media-type") or "") in _PAGES}
    navigation = {id for id, item in listed.items() if "nav" in (item.get("properties") or "").split()}
    references = _all(contents, "itemref")
    # False before True: the sort keeps the order otherwise.
    order = [one.get("idref") for one in sorted(references, key=lambda one: one.get("linear") == "no")] or [*pages]
    notes = []
    for id in order:
        if id not in pages:
            what = f"{listed[id].get('href')} is of a kind that is not read" if id in listed else f"{id} is not listed"
            notes.append(f"its part {what}")
    if idle := sorted(item.get("href") or "" for id, item in pages.items() if id not in order and id not in navigation):
        more = f" and {len(idle) - 5} more" if len(idle) > 5 else ""
        notes.append(f"outside of its reading order, not read: {', '.join(idle[:5])}{more}")
    hrefs = [pages[id].get("href") or "" for id in order if id in pages and id not in navigation]
    folder = posixpath.dirname(path)
    parts = [posixpath.normpath(posixpath.join(folder, urllib.parse.unquote(one.partition("#")[0]))) for one in hrefs]
    return parts, notes


def _named(contents: Any, name: str) -> str:
    return next((one_line(element.text) for element in _all(contents, name) if (element.text or "").strip()), "")


def _all(root: Any, name: str) -> list[Any]:
    """Elements of this name in any namespace."""
    return [one for one in root.iter() if isinstance(one.tag, str) and one.tag.rpartition("}")[2] == name]
