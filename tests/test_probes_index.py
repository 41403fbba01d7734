"""A quick sample of every probe of bench/probes/index.py: the same code, few trials."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROBE = Path(__file__).parent.parent / "bench" / "probes" / "index.py"


def sample(share: float, *names: str) -> dict[str, dict]:
    """The figures of some probes, run in a process of their own: they fork, which a process with threads must not."""
    only = [part for name in names for part in ("--only", name)]
    done = subprocess.run([sys.executable, str(PROBE), *only, "--share", str(share)], capture_output=True, text=True,
                          timeout=400, check=False)
    assert done.returncode in (0, 1), done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])["figures"]


def test_a_power_loss_keeps_what_was_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The modelled disk: bytes by the file's fsync, names by the folder's, the rest in any combination."""
    monkeypatch.syspath_prepend(str(PROBE.parent))
    from disk_model import Disk
    from disk_trace import Op

    def left(*ops: Op, names: bool, data: bool) -> dict[str, bytes]:
        disk, place = Disk(), tmp_path / str(len(list(tmp_path.iterdir())))
        for op in ops:
            disk.follow(op)
        disk.write(place, lambda all: all if names else [], lambda all: all if data else [])
        return {path.relative_to(place).as_posix(): path.read_bytes() for path in place.rglob("*") if path.is_file()}

    new = [Op("create", "x.part"), Op("write", "x.part", data=b"new")]
    old = [Op("create", "x"), Op("write", "x", data=b"old!"), Op("sync", "x"), Op("sync", "")]
    move = Op("rename", "x.part", "x")
    assert left(*old, *new, move, names=True, data=True) == {"x": b"new"}
    assert left(*old, *new, move, names=True, data=False) == {"x": b""}
    assert left(*old, *new, move, names=False, data=True) == {"x": b"old!"}
    whole = [*old, *new, Op("sync", "x.part"), move]
    assert left(*whole, names=False, data=False) == {"x": b"old!"}
    assert left(*whole, Op("sync", ""), names=False, data=False) == {"x": b"new"}
    changed = [*old, Op("truncate", "x", offset=1), Op("write", "x", offset=3, data=b"y")]
    assert left(*changed, names=False, data=False) == {"x": b"old!"}
    assert left(*changed, Op("sync", "x"), names=False, data=False) == {"x": b"o\0\0y"}
    # A name in a folder that was itself never synced is not to be found.
    inner = [Op("mkdir", "a"), Op("create", "a/f"), Op("sync", "a/f"), Op("sync", "a")]
    assert left(*inner, names=False, data=False) == {}
    assert left(*inner, Op("sync", ""), Op("unlink", "a/f"), names=False, data=False) == {"a/f": b""}


def test_sample() -> None:
    figures = sample(0.01, "CC1", "CC3", "CO1", "AC6", "AC11", "AC12", "RP3")
    assert {name: found["failures"] for name, found in figures.items()} == dict.fromkeys(figures, [])
    assert all(found["n"] >= 1 for found in figures.values())


def test_fail_points_sample() -> None:
    found = sample(0.002, "CR2")["CR2"]
    assert found["failures"] == [] and found["n"] == found["died"] == 3 and found["points"] > 100
    assert found["slowest_recovery_seconds"] < 10


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("strace") is None, reason="strace, which records what is written, is not installed")
def test_power_loss_sample() -> None:
    found = sample(0.002, "CR3")["CR3"]
    assert found["failures"] == [] and found["n"] == 6
    # Without any fsync the same life loses something: the probe can see it.
    assert not found["states_that_lose_without_any_fsync"].startswith("0 ")


@pytest.mark.slow
def test_slow_sample() -> None:
    figures = sample(0.004, "CR1", "CR6", "CC2", "CC4", "DF1-2", "AC2-3")
    assert {name: found["failures"] for name, found in figures.items()} == dict.fromkeys(figures, [])
