"""DF1-2, CO1: a disk that is full, a disk that rots."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path
from typing import Any

from index_tools import Outcome, bring, fill, fork, seen, text_of

from tunewise.errors import DiskFull, TunewiseError
from tunewise.index import Index
from tunewise.jobs.check import check
from tunewise.jobs.ingest import indexes_folder, ingest, open_catalog
from tunewise.jobs.search import search
from tunewise.project import load_project
from tunewise.store import project_folder


def df(n: int, place: Path) -> Outcome:
    """Ingest and delete on a disk that is full: a clean error, old data readable, deletion works, no false "done"."""
    failures, full, deleted = [], 0, 0
    for trial in range(n):
        disk = place / f"disk{trial}"
        disk.mkdir()
        # From hopelessly small to nearly enough for the second ingest.
        size = 3_500 + trial * 6_000 // max(1, n)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(disk)], check=False,
                                 capture_output=True)
        if mounted.returncode:
            return {"n": 0, "failures": [], "left_out": "no right to mount a tmpfs"}
        try:
            source = place / f"source{trial}"
            fill(source, dict.fromkeys(range(10), 0))
            outcome = fork(lambda source=source, disk=disk: _full(source, disk))
            full += outcome["full"]
            deleted += outcome["deleted"]
            failures += [f"{size} KiB: {one}" for one in outcome["failures"]]
        finally:
            subprocess.run(["umount", str(disk)], check=False)
    return {"n": n, "disk_was_full": full, "deleted_on_full_disk": deleted, "failures": failures}


def _full(source: Path, disk: Path) -> dict[str, Any]:
    def one() -> bool:
        try:
            ingest(source, project=disk, embedder="hash")
        except DiskFull:
            return True
        return False

    failures: list[str] = []
    if one():
        return {"full": 1, "deleted": 0, "failures": failures}
    before = seen(disk)
    # New documents that do not fit, and one that was taken away.
    for number in range(100, 160):
        (source / f"{number}.md").write_text(text_of(number, 1) * 60)
    (source / "3.md").unlink()
    full = one()
    if not full:
        return {"full": 0, "deleted": 0, "failures": failures}
    with open_catalog(disk) as catalog:
        names = {record.id for record in catalog.documents()}
        if "3.md" in names:
            failures.append("a document that was taken away is still there")
        if missing := {f"{k}.md" for k in before if k != 3} - names:
            failures.append(f"lost: {sorted(missing)}")
        found = Index(catalog, indexes_folder(disk)).search_lexical("version of number 5", 20)
        if not any(c.document == "5.md" for c, _ in found) or any(c.document == "3.md" for c, _ in found):
            failures.append("old data is not readable, or a deleted document is")
    return {"full": 1, "deleted": 1, "failures": failures}


def co1(n: int, place: Path) -> Outcome:
    """Single bit flips over catalog, index and their manifests: found by a check, never served."""
    return fork(lambda: _co1(n, place))


def _co1(n: int, place: Path) -> Outcome:
    root = place / "co1"
    fill(root / "documents", dict.fromkeys(range(30), 0))
    (root / "tunewise.toml").write_text('[project]\nembedder = "hash"\n')
    bring(root)
    project = load_project(root, environ={})
    home = project_folder(root)
    files = [path for path in sorted(home.rglob("*")) if path.is_file() and path.suffix != ".lock"
             and path.stat().st_size and (path.name in ("catalog.sqlite", "catalog.json") or "indexes" in path.parts)]
    sizes = [path.stat().st_size for path in files]
    right = [hit.chunk for hit in search(project, "version of number 7")]
    chance = random.Random(3)
    failures, missed, refused = [], 0, 0
    for trial in range(n):
        # Half by size, half by file: small files are as important as large ones.
        path = chance.choices(files, sizes)[0] if trial % 2 else chance.choice(files)
        whole = path.read_bytes()
        flipped = bytearray(whole)
        position, bit = chance.randrange(len(whole)), chance.randrange(8)
        flipped[position] ^= 1 << bit
        path.write_bytes(flipped)
        for extra in ("-wal", "-shm"):
            Path(f"{path}{extra}").unlink(missing_ok=True)
        if not check(project).faults:
            missed += 1
            failures.append(f"not found: {path.relative_to(home)} byte {position} bit {bit}")
        try:
            if [hit.chunk for hit in search(project, "version of number 7")] != right:
                failures.append(f"served wrong: {path.relative_to(home)} byte {position} bit {bit}")
        except TunewiseError:
            refused += 1
        except Exception as error:  # noqa: BLE001 - a refusal that is not ours is still no wrong passage
            refused += 1
            if type(error).__name__ in ("AssertionError", "TypeError"):
                failures.append(f"uncaught {error!r} for {path.relative_to(home)} byte {position} bit {bit}")
        path.write_bytes(whole)
    return {"n": n, "files": len(files), "missed": missed, "searches_refused": refused, "failures": failures}
