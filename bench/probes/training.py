"""Probes CR4, CR5, RP1, DF1 and AC7 of training, whole: killed, damaged, resumed, out of disk, restricted as its rows.

    python bench/probes/training.py [--kills 50] [--damages 50] [--points 100] [--disks 21] [--chains 20]

A tiny random Llama is trained on the CPU by seven methods in turn: LoRA with rows apart and with common prompts and
frozen layers, full fine-tuning, PiSSA, P-tuning (whose checkpoints hold weights of our own), IA3 and prefix tuning.

CR4: killed with SIGKILL at random moments, started again, killed again, until it is done: the weights' hash must be the
unbroken run's. CR5: a file of the newest checkpoint, or of the best weights on validation, is cut or one bit of it
flipped: it must never be worn, which must be said, and the weights must be the same again. RP1: stopped at a step and
gone on, at so many different points: the same weights. DF1: on a tmpfs that is too small, from hopelessly to nearly
enough: a clean error, nothing that calls itself done, and the same weights when there is room (needs the right to
mount). AC7: adapters of random access groups, on parents of others, merged and exported: whoever may not read one of
the documents is shut out everywhere. Prints a line for each trial and, last, one JSON object; exit code 1 on failure.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, str(Path(__file__).parent.parent.parent / "tests"))

import contextlib

from tiny_training import make_tiny, tiny_rows  # noqa: E402
from tunewise.errors import DiskFull  # noqa: E402
from tunewise.machine import machine, versions  # noqa: E402
from tunewise.store import read_json  # noqa: E402
from tunewise.training import TrainingSettings  # noqa: E402

PLAIN = TrainingSettings(epochs=6, rate=5e-2, batch=4, rank=4, share=False, freeze=False, patience=9)
WAYS = {
    "rows apart": PLAIN,
    "shared and frozen": PLAIN.but({"share": True, "freeze": True}),
    "full": PLAIN.but({"method": "full", "rate": 1e-2}),
    "pissa": PLAIN.but({"method": "pissa", "rate": 2e-2}),
    "p-tuning": PLAIN.but({"method": "p-tuning", "rate": 2e-2, "virtual_tokens": 6}),
    "ia3": PLAIN.but({"method": "ia3", "rate": 1e-1}),
    "prefix-tuning": PLAIN.but({"method": "prefix-tuning", "rate": 1e-1, "virtual_tokens": 6}),
}


class Stopped(BaseException):
    """A run that is left where it stands."""


def run(tiny: Path, folder: Path, settings: TrainingSettings, *, stop_at: int = 0, **more: Any) -> list[str]:
    """Train into `folder` (or go on there), to the end or to a step; what was said."""
    from tunewise.training.sft import train

    notes: list[str] = []

    def progress(phase: str, done: int, total: int) -> None:
        if stop_at and phase.startswith("train") and done == stop_at:
            raise Stopped

    with contextlib.suppress(Stopped):
        train(str(tiny), **({"rows": tiny_rows(), "validation": tiny_rows(3)} | more), folder=folder, settings=settings,
              recipe="raft", progress=progress, note=notes.append)
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


def told(call: Callable[[], Any], file: Path) -> Any:
    """What a call in a forked process returned (JSON); None when it died."""
    file.unlink(missing_ok=True)
    child(lambda: file.write_text(json.dumps(call())))
    return json.loads(file.read_text()) if file.is_file() else None


def hash_of(folder: Path) -> str:
    """The hash of the weights that a finished folder holds; "" when it is not finished."""
    return str(read_json(folder / "tunewise.json")["weights"]) if (folder / "tunewise.json").is_file() else ""


def finish(tiny: Path, folder: Path, settings: TrainingSettings) -> str:
    """The weights' hash after the run was allowed to end; "" when it failed."""
    return hash_of(folder) if child(lambda: run(tiny, folder, settings)) else ""


def harm(file: Path, chance: random.Random) -> str:
    """Cut a file or flip one of its bits; what was done."""
    data = bytearray(file.read_bytes())
    if chance.random() < 0.5:
        keep = chance.randrange(len(data))
        file.write_bytes(bytes(data[:keep]))
        return f"{file.name} cut to {keep} of {len(data)} bytes"
    at = chance.randrange(len(data))
    data[at] ^= 1 << chance.randrange(8)
    file.write_bytes(bytes(data))
    return f"a bit of byte {at} of {file.name} flipped"


# --------------------------------------------------------------------------------------------------- the probes


def cr4(n: int, root: Path, tiny: Path, whole: dict[str, str], seconds: dict[str, float]) -> dict[str, Any]:
    """Kills at random moments, at most five to a training."""
    chance, kills, trainings, failures = random.Random(0), 0, 0, []
    while kills < n:
        name = list(WAYS)[trainings % len(WAYS)]
        folder, own = root / f"killed {trainings}", 0
        while own < 5 and kills < n and not hash_of(folder):
            if child(lambda f=folder, w=name: run(tiny, f, WAYS[w]), kill_after=chance.uniform(0, seconds[name])):
                break
            own, kills = own + 1, kills + 1
        same = finish(tiny, folder, WAYS[name]) == whole[name]
        trainings += 1
        if not same:
            failures.append(f"{name}, {own} kills: other weights")
        print(f"CR4 {name}: {own} kills, {'the same weights' if same else 'OTHER WEIGHTS'}", flush=True)
    return {"n": kills, "trainings": trainings, "failures": failures}


