"""Memory that ran out in a run which could not notice it: the kernel of Linux ends such a process with kill -9.

Whoever started the process writes it down beside the checkpoints, and the next try takes half the batch.
"""

from __future__ import annotations

from pathlib import Path

from tunewise.store import write_text

_FILE = "killed"


def kills(place: Path) -> int:
    """How often a run that keeps its checkpoints in `place` was killed for its memory."""
    file = place / _FILE
    return int(file.read_text(encoding="ascii")) if file.is_file() else 0


def remember_kill(place: Path) -> None:
    """Write down, for the next try, that this one was killed."""
    write_text(place / _FILE, str(kills(place) + 1))
