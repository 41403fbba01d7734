"""A quick sample of every probe of bench/probes/index.py: the same code, few trials."""

from __future__ import annotations

import json
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


def test_sample() -> None:
    figures = sample(0.01, "CC1", "CC3", "CO1", "AC11", "AC12", "RP3")
    assert {name: found["failures"] for name, found in figures.items()} == dict.fromkeys(figures, [])
    assert all(found["n"] >= 1 for found in figures.values())


@pytest.mark.slow
def test_slow_sample() -> None:
    figures = sample(0.004, "CR1", "CR6", "CC2", "CC4", "DF1-2", "AC2-3")
    assert {name: found["failures"] for name, found in figures.items()} == dict.fromkeys(figures, [])
