"""CR3: a power loss at any moment of a project's life, replayed from what strace saw.

One process ingests, updates, deletes, erases and switches, and says after each that it is done. Its writes, names and
fsyncs are followed on a modelled disk (disk_model); at n moments what a power loss may leave there is written into a
fresh folder and looked at: what was said to be done must be there, and nothing wrong may be served.
"""

from __future__ import annotations

import os
import random
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import disk_trace
from disk_model import Disk
from disk_trace import Op
from index_tools import Outcome, bring, fill, fork, seen

from tunewise.errors import Damaged
from tunewise.index import Index
from tunewise.jobs.check import check
from tunewise.jobs.erase import erase
from tunewise.jobs.ingest import indexes_folder, open_catalog
from tunewise.jobs.search import generations, switch
from tunewise.project import load_project
from tunewise.store import project_folder

STAGES: list[dict[int, int]] = [
    {},
    dict.fromkeys(range(6), 0),
    {0: 1, 1: 1, 2: 0, 3: 0, 4: 0, 5: 0, 6: 1},
    {0: 1, 1: 1, 3: 0, 4: 0, 5: 0, 6: 1},
    {0: 1, 1: 1, 4: 0, 5: 0, 6: 1},
    {0: 2, 1: 1, 4: 0, 5: 0, 6: 1},
    {0: 2, 1: 1, 4: 0, 5: 0, 6: 1},
]
"""{document: version} after each step: ingest, update, deletion, erasure, update, switch to the generation before."""
_ERASURE, _SWITCH = 4, 6
_SECTOR = 512
_TOGETHER = 50
"""States that one child looks at."""


def live(root: Path) -> None:
    """The life that is traced; each step is acknowledged on standard output."""
    project = load_project(root, environ={})
    for number, documents in enumerate(STAGES[1:], 1):
        fill(root / "documents", documents)
        if number == _ERASURE:
            erase(project, "3.md")
        elif number == _SWITCH:
            current, kept = generations(project)
            switch(project, next(one.id for one in kept if one.id != current))
        else:
            bring(root)
        os.write(1, disk_trace.SAID + b"%d\n" % number)


# What came through of what was not synced: (share of the names, share of the writes).
_LOSSES = {"nothing": (0.0, 0.0), "names only": (1.0, 0.0), "bytes only": (0.0, 1.0), "half": (0.5, 0.5),
           "most": (0.8, 0.8), "everything": (1.0, 1.0)}


