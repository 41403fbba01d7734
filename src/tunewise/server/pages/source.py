"""A source opened at the cited lines: the page's picture with boxes for a PDF, the text with the lines marked for all.

A document is found by its id among those that this reader may see; nothing that a reader sends becomes a path.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response

from tunewise import reading
from tunewise.errors import DataMistake
from tunewise.nouns import Document
from tunewise.server.pages.doors import PageRoute, Reader, Shut
from tunewise.server.pages.render import page, wants_piece
from tunewise.server.principals import Principal

if TYPE_CHECKING:
    from tunewise.server.house import House

AROUND = 60
"""Lines shown before and behind the cited ones, unless the whole document is asked for."""
MOST = 5_000
"""Lines shown of a document that is asked for whole: a page of a million lines opens in no browser."""
LINE = 20_000
"""Characters shown of the part of a line before, in, or behind the cited span."""
SCALE = 1.6


def router(house: House) -> APIRouter:
    """The routes of sources."""
    routes = APIRouter(include_in_schema=False, route_class=PageRoute)

    @routes.get("/source")
    def source(
        request: Request, asker: Reader, document: str, start: Annotated[int, Query(ge=0, le=10**9)] = 0,
        end: Annotated[int, Query(ge=0, le=10**9)] = 0, revision: str = "", view: str = "", whole: bool = False,
    ) -> Response:
        found = _document(house, asker, document)
        # A span of another revision says nothing about this one: the text is shown, and that it changed.
        outdated = bool(revision) and revision != found.revision
        start, end = (0, 0) if outdated or not start < end <= len(found.text) else (start, end)
        pages = [] if outdated or view == "text" else _pages(house, found, start, end)
        template = "source.html" if wants_piece(request) else "source-page.html"
        has_pages = bool(pages) or (view == "text" and _drawable(house, found))
        shown = "page" if pages else "text"
        address = "/source?" + urlencode({"document": document, "start": start, "end": end, "revision": revision})
        return page(
            request, template, who=asker, place="source", document=found, outdated=outdated, address=address,
            view=shown, pages=pages, both_views=has_pages, pages_total=len(found.pages),
            **_lines(found, start, end, whole),
        )

    @routes.get("/source/page.png")
    def picture(asker: Reader, document: str, number: Annotated[int, Query(ge=1, le=10**6)], revision: str) -> Response:
        found = _document(house, asker, document)
        if revision != found.revision or not _drawable(house, found) or number > len(found.pages):
            raise Shut(404)
        try:
            data = reading.page_png(_file(house, found), number, SCALE)
        except DataMistake:
            raise Shut(404) from None
        return Response(data, media_type="image/png", headers={"Cache-Control": "no-store"})

    return routes


def _document(house: House, asker: Principal, id: str) -> Document:
    found = house.answering.document(id, asker.groups)
    if found is None:
        raise Shut(404)
    return found


def _file(house: House, document: Document) -> Path:
    return house.project.documents / document.id


def _drawable(house: House, document: Document) -> bool:
    """Whether its pages can be drawn: a file that was replaced since it was read is not the document that is known."""
    if not document.pages or not document.id.casefold().endswith(".pdf"):
        return False
    try:
        changed = int(_file(house, document).stat().st_mtime)
    except OSError:
        return False
    return datetime.fromtimestamp(changed, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") == document.modified


def _pages(house: House, document: Document, start: int, end: int) -> list[dict[str, Any]]:
    """The pages that a span touches, each with its picture's address and boxes; none for what has no pages.

    A file that cannot be drawn (it needs a password, it is gone) is shown as text: that was read, so it is there.
    """
    if not start < end or not _drawable(house, document):
        return []
    try:
        found = reading.page_boxes(_file(house, document), document, start, end)
    except DataMistake:
        return []
    return [
        {
            "number": each.page, "width": each.width, "height": each.height,
            "boxes": [(x0, y0, x1 - x0, y1 - y0) for x0, y0, x1, y1 in each.boxes],
            "image": "/source/page.png?" + urlencode(
                {"document": document.id, "number": each.page, "revision": document.revision}
            ),
        }
        for each in found
    ]


def _lines(document: Document, start: int, end: int, whole: bool) -> dict[str, Any]:
    """The document's lines around a span, the span cut into each line's marked part; at most `MOST` lines."""
    text = document.text
    total = text.count("\n") + 1
    top, bottom = (text.count("\n", 0, start), text.count("\n", 0, end - 1)) if start < end else (0, 0)
    if whole:
        first = max(0, min(top - MOST // 2, total - MOST))
        last = min(total, first + MOST)
    else:
        first = max(0, top - AROUND)
        last = min(total, bottom + AROUND, first + MOST)
    position = 0
    for _ in range(first):
        position = text.index("\n", position) + 1
    made: list[dict[str, Any]] = []
    for number in range(first + 1, last + 1):
        until = text.find("\n", position)
        until = len(text) if until < 0 else until
        low, high = max(start, position), min(end, until)
        cited = start < end and low < high
        made.append({
            "number": number, "cited": cited,
            "before": _ending(text, position, low) if cited else _beginning(text, position, until),
            "marked": _beginning(text, low, high) if cited else "",
            "after": _beginning(text, high, until) if cited else "",
        })
        position = until + 1
    return {
        "lines": made, "first": first + 1, "last": last, "total": total, "whole": whole,
        "cut": first > 0 or last < total,
    }


def _beginning(text: str, start: int, end: int) -> str:
    return text[start:end] if end - start <= LINE else f"{text[start : start + LINE]} …"


def _ending(text: str, start: int, end: int) -> str:
    return text[start:end] if end - start <= LINE else f"… {text[end - LINE : end]}"
