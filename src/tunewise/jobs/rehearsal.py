"""`tune --dry-run`: the plan of a training with its rows and figures. Nothing is trained, and no parent either."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tunewise.jobs.recipes import PREFERENCES
from tunewise.jobs.tune import Plan, wanted, worked_out
from tunewise.models import renderer

if TYPE_CHECKING:
    from tunewise.project import Project
    from tunewise.training.rehearsal import Rehearsal


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """A plan, three of its rows as the model reads them, and the figures of the run.

    `figures` None: what this recipe trains on is made while it runs, from its parent's own answers.
    """

    plan: Plan
    shown: tuple[str, ...]
    figures: Rehearsal | None


def rehearsal(project: Project, name: str, *, given: Mapping[str, Any] | None = None) -> Rehearsed:
    """What `tune` would do with the same arguments, refusals included."""
    rest = dict(given or {})
    approach = wanted(project, name, method=rest.pop("method", None), parent=rest.pop("parent", None))
    made = worked_out(project, approach, given=rest)
    render = renderer(made.model)
    chosen = [made.rows[i] for i in sorted({0, len(made.rows) // 2, len(made.rows) - 1})]
    shown = tuple(_whole(row, render) for row in chosen)
    if made.recipe in PREFERENCES:
        return Rehearsed(made, shown, None)
    from tunewise.training.rehearsal import rehearse

    return Rehearsed(made, shown, rehearse(made.model, made.rows, settings=made.settings, recipe=made.recipe))


def _whole(row: Any, render: Any) -> str:
    """A row as text: its prompt as the model reads it, and what it is to say; raw text as it is."""
    said = getattr(row, "completion", None) or row.chosen
    if not row.messages:
        return str(said)
    return str(render([*row.chat(), {"role": "assistant", "content": said}]))
