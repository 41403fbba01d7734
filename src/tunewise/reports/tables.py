"""The HTML tables of the page: all approaches with all measures, and quality by stratum as a heat map.

Real tables with scopes, so that they are read out and copied as tables. Knows columns, no plots.
"""

from __future__ import annotations

from html import escape
from itertools import groupby

from tunewise.amounts import NOTHING, interval, points, signed, usable
from tunewise.nouns import Comparison, Difference, Estimate, Recommendation, Standing
from tunewise.reports import story
from tunewise.reports.columns import GROUPS, Column, columns
from tunewise.reports.plots import Figure
from tunewise.reports.words import Say, stratum_phrase, stratum_words, verdict_word


def both(say: Say) -> str:
    """A text in both languages, of which the page shows one."""
    if say.en == say.zh:
        return f"<bdi>{escape(say.en)}</bdi>"
    return f'<span class="en" lang="en">{escape(say.en)}</span><span class="zh" lang="zh">{escape(say.zh)}</span>'


def name_of(standing: Standing, index: int, choice: str | None) -> str:
    """An approach's name, marked in words too where it is the recommended one."""
    mine = standing.approach.name == choice
    badge = f' <span class="badge">{both(Say("recommended", "推荐"))}</span>' if mine else ""
    name = escape(standing.approach.name)
    return f'<span class="swatch s{index % 8}" aria-hidden="true"></span><bdi>{name}</bdi>{badge}'


def _bar(estimate: Estimate) -> str:
    """A small bar of the interval on 0 to 100 with a tick at the mean."""
    low, high, mean = (96 * min(1.0, max(0.0, v)) for v in (estimate.low, estimate.high, estimate.mean))
    return (
        f'<svg class="mini" viewBox="-1 0 98 8" width="98" height="8" aria-hidden="true">'
        '<rect class="mini-rail" x="0" y="3.5" width="96" '
        f'height="1"/><rect class="mini-span" x="{low:.1f}" y="2" width="{max(1.0, high - low):.1f}" height="4"/>'
        f'<rect class="mini-mean" x="{mean - 1:.1f}" y="0" width="2" height="8"/></svg>'
    )


_NO_DIFFERENCE = {"against_best": Say("is the best", "即最佳"), "against_cheapest": Say("is the cheapest", "即最便宜")}
"""What stands in the row of the approach that the others are held against."""


def _difference_cell(difference: Difference, name: str) -> str:
    mean, low, high = story.against(difference, name)
    word = story.verdict_for(difference, name)
    sign = {"better": "▲", "worse": "▼"}.get(word, "≈")
    return (
        f'<span class="verdict v-{word if word in ("better", "worse") else "same"}">'
        f'<span aria-hidden="true">{sign}</span> '
        f"{both(verdict_word(word))}</span><small>{signed(mean)} [{signed(low)}, {signed(high)}]</small>"
    )


def _cell(column: Column, standing: Standing, best: float | None, every: int) -> str:
    value, sort = column.of(standing), column.number(standing)
    if isinstance(value, Difference):
        body = _difference_cell(value, standing.approach.name)
        sort = story.against(value, standing.approach.name)[0]
    elif isinstance(value, Estimate) and column.interval and usable(value.mean):
        body = f"<b>{points(value.mean)}</b><small>{points(value.low)} – {points(value.high)}</small>{_bar(value)}"
    else:
        body = escape(column.text(standing))
    if column.group == "verdict" and value is None:
        word = _NO_DIFFERENCE.get(column.key, Say("–", "–"))
        body = f'<span class="quiet">{both(word)}</span>'
    told = column.group != "verdict"
    top = told and best is not None and sort is not None and sort == best and column.better is not None
    classes = " ".join(filter(None, ["num" if told else "", "top" if top else ""]))
    mark = f'<span class="sr">{both(Say("best of the column: ", "本列最佳："))}</span>' if top else ""
    over = (
        f' title="n {value.n}"' if isinstance(value, Estimate) and value.n != every and usable(value.mean) else ""
    )
    return f'<td class="{classes}"{over} data-sort="{"" if sort is None else repr(sort)}">{mark}{body}</td>'


