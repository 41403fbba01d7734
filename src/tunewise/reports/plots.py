"""The plots over approaches: quality against cost, differences, outcomes, needs, and cost by volume.

Each is a `Figure` whose takeaway is worked out from the numbers that it draws. Knows SVG and a Comparison, no page.
"""

from __future__ import annotations

from dataclasses import dataclass

from tunewise.amounts import interval, number, points, signed, usable
from tunewise.nouns import Comparison, Estimate, Needs, Recommendation, Standing
from tunewise.reports import story, svg
from tunewise.reports.words import NEEDS, Say, listing, percent, rough, tick, verdict_word


@dataclass(frozen=True, slots=True)
class Figure:
    """A drawing (`body`: SVG or HTML), the sentence that it shows, and what is drawn; `wide` takes the whole width."""

    key: str
    takeaway: Say
    what: Say
    body: str
    wide: bool = False


def per_answer_seconds(comparison: Comparison, standing: Standing) -> float:
    """Mean seconds of one answer, from the rows; the median where there are none."""
    took = [
        rows[standing.approach.name].answer.seconds
        for rows in comparison.rows.values()
        if standing.approach.name in rows
    ]
    return sum(took) / len(took) if took else standing.seconds_p50


def _main(standing: Standing, metric: str) -> Estimate | None:
    estimate = standing.metrics.get(metric)
    return estimate if estimate is not None and usable(estimate.mean) else None


def _label(index: int, choice: str | None, standing: Standing) -> str:
    return f"name{' chosen' if standing.approach.name == choice else ''} t{index % 8}"


