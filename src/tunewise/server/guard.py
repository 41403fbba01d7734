"""The door in front of every route, as plain ASGI: Host and origin, sizes, slow bodies, request ids, safety headers.

Plain ASGI and not a framework middleware, so that a client that goes away is noticed by the routes behind it.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tunewise.server.access import may_upload
from tunewise.server.faults import Fault
from tunewise.server.options import LOCAL, Options

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; form-action 'self'; frame-src 'self'; frame-ancestors 'self'; base-uri 'none'"
)
_SAFE = ("GET", "HEAD", "OPTIONS")
_ID = re.compile(r"[\w.\-]{1,128}")
_BODY_SECONDS = 30.0
"""For the next piece of a body; a client that is slower than that is let go."""
_BODY_TOTAL = 60.0
_BODY_RATE = 100_000
"""A whole body may take so many seconds, and one more for each so many bytes of its limit."""
_UPLOADS = ("/v1/documents", "/documents")
_HEADERS = {
    "content-security-policy": POLICY, "x-content-type-options": "nosniff", "referrer-policy": "no-referrer",
    "x-frame-options": "SAMEORIGIN", "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin", "cache-control": "no-store",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}


class Guard:
    """Wraps the application."""

    def __init__(self, app: ASGIApp, options: Options) -> None:
        self.app, self.options = app, options
        self.hosts = {name.lower() for name in (*LOCAL, options.host, *options.hosts)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        id = given if _ID.fullmatch(given) else secrets.token_hex(12)

        async def own(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer = MutableHeaders(scope=message)
                answer["x-request-id"] = id
                for name, value in _HEADERS.items():
                    # A route that has reasons (a report in its frame, a static file) says its own.
                    answer.setdefault(name, value)
            await send(message)

        fault = self._fault(scope, headers)
        limit = self.options.body_bytes
        upload = fault is None and scope["method"] == "POST" and scope["path"] in _UPLOADS
        # Forms are read, and written to the disk, before a route's door is asked who it is.
        if upload and await asyncio.to_thread(may_upload, Request(scope)):
            limit = self.options.upload_bytes + 1_000_000
        if fault is None and int(_digits(headers.get("content-length"))) > limit:
            fault = _too_large(limit)
        if fault is not None:
            await fault.response()(scope, receive, own)
            return
        body = _Body(receive, limit)
        started = False

        async def reply(message: Message) -> None:
            nonlocal started
            # What a route makes of a body that was cut off here is not what is wrong with it.
            if body.fault is None or started:
                started = True
                await own(message)

        try:
            await self.app(scope, body, reply)
        except Exception:
            if body.fault is None or started:
                raise
        if body.fault is not None and not started:
            await body.fault.response()(scope, receive, own)

    def _fault(self, scope: Scope, headers: Headers) -> Fault | None:
        if len(headers.getlist("host")) != 1 or _name(headers["host"]) not in self.hosts:
            return Fault(
                421, "this server does not answer to that Host", code="unknown_host",
                tip="--allow-host NAME lets a name in",
            )
        if scope["method"] not in _SAFE and _foreign(headers):
            return Fault(403, "a page of another site cannot do this", code="foreign_origin")
        return None


class _Body:
    """`receive` that ends a body beyond its limit, and one whose sender does nothing."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self.receive, self.limit = receive, limit
        self.until = time.monotonic() + _BODY_TOTAL + limit / _BODY_RATE
        self.size = 0
        self.whole = False
        self.fault: Fault | None = None

    async def __call__(self) -> Message:
        if self.whole:
            return await self.receive()
        try:
            async with asyncio.timeout(min(_BODY_SECONDS, self.until - time.monotonic())):
                message: Any = await self.receive()
        except TimeoutError:
            self.fault = Fault(408, "the request's body did not arrive", code="timeout")
            return {"type": "http.disconnect"}
        if message["type"] == "http.request":
            self.size += len(message.get("body", b""))
            self.whole = not message.get("more_body", False)
            if self.size > self.limit:
                self.fault = _too_large(self.limit)
                return {"type": "http.disconnect"}
        return message


def _too_large(limit: int) -> Fault:
    return Fault(413, f"the request is larger than {limit:,} bytes", code="too_large")


def _digits(value: str | None) -> str:
    # Longer than any size there is; int() of a million digits would take its time.
    return "0" if not value or not value.isascii() or not value.isdigit() else value[:18]


def _name(host: str) -> str:
    """The name in a Host header, without its port: `[::1]:8321` and `127.0.0.1:8321` alike."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.rpartition(":")[0].lower() if re.search(r":\d*$", host) else host.lower()


def _foreign(headers: Headers) -> bool:
    """Whether a browser sent this from another site's page (programs send none of these headers)."""
    if headers.get("sec-fetch-site") in ("cross-site", "same-site"):
        return True
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc.lower() != headers.get("host", "").lower()
