"""Documents: what is there, what came of each file that was handed in, who may read it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Form, Request, Response, UploadFile
from fastapi.responses import RedirectResponse

from tunewise.errors import TunewiseError
from tunewise.jobs.examples import load_example
from tunewise.server.pages.doors import Admin, Editor, PageRoute, Reader, Shut
from tunewise.server.pages.render import language_of, page, wants_piece
from tunewise.server.principals import Principal

if TYPE_CHECKING:
    from tunewise.server.house import House

BUSY = ("waiting", "reading")
SHOWN = 200
"""Rows in one page; more are found by the filter."""


def router(house: House) -> APIRouter:
    """The routes of the documents' page."""
    routes = APIRouter(include_in_schema=False, route_class=PageRoute)

    @routes.get("/documents")
    def documents(request: Request, asker: Reader, find: str = "") -> Response:
        return page(request, "documents.html", who=asker, place="documents", **_listed(house, asker, find))

    @routes.get("/documents/list")
    def listed(request: Request, asker: Reader, find: str = "") -> Response:
        return page(request, "documents-list.html", who=asker, **_listed(house, asker, find))

    @routes.post("/documents")
    def upload(
        request: Request, asker: Editor, files: list[UploadFile], groups: Annotated[str, Form()] = "",
        find: Annotated[str, Form()] = "",
    ) -> Response:
        refused: list[TunewiseError] = []
        for file in files:
            try:
                house.intake.upload(asker, file.filename or "", file.file, _named(groups))
            except TunewiseError as error:
                refused.append(error)
        if refused:
            # The script sends files one by one; without it several may come, and the first that is refused is told.
            raise refused[0]
        if not wants_piece(request):
            return RedirectResponse("/documents", status_code=303)
        return page(request, "documents-list.html", who=asker, **_listed(house, asker, find))

    @routes.post("/documents/delete")
    def delete(request: Request, asker: Editor, document: Annotated[str, Form()]) -> Response:
        if not house.intake.remove(asker, document):
            raise Shut(404)
        return _after(request, house, asker)

    @routes.post("/example")
    def try_example(request: Request, asker: Admin) -> Response:
        count = load_example(house.project, language=language_of(request))
        house.state.audit_line(asker.name, "example", "", {"documents": count})
        house.intake.reread(asker)
        return RedirectResponse("/documents", status_code=303)

    @routes.post("/documents/reread")
    def reread(request: Request, asker: Editor) -> Response:
        house.intake.reread(asker)
        return _after(request, house, asker)

    return routes


def _after(request: Request, house: House, asker: Principal) -> Response:
    if not wants_piece(request):
        return RedirectResponse("/documents", status_code=303)
    return page(request, "documents-list.html", who=asker, **_listed(house, asker, ""))


def _named(text: str) -> tuple[str, ...]:
    """Group names as they are typed: with commas, also the Chinese ones, between them."""
    for sign in "，、;；":
        text = text.replace(sign, ",")
    return tuple(sorted({name.strip() for name in text.split(",") if name.strip()}))


def _listed(house: House, asker: Principal, find: str) -> dict[str, Any]:
    """Every document and every upload that is not a document yet, each with its state."""
    records = house.answering.documents(asker.groups)
    uploads = house.intake.uploads(asker) if asker.may_write else []
    newest: dict[str, Any] = {}
    for each in uploads:  # newest first
        newest.setdefault(each.document, each)
    rows = [
        {
            "document": record.id, "title": record.title, "groups": record.groups, "characters": record.characters,
            "modified": (record.modified or "")[:10], "language": record.language,
            "state": newest[record.id].state if record.id in newest else "ready",
            "reason": newest[record.id].reason if record.id in newest else "",
            "by": newest[record.id].principal if record.id in newest else "", "readable": True,
        }
        for record in records
    ]
    known = {record.id for record in records}
    rows += [
        {
            "document": each.document, "title": each.name, "groups": each.groups, "characters": None,
            "modified": each.created[:10], "language": "", "state": each.state, "reason": each.reason,
            "by": each.principal, "readable": False,
        }
        for each in newest.values()
        if each.document not in known and each.state != "ready" and each.state != "removed"
    ]
    order = {"failed": 0, "reading": 1, "waiting": 2, "ready": 3}
    rows.sort(key=lambda row: (order.get(row["state"], 3), row["document"]))
    wanted = find.strip().casefold()
    kept = [row for row in rows if wanted in row["document"].casefold() or wanted in row["title"].casefold()]
    progress = house.intake.progress()
    busy = progress is not None or any(row["state"] in BUSY for row in rows)
    return {
        "rows": kept[:SHOWN], "more": max(0, len(kept) - SHOWN), "total": len(rows), "find": find,
        # How many documents there are in all is for administrators, as in the API.
        "busy": busy, "progress": progress if asker.is_admin else None,
        "failed": sum(row["state"] == "failed" for row in rows),
        "suffixes": _suffixes(), "limit": house.options.upload_bytes,
    }


def _suffixes() -> list[str]:
    from tunewise.reading import SUFFIXES

    return sorted(SUFFIXES)
