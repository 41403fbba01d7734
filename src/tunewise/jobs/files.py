"""Which files of a folder are as they were at the last ingest, by size and time of modification, as rsync tells it;
which files a document is, and what of them could not be read.

Knows nothing about what is in them.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from tunewise.errors import Damaged
from tunewise.jobs.globs import nfc
from tunewise.store import read_json, write_json

if TYPE_CHECKING:
    from tunewise.reading import Unread

_RACY = 2.0
"""Seconds: a file written just before it was read may be written again without another time; it is read once more."""


def files_of(folder: Path, id: str) -> list[Path]:
    """The files below a folder that are this document, however the disk writes their names ("é" in one part or two).

    Links to folders are not followed; an id that leads out of the folder names none.
    """
    places = [Path(folder)]
    for part in PurePosixPath(id).parts:
        places = [
            path for place in places if place.is_dir() and not (place.is_symlink() and place != folder)
            for path in place.iterdir() if nfc(path.name) == part
        ]
    return sorted(path for path in places if path.is_symlink() or path.is_file())


class SeenFiles:
    """The files of the last ingest under the same `settings`; `skipped` lists those that were found the same.

    Only `known` ids can be skipped; `again`: none is.
    """

    def __init__(self, path: Path, settings: str, known: Collection[str], *, again: bool = False) -> None:
        self._path, self._settings, self._known = path, settings, known
        self._now = time.time()
        self._seen: dict[str, list[int]] = {}
        self._found: dict[str, list[int]] = {}
        self.skipped: list[str] = []
        if path.is_file() and not again:
            try:
                kept = read_json(path)
            except Damaged:
                # Only a shortcut: without it every file is read.
                kept = {}
            self._seen = kept.get("files", {}) if kept.get("settings") == settings else {}

    def same(self, id: str, path: Path) -> bool:
        """Whether a file is as it was; what it is now is remembered for `keep`."""
        try:
            state = path.stat()
        except OSError:
            return False
        now = [state.st_size, state.st_mtime_ns, state.st_ino]
        if self._now - state.st_mtime > _RACY:
            self._found[id] = now
        if self._seen.get(id) != now or id not in self._known:
            return False
        self.skipped.append(id)
        return True

    def keep(self, read: Sequence[str]) -> None:
        """Remember the files that were read whole now, and those that were skipped."""
        good = {*read, *self.skipped}
        files = {id: state for id, state in self._found.items() if id in good}
        write_json(self._path, {"settings": self._settings, "files": files})


def keep_faults(home: Path, unread: Sequence[Unread]) -> None:
    """Keep what an ingest could not read of the files: all of it, since such files are tried again every time."""
    file = home / "unread.json"
    told: dict[str, list[str]] = {}
    for one in unread:
        told.setdefault(one.source, []).append(one.reason)
    if told or file.is_file():
        write_json(file, told)


def kept_faults(home: Path) -> dict[str, list[str]]:
    """{document id: reasons} as `keep_faults` was told."""
    file = home / "unread.json"
    return read_json(file) if file.is_file() else {}
