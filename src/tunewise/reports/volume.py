"""The plot of total cost by volume: which approach is cheapest at how many answers a month, and where that turns.

The lines are the recommendation's bills; nothing here knows a price.
"""

from __future__ import annotations

import math
from html import escape

from tunewise.amounts import usable
from tunewise.nouns import Bill, Comparison, Needs, Recommendation
from tunewise.reports import decision, story, svg
from tunewise.reports.bills import unknown
from tunewise.reports.plots import Figure
from tunewise.reports.tables import both
from tunewise.reports.words import Say, listing, rough, tick


def cost_lines(comparison: Comparison, recommendation: Recommendation) -> list[tuple[int, Bill]]:
    """(place in the standings, bill) of each approach whose cost is known."""
    places = {s.approach.name: i for i, s in enumerate(comparison.standings)}
    return [(places[line.name], line) for line in recommendation.bills
            if line.name in places and usable(line.fixed) and usable(line.rate)]


def at(line: Bill, volume: float) -> float:
    """Total at `volume` answers a month."""
    return line.fixed + line.rate * volume


def turns(lines: list[Bill], low: float, high: float) -> list[tuple[float, Bill]]:
    """The cheapest line from each volume on: [(low, first), (break-even, next), …]; exact crossings."""
    reached, found = low, []
    current = min(lines, key=lambda c: (at(c, low), c.rate))
    found.append((low, current))
    while True:
        crossings = [
            ((other.fixed - current.fixed) / (current.rate - other.rate), other)
            for other in lines
            if other.rate < current.rate
        ]
        later = [(v, other) for v, other in crossings if reached <= v <= high]
        if not later:
            return found
        reached, current = min(later, key=lambda c: (c[0], c[1].rate))
        found.append((reached, current))


def contenders(comparison: Comparison, recommendation: Recommendation, lines: list[Bill]) -> list[Bill]:
    """The lines that the question is about: approaches that no gate excludes and that are not worse than the best."""
    out = recommendation.rejected
    best = [s for s in comparison.standings if s.against_best is None]
    if recommendation.choice and any(s.approach.name in out for s in best):
        # What a gate removed is no measure for the others: those that the recommendation holds to be as good.
        allowed = {recommendation.choice, *recommendation.tie}
    else:
        allowed = {
            s.approach.name
            for s in comparison.standings
            if s.against_best is None or story.verdict_for(s.against_best, s.approach.name) != "worse"
        } - out.keys()
    return [c for c in lines if c.name in allowed] or lines


def cost_by_volume(comparison: Comparison, recommendation: Recommendation | None, needs: Needs | None) -> Figure | None:
    """Total cost over the months against answers a month, both logarithmic, with the break-even points."""
    if recommendation is None or needs is None:
        return None
    placed = cost_lines(comparison, recommendation)
    lines = [line for _, line in placed]
    low, high = min(100.0, needs.answers_per_month or 100.0), max(1e6, needs.answers_per_month * 10.0)
    if not lines or max(at(c, high) for c in lines) <= 0:
        return None
    w, h, left, top, bottom = 560, 400, 52, 26, 52
    right = 36 + min(220.0, max(svg.text_width(line.name) for line in lines))
    top_cost = max(at(c, high) for c in lines)
    least = max(min((at(c, low) for c in lines if at(c, low) > 0), default=top_cost / 1e4), top_cost / 1e5)
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
    heights = svg.spread([y(at(c, high)) + 4 for c in lines], 15, top + 6, h - bottom)
    for (index, c), height in zip(placed, heights, strict=True):
        chosen = " chosen" if c.name == recommendation.choice else " out" if c not in allowed else ""
        # What lies under the scale is not drawn as if it lay on its edge.
        seen = [(x(v), y(at(c, v))) for v in volumes if at(c, v) >= least / 1.3]
        body += [
            *([svg.path(seen, f"curve s{index % 8} d{index % 4}{chosen}")] if seen else []),
            svg.line(x(high), y(at(c, high)), x(high) + 8, height - 4, "leader"),
            svg.mark(index, x(high) + 15, height - 4, 4, f"dot s{index % 8}"),
            svg.text(x(high) + 24, height, c.name, f"name{chosen} t{index % 8}"),
        ]
    path = turns(allowed, low, high)
    for volume, c in path[1:]:
        body += [
            svg.mark(0, x(volume), y(max(at(c, volume), least / 1.3)), 7, "even"),
            svg.text(x(volume), y(max(at(c, volume), least / 1.3)) + 22, tick(rough(volume)), "tick", "middle"),
        ]
    takeaway = _cheapest(path, allowed, lines, low, high)
    what = Say(
        "Set-up, updates and answers, in the currency of your prices. Pale: excluded, or worse than the best. "
        "Rings: break-even.",
        "构建、更新与作答合计，货币同价格表。浅色：被排除或差于最佳。圆圈：盈亏平衡点。",
    )
    return Figure("volume", takeaway, what, svg.svg(w, h, takeaway, body))


