"""What people left running when their keys were revoked: their comparisons and trainings are stopped.

Their requests, sessions and streams end by themselves: each asks `State` whether its key still holds. A job is a
process of its own and asks nobody. Files that they handed in were accepted, and are read.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from tunewise.errors import TunewiseError
from tunewise.jobs import background

if TYPE_CHECKING:
    from tunewise.project import Project
    from tunewise.server.state import State

_LOG = logging.getLogger("tunewise.server")
TICK = 1.0
"""Seconds between two looks."""
_GRACE = 2.0
"""Seconds that a job gets to end by itself."""


async def watch(project: Project, state: State) -> None:
    """Look every `TICK` seconds, for as long as the server runs."""
    while True:
        await asyncio.sleep(TICK)
        try:
            await asyncio.to_thread(stop_jobs, project, state)
        except (TunewiseError, OSError) as error:
            # The database or the disk may be back at the next look.
            _LOG.error("jobs of revoked keys could not be looked for: %s", error)


def stop_jobs(project: Project, state: State) -> list[str]:
    """Stop the running jobs that were begun with a key that is revoked by now; their ids."""
    revoked = state.revoked()
    stopped = []
    for id, by in background.unfinished(project).items() if revoked else ():
        found = background.job(project, id) if by in revoked else None
        if found is not None and found.running:
            background.stop(project, id, grace=_GRACE)
            state.audit_line("server", f"{found.kind}.stop", id, {"revoked": by})
            stopped.append(id)
    return stopped
