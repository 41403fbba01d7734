"""The child process of `child.py`: does one thing with one file for each line of its input, one JSON line out for each.

It may be killed at any time. It knows nothing about folders, and opens nothing but the file or address it is told.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

MEMORY = 1 << 30
"""Bytes of data of one child. Its address space may be twice as large: libraries and their threads reserve much."""


def main() -> None:
    """Do what standard input asks until it ends: see `_read`, `_boxes` and `_png` for the requests."""
    # Libraries print; the answers go through a copy of the channel that they do not know.
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    _limit()

    from tunewise.errors import TunewiseError

    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = _DOES[request.pop("do")](request, lambda: _tell(channel))
        except TunewiseError as error:
            answer = {"reason": error.message, "tip": error.tip}
        except MemoryError:
            # Not to be trusted any more: what was half built may still hold the memory.
            answer = {"reason": f"it needs more than {MEMORY >> 30} GiB of memory", "last": True}
        except RecursionError:
            answer = {"reason": "it is nested too deeply"}
        except Exception as error:  # noqa: BLE001 - a library's surprise costs one file and is told in its own words
            answer = {"reason": f"its reader failed: {type(error).__name__}: {str(error)[:200]}"}
        _say(channel, answer)
        if answer.get("last"):
            return


def _say(channel: TextIO, answer: dict[str, Any]) -> None:
    channel.write(json.dumps(answer) + "\n")
    channel.flush()


def _tell(channel: TextIO) -> None:
    """Slow but honest work goes on: the clock of this file starts anew."""
    _say(channel, {"goes_on": True})


def _read(request: dict[str, Any], tell: Callable[[], None]) -> dict[str, Any]:
    """{"path", "id", "passwords"} → {"document", "notes"}."""
    from tunewise.nouns import to_json
    from tunewise.reading import read_file

    notes: list[str] = []
    document = read_file(request["path"], id=request["id"], passwords=request["passwords"], notes=notes, tell=tell)
    return {"document": to_json(document), "notes": notes}


def _boxes(request: dict[str, Any], tell: Callable[[], None]) -> dict[str, Any]:
    """{"path", "spans": [PageSpan], "password"} → {"pages": [PageBoxes]}."""
    from tunewise.nouns import to_json
    from tunewise.reading.pages import PageSpan, boxes_of

    spans = [PageSpan(**span) for span in request["spans"]]
    return {"pages": to_json(boxes_of(Path(request["path"]), spans, request["password"]))}


def _png(request: dict[str, Any], tell: Callable[[], None]) -> dict[str, Any]:
    """{"path", "page", "scale", "password"} → {"png": base64}."""
    from tunewise.reading.pages import png_of

    picture = png_of(Path(request["path"]), request["page"], request["scale"], request["password"])
    return {"png": base64.b64encode(picture).decode()}


def _fetch(request: dict[str, Any], tell: Callable[[], None]) -> dict[str, Any]:
    """{"url", "private"} → {"url", "data": hexadecimal, "suffix"}: the one deed that opens a connection."""
    from tunewise.reading.address import fetch

    page = fetch(request["url"], private=request["private"])
    return {"url": page.url, "data": page.data.hex(), "suffix": page.suffix}


_Deed = Callable[[dict[str, Any], Callable[[], None]], dict[str, Any]]
_DOES: dict[str, _Deed] = {"read": _read, "boxes": _boxes, "png": _png, "fetch": _fetch}


def _limit() -> None:
    import resource

    limits = ((resource.RLIMIT_DATA, MEMORY), (resource.RLIMIT_AS, 2 * MEMORY), (resource.RLIMIT_CORE, 0))
    for kind, value in limits:
        try:
            resource.setrlimit(kind, (value, value))
        except (OSError, ValueError):
            # Some systems know no such limit; the time-out still holds.
            continue


if __name__ == "__main__":
    main()
