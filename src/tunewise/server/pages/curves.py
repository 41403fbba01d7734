"""Small drawings as SVG: an interval on a rail, a training curve. Attributes only: the policy allows no styles."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup


def interval(low: float, mean: float, high: float) -> Markup:
    """A mean with its interval, on a rail from 0 to 1."""
    return Markup(
        '<svg class="rail" viewBox="0 0 160 14" aria-hidden="true"><line class="ground" x1="2" x2="158" y1="7" y2="7"/>'
        '<line class="span" x1="{:.1f}" x2="{:.1f}" y1="7" y2="7"/>'
        '<circle class="mean" cx="{:.1f}" cy="7" r="4"/></svg>'
    ).format(2 + 156 * low, 2 + 156 * high, 2 + 156 * mean)


def curve(
    points: Sequence[tuple[float, float]],
    *,
    steps: float | None = None,
    looks: Sequence[tuple[float, float]] = (),
) -> Markup:
    """Loss by step, from zero up; `steps` is where the training will end, `looks` are losses on validation questions
    (dots on a broken line). Empty for fewer than two points."""
    points, looks = ([(x, y) for x, y in some if math.isfinite(x) and math.isfinite(y)] for some in (points, looks))
    if len(points) < 2:
        return Markup("")
    width, height, left, bottom = 560, 190, 40, 26
    end = max(steps or 0, points[-1][0], *(x for x, _ in looks))
    ticks = _ticks(max(y for _, y in (*points, *looks)))
    top = ticks[-1]

    def at(x: float, y: float) -> tuple[float, float]:
        return left + (width - left - 12) * x / end, 10 + (height - 10 - bottom) * (1 - y / top)

    grid = Markup("").join(
        Markup(
            '<line class="ground" x1="{0}" x2="{1}" y1="{2:.1f}" y2="{2:.1f}"/>'
            '<text x="{3}" y="{4:.1f}" text-anchor="end">{5:g}</text>'
        ).format(left, width - 12, at(0, tick)[1], left - 8, at(0, tick)[1] + 4, tick)
        for tick in ticks
    )
    path, seen = (" L".join(f"{x:.1f} {y:.1f}" for x, y in (at(*point) for point in some)) for some in (points, looks))
    dots = Markup("").join(Markup('<circle class="look" cx="{:.1f}" cy="{:.1f}" r="3"/>').format(*at(*one))
                           for one in looks)
    looked = Markup('<path class="looks" d="M{}"/>{}').format(seen, dots) if looks else Markup("")
    last_x, last_y = at(*points[-1])
    return Markup(
        '<svg class="curve" viewBox="0 0 {} {}" aria-hidden="true">{}{}<path class="line" d="M{}"/>'
        '<circle class="mean" cx="{:.1f}" cy="{:.1f}" r="4"/><text x="{}" y="{}">0</text>'
        '<text x="{}" y="{}" text-anchor="end">{:g}</text></svg>'
    ).format(width, height, grid, looked, path, last_x, last_y, left, height - 6, width - 12, height - 6, end)


def _ticks(most: float) -> list[float]:
    """0 and three or four round steps that reach `most`."""
    if most <= 0:
        return [0.0, 1.0]
    power = 10.0 ** math.floor(math.log10(most / 3))
    step = next(power * m for m in (1, 2, 5, 10) if power * m * 4 >= most)
    return [round(step * i, 10) for i in range(math.ceil(most / step - 1e-9) + 1)]