def quality_cost(comparison: Comparison, recommendation: Recommendation | None, needs: Needs | None) -> Figure | None:
    """Quality against total cost (seconds per answer where no cost is known), with the Pareto front and, in the
    labels of the marks, the probability of being on it."""
    totals = recommendation.total_cost if recommendation else {}
    price = any(usable(value) and value > 0 for value in totals.values())
    shares = recommendation.front if recommendation and price else {}
    choice = recommendation.choice if recommendation else None
    spots = []
    for i, s in enumerate(comparison.standings):
        estimate = _main(s, comparison.metric)
        took = totals.get(s.approach.name, float("nan")) if price else per_answer_seconds(comparison, s)
        if not price and s.approach.answers and not took:
            continue
        if estimate and usable(took):
            spots.append((i, s, estimate, took))
    if not spots:
        return None
    w, h, left, right, top, bottom = 560, 400, 52, 24, 16, 52
    most, least = max(x for *_, x in spots), min(x for *_, x in spots)
    far = least > 0 and most / least > 25
    x = (
        svg.logarithmic(least / 1.6, most * 1.6, left, w - right)
        if far
        else svg.linear(0, most * 1.12 or 1, left, w - right)
    )
    ceiling = min(1.0, max(e.high for _, _, e, _ in spots) + 0.06)
    floor = max(0.0, min(e.low for _, _, e, _ in spots) - 0.04)
    y = svg.linear(floor, max(ceiling, floor + 0.1), h - bottom, top)
    body = [
        svg.line(left, y(v), w - right, y(v), "grid") + svg.text(left - 8, y(v) + 4, f"{100 * v:.0f}", "tick", "end")
        for v in svg.ticks(floor, max(ceiling, floor + 0.1))
    ]
    marks = svg.decades(least / 1.6, most * 1.6) if far else svg.ticks(0, most * 1.12 or 1, 6)
    body += [svg.text(x(v), h - bottom + 18, tick(v), "tick", "middle") for v in marks]
    body.append(svg.line(left, h - bottom, w - right, h - bottom, "axis"))
    axis = (
        Say(f"Total cost of {needs.months if needs else 12} months →", f"{needs.months if needs else 12} 个月总成本 →")
        if price
        else Say("Mean seconds per answer →", "每答平均秒数 →")
    )
    body += [
        svg.text(w - right, h - 10, axis, "label", "end"),
        svg.text(14, top, Say("Quality ↑", "质量 ↑"), "label", "end", turn=True),
    ]
    on = recommendation.on_front if recommendation and price else ()
    front = sorted((p for p in spots if p[1].approach.name in on), key=lambda p: (p[3], p[2].mean))
    steps: list[tuple[float, float]] = []
    for _, _, estimate, cost in front:
        steps += [(x(cost), steps[-1][1] if steps else y(floor)), (x(cost), y(estimate.mean))]
    if steps:
        body.append(svg.path([*steps, (w - right, steps[-1][1])], "front"))
    places = svg.label_places(
        [(x(cost), y(e.mean), y(e.low), y(e.high), svg.text_width(s.approach.name)) for _, s, e, cost in spots],
        (left, top, w, h - bottom),
    )
    for (i, s, e, cost), (tx, at, anchor) in zip(spots, places, strict=True):
        cx, name = x(cost), s.approach.name
        body += [
            svg.line(cx, y(e.low), cx, y(e.high), f"whisker s{i % 8}"),
            svg.mark(
                i,
                cx,
                y(e.mean),
                6,
                f"dot s{i % 8}" + (" chosen" if name == choice else ""),
                f"{name}: {interval(e)}" + (f", {percent(shares[name])}" if name in shares else ""),
            ),
            svg.text(tx, at, name, _label(i, choice, s), anchor),
        ]
    takeaway = _best_and_cheapest(spots, price, needs.months if needs else 12)
    drawn = {s.approach.name for _, s, *_ in spots}
    hidden = [s.approach.name for s in comparison.standings if s.approach.name not in drawn]
    if hidden:
        takeaway = Say(f"Of those whose {'cost' if price else 'time'} is known: {takeaway.en}",
                       f"在{'成本' if price else '耗时'}已知的方案中：{takeaway.zh}")
    names = listing([f"{p[1].approach.name} {percent(shares[p[1].approach.name])}" for p in front
                     if p[1].approach.name in shares], most=8)
    line = (
        Say(f" Line: the Pareto front, with the probability of being on it: {names.en}.",
            f"折线：帕累托前沿，及各方案在其上的概率：{names.zh}。")
        if front
        else Say("", "")
    )
    left_out = (
        Say(f" Not drawn, because it is not known: {listing(hidden).en}.", f"未知而未绘出：{listing(hidden).zh}。")
        if hidden
        else Say("", "")
    )
    what = Say(f"Bars: 95 % intervals.{line.en}{left_out.en}", f"竖线：95 % 区间。{line.zh}{left_out.zh}")
    return Figure("cost", takeaway, what, svg.svg(w, h, takeaway, body))


def _best_and_cheapest(spots: list[tuple[int, Standing, Estimate, float]], price: bool, months: int) -> Say:
    """What quality against cost comes to in a sentence; of those that are level, the cheapest is named first."""
    top = max(p[2].mean for p in spots)
    cheap = min(spots, key=lambda p: p[3])
    level = sorted((p for p in spots if p[2].mean == top), key=lambda p: p[3])
    best, others = level[0], [p[1].approach.name for p in level[1:]]
    if top <= 0 and len(spots) > 1:
        return Say("No approach answered anything rightly.", "没有方案答对任何题目。")
    name, cheapest = best[1].approach.name, cheap[1].approach.name
    verb, unit = (
        ("costs", Say(f"over {months} months", f"{months} 个月成本"))
        if price
        else ("takes", Say("seconds per answer", "每答秒数"))
    )
    same = listing(others)
    if len(spots) == 1:
        return Say(f"{name} {verb} {number(best[3])} {unit.en}.", f"{name}：{unit.zh} {number(best[3])}。")
    if best[3] <= cheap[3]:
        if others:
            return Say(f"{name} answers as well as {same.en}, and nothing is cheaper.",
                       f"{name} 与 {same.zh} 质量相同，且没有更便宜的。")
        return Say(f"{name} is both the best and the cheapest.", f"{name} 既最好也最便宜。")
    times = f"{number(best[3] / cheap[3])}" if cheap[3] > 0 else ""
    ratio = Say(f", {times} times as much as {cheapest}", f"，是 {cheapest} 的 {times} 倍") if times else Say("", "")
    what = (Say(f"answers best, level with {same.en},", f"与 {same.zh} 质量并列最高") if others
            else Say("answers best", "质量最高"))
    return Say(f"{name} {what.en} and {verb} {number(best[3])} {unit.en}{ratio.en}.",
               f"{name} {what.zh}，{unit.zh} {number(best[3])}{ratio.zh}。")


