"""A little room on the disk that is kept for deleting: on a full disk even a deletion has to write first.

Knows nothing about what is deleted.
"""

from __future__ import annotations

import os
from pathlib import Path

from tunewise.errors import DiskFull
from tunewise.store import write_bytes

BYTES = 1 << 20
_NAME = "reserve"


def keep(home: Path) -> None:
    """Put the room aside, unless it is there already or the disk has none left (then nothing is kept, and no fault)."""
    path = home / _NAME
    if path.is_file() and path.stat().st_size == BYTES:
        return
    try:
        # Random, so that no file system stores it as nothing.
        write_bytes(path, os.urandom(BYTES))
    except DiskFull:
        return


def release(home: Path) -> None:
    """Give the room back to the disk."""
    (home / _NAME).unlink(missing_ok=True)