def _cheapest(path: list[tuple[float, Bill]], allowed: list[Bill], lines: list[Bill], low: float, high: float) -> Say:
    """Who is cheapest at which volume; of one that is alone nothing of the kind can be said."""
    first = path[0][1]
    if len(allowed) == 1 < len(lines):
        under = [line.name for line in lines if line is not first and at(line, high) < at(first, high)]
        verb = "cost" if len(under) > 1 else "costs"
        more = (
            Say(f" {listing(under).en} {verb} less at high volume, but not for as good answers.",
                f"高用量时 {listing(under).zh} 成本更低，但答得不如它。")
            if under else Say("", "")
        )
        return Say(f"Only {first.name} is good enough.{more.en}", f"只有 {first.name} 足够好。{more.zh}")
    if len(lines) == 1:
        return Say(f"What {first.name} costs at each volume.", f"{first.name} 在各用量下的成本。")
    among = (
        Say(" of the approaches that are good enough", "（在足够好的方案中）")
        if len(allowed) < len(lines)
        else Say("", "")
    )
    if len(path) == 1:
        level = [c.name for c in allowed if c is not first and (c.fixed, c.rate) == (first.fixed, first.rate)]
        if level:
            return Say(f"{first.name} and {listing(level).en} cost the same{among.en}, and nothing costs less.",
                       f"{first.name} 与 {listing(level).zh} 成本相同{among.zh}，且没有更便宜的。")
        return Say(
            f"{first.name} is the cheapest{among.en} at any volume from {tick(low)} to {tick(high)} answers a month.",
            f"每月 {tick(low)} 至 {tick(high)} 次作答之间，{first.name} 始终最便宜{among.zh}。",
        )
    after_en = "; ".join(f"from about {tick(rough(v))} a month, {c.name}" for v, c in path[1:])
    after_zh = "；".join(f"每月约 {tick(rough(v))} 次起为 {c.name}" for v, c in path[1:])
    return Say(f"{first.name} is the cheapest{among.en} at low volume; {after_en}.",
               f"低用量时 {first.name} 最便宜{among.zh}；{after_zh}。")


def _against(line: Bill, recommendation: Recommendation, turn: dict[str, Say]) -> Say:
    """How an approach's cost stands to the choice's; nothing where there is no choice to stand against."""
    if line.name == recommendation.choice:
        return Say("recommended", "推荐")
    if line.name in recommendation.rejected:
        return Say("excluded by your needs", "因需求被排除")
    if unknown(line):
        return Say("its cost is not known", "成本未知")
    return turn.get(line.name, Say("–", "–"))


def cost_table(recommendation: Recommendation | None) -> Figure | None:
    """The costs at three volumes as numbers, and where each approach is cheaper than the choice, or that it never
    is."""
    if recommendation is None or not recommendation.bills:
        return None
    turn = {one.other: decision.even(one) for one in recommendation.break_even}
    heads = "".join(f'<th scope="col">{volume:,}</th>' for volume in recommendation.volumes)
    rows = []
    for line in recommendation.bills:
        cells = "".join(f"<td>{escape(decision.cost_at(recommendation, line.name, volume))}</td>"
                        for volume in recommendation.volumes)
        chosen = line.name == recommendation.choice
        said = _against(line, recommendation, turn)
        rows.append(f'<tr{" class=chosen" if chosen else ""}><th scope="row"><bdi>{escape(line.name)}</bdi></th>{cells}'
                    f'<td class="turn">{both(said)}</td></tr>')
    first, last = Say("Answers a month", "每月作答数"), Say("Than the recommended one", "与推荐方案相比")
    if recommendation.choice is None:
        last = Say("", "")
    never = [one.other for one in recommendation.break_even if one.volume is None]
    cheap = [one.other for one in recommendation.break_even if one.volume is not None]
    takeaway = Say("What each costs, at a tenth of your volume, at yours, and at ten times as much.",
                   "各方案在十分之一、当前及十倍用量时的成本。")
    if recommendation.choice and recommendation.break_even:
        name, some = recommendation.choice, listing(cheap)
        takeaway = Say(f"Nothing else is cheaper than {name} at any volume.", f"任何用量下都没有比 {name} 更便宜的。")
        if cheap:
            no = Say(f"; never: {listing(never).en}", f"；从不：{listing(never).zh}") if never else Say("", "")
            takeaway = Say(f"Cheaper than {name} at some volume: {some.en}{no.en}.",
                           f"在某些用量下比 {name} 便宜：{some.zh}{no.zh}。")
    what = Say("Total cost over the months, at three volumes; the volume at which it turns.", "三种用量下的总成本，"
        "及转折点。")
    body = (f'<div class="scroll" role="region" tabindex="0" aria-label="{first.en}" data-aria-label-en="{first.en}" '
            f'data-aria-label-zh="{first.zh}"><table class="money"><thead><tr><th scope="col">{both(first)}</th>{heads}'
            f'<th scope="col" class="turn">{both(last)}</th></tr></thead><tbody>{"".join(rows)}</tbody></table></div>')
    return Figure("money", takeaway, what, body)
