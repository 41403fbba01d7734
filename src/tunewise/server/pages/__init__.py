"""The web pages, rendered here on the server; they use the same `House` as the API, and hold no logic of their own.

No build step: templates, one style, htmx and a few small scripts, all served from here; no page asks another host for
anything.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse

from tunewise.server.access import who_or_none
from tunewise.server.pages import ask, compare, documents, rate, runs, source
from tunewise.server.pages.doors import PageRoute
from tunewise.server.pages.render import STATIC, page
from tunewise.server.principals import COOKIE, Principal

if TYPE_CHECKING:
    from tunewise.server.house import House


_INSIDE = re.compile(r"/(?!/)[^\\\x00-\x1f\x7f-\x9f]*")


def router(house: House) -> APIRouter:
    """All pages, mounted at "/"; every route is left out of the OpenAPI schema."""
    routes = APIRouter(include_in_schema=False, route_class=PageRoute)
    for room in (ask, source, documents, compare, rate, runs):
        routes.include_router(room.router(house))

    @routes.get("/login")
    def login(request: Request, asker: Annotated[Principal | None, Depends(who_or_none)], to: str = "/") -> Response:
        # Only an address of this server: "//elsewhere" would be another host.
        # Browsers drop tabs and line ends, and read a backslash as a slash.
        inside = to if _INSIDE.fullmatch(to) else "/"
        if asker is not None:
            return RedirectResponse(inside, status_code=303)
        return page(request, "login.html", who=None, place="login", to=inside)

    @routes.post("/sign-out")
    def sign_out(request: Request) -> Response:
        if (token := request.cookies.get(COOKIE)) and house.state.session(token) is not None:
            house.state.close_session(token)
        gone = RedirectResponse("/login", status_code=303)
        gone.delete_cookie(COOKIE)
        return gone

    return routes


__all__ = ["STATIC", "router"]
