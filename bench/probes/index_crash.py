"""CR1, CR6: processes that are killed at random moments."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from index_tools import Outcome, begin, bring, fill, fork, kill, seen

from tunewise.errors import TunewiseError
from tunewise.index import Index
from tunewise.jobs.ingest import indexes_folder, ingest, open_catalog


def cr1(n: int, place: Path, *, documents: int = 200) -> Outcome:
    """kill -9 at random moments of ingest and update: nothing acknowledged lost or doubled, each document whole."""
    chance = random.Random(1)
    root = place / "cr1"
    known = dict.fromkeys(range(documents), 0)
    fill(root / "documents", known)
    started = time.monotonic()
    fork(lambda: bring(root))
    longest = time.monotonic() - started
    failures, killed, slowest = [], 0, 0.0
    for trial in range(n):
        after = dict(known)
        for number in chance.sample(sorted(known), max(1, documents // 20)):
            after[number] = trial + 1
        after[documents + trial] = trial + 1
        gone = chance.choice(sorted(known))
        after.pop(gone)
        fill(root / "documents", after)
        died = fork(lambda: bring(root), kill_after=chance.uniform(0.05, longest)) is None
        killed += died
        try:
            now = fork(lambda: seen(root))
            for number, version in known.items():
                allowed = {version, after.get(number)}
                if number == gone and number not in now:
                    continue
                if now.get(number) is None or not now[number] <= allowed or len(now[number]) != 1:
                    failures.append(f"trial {trial}: document {number} shows {now.get(number)}, not one of {allowed}")
            started = time.monotonic()
            fork(lambda: bring(root))
            slowest = max(slowest, time.monotonic() - started)
            if (end := fork(lambda: seen(root))) != {number: {version} for number, version in after.items()}:
                failures.append(f"trial {trial}: after recovery {len(end)} documents instead of {len(after)}")
        except TunewiseError as error:
            failures.append(f"trial {trial}: {error.message}")
        known = after
    return {"n": n, "killed": killed, "failures": failures, "documents": documents,
            "slowest_recovery_seconds": round(slowest, 1)}


def cr6(n: int, place: Path, *, documents: int = 40) -> Outcome:
    """kill during build, compaction and switch of a generation: a reader sees the old one or the new one, whole."""
    chance = random.Random(6)
    root = place / "cr6"
    fill(root / "documents", dict.fromkeys(range(documents), 0))
    fork(lambda: bring(root))
    failures, killed = [], 0
    for trial in range(n):
        fill(root / "documents", dict.fromkeys(range(documents), trial + 1))
        reading, writing = os.pipe()

        def told(phase: str, done: int, total: int, signalled: int = writing) -> None:
            if phase == "index":
                os.write(signalled, b"x")

        def update(told: Callable[[str, int, int], None] = told) -> bool:
            ingest(root / "documents", project=root, embedder="hash", progress=told)
            return True

        def strike(child_ready: int = reading) -> None:
            os.read(child_ready, 1)

        died = _fork_killed(update, strike, chance.uniform(0, 0.4))
        os.close(reading)
        os.close(writing)
        killed += died
        try:
            shown = fork(lambda: _versions_found(root, documents))
            if len(shown) != 1 or not shown <= {trial, trial + 1}:
                failures.append(f"trial {trial}: a search shows versions {sorted(shown)}")
            fork(lambda: bring(root))
        except TunewiseError as error:
            failures.append(f"trial {trial}: {error.message}")
    return {"n": n, "killed": killed, "failures": failures}


def _fork_killed(call: Callable[[], Any], wait: Callable[[], None], seconds: float) -> bool:
    child = begin(call)
    ready = threading.Thread(target=wait, daemon=True)
    ready.start()
    deadline = time.monotonic() + 60
    while ready.is_alive() and time.monotonic() < deadline:
        if os.waitpid(child, os.WNOHANG)[0]:
            return False
        time.sleep(0.002)
    time.sleep(seconds)
    kill(child)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def _versions_found(root: Path, documents: int) -> set[int]:
    with open_catalog(root) as catalog:
        hits = Index(catalog, indexes_folder(root)).search_lexical("version of number", 4 * documents)
        return {int(chunk.text.split("Version ")[1].split()[0]) for chunk, _ in hits if "Version " in chunk.text}
