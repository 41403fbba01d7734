"""Probes of catalog, index and access: python bench/probes/index.py [--only CR1 …] [--share 0.1]

Each probe tries to break one promise n times and prints n with the failures: 0 of n proves only "at most 3/n".
`--share` takes that part of every probe's trials. Needs no model and no network; full-disk probes need the right to
mount a tmpfs. Prints a table and, last, one JSON object; exit code 1 when any trial failed.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from index_access import ac2, ac6, ac11, ac12
from index_crash import cr1, cr6
from index_disk import co1, df
from index_points import cr2
from index_power import cr3
from index_tools import Outcome, ready_to_fork
from index_writers import cc1, cc2, cc3, cc4, rp3

from tunewise.machine import machine, versions

PROBES: dict[str, tuple[Callable[[int, Path], Outcome], int]] = {
    "CR1": (cr1, 500), "CR2": (cr2, 1500), "CR3": (cr3, 3000), "CR6": (cr6, 200),
    "CC1": (cc1, 1000), "CC2": (cc2, 300), "CC3": (cc3, 1000), "CC4": (cc4, 50), "DF1-2": (df, 20), "CO1": (co1, 1000),
    "AC2-3": (ac2, 5000), "AC6": (ac6, 400), "AC11": (ac11, 1000), "AC12": (ac12, 52), "RP3": (rp3, 500),
}


def run(name: str, n: int) -> Outcome:
    """One probe in a folder of its own, with the seconds that it took."""
    probe, _ = PROBES[name]
    ready_to_fork()
    with tempfile.TemporaryDirectory(prefix="tunewise-probe-") as place:
        started = time.monotonic()
        found = probe(n, Path(place))
    return {**found, "seconds": round(time.monotonic() - started, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", choices=list(PROBES))
    parser.add_argument("--share", type=float, default=1.0)
    args = parser.parse_args()
    figures = {}
    for name in args.only or PROBES:
        n = max(1, round(args.share * PROBES[name][1]))
        found = figures[name] = run(name, n)
        rest = {key: value for key, value in found.items() if key not in ("n", "failures")}
        print(f"{name:6} n={found['n']:5}  failures={len(found['failures']):3}  {rest}", flush=True)
        for failure in found["failures"][:5]:
            print(f"       {failure}", flush=True)
    print(json.dumps({"name": "probes/index", "figures": figures, "units": "trials", "runs": 1, "machine": machine(),
                      "versions": versions()}))
    raise SystemExit(any(found["failures"] for found in figures.values()))


if __name__ == "__main__":
    main()
