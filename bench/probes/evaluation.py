"""Probe RP2, whole: comparisons killed at 100 points end with byte-equal tables and ask for nothing that is recorded.

    python bench/probes/evaluation.py [--kills 100] [--each 10]

An answering HTTP stub counts the requests; the comparison's process is killed with SIGKILL at random moments. Prints
one line for each comparison and, last, one JSON object. Exits with 1 when a table differs or a recorded answer is asked
for.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent.parent / "tests"))

from killed_comparison import Nursery, killed, make_project  # noqa: E402
from tunewise.machine import machine, versions  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--each", type=int, default=10, help="kills of one comparison")
    parser.add_argument("--questions", type=int, default=24)
    args = parser.parse_args()
    started = time.perf_counter()
    bad, lost, kills = 0, [], 0
    with tempfile.TemporaryDirectory(prefix="tunewise-probe-") as scratch, Nursery() as nursery:
        whole = killed(nursery, make_project(Path(scratch) / "whole", args.questions), kills=0, total=1)
        number = 0
        while kills < args.kills:
            some = min(args.each, args.kills - kills)
            folder = make_project(Path(scratch) / str(number), args.questions)
            found = killed(nursery, folder, kills=some, total=whole.requests, seed=number)
            equal = found.table == whole.table
            again = found.requests - whole.requests - sum(found.lost)
            print(f"{found.kills} kills: table {'equal' if equal else 'DIFFERS'}, {found.requests} requests for "
                  f"{whole.requests}, {sum(found.lost)} on their way when killed, {again} recorded ones again",
                  flush=True)
            bad += not equal or again != 0
            kills, lost, number = kills + found.kills, [*lost, *found.lost], number + 1
    print(json.dumps({
        "name": "RP2: comparison killed", "kills": kills, "comparisons": number, "bad": bad,
        "lost_on_their_way": sum(lost), "most_lost_in_one_kill": max(lost, default=0),
        "seconds": round(time.perf_counter() - started, 1), "machine": machine(), "versions": versions(),
    }))
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
