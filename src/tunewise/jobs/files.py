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

    Only `known` ids can be skipped; `again`: none is. One that was read in part is skipped only where the `means` of
    reading are those of then ("": never), and its faults are repeated in `faults`: (id, reason).
    """

    def __init__(
        self, path: Path, settings: str, known: Collection[str], *, means: str = "", again: bool = False
    ) -> None:
        self._path, self._settings, self._known, self._means = path, settings, known, means
        self._now = time.time()
        self._seen: dict[str, list[int]] = {}
        self._found: dict[str, list[int]] = {}
        self._partly: dict[str, list[str]] = {}
        self._same_means = False
        self.skipped: list[str] = []
        self.faults: list[tuple[str, str]] = []
        if path.is_file() and not again:
            try:
                kept = read_json(path)
            except Damaged:
                # Only a shortcut: without it every file is read.
                kept = {}
            if kept.get("settings") == settings:
                self._seen, self._partly = kept.get("files", {}), kept.get("partly", {})
                self._same_means = means != "" and kept.get("means") == means

    def same(self, id: str, path: Path) -> bool:
        """Whether a file is as it was; what it is now is remembered for `keep`."""
        try:
            state = path.stat()
        except OSError:
            return False
        now = [state.st_size, state.st_mtime_ns, state.st_ino]
        if self._now - state.st_mtime > _RACY:
            self._found[id] = now
        if self._seen.get(id) != now or id not in self._known or (id in self._partly and not self._same_means):
            return False
        self.skipped.append(id)
        self.faults += [(id, reason) for reason in self._partly.get(id, ())]
        return True

    def keep(self, read: Sequence[str], faults: Sequence[tuple[str, str]] = ()) -> None:
        """Remember the files that were read now, with the `faults` of those read in part, and the skipped ones."""
        good = {*read, *self.skipped}
        files = {id: state for id, state in self._found.items() if id in good}
        partly: dict[str, list[str]] = {}
        for id, reason in (*faults, *self.faults):
            partly.setdefault(id, []).append(reason)
        write_json(
            self._path, {"settings": self._settings, "means": self._means, "files": files, "partly": partly}
        )


def keep_faults(home: Path, unread: Sequence[Unread]) -> None:
    """Keep what an ingest could not read of the files: all of it, also what is only repeated."""
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
