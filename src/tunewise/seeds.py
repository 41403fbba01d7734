"""Training seeds: the runs of one approach trained again with other luck, merged, and how far they lie apart.

Knows nothing about training: a run named "NAME (seed N)" is NAME once more.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tunewise.nouns import Row, Run

SEED = re.compile(r" \(seed \d+\)$")
"""End of the name of a run that repeats a trained approach with another training seed."""


def over_seeds(runs: Sequence[Run]) -> tuple[list[Run], dict[str, list[Run]]]:
    """Runs with the seeds of one approach merged: each question's scores are their mean, so that the comparison is of
    the recipe and not of its luckiest seed; answers and costs are the first seed's, and each row keeps every seed's own
    (`Row.seeds`), because a mean is no judgement of one answer. And the runs that were merged."""
    names = {run.approach.name for run in runs}
    seeded: dict[str, list[Run]] = {}
    for run in runs:
        plain = SEED.sub("", run.approach.name)
        if plain != run.approach.name and plain in names:
            seeded.setdefault(plain, []).append(run)
    merged = []
    for run in runs:
        name = run.approach.name
        if SEED.sub("", name) in seeded and SEED.sub("", name) != name:
            continue
        if name in seeded:
            seeded[name].insert(0, run)
            run = replace(run, rows=_mean_rows(seeded[name]),
                          trained_on=frozenset().union(*(one.trained_on for one in seeded[name])))
        merged.append(run)
    return merged, seeded


def _mean_rows(runs: Sequence[Run]) -> tuple[Row, ...]:
    by_id = [{row.question: row for row in run.rows} for run in runs]
    rows = []
    for row in runs[0].rows:
        every = tuple(own[row.question] for own in by_id)
        names = dict.fromkeys(name for one in every for name in one.scores)
        means = {name: float(np.mean([one.scores[name] for one in every if name in one.scores])) for name in names}
        rows.append(replace(row, scores=means, seeds=every))
    return tuple(rows)


def seed_sd(runs: Sequence[Run], metric: str) -> float | None:
    """Standard deviation over seeds (n - 1) of the mean of a metric; None for fewer than two seeds."""
    means = [np.mean([row.scores[metric] for row in run.rows if metric in row.scores]) for run in runs]
    return float(np.std(means, ddof=1)) if len(means) > 1 else None


__all__ = ["SEED", "over_seeds", "seed_sd"]
