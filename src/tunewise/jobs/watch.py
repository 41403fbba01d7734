"""Keep an index in step with a folder: look at it again and again, and ingest when something changed.

Polling sees every change on every file system, network folders included; nothing is read to notice one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tunewise.errors import TunewiseError
from tunewise.jobs.ingest import IngestResult, ingest_project
from tunewise.project import Project

SECONDS = 2.0
"""Between two looks; a change is taken up when two looks saw the same, so that no half-copied file is read."""


def state(folder: Path) -> frozenset[tuple[str, int, int]]:
    """(path, size, time of modification) of every file below a folder, its `.groups.toml` files included."""
    found = set()
    for where, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(where) / name
            try:
                known = path.stat()
            except OSError:
                # Gone between the two calls: the next look sees it so.
                continue
            found.add((str(path), known.st_size, known.st_mtime_ns))
    return frozenset(found)


def watch(
    project: Project,
    *,
    settings: Mapping[str, Any],
    told: Callable[[IngestResult], None],
    trouble: Callable[[TunewiseError], None],
    seconds: float = SECONDS,
    rounds: int | None = None,
) -> None:
    """Ingest a project's documents now and after every change of it, until Ctrl-C (or for so many `rounds` of looking).

    `settings` are further arguments of `ingest`; `told` gets every result; a failed ingest is handed to `trouble` and
    tried again after the next change, or the next look when it was busy.
    """
    folder = project.documents
    done: frozenset[tuple[str, int, int]] | None = None
    before = state(folder)
    while rounds is None or rounds > 0:
        now = state(folder)
        if now == before and now != done:
            done = now
            try:
                told(ingest_project(project, **settings))
            except TunewiseError as error:
                trouble(error)
                done = None if "in use by process" in error.message else done
        before = now
        if rounds is not None:
            rounds -= 1
        if rounds is None or rounds > 0:
            time.sleep(seconds)
