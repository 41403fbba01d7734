"""`House`: what API routes and pages share. One value, made by `create_app`, found at `request.app.state.house`.

Everything a route or a page does goes through its fields, with the asking `Principal` in hand; nothing here knows HTTP.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tunewise.jobs.answering import Answering
    from tunewise.project import Project
    from tunewise.server.desk import Desk
    from tunewise.server.intake import Intake
    from tunewise.server.options import Options
    from tunewise.server.state import State


@dataclass(frozen=True, slots=True)
class House:
    """The project, what answers (`answering`: library, asks by approach name), the queue in front of it (`desk`), the
    documents' way in and out (`intake`), and what is remembered (`state`)."""

    project: Project
    options: Options
    answering: Answering
    desk: Desk
    intake: Intake
    state: State
