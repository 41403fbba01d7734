"""The gates of a comparison in a CI job: `--min METRIC=VALUE` and `--baseline`, said in words and by exit code 3."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tunewise.cli.messages import message
from tunewise.cli.terminal import out
from tunewise.errors import ConfigMistake, GateFailed

if TYPE_CHECKING:
    from tunewise.baseline import Against, Change
    from tunewise.jobs.compare import CompareResult
    from tunewise.nouns import Needs


def minimums(given: Sequence[str]) -> list[tuple[str, float]]:
    """[(metric, least value)] of `--min 0.4` (quality) and `--min em=0.3`; `ConfigMistake` for anything else."""
    found = []
    for text in given:
        metric, sign, value = text.rpartition("=")
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not 0 <= number <= 1 or (sign and not metric):
            raise ConfigMistake(f"--min {text}: METRIC=VALUE with a value from 0 to 1", tip="--min quality=0.3")
        found.append((metric or "quality", number))
    return found


def measured_against(result: CompareResult, baseline: Path, margin: float, needs: Needs) -> Against:
    """The comparison of a result with an earlier report or run."""
    from tunewise.jobs.compare import measured_against as job

    return job(result, baseline, margin, needs)


def show(found: Against) -> None:
    """Both reports side by side, for a terminal."""
    out()
    out(message("baseline", name=found.baseline, margin=found.margin, shared=found.shared, all=found.questions))
    out(message("baseline_paired") if found.used.paired else message("baseline_other"))
    out("  " + message("baseline_used", then=found.used.then, now=found.used.now, change=_change(found.used)))
    for one in found.others:
        out(f"  {one.now}: {_change(one)}")


def _change(change: Change) -> str:
    """"−3.1 [−6.0, −0.2] worse, within the margin": points, interval and word."""
    difference = change.difference
    span = f"{100 * difference.mean:+.1f} [{100 * difference.low:+.1f}, {100 * difference.high:+.1f}]"
    if change.regressed:
        return f"{span} {message('baseline_regressed')}"
    if change.same:
        return f"{span} {message('baseline_same')}"
    words = {"better": message("baseline_improved"), "worse": message("baseline_lower")}
    return f"{span} {words.get(difference.verdict, message('baseline_open'))}"


def hold(result: CompareResult, least: Sequence[tuple[str, float]], found: Against | None) -> None:
    """`GateFailed` (exit code 3) when what would be used is below a minimum, or became worse.

    That is the recommended approach; where none is recommended, the best of those that pass the gates.
    """
    faults, decided = [], result.recommendation
    left = [s for s in result.comparison.standings if s.approach.name not in decided.rejected]
    used = next((s for s in left if decided.choice in (None, s.approach.name)), None)
    for metric, value in least:
        known = {name for s in result.comparison.standings for name in s.metrics}
        if metric not in known:
            raise ConfigMistake(f"--min {metric}: it was not measured", tip=f"known: {', '.join(sorted(known))}")
        if used is None:
            faults.append(message("gate_min_none", metric=metric, minimum=value))
        elif metric not in used.metrics:
            faults.append(message("gate_min_unknown", name=used.approach.name, metric=metric, minimum=value))
        elif used.metrics[metric].mean < value:
            faults.append(message("gate_min", name=used.approach.name, metric=metric, mean=used.metrics[metric].mean,
                                  minimum=value))
    if found is not None and found.used.regressed:
        faults.append(message("gate_baseline", then=found.used.then, now=found.used.now, name=found.baseline,
                              mean=-100 * found.used.difference.mean, margin=100 * found.margin))
    if faults:
        raise GateFailed("; ".join(faults), tip="tunewise report --output report.html")
