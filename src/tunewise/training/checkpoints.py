"""Checkpoints that are known to be whole: each is sealed with the SHA-256 of its files, and only sealed ones are read.

transformers writes a checkpoint file by file. A killed process leaves a torn one, a bad disk a flipped bit; neither may
be learned from. The seal is written last, after every file was fsynced.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from tunewise.errors import Damaged
from tunewise.store import read_json, sha256, write_json

SEAL = "tunewise.json"
Note = Callable[[str], None]


def _number(folder: Path) -> int:
    return int(folder.name.split("-")[1])


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.is_file() and file.name != SEAL)


def seal(folder: Path) -> None:
    """Bring every file of a checkpoint to the disk, then write down their hashes."""
    for file in _files(folder):
        handle = os.open(file, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    write_json(folder / SEAL, {file.relative_to(folder).as_posix(): sha256(file) for file in _files(folder)})


def faults(folder: Path) -> str:
    """What is wrong with a checkpoint, or ""."""
    if not (folder / SEAL).is_file():
        return "it was not finished"
    try:
        known = read_json(folder / SEAL)
    except Damaged:
        return "its seal is damaged"
    for name, digest in known.items():
        if not (folder / name).is_file():
            return f"{name} is missing"
        if sha256(folder / name) != digest:
            return f"{name} is damaged"
    extra = {file.relative_to(folder).as_posix() for file in _files(folder)} - set(known)
    return f"{min(extra)} was added to it" if extra else ""


def newest(folder: Path, *, note: Note) -> tuple[Path | None, int]:
    """The newest whole checkpoint and its step; damaged ones are named through `note` and removed."""
    found = sorted((place for place in folder.glob("checkpoint-*") if place.is_dir()), key=_number, reverse=True)
    for place in found:
        wrong = faults(place)
        if not wrong:
            return place, _number(place)
        note(f"checkpoint {place.name} is not used: {wrong}")
        shutil.rmtree(place)
    return None, 0
