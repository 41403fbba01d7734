"""The hash of the catalog's file as the last finished write left it, so that one flipped bit of it is noticed.

Knows nothing about what is in the catalog.
"""

from __future__ import annotations

from pathlib import Path

from tunewise.catalog import Catalog
from tunewise.errors import Damaged
from tunewise.store import read_json, sha256, sync_file, write_json


def leave(catalog: Catalog, home: Path) -> None:
    """Remember the catalog's file as it is now; where somebody else is using it, remember nothing."""
    catalog.checkpoint()
    file, mark = home / "catalog.sqlite", home / "catalog.json"
    log = Path(f"{file}-wal")
    if log.is_file():
        # SQLite does not sync the end of its log: what was erased would come back with a power loss.
        sync_file(log)
    if not file.is_file() or (log.is_file() and log.stat().st_size):
        mark.unlink(missing_ok=True)
        return
    write_json(mark, {"sha256": sha256(file)})


def is_untouched(home: Path) -> bool | None:
    """Whether the catalog's file is the one that was left; None when nothing was remembered, or it is being written."""
    file, mark, log = home / "catalog.sqlite", home / "catalog.json", Path(f"{home / 'catalog.sqlite'}-wal")
    if not mark.is_file() or not file.is_file() or (log.is_file() and log.stat().st_size):
        return None
    try:
        kept = read_json(mark)
    except Damaged:
        return False
    return isinstance(kept, dict) and kept.get("sha256") == sha256(file)
