"""Probes CR4 and CR5, whole: trainings killed with SIGKILL, and trainings whose newest checkpoint was damaged.

    python bench/probes/training.py [--kills 50] [--damages 50]

A tiny random Llama is trained on the CPU, in turn with rows apart and with common prompts and frozen layers computed
once. CR4: killed at random moments, started again, killed again, until it is done: the weights' hash must be the
unbroken run's. CR5: the newest checkpoint is cut or one bit of it flipped: it must never be loaded, which must be said,
and the weights must be the same again. Prints a line for each trial and, last, one JSON object; exit code 1 on failure.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, str(Path(__file__).parent.parent.parent / "tests"))

import contextlib

from tiny_training import make_tiny, tiny_rows  # noqa: E402
from tunewise.machine import machine, versions  # noqa: E402
from tunewise.store import read_json  # noqa: E402
from tunewise.training import TrainingSettings  # noqa: E402

PLAIN = TrainingSettings(epochs=12, rate=5e-2, batch=4, rank=4, share=False, freeze=False, patience=9)
WAYS = {"rows apart": PLAIN, "shared and frozen": PLAIN.but({"share": True, "freeze": True})}


class Stopped(BaseException):
    """A run that is left where it stands."""


def run(tiny: Path, folder: Path, settings: TrainingSettings, *, stop_at: int = 0) -> list[str]:
    """Train into `folder` (or go on there), to the end or to a step; what was said."""
    from tunewise.training.sft import train

    notes: list[str] = []

    def progress(phase: str, done: int, total: int) -> None:
        if stop_at and phase.startswith("train") and done == stop_at:
            raise Stopped

    with contextlib.suppress(Stopped):
        train(str(tiny), tiny_rows(), folder=folder, settings=settings, recipe="raft", validation=tiny_rows(3),
              progress=progress, note=notes.append)
    return notes


def child(call: Callable[[], Any], *, kill_after: float | None = None) -> bool:
    """Call in a forked process (torch is imported there already, and was never used); whether it came to its end."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            call()
            code = 0
        finally:
            os._exit(code)
    if kill_after is not None:
        deadline = time.monotonic() + kill_after
        while time.monotonic() < deadline:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                return status == 0
            time.sleep(0.005)
        os.kill(pid, 9)
    _, status = os.waitpid(pid, 0)
    return status == 0


def finish(tiny: Path, folder: Path, settings: TrainingSettings) -> str:
    """The weights' hash after the run was allowed to end; "" when it failed."""
    return read_json(folder / "tunewise.json")["weights"] if child(lambda: run(tiny, folder, settings)) else ""


def damage(checkpoint: Path, chance: random.Random) -> str:
    """Cut a file of a checkpoint, or flip one of its bits; what was done."""
    file = chance.choice(sorted(path for path in checkpoint.rglob("*") if path.is_file() and path.stat().st_size))
    data = bytearray(file.read_bytes())
    if chance.random() < 0.5:
        file.write_bytes(data[: chance.randrange(len(data))])
        return f"{file.name} cut"
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    file.write_bytes(data)
    return f"a bit of {file.name} flipped"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--damages", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    import peft  # noqa: F401 - once, for all forked children
    import torch  # noqa: F401
    import transformers  # noqa: F401

    chance, kills, trainings, wrong, unsaid = random.Random(args.seed), 0, 0, 0, 0
    with tempfile.TemporaryDirectory(prefix="tunewise-probe-") as scratch:
        root = Path(scratch)
        tiny = root / "tiny"
        assert child(lambda: make_tiny(tiny))
        whole, seconds = {}, {}
        for name, settings in WAYS.items():
            started = time.perf_counter()
            whole[name] = finish(tiny, root / f"whole {name}", settings)
            seconds[name] = time.perf_counter() - started
            print(f"{name}: unbroken in {seconds[name]:.1f} s, {whole[name][:12]}", flush=True)
        while kills < args.kills:
            name = list(WAYS)[trainings % len(WAYS)]
            folder, own = root / f"killed {trainings}", 0
            while own < 5 and kills < args.kills and not (folder / "tunewise.json").is_file():
                if child(lambda f=folder, n=name: run(tiny, f, WAYS[n]), kill_after=chance.uniform(0, seconds[name])):
                    break
                own, kills = own + 1, kills + 1
            same = finish(tiny, folder, WAYS[name]) == whole[name]
            wrong += not same
            trainings += 1
            print(f"CR4 {name}: {own} kills, {'the same weights' if same else 'OTHER WEIGHTS'}", flush=True)
        for number in range(args.damages):
            name = list(WAYS)[number % len(WAYS)]
            folder, said = root / f"damaged {number}", root / f"said {number}.json"
            child(lambda f=folder, n=name: run(tiny, f, WAYS[n], stop_at=20))
            newest = max(folder.glob("checkpoints/*/checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
            what = damage(newest, chance)
            child(lambda f=folder, n=name, s=said: s.write_text(json.dumps(run(tiny, f, WAYS[n]))))
            notes = json.loads(said.read_text()) if said.is_file() else []
            told = any(f"checkpoint {newest.name} is not used" in note for note in notes)
            done = folder / "tunewise.json"
            same = done.is_file() and read_json(done)["weights"] == whole[name]
            wrong, unsaid = wrong + (not same), unsaid + (not told)
            print(f"CR5 {name}: {what}: {'said' if told else 'NOT SAID'}, "
                  f"{'the same weights' if same else 'OTHER WEIGHTS'}", flush=True)
    print(json.dumps({
        "name": "CR4 and CR5", "kills": kills, "trainings": trainings, "damages": args.damages, "wrong": wrong,
        "unsaid": unsaid, "unbroken_seconds": {name: round(one, 1) for name, one in seconds.items()},
        "machine": machine(), "versions": versions(),
    }))
    sys.exit(bool(wrong or unsaid))


if __name__ == "__main__":
    main()
