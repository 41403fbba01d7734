"""What an update of the documents takes, where it was measured: an index is not built anew for one changed fact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tunewise.nouns import Approach, Run
from tunewise.store import project_folder, read_json

if TYPE_CHECKING:
    from tunewise.project import Project

LAST = "update"
"""Key of ingest.json: the seconds of the last ingest that found some of its documents as they were."""


def with_updates(project: Project, runs: Sequence[Run]) -> list[Run]:
    """The runs, each with the seconds that an update of its own means took: as `tunewise freshness` measured it, else
    the last ingest that had something left as it was. What was not measured stays unknown."""
    home = project_folder(project.root)
    fresh, kept = home / "freshness.json", home / "ingest.json"
    measured = {one["approach"]: one for one in read_json(fresh)["approaches"]} if fresh.is_file() else {}
    last = read_json(kept).get(LAST) if kept.is_file() else None
    found = []
    for run in runs:
        one = measured.get(run.approach.name, {})
        means = one.get("means", "").removesuffix(" + adapter as it was")
        seconds = one["update_seconds"] if means == _by(run.approach) else None
        if seconds is None and run.approach.index:
            seconds = last
        found.append(replace(run, cost=replace(run.cost, update_seconds=seconds)))
    return found


def _by(approach: Approach) -> str:
    """The means by which an approach takes up a changed fact, in the words of freshness: where there is an index its
    adapter stays as it was."""
    return "ingest" if approach.index else "retrained" if approach.adapter else "nothing"


__all__ = ["LAST", "with_updates"]