def forest(comparison: Comparison, recommendation: Recommendation | None, needs: Needs | None) -> Figure | None:
    """Paired differences against the best, with the margin as a band."""
    rows = [(i, s, s.against_best) for i, s in enumerate(comparison.standings) if s.against_best is not None]
    if not rows:
        return None
    choice = recommendation.choice if recommendation else None
    first = rows[0][2]
    best = first.b if first.a == rows[0][1].approach.name else first.a
    seen = [(i, s, d, *story.against(d, s.approach.name)) for i, s, d in rows]
    names = 18 + max(svg.text_width(s.approach.name, 14) for _, s, *_ in seen)
    w, gap, top = 560, 44, 26
    left, right, h = min(170.0, names), 152, top + gap * len(seen) + 44
    low, high = min(0.0, *(v[4] for v in seen)), max(0.02, *(v[5] for v in seen))
    pad = (high - low) * 0.06
    x = svg.linear(low - pad, high + pad, left, w - right)
    body = []
    if needs and needs.margin > 0:
        body.append(
            svg.rect(x(-needs.margin), top - 6, x(needs.margin) - x(-needs.margin), gap * len(seen) + 8, "band")
        )
    for v in svg.ticks(low - pad, high + pad, 6):
        body += [
            svg.line(x(v), top - 6, x(v), top + gap * len(seen) + 2, "axis" if v == 0 else "grid"),
            svg.text(x(v), top + gap * len(seen) + 20, signed(v).removesuffix(".0") if v else "0", "tick", "middle"),
        ]
    body.append(svg.text(x(0), 12, Say(f"= {best}", f"= {best}"), "tick", "middle"))
    for row, (i, s, d, mean, lo, hi) in enumerate(seen):
        y = top + gap * row + gap / 2 - 4
        body += [
            svg.text(left - 12, y + 4, _fit(s.approach.name, left - 12), _label(i, choice, s), "end"),
            svg.line(x(lo), y, x(hi), y, f"whisker s{i % 8}"),
            svg.line(x(lo), y - 4, x(lo), y + 4, f"whisker s{i % 8}"),
            svg.line(x(hi), y - 4, x(hi), y + 4, f"whisker s{i % 8}"),
            svg.mark(i, x(mean), y, 5.5, f"dot s{i % 8}", f"{signed(mean)} [{signed(lo)}, {signed(hi)}]"),
        ]
        seen_word = story.verdict_for(d, s.approach.name)
        enough = f"{rough(d.questions_needed, up=True):,}" if d.questions_needed else ""
        more = (
            Say(f"≈ {enough} to settle", f"约 {enough} 题可定论")
            if enough
            else Say(f"{signed(mean)} points", f"{signed(mean)} 分")
        )
        body += [
            svg.text(w - right + 12, y, verdict_word(seen_word), "verdict"),
            svg.text(w - right + 12, y + 15, more, "tick"),
        ]
    body.append(
        svg.text(x(low - pad), h - 6, Say("Points of quality against the best", "与最佳方案的质量分差"), "label")
    )
    open_ = [s.approach.name for _, s, d, *_ in seen if d.verdict == "not distinguishable"]
    worse, n = len(seen) - len(open_), rows[0][2].n
    if not open_:
        takeaway = Say(f"{best} is clearly ahead of all the others.", f"{best} 明显领先其余所有方案。")
    else:
        names_ = listing(open_)
        takeaway = Say(
            f"{n} questions do not tell {names_.en} apart from {best}; "
            f"{worse or 'no'} other{'s are' if worse != 1 else ' is'} set apart.",
            f"{n} 题无法区分 {names_.zh} 与 {best}；另有 {worse} 个可以区分。",
        )
    band = (
        Say(f" Band: your margin of ±{points(needs.margin)}.", f"色带：容差 ±{points(needs.margin)}。")
        if needs and needs.margin > 0
        else Say("", "")
    )
    what = Say(
        "The same questions, paired; 95 % intervals clustered by document, each by itself; verdicts are after Holm. "
        "≈: questions that would settle it." + band.en,
        "同题配对；95 % 区间按文档聚类，各自单独计算；结论经 Holm 校正。约：定论所需题数。" + band.zh,
    )
    return Figure("forest", takeaway, what, svg.svg(w, h, takeaway, body))


