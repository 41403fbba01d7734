"""A small sweep over rate, rank and epochs by successive halving, on validation questions only.

Jamieson and Talwalkar 2016 (arXiv:1502.07943): many settings for a short time, the better half for twice as long, and
so on. Every rung is an ordinary run with its own folder, so a sweep that was stopped goes on; the test split is never
read: the score is the loss on the validation questions' own rows.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunewise.errors import DataMistake
from tunewise.jobs.tune import build, wanted, worked_out
from tunewise.store import read_json
from tunewise.training import METHODS

if TYPE_CHECKING:
    from tunewise.project import Project

FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)
RANKS = (8, 16, 32)


@dataclass(frozen=True, slots=True)
class Found:
    """The best settings, and every trial with its rung, settings and validation loss."""

    settings: Mapping[str, Any]
    trials: tuple[Mapping[str, Any], ...]


def candidates_of(count: int, *, rate: float, epochs: float, rank: int, seed: int) -> list[dict[str, Any]]:
    """`count` settings, no two alike; those that would hold without a sweep are the first (`rank` 0: there is none)."""
    grid = [
        {
            "rate": float(f"{rate * factor:.2g}"),
            "epochs": epochs * more,
            **({"rank": one, "alpha": 2 * one} if one else {}),
        }
        for factor in FACTORS
        for more in (1.0, 2.0)
        for one in (sorted({*RANKS, rank}) if rank else (0,))
        if rate * factor < 1
    ]
    first = next(
        one
        for one in grid
        if one["rate"] == float(f"{rate:.2g}") and one["epochs"] == epochs and one.get("rank", 0) == rank
    )
    others = [one for one in grid if one is not first]
    return [first, *random.Random(seed).sample(others, min(count - 1, len(others)))]


def sweep(
    project: Project,
    name: str,
    *,
    candidates: int,
    given: Mapping[str, Any] | None = None,
    progress: Callable[[str, int, int], None] = lambda *_: None,
    note: Callable[[str], None] = lambda text: None,
) -> Found:
    """The settings with the lowest validation loss among `candidates`; `DataMistake` without validation questions."""
    given = dict(given or {})
    approach = wanted(project, name, method=given.get("method"), parent=given.get("parent"))
    rest = {k: v for k, v in given.items() if k not in ("method", "parent")}
    plan = worked_out(project, approach, given=rest)
    if not plan.validation:
        raise DataMistake("a sweep needs validation questions", tip="tunewise questions split sets the splits")
    from tunewise.training.estimate import width_of
    from tunewise.training.settings import settle

    settled, _ = settle(plan.recipe, plan.settings, width=width_of(plan.model))
    lora = METHODS[settled.method].merges and settled.method not in ("full", "ia3")
    alive = candidates_of(
        candidates, rate=float(settled.rate or 0), epochs=settled.epochs, rank=settled.rank if lora else 0,
        seed=settled.seed,
    )
    trials: list[Mapping[str, Any]] = []
    begun: set[Path] = set()
    rungs = max(1, (len(alive) - 1).bit_length())
    for rung in range(rungs):
        share = 0.5 ** (rungs - rung)
        scored = []
        for number, one in enumerate(alive, 1):
            cut = one | {"epochs": one["epochs"] * share}
            trial = worked_out(project, approach, given=rest | cut)
            if not (trial.folder / "tunewise.json").is_file():
                begun.add(trial.folder)
            folder = build(trial, progress=progress)
            looks = read_json(folder / "tunewise.json")["validation"]
            loss = min(look["loss"] for look in looks)
            scored.append((loss, number, one))
            trials.append({"rung": rung + 1, **cut, "validation_loss": loss})
            note(f"sweep {rung + 1}.{number}: {', '.join(f'{k} {v:g}' for k, v in cut.items())}: loss {loss:.3f}")
        alive = [one for _, _, one in sorted(scored)[: max(1, len(scored) // 2)]]
        if len(alive) == 1:
            break
    # A trial is worth its figure; the winner is trained again, whole. Until here they let a stopped sweep go on.
    # What stood finished before the sweep may be somebody's adapter and stays.
    for folder in begun:
        shutil.rmtree(folder)
    best = alive[0]
    note(f"sweep: best of {candidates} is {', '.join(f'{k} {v:g}' for k, v in best.items())}")
    return Found({**given, **best}, tuple(trials))
