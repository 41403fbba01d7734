"""CR2: a process that is gone right before, or right after, each of its changes of the disk.

Counted are fsync, write, truncate, rename, unlink, mkdir, rmdir, every commit to SQLite, and every call of the store
that writes. What happens inside of such a call is the affair of CR3, which replays it operation by operation.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from index_tools import Outcome, bring, copied, fill, fork, seen

from tunewise.errors import TunewiseError
from tunewise.jobs.check import check
from tunewise.jobs.erase import erase
from tunewise.jobs.search import generations, switch
from tunewise.project import load_project
from tunewise.store import project_folder

_CALLS = ("fsync", "write", "pwrite", "ftruncate", "truncate", "replace", "rename", "unlink", "remove", "rmdir",
          "mkdir")
_DOCUMENTS = 5
_CANARY = "number 3."
"""Stands in the text of document 3 only, and in no name."""


class Points:
    """Counts the changes of the disk from now on; at number `last` (0: never) this process is gone without a word."""

    def __init__(self, last: int = 0) -> None:
        self.count, self.last = 0, last

    def reached(self) -> None:
        """One further point."""
        self.count += 1
        if self.count == self.last:
            os._exit(9)

    def around(self, owner: Any, name: str) -> None:
        """A point before and one after each call of `owner.name`."""
        call = getattr(owner, name)

        def between(*args: Any, **options: Any) -> Any:
            self.reached()
            value = call(*args, **options)
            self.reached()
            return value

        setattr(owner, name, between)

    def set(self) -> Points:
        """Set them, for the rest of this process's life."""
        from lancedb.db import LanceDBConnection
        from lancedb.table import LanceTable
        from sqlalchemy.engine.default import DefaultDialect

        for name in _CALLS:
            self.around(os, name)
        self.around(DefaultDialect, "do_commit")
        self.around(LanceDBConnection, "create_table")
        for name in ("add", "create_index"):
            self.around(LanceTable, name)
        points, connect = self, sqlite3.connect

        class Connection(sqlite3.Connection):
            def __exit__(self, *error: Any) -> Any:
                points.reached()
                value = super().__exit__(*error)
                points.reached()
                return value

        sqlite3.connect = lambda *args, **options: connect(*args, **(options | {"factory": Connection}))  # type: ignore[assignment]
        return self


def _update(root: Path) -> dict[int, int]:
    after = {0: 2, 1: 1, 2: 1, 3: 1, 4: 1, 5: 2}
    fill(root / "documents", after)
    return after


def _delete(root: Path) -> dict[int, int]:
    after = {0: 1, 1: 1, 2: 1, 4: 1}
    fill(root / "documents", after)
    return after


def _same(root: Path) -> dict[int, int]:
    after = dict.fromkeys(range(_DOCUMENTS), 1)
    fill(root / "documents", after)
    return after


def _erase(root: Path) -> None:
    erase(load_project(root, environ={}), "3.md")


def _switch(root: Path) -> None:
    project = load_project(root, environ={})
    current, kept = generations(project)
    switch(project, next(one.id for one in kept if one.id != current))


# {work: (whether something was ingested before, what the user does to the folder, the work itself)}
WORKS: dict[str, tuple[bool, Callable[[Path], dict[int, int]], Callable[[Path], Any]]] = {
    "ingest": (False, _same, bring), "update": (True, _update, bring), "delete": (True, _delete, bring),
    "erase": (True, _delete, _erase), "switch": (True, _same, _switch),
}


def cr2(n: int, place: Path) -> Outcome:
    """Every fail point of ingest, update, deletion, erasure and switch (or n of them, evenly): all recover."""
    points: list[tuple[str, int]] = []
    known: dict[str, tuple[dict[int, int], dict[int, int]]] = {}
    for again in (False, True):
        _life_before(place / f"before-{again}", again=again)
    for work, (again, prepare, call) in WORKS.items():
        if n < len(WORKS) and work != "erase":
            # A handful of trials: of the work that does the most.
            continue
        root = place / work
        copied(place / f"before-{again}", root)
        known[work] = (dict.fromkeys(range(_DOCUMENTS), 1) if again else {}, prepare(root))

        def count(root: Path = root, call: Callable[[Path], Any] = call) -> int:
            made = Points().set()
            call(root)
            return made.count

        copied(root, place / "dry")
        total = fork(lambda: count(place / "dry"))
        shutil.rmtree(place / "dry")
        points += [(work, number) for number in range(1, total + 1)]
    chosen = points if n >= len(points) else [points[k * len(points) // n] for k in range(n)]
    failures: list[str] = []
    died, slowest = 0, 0.0
    for work, number in chosen:
        root = place / "trial"
        copied(place / work, root)

        def run(number: int = number, work: str = work, root: Path = root) -> str:
            Points(number).set()
            WORKS[work][2](root)
            return "done"

        died += fork(run, gone=True) is None
        found = fork(lambda work=work, root=root: _recovered(root, *known[work]), kill_after=60)
        if found is None:
            failures.append(f"{work}, point {number}: the recovery hung")
        else:
            slowest = max(slowest, found["seconds"])
            failures += [f"{work}, point {number}: {one}" for one in found["failures"]]
        shutil.rmtree(root)
    return {"n": len(chosen), "points": len(points), "died": died, "failures": failures,
            "slowest_recovery_seconds": round(slowest, 1)}


def _life_before(root: Path, *, again: bool) -> None:
    """A project with two generations, or with nothing ingested."""
    (root / "documents").mkdir(parents=True)
    (root / "tunewise.toml").write_text('[project]\nembedder = "hash"\n')
    for version in (0, 1) if again else ():
        fill(root / "documents", dict.fromkeys(range(_DOCUMENTS), version))
        fork(lambda: bring(root))


def _recovered(root: Path, before: dict[int, int], after: dict[int, int]) -> dict[str, Any]:
    """What is wrong right after the death, and after the next ingest; the seconds that this one took."""
    failures: list[str] = []
    project = load_project(root, environ={})
    try:
        now = seen(root)
        for number, version in before.items():
            shown = now.get(number, set())
            if not shown <= {version, after.get(number)} or len(shown) != (1 if shown or number in after else 0):
                failures.append(f"before recovery document {number} shows {shown}")
        started = time.monotonic()
        bring(root)
        seconds = time.monotonic() - started
        if (end := seen(root)) != {number: {version} for number, version in after.items()}:
            failures.append(f"after recovery {end}")
        failures += check(project).faults
    except (TunewiseError, AssertionError) as error:
        return {"seconds": 0.0, "failures": [*failures, f"no recovery: {error!r}"]}
    if seconds > 10:
        failures.append(f"recovery took {seconds:.1f} s")
    if 3 not in after:
        for path in project_folder(root).rglob("*"):
            if path.is_file() and _CANARY.encode() in path.read_bytes():
                failures.append(f"what was deleted is in {path.name}")
    return {"seconds": seconds, "failures": failures}
