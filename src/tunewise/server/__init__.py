"""The winner behind HTTP: an OpenAI-compatible API, Tunewise's own API, and the web pages, in one process.

`create_app` makes the application, `serve` runs it. Knows nothing about prompts, retrieval or training: it asks
`jobs.answering` and keeps who may ask what.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunewise.errors import need
from tunewise.server.options import Options

if TYPE_CHECKING:
    from fastapi import FastAPI

    from tunewise.project import Project


def create_app(project: Project, *, options: Options = Options()) -> FastAPI:
    """The ASGI application of a project; `ConfigMistake` when it would be open to strangers."""
    for module in ("fastapi", "uvicorn", "jinja2", "multipart"):
        need(module, feature="tunewise serve", extra="serve")
    from tunewise.server.app import create

    return create(project, options=options)


__all__ = ["Options", "create_app"]