def _head(column: Column, comparison: Comparison) -> str:
    """A header that sorts, with what it means and over how many questions, where that is not all of them."""
    way = {True: Say(" More is better.", "越高越好。"), False: Say(" Less is better.", "越低越好。")}
    more = way.get(column.better, Say("", "")) if column.group != "verdict" else Say("", "")
    counts = column.counts(comparison)
    over = f"n {counts[0]}" if len(set(counts)) == 1 else f"n {counts[0]}–{counts[-1]}" if counts else ""
    said = Say(f" {over}: questions it applies to.", f" {over}：适用的题数。") if over else Say("", "")
    tip = Say(column.explain.en + more.en + said.en, column.explain.zh + more.zh + said.zh)
    key, cls = escape(column.key), "" if column.group == "verdict" else ' class="num"'
    return (
        f'<th scope="col"{cls} aria-sort="none"><button type="button" aria-describedby="tip-{key}">{both(column.label)}'
        f'</button>{f"<small>{over}</small>" if over else ""}'
        f'<span class="tip" id="tip-{key}" hidden>{both(tip)}</span></th>'
    )


def _table(
    shown: list[Column], comparison: Comparison, recommendation: Recommendation | None, caption: Say, cls: str
) -> str:
    choice = recommendation.choice if recommendation else None
    rejected = dict(story.rejected(recommendation))
    first = Say("Approach", "方案")
    heads = [f'<th scope="col" class="who" aria-sort="none"><button type="button">{both(first)}</button></th>']
    heads += [_head(column, comparison) for column in shown]
    body = []
    for i, s in enumerate(comparison.standings):
        gate = rejected.get(s.approach.name)
        name = name_of(s, i, choice if cls == "main" else None)
        if gate and cls == "main":
            name += f'<small class="gate">{both(Say("excluded: ", "已排除："))}{both(gate)}</small>'
        cells = [f'<th scope="row" class="who" data-sort="{escape(s.approach.name)}">{name}</th>']
        for c in shown:
            numbers = [n for other in comparison.standings if (n := c.number(other)) is not None]
            best = (max if c.better else min)(numbers) if numbers and len(set(numbers)) > 1 else None
            cells.append(_cell(c, s, best, len(comparison.questions)))
        classes = " ".join(filter(None, ["chosen" if s.approach.name == choice else "", "out" if gate else ""]))
        body.append(f'<tr class="{classes}">{"".join(cells)}</tr>')
    return (
        f'<table class="approaches sortable {cls}"><caption>{both(caption)}</caption>'
        f"<thead><tr>{''.join(heads)}</tr></thead><tbody>{''.join(body)}</tbody></table>"
    )


def approaches_table(comparison: Comparison, recommendation: Recommendation | None) -> str:
    """The table of what a choice is made by, and folded under it a table for each group of finer measures."""
    shown = columns(comparison, recommendation)
    caption = Say(
        "All approaches on the same questions; scores of 100, with 95 % intervals.",
        "所有方案，同样的题目；百分制，附 95 % 区间。",
    )
    first = _table([c for c in shown if c.main], comparison, recommendation, caption, "main")
    finer = [c for c in shown if not c.main]
    tables = [
        _region(_table([c for c in finer if c.group == key], comparison, recommendation, label, "finer"), label)
        for key, label in GROUPS.items() if any(c.group == key for c in finer)
    ]
    more = Say(f"{len(finer)} finer measures", f"其余 {len(finer)} 项指标")
    folded = f'<details class="finer"><summary>{both(more)}</summary><div>{"".join(tables)}</div></details>'
    return _region(first, caption, "wide") + (folded if finer else "")


def _region(table: str, label: Say, cls: str = "") -> str:
    """A table that scrolls by itself where it is too wide, also by keyboard."""
    return (f'<div class="scroll {cls}" role="region" tabindex="0" aria-label="{escape(label.en)}" '
            f'data-aria-label-en="{escape(label.en)}" data-aria-label-zh="{escape(label.zh)}">{table}</div>')


def definitions(comparison: Comparison, recommendation: Recommendation | None) -> str:
    """What every column means, as a definition list."""
    return "".join(
        f"<div><dt>{both(c.label)}</dt><dd>{both(c.explain)}</dd></div>" for c in columns(comparison, recommendation)
    )


ENOUGH = 10
"""So many questions a group needs before a sentence is made of it."""


