"""Web pages → files in the folder of documents, where they are read like every other file.

A page stays on disk: it can be looked at, taken away, and read again offline. Asking for it again brings it up to date.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tunewise.errors import DataMistake
from tunewise.reading import Unread
from tunewise.reading.web_sources import FOLDER, save_source
from tunewise.store import write_bytes

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Saved:
    """The pages that were saved as (address, file), and those that were not, with the reason."""

    pages: tuple[tuple[str, str], ...]
    unread: tuple[Unread, ...]


def save_pages(
    folder: Path, urls: Sequence[str], *, private: bool = False, most: int = 200, progress: Progress | None = None
) -> Saved:
    """Fetch pages, and those that site maps name (at most `most` in all), into `folder`/web.

    `private` allows addresses of one's own network. Raises DataMistake when not one page could be had.
    """
    from tunewise.reading.address import SECONDS, Fetched, site_map
    from tunewise.reading.child import Child

    tell = progress or (lambda phase, done, total: None)
    waiting = list(dict.fromkeys(urls))
    seen = set(waiting)
    pages: list[tuple[str, str]] = []
    unread: list[Unread] = []
    # A child: a server that sends one byte a second, or what unpacks to gigabytes, costs one address.
    child = Child(SECONDS)
    done = 0
    try:
        while waiting and len(pages) < most:
            url = waiting.pop(0)
            answer = child.ask({"do": "fetch", "url": url, "private": private})
            done += 1
            tell("fetch", done, done + len(waiting))
            if "reason" in answer:
                unread.append(Unread(url, answer["reason"].removeprefix(f"{url}: ")))
                continue
            page = Fetched(answer["url"], bytes.fromhex(answer["data"]), answer["suffix"])
            if page.suffix in (".xml", ".gz"):
                try:
                    named, maps = site_map(page, most)
                except DataMistake as error:
                    unread.append(Unread(url, error.message.removeprefix(f"{url}: ")))
                    continue
                new = [address for address in (*named, *maps) if address not in seen]
                seen.update(new)
                waiting.extend(new)
                continue
            path = folder / file_name(page.url, page.suffix)
            write_bytes(path, page.data)
            save_source(folder, path, url=page.url, fetched=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
            pages.append((page.url, path.relative_to(folder).as_posix()))
    finally:
        child.stop()
        child.bury()
    if not pages:
        raise DataMistake(
            "not one page could be fetched: " + "; ".join(f"{one.source}: {one.reason}" for one in unread[:5]),
            tip="check the addresses in a browser",
        )
    if waiting:
        unread.append(Unread(urls[0], f"{len(waiting)} more page(s) are named there; {most} are taken at once"))
    return Saved(tuple(pages), tuple(unread))


def file_name(url: str, suffix: str) -> str:
    """Where the page of an address is saved: web/host/path; signs that a path could be led astray by are "-"."""
    parts = urlsplit(url)
    path = unquote(parts.path).removesuffix(suffix)
    pieces = [re.sub(r"[^\w.()-]+", "-", piece).strip(".-")[:80] for piece in path.split("/")]
    pieces = [piece for piece in pieces if piece][:8] or ["index"]
    # A folder never bears the name that a page may have.
    pieces[:-1] = [piece.replace(".", "-") for piece in pieces[:-1]]
    if parts.query or "/".join(pieces) != (path.strip("/") or "index"):
        # Two addresses must never be one file.
        pieces[-1] += "-" + hashlib.sha256(f"{parts.path}?{parts.query}".encode()).hexdigest()[:8]
    host = re.sub(r"[^\w.-]+", "-", f"{parts.hostname}{f'-{parts.port}' if parts.port else ''}").strip(".-")
    return "/".join((FOLDER, host or "host", *pieces)) + suffix


