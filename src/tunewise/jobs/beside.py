"""What was measured beside a comparison and is shown with it: learning curves, forgetting, freshness, robustness.

Reads what the other jobs left in the project's folder, and takes only what is about the same approaches; the passages
of robustness also have to be of the same index, and its questions among those that are compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunewise.jobs.forgetting import known
from tunewise.nouns import Comparison, Question, Run, to_json
from tunewise.questions import question_json
from tunewise.store import fingerprint, project_folder, read_json, write_json

if TYPE_CHECKING:
    from tunewise.jobs.robustness import Robustness
    from tunewise.project import Project

ROBUSTNESS = "robustness.json"


def beside(project: Project, runs: Sequence[Run], comparison: Comparison) -> Comparison:
    """The comparison with everything that the project knows of its approaches beside their answers."""
    home = project_folder(project.root)
    worn = {run.approach.name: home / "adapters" / run.approach.adapter for run in runs if run.approach.adapter}
    forgot = {name: known(folder) for name, folder in worn.items()}
    histories = {name: _history(folder) for name, folder in worn.items()}
    fresh = home / "freshness.json"
    return replace(
        comparison,
        standings=tuple(replace(s, forgetting=forgot.get(s.approach.name)) for s in comparison.standings),
        curves={name: curve for name, curve in histories.items() if curve},
        freshness=tuple(read_json(fresh)["approaches"]) if fresh.is_file() else (),
        robustness=tuple(_same(home, comparison)),
    )


def _history(adapter: Path) -> tuple[dict[str, float], ...]:
    """The learning curve of an adapter's manifest: {step, loss} as it was trained, and {step, validation_loss} where
    it was looked at validation questions; empty where the adapter is gone."""
    if not (adapter / "tunewise.json").is_file():
        return ()
    about = read_json(adapter / "tunewise.json")
    looks = [{"step": look["step"], "validation_loss": look["loss"]} for look in about.get("validation") or ()]
    return (*(about.get("history") or ()), *looks)


def _same(home: Path, comparison: Comparison) -> list[Mapping[str, Any]]:
    kept = read_json(home / ROBUSTNESS) if (home / ROBUSTNESS).is_file() else {}
    by_id = {question.id: question for question in comparison.questions}
    found = []
    for standing in comparison.standings:
        one = kept.get(standing.approach.name)
        if one is None or (one["index"], one["adapter"]) != (standing.approach.index, standing.approach.adapter):
            continue
        asked = [by_id[id] for id in one["asked"] if id in by_id]
        if len(asked) == len(one["asked"]) and _mark(asked) == one["mark"]:
            found.append(one["measured"])
    return found


def keep_robustness(project: Project, result: Robustness, asked: Sequence[Question], *, index: str | None,
                    adapter: str | None) -> None:
    """Keep what was measured of one approach on these questions, beside what is kept of the others."""
    path = project_folder(project.root) / ROBUSTNESS
    kept = read_json(path) if path.is_file() else {}
    kept[result.approach] = {"index": index, "adapter": adapter, "asked": [question.id for question in asked],
                             "mark": _mark(asked), "measured": to_json(result)}
    write_json(path, kept)


def _mark(questions: Sequence[Question]) -> str:
    return fingerprint([question_json(question) for question in questions])