def heat(comparison: Comparison, recommendation: Recommendation | None) -> Figure | None:
    """Quality by stratum and approach: a table whose cells are shaded by their number."""
    metric = comparison.metric
    names = list(dict.fromkeys(name for s in comparison.standings for name, of in s.strata.items() if metric in of))
    if not names:
        return None
    choice = recommendation.choice if recommendation else None
    heads = "".join(
        f'<th scope="col"{" class=chosen" if s.approach.name == choice else ""}>{name_of(s, i, None)}</th>'
        for i, s in enumerate(comparison.standings)
    )
    # A split with one side (all questions in one language) repeats the whole.
    sides = [stratum_words(name)[0] for name in names]
    names = [name for name, side in zip(names, sides, strict=True) if sides.count(side) > 1] or names
    ordered = sorted(names, key=lambda n: (_order(n), n))
    bodies, widest = [], None
    for what, group in groupby(ordered, key=lambda n: stratum_words(n)[0]):
        lines = [
            f'<tr class="what"><th scope="rowgroup" colspan="{2 + len(comparison.standings)}">{both(what)}</th></tr>'
        ]
        for name in group:
            found = [s.strata.get(name, {}).get(metric) for s in comparison.standings]
            known = [
                (e.mean, s.approach.name, e)
                for e, s in zip(found, comparison.standings, strict=True)
                if e is not None and usable(e.mean)
            ]
            if not known:
                continue
            top, bottom = max(known, key=lambda k: k[0]), min(known, key=lambda k: k[0])
            # Of a handful of questions nobody should read a difference.
            if known[0][2].n >= ENOUGH and (widest is None or top[0] - bottom[0] > widest[0]):
                widest = (top[0] - bottom[0], name, top, bottom)
            cells = []
            for estimate in found:
                if estimate is None or not usable(estimate.mean):
                    cells.append(f"<td>{NOTHING}</td>")
                    continue
                step = min(9, max(0, int(estimate.mean * 10)))
                lead = " top" if len(known) > 1 and estimate.mean == top[0] > bottom[0] else ""
                cells.append(
                    f'<td class="h{step}{lead}" title="{escape(interval(estimate))}">'
                    f"{100 * estimate.mean:.0f}</td>"
                )
            lines.append(
                f'<tr><th scope="row">{both(stratum_words(name)[1])}</th>'
                f'<td class="count">{known[0][2].n}</td>{"".join(cells)}</tr>'
            )
        bodies.append(f"<tbody>{''.join(lines)}</tbody>")
    takeaway = _widest(widest)
    mine = story.standing_of(comparison, choice)
    lows = (
        sorted((of[metric].mean, name) for name, of in mine.strata.items()
               if name in names and metric in of and usable(of[metric].mean) and of[metric].n >= ENOUGH)
        if mine
        else []
    )
    if lows and lows[0][0] < lows[-1][0]:
        weak = stratum_phrase(lows[0][1])
        takeaway = Say(
            f"{takeaway.en} {choice} is weakest on {weak.en} ({100 * lows[0][0]:.0f}).",
            f"{takeaway.zh}{choice} 最弱之处：{weak.zh}（{100 * lows[0][0]:.0f}）。",
        )
    what = Say(
        "Quality of 100; darker is higher, the best of a row is underlined. n: questions. Small groups are rough.",
        "质量（百分制）；颜色越深越高，每行最佳加下划线。n 为题数，小组仅供参考。",
    )
    body = (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(takeaway.en)}" '
        f'data-aria-label-en="{escape(takeaway.en)}" '
        f'data-aria-label-zh="{escape(takeaway.zh)}"><table class="heat">'
        f'<thead><tr><td></td><th scope="col" class="count">n</th>{heads}</tr></thead>'
        f"{''.join(bodies)}</table></div>"
    )
    return Figure("strata", takeaway, what, body, wide=True)


def _widest(widest: tuple[float, str, tuple, tuple] | None) -> Say:
    """Where the approaches lie furthest apart; level is not apart."""
    if widest is None:
        return Say("Every group is too small to say where the approaches differ.", "各组题数太少，看不出差距在哪里。")
    if widest[0] <= 0:
        return Say("The approaches are level on every stratum.", "各方案在每个分层上得分相同。")
    where = stratum_phrase(widest[1])
    return Say(
        f"The approaches differ most on {where.en}: "
        f"{widest[2][1]} {100 * widest[2][0]:.0f}, {widest[3][1]} {100 * widest[3][0]:.0f}.",
        f"差距最大之处：{where.zh}，"
        f"{widest[2][1]} {100 * widest[2][0]:.0f}，{widest[3][1]} {100 * widest[3][0]:.0f}。",
    )


_ORDER = ("need", "documents", "language", "answerable", "evidence", "table", "without-documents", "kind")


def _order(stratum: str) -> int:
    """Needs first, then documents, language, what can be answered from where, and the user's own kinds."""
    what = stratum.partition("=")[0]
    return _ORDER.index(what) if what in _ORDER else len(_ORDER)