def _fit(name: str, room: float) -> str:
    while len(name) > 2 and svg.text_width(name) > room:
        name = name[:-2] + "…"
    return name


def outcomes(comparison: Comparison, recommendation: Recommendation | None) -> Figure | None:
    """Correct, missing and wrong as stacked bars, with their shares written into them."""
    kinds = (("correct", Say("correct", "正确")), ("missing", Say("missing", "缺失")), ("wrong", Say("wrong", "错误")))
    rows = [
        (i, s, [s.metrics[k].mean for k, _ in kinds])
        for i, s in enumerate(comparison.standings)
        if all(k in s.metrics and usable(s.metrics[k].mean) for k, _ in kinds)
    ]
    if not rows:
        return None
    choice = recommendation.choice if recommendation else None
    w, gap, top = 560, 36, 34
    left = min(170.0, 18 + max(svg.text_width(s.approach.name, 14) for _, s, _ in rows))
    h, x = top + gap * len(rows) + 6, svg.linear(0, 1, left, w - 4)
    body = [
        '<defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
        '<rect class="wrong-fill" width="6" height="6"/><line class="wrong-line" x1="0" y1="0" x2="0" y2="6"/>'
        "</pattern></defs>"
    ]
    at = left
    for key, name in kinds:
        body += [
            svg.rect(at, 6, 12, 12, f"bar {key}", fill="url(#hatch)" if key == "wrong" else ""),
            svg.text(at + 18, 16, name, "tick"),
        ]
        at += 86
    for row, (i, s, shares) in enumerate(rows):
        y, start = top + gap * row, 0.0
        body.append(svg.text(left - 12, y + 17, _fit(s.approach.name, left - 12), _label(i, choice, s), "end"))
        for (key, _), share in zip(kinds, shares, strict=True):
            body.append(
                svg.rect(
                    x(start),
                    y,
                    x(start + share) - x(start) - 1,
                    24,
                    f"bar {key}",
                    fill="url(#hatch)" if key == "wrong" else "",
                )
            )
            if share >= 0.07:
                body.append(
                    svg.text((x(start) + x(start + share)) / 2, y + 17, f"{100 * share:.0f}", f"in-{key}", "middle")
                )
            start += share
    safest, worst = min(rows, key=lambda r: r[2][2]), max(rows, key=lambda r: r[2][2])
    name, least, most = safest[1].approach.name, percent(safest[2][2]), percent(worst[2][2])
    if len(rows) == 1:
        takeaway = Say(f"{name} answers {least} wrongly.", f"{name} 答错 {least}。")
    elif least == most:
        takeaway = Say(f"All answer about as often wrongly ({least}).", f"各方案答错比例相近（{least}）。")
    else:
        takeaway = Say(
            f"{name} answers wrongly least often ({least}), {worst[1].approach.name} most often ({most}).",
            f"{name} 答错最少（{least}），{worst[1].approach.name} 最多（{most}）。",
        )
    what = Say(
        "Percent of the questions. A missing answer is safe, a wrong one is not.",
        "占题目的百分比。缺失的答案无害，错误的有害。",
    )
    return Figure("outcomes", takeaway, what, svg.svg(w, h, takeaway, body))


