"""A quick sample of every probe of bench/probes/training.py: the same code, few trials."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("peft")
pytestmark = pytest.mark.slow
PROBE = Path(__file__).parent.parent / "bench" / "probes" / "training.py"


def test_killed_damaged_stopped_out_of_disk_and_restricted() -> None:
    """In a process of its own: it forks, which a process with threads must not."""
    trials = ("--kills", "1", "--damages", "4", "--points", "2", "--disks", "1", "--chains", "1")
    done = subprocess.run([sys.executable, str(PROBE), *trials, "--ways", "full,p-tuning"], capture_output=True,
                          text=True, timeout=900, check=False)
    assert done.returncode in (0, 1), done.stderr[-2000:]
    probes = json.loads(done.stdout.splitlines()[-1])["probes"]
    assert {name: one["failures"] for name, one in probes.items()} == dict.fromkeys(probes, [])
    assert {name: one["n"] for name, one in probes.items() if name != "DF1"} == {"CR4": 1, "CR5": 4, "RP1": 2,
                                                                                 "AC7": 1}
    if "left_out" not in probes["DF1"]:
        assert probes["DF1"]["disk_was_full"] == 1
