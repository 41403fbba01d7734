"""The winner behind HTTP: an OpenAI-compatible API, Tunewise's own API, and the web pages, in one process.

`create_app` makes the application, `serve` runs it. Knows nothing about prompts, retrieval or training: it asks
`jobs.answering` and keeps who may ask what.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tunewise.errors import need
from tunewise.server.options import Options

if TYPE_CHECKING:
    from fastapi import FastAPI

    from tunewise.project import Project
    from tunewise.server.state import State


def _needed() -> None:
    for module in ("fastapi", "uvicorn", "jinja2", "multipart", "prometheus_client"):
        need(module, feature="tunewise serve", extra="serve")


def create_app(project: Project, *, options: Options = Options()) -> FastAPI:
    """The ASGI application of a project; `ConfigMistake` when it would be open to strangers."""
    _needed()
    from tunewise.server.app import create

    return create(project, options=options)


def run(project: Project, *, options: Options, started: Callable[[], None], log: str = "warning") -> None:
    """Serve a project until SIGINT or SIGTERM, then finish what was begun; `started` is called when it listens."""
    _needed()
    from tunewise.server.running import run as serve

    serve(create_app(project, options=options), options=options, started=started, log=log)


def open_state(project: Project, database: str | None = None) -> State:
    """The server's state (keys, ratings, audit) of a project, for the command line."""
    from tunewise.server.state import State, state_url

    return State(state_url(project.root, database))


__all__ = ["Options", "create_app", "open_state", "run"]
