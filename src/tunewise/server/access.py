"""FastAPI's dependencies for "who asks" and "how often": `who`, `who_or_none`, `writer`, `admin`.

One door: every route takes one of them (tests/test_server_access.py holds the list), and doubled credentials are
refused rather than one of them chosen.
"""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Annotated

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool
from starlette.types import Scope

from tunewise.server.faults import Fault
from tunewise.server.house import House
from tunewise.server.options import LOCAL
from tunewise.server.principals import COOKIE, OWNER, Principal

GUESSES = 20
"""Wrong keys per minute from one address; then further ones are not even looked at. A good key is always let in."""
_PLACE = "tunewise.place"


class Buckets:
    """Token buckets by name: `take` is False when a name used up its rate (per minute). At most 10,000 names."""

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, name: str) -> bool:
        """Use one, if there is one."""
        now = time.monotonic()
        left, at = self._left.pop(name, (float(self.rate), now))
        left = min(float(self.rate), left + (now - at) * self.rate / 60)
        self._left[name] = (left - 1 if left >= 1 else left, now)
        if len(self._left) > 10_000:
            self._left.popitem(last=False)
        return left >= 1

    def empty(self, name: str) -> bool:
        """Whether a name has nothing left now."""
        left, at = self._left.get(name, (float(self.rate), time.monotonic()))
        return left + (time.monotonic() - at) * self.rate / 60 < 1


class Present:
    """How many requests of each principal are being answered: one that sends many at a time cannot take all threads.

    Used by the event loop's thread only.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._inside: Counter[str] = Counter()

    def enter(self, request: Request, name: str) -> bool:
        """Whether there is room for one more request of a principal; it has its place until `leave`."""
        if self._inside[name] >= self.most:
            return False
        self._inside[name] += 1
        request.scope["state"][_PLACE] = name
        return True

    def leave(self, scope: Scope) -> None:
        """A request came to its very end."""
        if name := scope["state"].pop(_PLACE, None):
            self._inside -= Counter((name,))


async def house_of(request: Request) -> House:
    """The house of the application that got this request."""
    return request.app.state.house


async def who_or_none(request: Request) -> Principal | None:
    """Who asks, None for a stranger; faults for doubled credentials, bad keys (401), too many requests (429)."""
    house: House = request.app.state.house
    if house.state.at_hand(request.cookies.get(COOKIE)):
        # A thread costs more than looking into a table in memory does.
        asker = _who(request, house)
    else:
        asker = await run_in_threadpool(_who, request, house)
    if asker is not None:
        present: Present = request.app.state.present
        if not request.app.state.rates.take(asker.id):
            raise Fault(429, "too many requests", code="rate_limit_exceeded", tip="slow down", retry=2)
        if not present.enter(request, asker.id):
            raise Fault(429, "too many requests at a time", code="rate_limit_exceeded", tip="wait for answers", retry=2)
        request.state.asker = asker
    return asker


def may_upload(request: Request) -> bool:
    """Whether a request's headers are those of somebody who may upload; asked before the body is read, costs nobody."""
    try:
        asker = _who(request, request.app.state.house, counted=False)
    except Fault:
        return False
    return asker is not None and asker.may_write


def _who(request: Request, house: House, *, counted: bool = True) -> Principal | None:
    headers, client = request.headers, request.client.host if request.client else ""
    for name in ("authorization", "x-api-key", *filter(None, (house.options.identity_header,))):
        if len(headers.getlist(name)) > 1:
            raise Fault(400, f"the header {name} is there more than once", code="invalid_request")
    keys = set(filter(None, (_bearer(headers.get("authorization")), headers.get("x-api-key"))))
    if len(keys) > 1:
        raise Fault(400, "two different keys were given", code="invalid_request", tip="use one header")
    if keys:
        return _by_key(keys.pop(), request, house, counted=counted)
    if token := request.cookies.get(COOKIE):
        found = house.state.session(token)
        if found is not None:
            return found
    if house.options.identity_header:
        return _by_proxy(request, house, client)
    if house.options.host in LOCAL and not house.state.has_keys():
        return OWNER
    return None


def _bearer(header: str | None) -> str | None:
    if header is None:
        return None
    kind, _, value = header.partition(" ")
    if kind.lower() != "bearer" or not value.strip():
        raise Fault(401, "the Authorization header is no bearer key", code="invalid_api_key", tip="Bearer tw-…")
    return value.strip()


@contextmanager
def guess(request: Request) -> Iterator[None]:
    """Around the answer to a wrong key: a 401 costs one of the guesses of its address; when none is left it is 429."""
    guesses: Buckets = request.app.state.guesses
    client = request.client.host if request.client else ""
    if guesses.empty(client):
        raise Fault(429, "too many wrong keys", code="rate_limit_exceeded", tip="wait a minute", retry=30)
    try:
        yield
    except Fault as fault:
        if fault.status == 401:
            guesses.take(client)
        raise


def _by_key(secret: str, request: Request, house: House, *, counted: bool) -> Principal:
    found = house.state.principal(secret)
    if found is not None:
        return found
    if house.options.host in LOCAL and not house.options.identity_header and not house.state.has_keys():
        # OpenAI's clients cannot be used without a key: as long as there are none, any will do.
        return OWNER
    with guess(request) if counted else nullcontext():
        raise Fault(401, "this key is not known here", code="invalid_api_key", tip="tunewise keys list")


def _by_proxy(request: Request, house: House, client: str) -> Principal | None:
    options = house.options
    user = request.headers.get(options.identity_header or "", "").strip()
    if client not in options.proxies or not user or not user.isprintable() or len(user) > 150:
        return None
    listed = request.headers.get(options.groups_header, "") if options.groups_header else ""
    groups = tuple(sorted({part.strip() for part in listed.split(",") if part.strip() and part.strip().isprintable()}))
    if user in options.admins:
        return Principal(f"user:{user}", "admin", None)
    return Principal(f"user:{user}", "reader", groups)


async def who(asker: Annotated[Principal | None, Depends(who_or_none)]) -> Principal:
    """Who asks; 401 for a stranger."""
    if asker is None:
        raise Fault(401, "a key is needed", code="invalid_api_key", tip="Authorization: Bearer tw-…")
    return asker


async def writer(asker: Annotated[Principal, Depends(who)]) -> Principal:
    """Who asks, if they may upload and delete; 403 otherwise."""
    if not asker.may_write:
        raise Fault(403, "this needs the role editor", code="forbidden")
    return asker


async def admin(asker: Annotated[Principal, Depends(who)]) -> Principal:
    """Who asks, if they are an administrator; 403 otherwise."""
    if not asker.is_admin:
        raise Fault(403, "this needs the role admin", code="forbidden")
    return asker


Asker = Annotated[Principal, Depends(who)]
Writer = Annotated[Principal, Depends(writer)]
Admin = Annotated[Principal, Depends(admin)]
TheHouse = Annotated[House, Depends(house_of)]
