"""From which address each saved web page came: one hidden JSON file beside the pages, read with the folder."""

from __future__ import annotations

from pathlib import Path

from tunewise.errors import Damaged
from tunewise.store import read_json, write_json

FOLDER = "web"
_FILE = ".sources.json"


def web_sources(folder: Path) -> dict[str, str]:
    """{document id: address} of the pages saved in a folder of documents; a damaged list is no reason to stop."""
    path = folder / FOLDER / _FILE
    try:
        listed = read_json(path) if path.is_file() else {}
    except (Damaged, OSError):
        return {}
    if not isinstance(listed, dict):
        return {}
    urls = {id: entry.get("url") for id, entry in listed.items() if isinstance(entry, dict)}
    return {id: url for id, url in urls.items() if isinstance(url, str)}


def save_source(folder: Path, path: Path, *, url: str, fetched: str) -> None:
    """Note where the page in `path` came from and when."""
    file = folder / FOLDER / _FILE
    try:
        listed = read_json(file) if file.is_file() else {}
    except Damaged:
        listed = {}
    write_json(file, {**listed, path.relative_to(folder).as_posix(): {"url": url, "fetched": fetched}})
