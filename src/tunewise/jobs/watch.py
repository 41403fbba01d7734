"""Keep an index in step with a folder and its rules: look again and again, and ingest when something changed.

Polling sees every change on every file system, network folders included; nothing is read to notice one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tunewise.errors import ConfigMistake, TunewiseError
from tunewise.jobs.ingest import IngestResult, ingest_project
from tunewise.project import Project

State = frozenset[tuple[str, int, int]]
"""(path, size, time of modification) of files."""

SECONDS = 2.0
"""Between two looks; a change is taken up when two looks saw the same, so that no half-copied file is read."""


def state(folder: Path, file: Path) -> State:
    """The state of every file below a folder, its `.groups.toml` files included, and of the project's file."""
    paths = [file]
    for where, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths += [Path(where) / name for name in names]
    return _stamps(paths)


def _stamps(paths: Sequence[Path]) -> State:
    found = set()
    for path in paths:
        try:
            known = path.stat()
        except OSError:
            # Gone between the two calls: the next look sees it so.
            continue
        found.add((str(path), known.st_size, known.st_mtime_ns))
    return frozenset(found)


def watch(
    load: Callable[[], Project],
    *,
    settings: Mapping[str, Any],
    told: Callable[[IngestResult], None],
    trouble: Callable[[TunewiseError], None],
    seconds: float = SECONDS,
    rounds: int | None = None,
) -> None:
    """Ingest a project's documents now and after every change of it, until Ctrl-C (or for so many `rounds` of looking).

    `load` gives the project as its tunewise.toml says now: it is read again for every ingest, since a rule in it may
    close what is there. While it has a fault nothing is ingested, not by the rules of before either. `settings` are
    further arguments of `ingest`; `told` gets every result; a failed ingest is handed to `trouble` and tried again
    after the next change, or the next look when it was busy. Raises what `load` raises the first time.
    """
    project = load()
    file = project.file
    done: State | None = None
    before = state(project.documents, file)
    while rounds is None or rounds > 0:
        now = state(project.documents, file)
        if now == before and now != done:
            done = now
            try:
                project, unchanged = as_it_says(load, file)
                told(ingest_project(project, **settings, before_writing=unchanged))
            except Outdated:
                done = None
            except TunewiseError as error:
                trouble(error)
                done = None if "in use by process" in error.message else done
        before = now
        if rounds is not None:
            rounds -= 1
        if rounds is None or rounds > 0:
            time.sleep(seconds)


class Outdated(Exception):
    """The project's file is another one by now."""


def as_it_says(load: Callable[[], Project], file: Path) -> tuple[Project, Callable[[], None]]:
    """The project as its file says now, and the `before_writing` of its ingest, which raises `Outdated`.

    For whoever ingests more than once: a rule that was written since may close what is there. `ConfigMistake` while the
    file has a fault: by the rules of before nothing is taken up either.
    """
    rules = _stamps([file])

    def unchanged() -> None:
        # Written while files were read: it may be about the newest of them.
        if _stamps([file]) != rules:
            raise Outdated

    return _loaded(load, file), unchanged


def _loaded(load: Callable[[], Project], file: Path) -> Project:
    try:
        project = load()
    except ConfigMistake as error:
        raise ConfigMistake(
            f"{error.message}; nothing is taken up until that is mended, lest a new file is shown to everybody",
            tip=error.tip,
        ) from error
    if project.file != file:
        # Without its file, the search upwards finds somebody else's.
        raise ConfigMistake(f"{file} is gone: nothing is taken up until it is back", tip="put it back")
    return project