def cr3(n: int, place: Path) -> Outcome:
    """Power loss: nothing acknowledged is lost, nothing wrong is served, and the next ingest makes it whole."""
    if not disk_trace.available():
        return {"n": 0, "failures": [], "left_out": "no strace here"}
    root = place / "life"
    fill(root / "documents", {})
    (root / "tunewise.toml").write_text('[project]\nembedder = "hash"\n')
    ops = disk_trace.record([__file__, str(root)], root, place / "trace")
    (place / "trace").unlink()
    assert sum(op.kind == "say" for op in ops) == len(STAGES) - 1, "a step is missing"
    found = _replay(ops, root, n, place / "states", recovered=10)
    # The same life on a disk that was never told to sync: this probe must find what that loses.
    control = _replay([op for op in ops if op.kind != "sync"], root, max(3, n // 30), place / "control", recovered=0)
    kinds = {kind: sum(op.kind == kind for op in ops) for kind in ("write", "sync", "rename", "unlink", "create")}
    return {**found, **kinds, "states_that_lose_without_any_fsync": f"{control['bad_states']} of {control['n']}"}


@dataclass(frozen=True, slots=True)
class _Cut:
    """A power loss after so many operations; `whole`: an ingest follows."""

    after: int
    loss: str
    whole: bool
    seed: int


def _replay(ops: list[Op], root: Path, n: int, place: Path, *, recovered: int) -> dict[str, Any]:
    """n states of a life; each `recovered`-th is brought up by an ingest, too."""
    chance = random.Random(3)
    disk = Disk(always=("documents",))
    disk.follow(Op("mkdir", "documents"))
    disk.follow(Op("sync", ""))
    places = sorted(1 + k % len(ops) if n >= len(ops) else chance.randint(1, len(ops)) for k in range(n))
    # Cut at the same moment more than once, each time another loss.
    cuts = [_Cut(after, list(_LOSSES)[(number + after) % len(_LOSSES)], bool(recovered) and number % recovered == 0,
                 chance.randrange(1 << 30)) for number, after in enumerate(places)]
    failures: list[str] = []
    counts: dict[str, float] = dict.fromkeys(
        ("bad_states", "refused", "recovered", "slowest_recovery_seconds", "erased_text_came_back"), 0)
    followed = 0
    for start in range(0, n, _TOGETHER):
        part = cuts[start : start + _TOGETHER]
        found = fork(lambda part=part, followed=followed: _look(disk, ops, followed, part, place), kill_after=600)
        shutil.rmtree(place, ignore_errors=True)
        for op in ops[followed : part[-1].after]:
            disk.follow(op)
        followed = part[-1].after
        if found is None:
            failures.append(f"the states after operations {part[0].after} to {followed}: it hung")
        for one in found or ():
            faults = one.pop("failures")
            counts["bad_states"] += bool(faults)
            failures += faults
            for name, value in one.items():
                counts[name] = max(counts[name], value) if name.startswith("slowest") else counts[name] + value
    return {"n": n, "failures": failures, **counts}


def _look(disk: Disk, ops: list[Op], followed: int, cuts: list[_Cut], place: Path) -> list[dict[str, Any]]:
    """What is found in the states after some cuts, in a process of its own."""
    results = []
    for cut in cuts:
        for op in ops[followed : cut.after]:
            disk.follow(op)
        followed = cut.after
        said = sum(op.kind == "say" for op in ops[:followed])
        folder = place / str(len(results))
        folder.mkdir(parents=True)
        some = random.Random(cut.seed)
        names, data = _LOSSES[cut.loss]
        disk.write(folder, _through(some, names), _through(some, data, torn=cut.loss in ("half", "most")))
        (folder / "tunewise.toml").write_text('[project]\nembedder = "hash"\n')
        found = _state(folder, said, whole=cut.whole)
        last = ops[followed - 1]
        where = f"after {said} steps, operation {followed} of {len(ops)} ({last.kind} {last.path}), {cut.loss}"
        found["failures"] = [f"{where}: {one}" for one in found["failures"]]
        results.append(found)
        shutil.rmtree(folder)
    return results


def _through(chance: random.Random, share: float, *, torn: bool = False) -> Callable[[list], list]:
    """Each pending change comes through with this probability; `torn`: some writes only up to a sector of theirs."""

    def choose(pending: list) -> list:
        kept = [op for op in pending if chance.random() < share]
        if not torn:
            return kept
        return [
            replace(op, data=op.data[: chance.randrange(0, len(op.data), _SECTOR)])
            if isinstance(op, Op) and len(op.data) > _SECTOR and chance.random() < 0.2 else op
            for op in kept
        ]

    return choose


def _state(root: Path, said: int, *, whole: bool) -> dict[str, Any]:
    """What is wrong with a state after `said` acknowledged steps."""
    before, after = STAGES[said], STAGES[min(said + 1, len(STAGES) - 1)]
    failures: list[str] = []
    refused = slowest = came_back = 0
    if (project_folder(root) / "catalog.sqlite").is_file() or said:
        try:
            refused = _shown(root, said, before, after, failures)
        except Exception as error:  # noqa: BLE001 - whatever it is, what was acknowledged cannot be read
            failures.append(f"what was acknowledged cannot be read: {error!r}")
    if whole:
        # The user's own folder: a file that was being written is written again.
        fill(root / "documents", after)
        started = time.monotonic()
        try:
            bring(root)
            slowest = round(time.monotonic() - started, 1)
            if (end := seen(root)) != {number: {version} for number, version in after.items()}:
                failures.append(f"after recovery {end}")
            failures += [f"after recovery: {fault}" for fault in check(load_project(root, environ={})).faults]
        except Exception as error:  # noqa: BLE001
            failures.append(f"no recovery: {error!r}")
        if slowest > 10:
            failures.append(f"recovery took {slowest} s")
        if said >= _ERASURE and any(b"number 3." in path.read_bytes() for path in _files(root)):
            failures.append("the erased text is in a file after the recovery")
    elif said >= _ERASURE:
        came_back = int(any(b"number 3." in path.read_bytes() for path in _files(root)))
    return {"failures": failures, "refused": refused, "recovered": int(whole), "erased_text_came_back": came_back,
            "slowest_recovery_seconds": slowest}


def _files(root: Path) -> list[Path]:
    return [path for path in project_folder(root).rglob("*") if path.is_file()]


def _shown(
    root: Path, said: int, before: dict[int, int], after: dict[int, int], failures: list[str]
) -> int:
    """Compare what is kept and what is served with what may be; 1 when the index was refused as damaged."""
    with open_catalog(root) as catalog:
        kept: dict[int, int] = {}
        for record in catalog.documents():
            document = catalog.document(record.id)
            kept[int(record.id[:-3])] = int(document.text.split("Version ")[1].split()[0])
            chunks = list(catalog.chunks(record.id))
            if "".join("".join(c.text for c in chunks).split()) != "".join(document.text.split()):
                failures.append(f"{record.id} is not whole")
        for number, version in before.items():
            if number in kept:
                if kept[number] not in (version, after.get(number)):
                    failures.append(f"{number} is version {kept[number]} instead of {version}")
            elif number in after:
                failures.append(f"{number} is lost")
        for number in kept.keys() - before.keys():
            if kept[number] != after.get(number):
                failures.append(f"{number} came back")
        if catalog.current() is None:
            if before:
                failures.append("there is no index generation")
            return 0
        try:
            index = Index(catalog, indexes_folder(root))
        except Damaged:
            return 1
        shown = index.search_lexical("version of number", 50)
        if before and not shown:
            failures.append("a search finds nothing")
        for chunk, _ in shown:
            number, version = int(chunk.document[:-3]), int(chunk.text.split("Version ")[1].split()[0])
            # After the switch the generation before answers, which is what was asked for.
            right = {one.get(number) for one in (before, after, *STAGES[_SWITCH - 2 : said])}
            if version not in right or number not in kept:
                failures.append(f"a search shows version {version} of {number}")
        return 0


if __name__ == "__main__":
    live(Path(sys.argv[1]))
