"""Who may open a page, and what a page says instead when it cannot be opened: sign in, not yours, not there, a mistake.

The API answers errors as JSON; a person gets the cause and the way out, in both languages.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from tunewise.errors import TunewiseError
from tunewise.server.access import who_or_none
from tunewise.server.faults import Fault, told
from tunewise.server.pages.render import page, wants_piece
from tunewise.server.principals import Principal


class Shut(Exception):
    """A page that this reader cannot open: 401 sign in first, 403 administrators only, 404 nothing (for them) here."""

    def __init__(self, status: int) -> None:
        super().__init__(str(status))
        self.status = status


async def reader(asker: Annotated[Principal | None, Depends(who_or_none)]) -> Principal:
    """Anybody who may ask."""
    if asker is None:
        raise Shut(401)
    return asker


async def editor(asker: Annotated[Principal, Depends(reader)]) -> Principal:
    """Who may put documents in and take them out."""
    if not asker.may_write:
        raise Shut(403)
    return asker


async def admin(asker: Annotated[Principal, Depends(reader)]) -> Principal:
    """Who may see every document, and therefore runs."""
    if not asker.is_admin:
        raise Shut(403)
    return asker


Reader = Annotated[Principal, Depends(reader)]
Editor = Annotated[Principal, Depends(editor)]
Admin = Annotated[Principal, Depends(admin)]


class PageRoute(APIRoute):
    """A route whose errors are pages, or pieces of pages where a piece was asked for."""

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:
        """The route's handler, with the errors turned."""
        answer = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                return await answer(request)
            except Shut as shut:
                return _shut(request, shut.status)
            except RequestValidationError:
                return _shut(request, 404)
            except HTTPException as error:
                return _shut(request, error.status_code)
            except (TunewiseError, Fault) as error:
                fault = told(error, request)
                if fault.status in (401, 403, 404):
                    return _shut(request, fault.status)
                shown = {"message": fault.message, "tip": fault.tip, "faults": getattr(error, "faults", ())}
                if wants_piece(request):
                    return page(request, "mistake.html", who=None, status=fault.status, error=shown)
                return page(request, "trouble.html", who=_known(request), status=fault.status, error=shown, shut=None,
                            place="mistake")

        return handle


def _known(request: Request) -> Principal | None:
    found: Any = getattr(request.state, "asker", None)
    return found if isinstance(found, Principal) else None


def _shut(request: Request, status: int) -> Response:
    if status == 401:
        here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        address = "/login" if here == "/" or request.method != "GET" else f"/login?to={quote(here)}"
        if wants_piece(request):
            # htmx goes there itself; a redirect would put the whole page into a piece of this one.
            return Response(status_code=401, headers={"HX-Redirect": address})
        return RedirectResponse(address, status_code=303)
    status = status if status in (403, 404) else 404
    template = "shut-piece.html" if wants_piece(request) else "trouble.html"
    return page(request, template, who=_known(request), status=status, error=None, shut=status, place="mistake")
