"""Checkpoints and best weights that are known to be whole: each is sealed with SHA-256, and only sealed ones are read.

transformers writes a checkpoint file by file. A killed process leaves a torn one, a bad disk a flipped bit; neither may
be learned from. The seal is written last, after every file was fsynced, and bears a hash of itself.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunewise.errors import Damaged
from tunewise.store import fingerprint, read_json, sha256, sync_file, sync_folder, write_json

SEAL = "tunewise.json"
BEST = "best.json"
Note = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Place:
    """A whole checkpoint: its folder, its step, whether the run had come to its end there (`over`), and the seconds
    that all tries took up to it: with their set-up, and of training alone."""

    folder: Path | None = None
    step: int = 0
    over: bool = False
    seconds: float = 0.0
    train_seconds: float = 0.0


def _number(folder: Path) -> int:
    return int(folder.name.split("-")[1])


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.is_file() and file.name != SEAL)


def _write_sealed(path: Path, value: dict[str, Any]) -> None:
    write_json(path, {**value, "self": fingerprint(value)})


def _read_sealed(path: Path) -> dict[str, Any] | None:
    """What `_write_sealed` wrote; None when it is not that any more."""
    try:
        value = read_json(path)
    except Damaged:
        return None
    if not isinstance(value, dict):
        return None
    own = value.pop("self", "")
    return value if own == fingerprint(value) else None


def seal(folder: Path, *, over: bool = False, seconds: float = 0.0, train_seconds: float = 0.0) -> None:
    """Bring every file of a checkpoint to the disk, then write down their hashes and how far the run was."""
    for file in _files(folder):
        sync_file(file)
    files = {file.relative_to(folder).as_posix(): sha256(file) for file in _files(folder)}
    figures = {"over": over, "seconds": seconds, "train_seconds": train_seconds}
    _write_sealed(folder / SEAL, {"files": files, **figures})


def faults(folder: Path) -> str:
    """What is wrong with a checkpoint, or ""."""
    if not (folder / SEAL).is_file():
        return "it was not finished"
    known = _read_sealed(folder / SEAL)
    if known is None:
        return "its seal is damaged"
    for name, digest in known["files"].items():
        if not (folder / name).is_file():
            return f"{name} is missing"
        if sha256(folder / name) != digest:
            return f"{name} is damaged"
    extra = {file.relative_to(folder).as_posix() for file in _files(folder)} - set(known["files"])
    return f"{min(extra)} was added to it" if extra else ""


def newest(folder: Path, *, note: Note, before: int | None = None) -> Place:
    """The newest whole checkpoint (of a step `before` another); all later ones are removed, damaged ones are named."""
    found = sorted((place for place in folder.glob("checkpoint-*") if place.is_dir()), key=_number, reverse=True)
    for place in found:
        wrong = faults(place)
        if not wrong and (before is None or _number(place) < before):
            known = read_json(place / SEAL)
            return Place(place, _number(place), known["over"], known["seconds"], known["train_seconds"])
        if wrong:
            note(f"checkpoint {place.name} is not used: {wrong}")
        shutil.rmtree(place)
    return Place()


def begin(folder: Path, *, note: Note) -> Place:
    """Where a run goes on, with best weights that are whole or none.

    Damaged best weights are never worn: the run goes back to a checkpoint before them, and finds them again.
    """
    last, best = newest(folder, note=note), folder / BEST
    if last.folder is not None and best.is_file():
        try:
            best_weights(folder)
            return last
        except Damaged:
            pass
        steps = [_number(file.with_suffix("")) for file in folder.glob("best-*.safetensors")]
        note("the best weights so far are not used: they are damaged; the training goes back to before them")
        last = newest(folder, note=note, before=min(steps, default=0))
    # Without a checkpoint the run begins anew, and so does the search for its best step.
    best.unlink(missing_ok=True)
    for file in folder.glob("best-*.safetensors"):
        file.unlink()
    return last


def keep_best(folder: Path, *, loss: float, step: int, save: Callable[[Path], None]) -> None:
    """Make what `save` writes into a file the best weights; until they are whole on the disk, the ones before are."""
    file = folder / f"best-{step}.safetensors"
    save(file)
    sync_file(file)
    sync_folder(folder)
    _write_sealed(folder / BEST, {"loss": loss, "step": step, "sha256": sha256(file)})
    for other in folder.glob("best-*.safetensors"):
        if other != file:
            other.unlink()


def best_look(folder: Path) -> tuple[float, int] | None:
    """(loss, step) of the best look so far, or None; whether its weights are whole is not looked at."""
    known = _read_sealed(folder / BEST) if (folder / BEST).is_file() else None
    return (known["loss"], known["step"]) if known else None


def best_weights(folder: Path) -> tuple[int, Path] | None:
    """(step, file) of the best weights; None where no look was kept. `Damaged` when they are not whole."""
    if not (folder / BEST).is_file():
        return None
    known = _read_sealed(folder / BEST)
    file = folder / f"best-{known['step']}.safetensors" if known else None
    if known is None or file is None or not file.is_file() or sha256(file) != known["sha256"]:
        raise Damaged(
            f"the best weights in {folder} are damaged",
            tip="run the same command again: it goes back to the checkpoint before them",
        )
    return known["step"], file