def needs_dots(comparison: Comparison, recommendation: Recommendation | None) -> Figure | None:
    """Quality for each need: one panel for each, one row for each approach."""
    panels = []
    for need in NEEDS:
        found = [(i, s, story.need_estimate(s, need, comparison.metric)) for i, s in enumerate(comparison.standings)]
        if any(e is not None for *_, e in found):
            panels.append((need, found))
    if not panels:
        return None
    choice = recommendation.choice if recommendation else None
    left = 18 + min(180.0, max(svg.text_width(s.approach.name, 14) for s in comparison.standings))
    w, gap, under = 1120, 27, 44
    each = (w - left) / len(panels)
    h = under + gap * len(comparison.standings) + 26
    body = [
        svg.text(left - 12, under + gap * i + 17, _fit(s.approach.name, left - 12), _label(i, choice, s), "end")
        for i, s in enumerate(comparison.standings)
    ]
    winners = []
    for p, (need, found) in enumerate(panels):
        x = svg.linear(0, 1, left + each * p + 14, left + each * (p + 1) - 22)
        measured = [(i, s, e) for i, s, e in found if e is not None and usable(e.mean)]
        top = max((m[2].mean for m in measured), default=0.0)
        ahead = [m for m in measured if m[2].mean == top > 0]
        n = measured[0][2].n if measured else 0
        body.append(svg.text(x(0), 16, Say(f"{NEEDS[need].en} · {n} questions", f"{NEEDS[need].zh} · {n} 题"), "panel"))
        for v in (0, 0.25, 0.5, 0.75, 1):
            body += [
                svg.line(x(v), under - 10, x(v), under + gap * len(found), "grid"),
                svg.text(x(v), h - 6, f"{100 * v:.0f}", "tick", "middle"),
            ]
        for i, s, e in measured:
            y, top_one = under + gap * i + 13, any(i == m[0] for m in ahead)
            body += [
                svg.line(x(e.low), y, x(e.high), y, f"whisker s{i % 8}"),
                svg.mark(
                    i, x(e.mean), y, 7 if top_one else 5, f"dot s{i % 8}", f"{s.approach.name}: {interval(e)}"
                ),
            ]
            if top_one:
                body.append(svg.text(x(e.mean), y - 10, points(e.mean), "best", "middle"))
        winners.append((need, tuple(m[1].approach.name for m in ahead)))
    takeaway = _by_need(winners)
    return Figure(
        "needs",
        takeaway,
        Say("Quality, with 95 % intervals.", "质量，附 95 % 区间。"),
        svg.svg(w, h, takeaway, body),
        wide=True,
    )


def _by_need(winners: list[tuple[str, tuple[str, ...]]]) -> Say:
    """Who is highest for each need; several are level, and nobody is where nobody got anything right."""
    first, every = winners[0][1], {names for _, names in winners}
    if len(every) == 1 and not first:
        return Say("No approach scored anything.", "没有方案得分。")
    if len(every) == 1 and len(first) == 1:
        if len(winners) == 1:
            need = NEEDS[winners[0][0]]
            return Say(f"{first[0]} scores highest for {need.en}, the only need asked for.",
                       f"{first[0]} 在{need.zh}（唯一考察的需求）上得分最高。")
        return Say(f"{first[0]} scores highest for every need.", f"{first[0]} 在每种需求上得分都最高。")
    nobody, level = Say("nobody", "无"), Say(" (level)", "（并列）")

    def who(names: tuple[str, ...]) -> Say:
        said, more = (listing(names), level if len(names) > 1 else Say("", "")) if names else (nobody, Say("", ""))
        return Say(said.en + more.en, said.zh + more.zh)

    return Say("Highest " + ", ".join(f"for {NEEDS[n].en}: {who(names).en}" for n, names in winners) + ".",
               "；".join(f"{NEEDS[n].zh}最高：{who(names).zh}" for n, names in winners) + "。")
