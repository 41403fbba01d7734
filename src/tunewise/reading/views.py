"""What a page of a document looks like, and where a span stands on it, drawn by a child that may die without harm.

A picture inside a PDF may be made to crash whoever draws it: so a server never draws one itself.
"""

from __future__ import annotations

import atexit
import base64
import threading
from pathlib import Path
from typing import Any

from tunewise.errors import DataMistake
from tunewise.nouns import Document, to_json
from tunewise.reading.child import Child
from tunewise.reading.formats import PAGED
from tunewise.reading.pages import PageBoxes, touched

_SECONDS = 30.0
_child = Child(_SECONDS, way_out="open the file itself")
# One question at a time: a line of the child's output belongs to the line before it of its input.
_turn = threading.Lock()
atexit.register(_child.bury)


def page_boxes(
    path: str | Path, document: Document, start: int, end: int, password: str | None = None
) -> list[PageBoxes]:
    """Where `document.text[start:end]` stands on the pages of the file it was read from: line boxes in points.

    Empty for a format without pages. DataMistake when the file cannot be opened or has fewer pages than the document.
    """
    if not 0 <= start < end <= len(document.text):
        raise ValueError(f"a span needs 0 <= start < end <= {len(document.text)}, got {start}..{end}")
    spans = touched(document, start, end)
    if not spans or Path(path).suffix.lower() not in PAGED:
        return []
    answer = _ask(path, {"do": "boxes", "path": str(path), "spans": to_json(spans), "password": password})
    return [PageBoxes(**page | {"boxes": tuple(map(tuple, page["boxes"]))}) for page in answer["pages"]]


def page_png(path: str | Path, number: int, scale: float = 1.5, password: str | None = None) -> bytes:
    """Page `number` (from 1) as a PNG picture with `scale` pixels for each point, at most 25 million of them.

    DataMistake when the file has no pages, cannot be opened, or has no such page.
    """
    if Path(path).suffix.lower() not in PAGED:
        raise DataMistake(f"{path}: only the pages of a PDF or a picture can be drawn", tip="show its text instead")
    request = {"do": "png", "path": str(path), "page": number, "scale": scale, "password": password}
    return base64.b64decode(_ask(path, request)["png"])


def _ask(path: str | Path, request: dict[str, Any]) -> dict[str, Any]:
    with _turn:
        answer = _child.ask(request)
    if "reason" in answer:
        raise DataMistake(f"{path}: {answer['reason']}", tip=answer.get("tip", ""))
    return answer
