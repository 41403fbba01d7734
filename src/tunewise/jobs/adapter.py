"""Which adapter folder an approach of a project wears: the one that was measured last, else the one of its plan."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tunewise.errors import ConfigMistake, DataMistake
from tunewise.jobs import compare as comparing
from tunewise.jobs.tune import worked_out
from tunewise.nouns import Approach
from tunewise.store import project_folder

if TYPE_CHECKING:
    from tunewise.project import Project


def adapter_of(project: Project, name: str) -> tuple[Approach, Path]:
    """The approach and its finished adapter folder; `ConfigMistake` when it wears none, or was not trained yet."""
    approach = project.approach(name)
    if not approach.recipe:
        raise ConfigMistake(f"{name} is not trained: it has no weights of its own", tip="choose a tuned approach")
    try:
        standings = comparing.last(project).comparison.standings
    except DataMistake:
        # Nothing was compared yet, or the questions changed since: the plan says which folder it would be.
        standings = ()
    for standing in standings:
        if standing.approach.name == name and standing.approach.adapter:
            folder = project_folder(project.root) / "adapters" / standing.approach.adapter
            if (folder / "tunewise.json").is_file():
                return approach, folder
    folder = worked_out(project, approach).folder
    if not (folder / "tunewise.json").is_file():
        raise ConfigMistake(f"the adapter of {name} was not trained yet", tip=f"tunewise tune {name}")
    return approach, folder
