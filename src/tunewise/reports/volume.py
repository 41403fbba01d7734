"""The plot of total cost by volume: which approach is cheapest at how many answers a month, and where that turns.

The money comes from the recommendation's total at the user's volume; the share of it that answers cost is split off by
the price of the CPU, the rest is fixed. Knows nothing else about prices.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from tunewise.nouns import Comparison, Needs, Recommendation
from tunewise.reports import story, svg
from tunewise.reports.plots import Figure, per_answer_seconds
from tunewise.reports.words import Say, rough, tick, usable


@dataclass(frozen=True, slots=True)
class CostLine:
    """Money over the months of the needs: `fixed` plus `rate` for each answer a month."""

    index: int
    name: str
    fixed: float
    rate: float

    def at(self, volume: float) -> float:
        """Total at `volume` answers a month."""
        return self.fixed + self.rate * volume


def cost_lines(comparison: Comparison, recommendation: Recommendation, needs: Needs) -> list[CostLine]:
    """One line for each approach with a known total; it passes through that total at the volume of the needs."""
    lines = []
    for i, s in enumerate(comparison.standings):
        total = recommendation.total_cost.get(s.approach.name)
        if total is None or not usable(total) or total < 0:
            continue
        volume = max(1, needs.answers_per_month)
        rate = per_answer_seconds(comparison, s) / 3600 * needs.price_cpu_hour * needs.months
        rate = min(rate, total / volume) if usable(rate) else 0.0
        lines.append(CostLine(i, s.approach.name, total - rate * volume, rate))
    return lines


def turns(lines: list[CostLine], low: float, high: float) -> list[tuple[float, CostLine]]:
    """The cheapest line from each volume on: [(low, first), (break-even, next), …]; exact crossings."""
    at, found = low, []
    current = min(lines, key=lambda c: (c.at(low), c.rate))
    found.append((low, current))
    while True:
        crossings = [
            ((other.fixed - current.fixed) / (current.rate - other.rate), other)
            for other in lines
            if other.rate < current.rate
        ]
        later = [(v, other) for v, other in crossings if at <= v <= high]
        if not later:
            return found
        at, current = min(later, key=lambda c: (c[0], c[1].rate))
        found.append((at, current))


def contenders(comparison: Comparison, recommendation: Recommendation, lines: list[CostLine]) -> list[CostLine]:
    """The lines that the question is about: approaches that no gate excludes and that are not worse than the best."""
    worse = {
        s.approach.name
        for s in comparison.standings
        if s.against_best is not None and story.verdict_for(s.against_best, s.approach.name) == "worse"
    }
    return [c for c in lines if c.name not in worse and c.name not in recommendation.rejected] or lines


def cost_by_volume(comparison: Comparison, recommendation: Recommendation | None, needs: Needs | None) -> Figure | None:
    """Total cost over the months against answers a month, both logarithmic, with the break-even points."""
    if recommendation is None or needs is None:
        return None
    lines = cost_lines(comparison, recommendation, needs)
    low, high = min(100.0, needs.answers_per_month or 100.0), max(1e6, needs.answers_per_month * 10.0)
    if not lines or max(c.at(high) for c in lines) <= 0:
        return None
    w, h, left, right, top, bottom = 560, 400, 52, 128, 26, 52
    top_cost = max(c.at(high) for c in lines)
    least = max(min((c.at(low) for c in lines if c.at(low) > 0), default=top_cost / 1e4), top_cost / 1e5)
    x = svg.logarithmic(low, high, left, w - right)
    y = svg.logarithmic(least / 1.3, top_cost * 1.15, h - bottom, top)
    body = [
        svg.line(left, y(v), w - right, y(v), "grid") + svg.text(left - 8, y(v) + 4, tick(v), "tick", "end")
        for v in svg.decades(least / 1.3, top_cost * 1.15)
    ]
    body += [
        svg.text(x(v), h - bottom + 18, tick(v), "tick", "middle")
        for v in svg.decades(low, high)
        if math.log10(v) % 1 < 1e-9
    ]
    body.append(svg.line(left, h - bottom, w - right, h - bottom, "axis"))
    body += [
        svg.text(w - right, h - 10, Say("Answers a month →", "每月作答数 →"), "label", "end"),
        svg.text(
            14, top, Say(f"Cost of {needs.months} months ↑", f"{needs.months} 个月成本 ↑"), "label", "end", turn=True
        ),
    ]
    here = x(max(low, needs.answers_per_month))
    body += [
        svg.line(here, top - 4, here, h - bottom, "here"),
        svg.text(
            here,
            top - 10,
            Say(f"you: {needs.answers_per_month:,}", f"您：{needs.answers_per_month:,}"),
            "tick",
            "middle",
        ),
    ]
    allowed = contenders(comparison, recommendation, lines)
    volumes = [low * (high / low) ** (i / 60) for i in range(61)]
    heights = svg.spread([y(c.at(high)) + 4 for c in lines], 15, top + 6, h - bottom)
    for c, at in zip(lines, heights, strict=True):
        chosen = " chosen" if c.name == recommendation.choice else " out" if c not in allowed else ""
        body += [
            svg.path(
                [(x(v), y(max(c.at(v), least / 1.3))) for v in volumes], f"curve s{c.index % 8} d{c.index % 4}{chosen}"
            ),
            svg.line(x(high), y(c.at(high)), x(high) + 8, at - 4, "leader"),
            svg.mark(c.index, x(high) + 15, at - 4, 4, f"dot s{c.index % 8}"),
            svg.text(x(high) + 24, at, c.name, f"name{chosen} t{c.index % 8}"),
        ]
    path = turns(allowed, low, high)
    for volume, c in path[1:]:
        body += [
            svg.mark(0, x(volume), y(max(c.at(volume), least / 1.3)), 7, "even"),
            svg.text(x(volume), y(max(c.at(volume), least / 1.3)) + 22, tick(rough(volume)), "tick", "middle"),
        ]
    among = (
        Say(" of the approaches that are good enough", "（在足够好的方案中）")
        if len(allowed) < len(lines)
        else Say("", "")
    )
    if len(path) == 1:
        takeaway = Say(
            f"{path[0][1].name} is the cheapest{among.en} at any volume "
            f"from {tick(low)} to {tick(high)} answers a month.",
            f"每月 {tick(low)} 至 {tick(high)} 次作答之间，{path[0][1].name} 始终最便宜{among.zh}。",
        )
    else:
        after_en = "; ".join(f"from about {tick(rough(v))} a month, {c.name}" for v, c in path[1:])
        after_zh = "；".join(f"每月约 {tick(rough(v))} 次起为 {c.name}" for v, c in path[1:])
        takeaway = Say(
            f"{path[0][1].name} is the cheapest{among.en} at low volume; {after_en}.",
            f"低用量时 {path[0][1].name} 最便宜{among.zh}；{after_zh}。",
        )
    what = Say(
        "Set-up, updates and answers, in the currency of your prices. Pale: excluded, or worse than the best. "
        "Rings: break-even.",
        "构建、更新与作答合计，货币同价格表。浅色：被排除或差于最佳。圆圈：盈亏平衡点。",
    )
    return Figure("volume", takeaway, what, svg.svg(w, h, takeaway, body))
