"""The child process of `child.py`: does one thing with one file for each line of its input, one JSON line out for each.

It may be killed at any time. It knows nothing about folders, and opens nothing but the file or address it is told.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from tunewise.reading.draft import Tell

MEMORY = 1 << 30
"""Bytes of data of one child. Its address space may be twice as large: libraries and their threads reserve much."""


def main() -> None:
    """Do what standard input asks until it ends: see `_read`, `_boxes` and `_png` for the requests."""
    # Libraries print; the answers go through a copy of the channel that they do not know.
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    _limit()
    threading.Thread(target=_outlive_nobody, args=(os.getppid(),), daemon=True).start()

    from tunewise.errors import TunewiseError

    for line in sys.stdin:
        request = json.loads(line)
        clock = _Clock(channel, request.pop("seconds", 0))
        try:
            answer = _DOES[request.pop("do")](request, clock.tell)
        except TunewiseError as error:
            answer = {"reason": error.message, "tip": error.tip}
        except MemoryError:
            # Not to be trusted any more: what was half built may still hold the memory.
            answer = {"reason": f"it needs more than {MEMORY >> 30} GiB of memory", "last": True}
        except RecursionError:
            answer = {"reason": "it is nested too deeply"}
        except Exception as error:  # noqa: BLE001 - a library's surprise costs one file and is told in its own words
            answer = {"reason": f"its reader failed: {type(error).__name__}: {str(error)[:200]}"}
        clock.stop()
        _say(channel, answer)
        if answer.get("last"):
            return


def _say(channel: TextIO, answer: dict[str, Any]) -> None:
    channel.write(json.dumps(answer) + "\n")
    channel.flush()


def _outlive_nobody(parent: int) -> None:
    """End this process when its parent is gone: nobody else would end one that hangs."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


class _Clock:
    """How long a request may take. The parent holds it to that; this is for a parent that is gone.

    An alarm of the system, because what hangs inside of a library may keep every thread of Python waiting.
    """

    def __init__(self, channel: TextIO, seconds: float) -> None:
        self.channel, self.seconds = channel, seconds
        self.ends = time.monotonic() + seconds
        self._set()

    def _set(self) -> None:
        # Behind the parent, who says why. Some systems know no alarm; there the thread above must do.
        if self.seconds:
            with contextlib.suppress(AttributeError, OSError):
                signal.setitimer(signal.ITIMER_REAL, max(1.0, self.ends - time.monotonic() + 5))

    def tell(self, seconds: float | None = None) -> None:
        """Slow but honest work goes on: give its clock back these seconds, or start it anew."""
        self.ends = time.monotonic() + self.seconds if seconds is None else self.ends + seconds
        self._set()
        _say(self.channel, {"goes_on": seconds})

    def stop(self) -> None:
        with contextlib.suppress(AttributeError, OSError):
            signal.setitimer(signal.ITIMER_REAL, 0)


def _read(request: dict[str, Any], tell: Tell) -> dict[str, Any]:
    """{"path", "id", "passwords"} → {"document", "notes"}."""
    from tunewise.nouns import to_json
    from tunewise.reading import read_file

    notes: list[str] = []
    document = read_file(request["path"], id=request["id"], passwords=request["passwords"], notes=notes, tell=tell)
    return {"document": to_json(document), "notes": notes}


def _boxes(request: dict[str, Any], tell: Tell) -> dict[str, Any]:
    """{"path", "spans": [PageSpan], "password"} → {"pages": [PageBoxes]}."""
    from tunewise.nouns import to_json
    from tunewise.reading.pages import PageSpan, boxes_of

    spans = [PageSpan(**span) for span in request["spans"]]
    return {"pages": to_json(boxes_of(Path(request["path"]), spans, request["password"]))}


def _png(request: dict[str, Any], tell: Tell) -> dict[str, Any]:
    """{"path", "page", "scale", "password"} → {"png": base64}."""
    from tunewise.reading.pages import png_of

    picture = png_of(Path(request["path"]), request["page"], request["scale"], request["password"])
    return {"png": base64.b64encode(picture).decode()}


def _fetch(request: dict[str, Any], tell: Tell) -> dict[str, Any]:
    """{"url", "private"} → {"url", "data": hexadecimal, "suffix"}: the one deed that opens a connection."""
    from tunewise.reading.address import fetch

    page = fetch(request["url"], private=request["private"])
    return {"url": page.url, "data": page.data.hex(), "suffix": page.suffix}


_Deed = Callable[[dict[str, Any], "Tell"], dict[str, Any]]
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
