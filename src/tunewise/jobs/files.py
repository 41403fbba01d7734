"""Which files of a folder are as they were at the last ingest, by size and time of modification, as rsync tells it.

Knows nothing about what is in them.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from pathlib import Path

from tunewise.errors import Damaged
from tunewise.store import read_json, write_json

_RACY = 2.0
"""Seconds: a file written just before it was read may be written again without another time; it is read once more."""


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
