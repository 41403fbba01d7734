"""`create`: the house and its routes as one ASGI application. Knows which parts there are, not what they do."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import anyio
from fastapi import FastAPI
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tunewise import __version__
from tunewise.errors import ConfigMistake
from tunewise.jobs.answering import Answering
from tunewise.server import chat, documents, faults, pages, records, service
from tunewise.server.access import GUESSES, Buckets, Present
from tunewise.server.desk import Desk
from tunewise.server.guard import Guard
from tunewise.server.house import House
from tunewise.server.intake import Intake
from tunewise.server.leavers import watch
from tunewise.server.options import LOCAL, Options
from tunewise.server.state import State, state_url
from tunewise.store import lock, project_folder

if TYPE_CHECKING:
    from tunewise.project import Project

_THREADS = 128
"""For routes that block: more than one principal may hold (`Options.at_once`), so that others find one free."""


def create(project: Project, *, options: Options) -> FastAPI:
    """The application; `ConfigMistake` when it would be reachable from elsewhere and open to everybody.

    `Failed` when another process serves the project: two queues would load its models twice and read uploads twice.
    """
    alone = ExitStack()
    alone.enter_context(lock(project_folder(project.root) / "server.lock"))
    try:
        return _create(project, options, alone)
    except BaseException:
        alone.close()
        raise


def _create(project: Project, options: Options, alone: ExitStack) -> FastAPI:
    state = State(state_url(project.root, options.database))
    try:
        if options.host not in LOCAL and not state.has_live_keys() and not options.identity_header:
            raise ConfigMistake(
                f"{options.host} can be reached from elsewhere, and there is no key yet",
                tip="tunewise keys add NAME --role admin, or leave --host out",
            )
        answering = Answering(project)
    except BaseException:
        state.close()
        raise
    state.gone = lambda id: answering.catalog.groups(id) is None
    desk = Desk(
        answering, queue=options.queue, batch=options.batch, seconds=options.seconds,
        characters=options.question_characters,
    )
    house = House(project, options, answering, desk, Intake(answering, state, options), state)

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = _THREADS
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_THREADS, "tunewise"))
        house.intake.start()
        leavers = asyncio.create_task(watch(project, state))
        yield
        leavers.cancel()
        await anyio.to_thread.run_sync(lambda: house.desk.close(seconds=options.grace))
        await anyio.to_thread.run_sync(lambda: house.intake.close(seconds=options.grace))
        answering.close()
        state.close()
        alone.close()

    app = FastAPI(
        title="Tunewise", version=__version__, lifespan=life, docs_url=None, redoc_url=None,
        summary="Answers from an organisation's documents, OpenAI-compatible, with checked citations.",
        description="Answers from an organisation's documents, OpenAI-compatible, with checked citations.",
        swagger_ui_oauth2_redirect_url=None, responses=_errors(),
    )
    app.state.house = house
    app.state.rates, app.state.guesses = Buckets(options.rate), Buckets(GUESSES)
    app.state.requests, app.state.present = Counter(), Present(options.at_once)
    for part in (chat, documents, records, service):
        app.include_router(part.router)
    app.include_router(pages.router(house))
    app.mount("/static", StaticFiles(directory=pages.STATIC), name="static")
    faults.install(app)
    app.add_middleware(Count, requests=app.state.requests, present=app.state.present)
    app.add_middleware(Guard, options=options)
    return app


class Count:
    """Counts requests by route and status, and gives up their places at their very end, as plain ASGI."""

    def __init__(self, app: ASGIApp, requests: Counter[tuple[str, int]], present: Present) -> None:
        self.app, self.requests, self.present = app, requests, present

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                # The route's pattern and not the path: an id is no label.
                route = getattr(scope.get("route"), "path", "other")
                self.requests[(route, message["status"])] += 1
            await send(message)

        # Routers hand copies of the scope on; this table is in all of them.
        scope.setdefault("state", {})
        try:
            await self.app(scope, receive, counted)
        finally:
            self.present.leave(scope)


def _errors() -> dict[int | str, dict[str, object]]:
    text = {"type": "string"}
    error = {"type": "object", "properties": {
        "message": text, "type": text, "param": {"type": ["string", "null"]}, "code": {"type": ["string", "null"]}}}
    body = {"type": "object", "properties": {"error": error}, "required": ["error"]}
    return {
        "default": {"description": "An error, in OpenAI's form.", "content": {"application/json": {"schema": body}}},
    }
