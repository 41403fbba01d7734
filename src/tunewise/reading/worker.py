"""The child process of `child.py`: does one thing with one file for each line of its input, one JSON line out for each.

It may be killed at any time. It knows nothing about folders, and opens nothing but the file that it is told to read.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

MEMORY = 2 << 30
"""Bytes of address space of one child."""


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
            answer = _DOES[request.pop("do")](request)
        except TunewiseError as error:
            answer = {"reason": error.message, "tip": error.tip}
        except MemoryError:
            # Not to be trusted any more: what was half built may still hold the memory.
            answer = {"reason": f"it needs more than {MEMORY >> 30} GiB of memory", "last": True}
        except RecursionError:
            answer = {"reason": "it is nested too deeply"}
        except Exception as error:  # noqa: BLE001 - a library's surprise costs one file and is told in its own words
            answer = {"reason": f"its reader failed: {type(error).__name__}: {str(error)[:200]}"}
        channel.write(json.dumps(answer) + "\n")
        channel.flush()
        if answer.get("last"):
            return


def _read(request: dict[str, Any]) -> dict[str, Any]:
    """{"path", "id", "passwords"} → {"document", "notes"}."""
    from tunewise.nouns import to_json
    from tunewise.reading import read_file

    notes: list[str] = []
    document = read_file(request["path"], id=request["id"], passwords=request["passwords"], notes=notes)
    return {"document": to_json(document), "notes": notes}


def _boxes(request: dict[str, Any]) -> dict[str, Any]:
    """{"path", "spans": [PageSpan], "password"} → {"pages": [PageBoxes]}."""
    from tunewise.nouns import to_json
    from tunewise.reading.pages import PageSpan, boxes_of

    spans = [PageSpan(**span) for span in request["spans"]]
    return {"pages": to_json(boxes_of(Path(request["path"]).read_bytes(), spans, request["password"]))}


def _png(request: dict[str, Any]) -> dict[str, Any]:
    """{"path", "page", "scale", "password"} → {"png": base64}."""
    from tunewise.reading.pages import png_of

    data = Path(request["path"]).read_bytes()
    picture = png_of(data, request["page"], request["scale"], request["password"])
    return {"png": base64.b64encode(picture).decode()}


_DOES: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {"read": _read, "boxes": _boxes, "png": _png}


def _limit() -> None:
    import resource

    for kind, value in ((resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_CORE, 0)):
        try:
            resource.setrlimit(kind, (value, value))
        except (OSError, ValueError):
            # Some systems know no such limit; the time-out still holds.
            continue


if __name__ == "__main__":
    main()