def cr5(n: int, root: Path, tiny: Path, whole: dict[str, str], seed: int = 1) -> dict[str, Any]:
    """Damage to the newest checkpoint and, in every second trial, to the best weights or their note."""
    chance, failures = random.Random(seed), []
    for number in range(n):
        name = list(WAYS)[number % len(WAYS)]
        folder = root / f"damaged {number}"
        child(lambda f=folder, w=name: run(tiny, f, WAYS[w], stop_at=10))
        (place,) = folder.glob("checkpoints/*")
        if number // len(WAYS) % 2:
            file = chance.choice(sorted(place.glob("best*")))
            sign = "best weights so far are not used"
        else:
            newest = max(place.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
            file = chance.choice(sorted(one for one in newest.rglob("*") if one.is_file() and one.stat().st_size))
            sign = f"checkpoint {newest.name} is not used"
        what = harm(file, chance)
        notes = told(lambda f=folder, w=name: run(tiny, f, WAYS[w]), root / "said.json") or []
        said, same = any(sign in note for note in notes), hash_of(folder) == whole[name]
        if not (said and same):
            failures.append(f"{name}: {what}: {'' if said else 'not said '}{'' if same else 'other weights'}")
        print(f"CR5 {name}: {what}: {'said' if said else 'NOT SAID'}, "
              f"{'the same weights' if same else 'OTHER WEIGHTS'}", flush=True)
    return {"n": n, "failures": failures}


def rp1(n: int, root: Path, tiny: Path, whole: dict[str, str], steps: dict[str, int]) -> dict[str, Any]:
    """Stopped at so many (method, step) points, spread evenly, and gone on in another process."""
    points = sorted(((name, step) for name in WAYS for step in range(1, steps[name] + 1)), key=lambda one: one[1])
    failures = []
    chosen = sorted({points[i * len(points) // n] for i in range(n)}) if n < len(points) else points
    for name, step in chosen:
        folder = root / f"stopped {name} {step}"
        child(lambda f=folder, w=name, s=step: run(tiny, f, WAYS[w], stop_at=s))
        early = bool(hash_of(folder))
        same = finish(tiny, folder, WAYS[name]) == whole[name]
        if early or not same:
            failures.append(f"{name} at step {step}: {'called itself done ' if early else ''}other weights")
        print(f"RP1 {name}: stopped at step {step}, {'the same weights' if same else 'OTHER WEIGHTS'}", flush=True)
    return {"n": len(chosen), "failures": failures}


def df1(n: int, root: Path, tiny: Path, whole: dict[str, str]) -> dict[str, Any]:
    """Disks of a tenth of what a run takes up to all of it; then the same disk with room."""
    failures, full = [], 0
    for number in range(n):
        name = list(WAYS)[number % len(WAYS)]
        disk = root / f"disk {number}"
        disk.mkdir()
        if not _mount(disk, "size=512m"):
            return {"n": 0, "failures": [], "left_out": "no right to mount a tmpfs"}
        try:
            most = told(lambda d=disk, w=name: _most(tiny, d / "measured", WAYS[w]), root / "most.json")
            # The measured run's folder is on the same disk and stays: a disk that is in use.
            used = sum(file.stat().st_blocks * 512 for file in disk.rglob("*"))
            size = used + int(most * (0.1 + 0.85 * number / max(1, n - 1)))
            _mount(disk, f"remount,size={size // 4096 * 4096}")
            out = disk / "out"
            ended = told(lambda o=out, w=name: _ended(tiny, o, WAYS[w]), root / "ended.json")
            full += ended == "full"
            if ended not in ("full", "done"):
                failures.append(f"{name}: {size - used} bytes: {ended}")
            if (ended == "done") != (hash_of(out) == whole[name]):
                failures.append(f"{name}: {size - used} bytes: it ended as {ended!r}, and its folder says otherwise")
            _mount(disk, "remount,size=512m")
            same = finish(tiny, out, WAYS[name]) == whole[name]
            if not same:
                failures.append(f"{name}: {size - used} bytes: other weights when there was room")
            print(f"DF1 {name}: {(size - used) / most:.0%} of the room: {ended}, then "
                  f"{'the same weights' if same else 'OTHER WEIGHTS'}", flush=True)
        finally:
            subprocess.run(["umount", "-l", str(disk)], check=False)
    return {"n": n, "disk_was_full": full, "failures": failures}


def _mount(disk: Path, options: str) -> bool:
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(disk)], check=False, capture_output=True)
    return made.returncode == 0


def _most(tiny: Path, folder: Path, settings: TrainingSettings) -> int:
    """The most bytes that a run's folder takes on the disk at any step."""
    from tunewise.training.sft import train

    most = 0

    def progress(phase: str, done: int, total: int) -> None:
        nonlocal most
        most = max(most, sum(file.stat().st_blocks * 512 for file in folder.rglob("*") if file.exists()))

    train(str(tiny), tiny_rows(), folder=folder, settings=settings, recipe="raft", validation=tiny_rows(3),
          progress=progress)
    return most


def _ended(tiny: Path, folder: Path, settings: TrainingSettings) -> str:
    try:
        run(tiny, folder, settings)
    except DiskFull:
        return "full"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "done"


def ac7(n: int, root: Path, tiny: Path, seed: int = 2) -> dict[str, Any]:
    """Chains of a parent and a child whose rows come from random groups, and every export of them."""
    chance, failures = random.Random(seed), []
    every = [f"g{i}" for i in range(6)]
    for number in range(n):
        groups = [[tuple(chance.sample(every, chance.randrange(3))) for _ in range(8)] for _ in range(2)]
        place = root / f"groups {number}"
        notes = told(lambda p=place, g=groups: _chain(tiny, p, g), root / "groups.json")
        wanted = sorted({group for some in groups for row in some for group in row})
        own = sorted({group for row in groups[0] for group in row})
        kept = notes is not None and notes.pop("parent") == own and all(named == wanted for named in notes.values())
        if not kept:
            failures.append(f"rows of {wanted} on a parent of {own}: {notes}")
        print(f"AC7 {len(wanted)} groups: {'kept' if kept else failures[-1]}", flush=True)
    return {"n": n, "failures": failures}


def _chain(tiny: Path, place: Path, groups: list[list[tuple[str, ...]]]) -> dict[str, Any]:
    """The groups that the parent, the child and every export of it name."""
    from tunewise.training.export import export

    short = PLAIN.but({"epochs": 1, "rank": 2, "patience": 0})
    rows = [[replace(row, groups=named) for row, named in zip(tiny_rows(8), some, strict=True)] for some in groups]
    run(tiny, place / "parent", short, rows=rows[0], validation=())
    run(tiny, place / "child", short, rows=rows[1], validation=(), parent=place / "parent")
    run(tiny, place / "full", short.but({"method": "full", "rate": 1e-3}), rows=rows[1], validation=(),
        parent=place / "parent")
    found = {name: read_json(place / name / "tunewise.json")["groups"] for name in ("parent", "child", "full")}
    for name in ("child", "full"):
        merged = export(str(tiny), place / name, form="safetensors", output=place / f"{name} merged")
        found |= {f"{name} merged": list(merged.groups),
                  f"{name} file": read_json(merged.folder / "export.json")["groups"]}
    return found


def _import_once() -> None:
    """Load for all forked children what each would load again, and leave the machine's matrix rate unmeasured."""
    import accelerate  # noqa: F401 - and torch was never used before a fork
    import transformers.integrations
    import transformers.models.llama.modeling_llama  # noqa: F401
    from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer, TrainingArguments  # noqa: F401

    import tunewise.training.sft  # noqa: F401
    from tunewise.training import estimate

    estimate.matrix_rate = lambda *_, **__: 1e11


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--damages", type=int, default=50)
    parser.add_argument("--points", type=int, default=100)
    parser.add_argument("--disks", type=int, default=21)
    parser.add_argument("--chains", type=int, default=20)
    parser.add_argument("--ways", default=",".join(WAYS), help="which of the methods")
    args = parser.parse_args()
    for name in set(WAYS) - set(args.ways.split(",")):
        del WAYS[name]
    _import_once()

    with tempfile.TemporaryDirectory(prefix="tunewise-probe-") as scratch:
        root = Path(scratch)
        tiny = root / "tiny"
        child(lambda: make_tiny(tiny))
        whole: dict[str, str] = {}
        seconds: dict[str, float] = {}
        steps: dict[str, int] = {}
        for name, settings in WAYS.items():
            start = time.monotonic()
            whole[name] = finish(tiny, root / f"whole {name}", settings)
            seconds[name] = time.monotonic() - start
            steps[name] = read_json(root / f"whole {name}" / "tunewise.json")["steps"]
            print(f"unbroken, {name}: {seconds[name]:.1f} s, {steps[name]} steps, {whole[name][:12]}", flush=True)
        found = {
            "CR4": cr4(args.kills, root, tiny, whole, seconds),
            "CR5": cr5(args.damages, root, tiny, whole),
            "RP1": rp1(args.points, root, tiny, whole, steps),
            "DF1": df1(args.disks, root, tiny, whole),
            "AC7": ac7(args.chains, root, tiny),
        }
    print(json.dumps({
        "name": "training: CR4, CR5, RP1, DF1, AC7", "probes": found,
        "unbroken_seconds": {name: round(one, 1) for name, one in seconds.items()},
        "machine": machine(), "versions": versions(),
    }))
    sys.exit(any(one["failures"] for one in found.values()))


if __name__ == "__main__":
    main()
