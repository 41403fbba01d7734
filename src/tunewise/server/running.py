"""uvicorn, set up for this application: slow clients are let go, a stop finishes what was begun.

Knows nothing about what is served.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from tunewise.server.options import Options

HEADER_SECONDS = 15.0
"""For the first request's headers; a connection that says nothing is closed then."""
CONNECTIONS = 2_000


class Patient(H11Protocol):
    """uvicorn's protocol, which by itself waits for ever for the headers of a connection's first request."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        asyncio.get_running_loop().call_later(HEADER_SECONDS, self._too_slow)

    def _too_slow(self) -> None:
        if self.cycle is None and not self.transport.is_closing():
            self.transport.close()


def run(app: ASGIApp, *, options: Options, started: Callable[[], None], log: str) -> None:
    """Serve until SIGINT or SIGTERM."""
    config = uvicorn.Config(
        app, host=options.host, port=options.port, http=Patient, ws="none", log_level=log, server_header=False,
        proxy_headers=False, limit_concurrency=CONNECTIONS, timeout_keep_alive=30, h11_max_incomplete_event_size=32_768,
        timeout_graceful_shutdown=int(options.grace), access_log=log != "warning", backlog=1024, lifespan="on",
    )

    class Server(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            if self.started:
                started()

    # uvicorn raises the signal again after its own clean end; a stop that was asked for is no failure.
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    Server(config).run()
