"""A small sweep over rate, rank and epochs by successive halving, on validation questions only.

Jamieson and Talwalkar 2016 (arXiv:1502.07943): many settings for a short time, the better half for twice as long, and
so on. Every rung is an ordinary run with its own folder, so a sweep that was stopped goes on; the test split is never
read: the score is the loss on the validation questions' own rows.
"""

from __future__ import annotations

import math
import random
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunewise.errors import ConfigMistake, DataMistake, Diverged
from tunewise.jobs.recipes import PREFERENCES
from tunewise.jobs.tune import altered, build, wanted, worked_out
from tunewise.store import read_json
from tunewise.training import METHODS

if TYPE_CHECKING:
    from tunewise.project import Project

FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)
RANKS = (8, 16, 32)
LOOKS = 5
"""The patience of a trial where the project has none: as many looks as a run takes, so that none ends early."""


@dataclass(frozen=True, slots=True)
class Found:
    """The best settings, and every trial with its rung, settings and validation loss."""

    settings: Mapping[str, Any]
    trials: tuple[Mapping[str, Any], ...]


def candidates_of(
    count: int, *, rate: float, epochs: float, rank: int, seed: int, alpha: int = 0
) -> list[dict[str, Any]]:
    """`count` settings, no two alike; those that would hold without a sweep are the first (`rank` 0: there is none).

    Ranks keep the ratio of `alpha` (0: twice the rank) to `rank`: what LoRA adds is scaled by it.
    """
    alpha = alpha or 2 * rank
    grid = [
        {
            "rate": rate if factor == 1.0 else float(f"{rate * factor:.2g}"),
            "epochs": epochs * more,
            **({"rank": one, "alpha": max(1, round(one * alpha / rank))} if one else {}),
        }
        for factor in FACTORS
        for more in (1.0, 2.0)
        for one in (sorted({*RANKS, rank}) if rank else (0,))
        if rate * factor < 1
    ]
    first = next(
        one for one in grid if one["rate"] == rate and one["epochs"] == epochs and one.get("rank", 0) == rank
    )
    others = [one for one in grid if one is not first]
    return [first, *random.Random(seed).sample(others, min(count - 1, len(others)))]


def loss_of(looks: Sequence[Mapping[str, float]]) -> float:
    """The lowest validation loss of a run; infinite where one of its looks is no number, as nothing is below that."""
    losses = [look["loss"] for look in looks]
    return min(losses) if losses and all(map(math.isfinite, losses)) else math.inf


def better_half(scored: Sequence[tuple[float, int, dict[str, Any]]]) -> list[dict[str, Any]]:
    """The settings of the better half of (loss, number, settings), at least one."""
    order = sorted(scored, key=lambda one: (one[0] if math.isfinite(one[0]) else math.inf, one[1]))
    return [settings for _, _, settings in order[: max(1, len(order) // 2)]]


def sweep(
    project: Project,
    name: str,
    *,
    candidates: int,
    given: Mapping[str, Any] | None = None,
    progress: Callable[[str, int, int], None] = lambda *_: None,
    note: Callable[[str], None] = lambda text: None,
) -> Found:
    """The settings with the lowest validation loss among `candidates`; `DataMistake` without validation questions.

    A trial whose loss is no number is the worst of all; `Diverged` when all are.
    """
    given = dict(given or {})
    approach = wanted(project, name, method=given.get("method"), parent=given.get("parent"))
    if approach.recipe == "dap" or approach.recipe in PREFERENCES:
        raise ConfigMistake(
            f"a sweep compares losses on the rows of validation questions, and {approach.recipe} makes none",
            tip="set rate and epochs yourself (--rate, --epochs) and let `tunewise compare` judge; "
            "recipes with a sweep: sft, raft, hybrid",
        )
    rest = {k: v for k, v in given.items() if k not in ("method", "parent")}
    plan = worked_out(project, approach, given=rest, looks=True)
    if not plan.validation:
        raise DataMistake(
            "a sweep needs validation questions that have an answer, and the question file has none",
            tip="tunewise questions split sets the splits",
        )
    from tunewise.training.estimate import width_of
    from tunewise.training.settings import settle

    settled, _ = settle(plan.recipe, plan.settings, width=width_of(plan.model))
    lora = METHODS[settled.method].merges and settled.method not in ("full", "ia3")
    alive = candidates_of(
        candidates, rate=float(settled.rate or 0), epochs=settled.epochs, rank=settled.rank if lora else 0,
        seed=settled.seed, alpha=settled.alpha,
    )
    # Without patience a run does not look at the validation loss at all, which a trial is there for.
    looks = {} if plan.settings.patience else {"patience": LOOKS}
    trials: list[Mapping[str, Any]] = []
    begun: set[Path] = set()
    rungs = max(1, (len(alive) - 1).bit_length())
    for rung in range(rungs):
        share = 0.5 ** (rungs - rung)
        scored = []
        for number, one in enumerate(alive, 1):
            cut = one | {"epochs": one["epochs"] * share}
            trial = altered(plan, cut | looks)
            if not (trial.folder / "tunewise.json").is_file():
                begun.add(trial.folder)
            try:
                loss = loss_of(read_json(build(trial, progress=progress) / "tunewise.json")["validation"])
            except Diverged:
                loss = math.inf
            scored.append((loss, number, one))
            trials.append({"rung": rung + 1, **cut, "validation_loss": loss if math.isfinite(loss) else None})
            said = f"loss {loss:.3f}" if math.isfinite(loss) else "diverged: its loss is no number"
            note(f"sweep {rung + 1}.{number}: {', '.join(f'{k} {v:g}' for k, v in cut.items())}: {said}")
        if not any(math.isfinite(loss) for loss, _, _ in scored):
            raise Diverged("every trial of the sweep diverged: its loss is no number", tip="a lower --rate")
        alive = better_half(scored)
        if len(alive) == 1:
            break
    # A trial is worth its figure; the winner is trained again, whole. Until here they let a stopped sweep go on.
    # What stood finished before the sweep may be somebody's adapter and stays.
    for folder in begun:
        shutil.rmtree(folder, ignore_errors=True)
    best = alive[0]
    note(f"sweep: best of {candidates} is {', '.join(f'{k} {v:g}' for k, v in best.items())}")
    return Found({**given, **best}, tuple(trials))
