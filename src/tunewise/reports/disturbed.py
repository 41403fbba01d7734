"""The plot of robustness: what noise, the place of the gold passage, a changed value and no gold do to the answers.

Knows what `tunewise robustness` kept and SVG; nothing is worked out but places.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from tunewise.amounts import NOTHING, signed, usable
from tunewise.nouns import Comparison
from tunewise.reports import svg
from tunewise.reports.plots import Figure
from tunewise.reports.tables import both
from tunewise.reports.words import Say, percent

HEADS = (
    ("noise_slope", Say("All replaced", "全部替换"), True),
    ("position_slope", Say("Gold last, not first", "标准段落由首至末"), True),
    ("follows", Say("Follows a changed value", "采用被改动的值"), False),
    ("keeps", Say("Keeps the old value", "坚持原值"), False),
    ("rejects", Say("No gold: declines", "无标准段落：拒答"), False),
    ("invents", Say("No gold: wrong", "无标准段落：答错"), False),
)


def _of(one: Mapping[str, Any], key: str) -> Mapping[str, Any] | None:
    found = one.get(key)
    return found if isinstance(found, Mapping) and usable(found.get("mean")) else None


def _steps(one: Mapping[str, Any], key: str) -> list[tuple[int, float]]:
    """(step, share right), by step."""
    found = one.get(key)
    pairs = found.items() if isinstance(found, Mapping) else ()
    return sorted((int(step), float(value["mean"])) for step, value in pairs if usable(value.get("mean")))


def shown(comparison: Comparison) -> list[Mapping[str, Any]]:
    """What was measured of approaches that stand in the comparison."""
    names = {s.approach.name for s in comparison.standings}
    return [one for one in comparison.robustness if one.get("approach") in names]


def _cell(one: Mapping[str, Any], key: str, change: bool) -> str:
    found = _of(one, key)
    if found is None:
        return NOTHING
    mean, low, high = (signed(found[k]) if change else f"{100 * found[k]:.0f}" for k in ("mean", "low", "high"))
    return f"{mean} [{low}, {high}]"


def words(one: Mapping[str, Any]) -> Say:
    """One approach's robustness as a sentence."""
    name, noise, said = str(one["approach"]), _steps(one, "noise"), []
    if len(noise) > 1:
        (_, clean), (replaced, noisy) = noise[0], noise[-1]
        said.append((f"with {replaced} of {one.get('k')} passages replaced by distractors {percent(noisy)} right "
                     f"instead of {percent(clean)}",
                     f"{one.get('k')} 段中 {replaced} 段换成干扰段时答对 {percent(noisy)}（原为 {percent(clean)}）"))
    if follows := _of(one, "follows"):
        said.append((f"it follows a value changed in the passage in {percent(follows['mean'])}",
                     f"段落中的值被改动时 {percent(follows['mean'])} 采用新值"))
    rejects, invents = _of(one, "rejects"), _of(one, "invents")
    if rejects and invents:
        said.append((f"without the gold passage it declines {percent(rejects['mean'])} and answers wrongly "
                     f"{percent(invents['mean'])}",
                     f"没有标准段落时拒答 {percent(rejects['mean'])}、答错 {percent(invents['mean'])}"))
    return Say(f"{name}: {'; '.join(en for en, _ in said)}.", f"{name}：{'；'.join(zh for _, zh in said)}。")


def _panel(rows: Sequence[tuple[int, Mapping[str, Any]]], key: str, title: Say, axis: Say, left: float, right: float,
           h: float) -> list[str]:
    lines = [(i, str(one["approach"]), _steps(one, key)) for i, one in rows]
    steps = sorted({step for *_, found in lines for step, _ in found})
    if not steps:
        return []
    top, bottom = 44, 46
    x = svg.linear(steps[0], max(steps[-1], steps[0] + 1), left + 40, right - 130)
    y = svg.linear(0, 1, h - bottom, top)
    body = [svg.text(left, 18, title, "panel")]
    for v in (0, 0.25, 0.5, 0.75, 1):
        body += [svg.line(left + 30, y(v), right - 130, y(v), "grid"),
                 svg.text(left + 24, y(v) + 4, f"{100 * v:.0f}", "tick", "end")]
    body += [svg.text(x(step), h - bottom + 18, str(step), "tick", "middle") for step in steps]
    body.append(svg.text(right - 130, h - 8, axis, "label", "end"))
    ends = svg.spread([y(found[-1][1]) + 4 for *_, found in lines if found], 15, top, h - bottom + 6)
    for (i, name, found), end in zip([line for line in lines if line[2]], ends, strict=True):
        body += [svg.path([(x(a), y(b)) for a, b in found], f"curve s{i % 8} d{i % 4}")]
        body += [svg.mark(i, x(a), y(b), 5, f"dot s{i % 8}", f"{name}: {percent(b)}") for a, b in found]
        body.append(svg.text(x(found[-1][0]) + 12, end, name, f"name t{i % 8}"))
    return body


def disturbed(comparison: Comparison, choice: str | None = None) -> Figure | None:
    """Shares of right answers by replaced passages and by the rank of the gold passage, and the other conditions as a
    table."""
    every = shown(comparison)
    if not every:
        return None
    places = {s.approach.name: i for i, s in enumerate(comparison.standings)}
    rows = [(places[one["approach"]], one) for one in every]
    w, h = 1120, 300
    body = _panel(rows, "noise", Say("Right, of 100, by passages replaced", "按被替换段落数的答对率（%）"),
                  Say("Passages replaced by distractors →", "被换成干扰段的段落数 →"), 0, w / 2 - 10, h)
    body += _panel(rows, "position",
                   Say("Right, of 100, by the place of the gold passage", "按标准段落名次的答对率（%）"),
                   Say("Rank of the gold passage →", "标准段落的名次 →"), w / 2 + 10, w, h)
    takeaway = words(next((one for one in every if one["approach"] == choice), every[0]))
    heads = "".join(f'<th scope="col">{both(head)}</th>' for _, head, _ in HEADS)
    cells = [
        f'<tr{" class=chosen" if one["approach"] == choice else ""}><th scope="row"><bdi>{escape(str(one["approach"]))}'
        f'</bdi></th>{"".join(f"<td>{escape(_cell(one, key, change))}</td>" for key, _, change in HEADS)}</tr>'
        for one in every
    ]
    n = max(int(one.get("questions") or 0) for one in every)
    label = Say("Robustness", "稳健性")
    table = (f'<div class="scroll" role="region" tabindex="0" aria-label="{label.en}" data-aria-label-en="{label.en}" '
             f'data-aria-label-zh="{label.zh}"><table class="money"><thead><tr><th scope="col">'
             f'{both(Say("Approach", "方案"))}</th>{heads}</tr></thead><tbody>{"".join(cells)}</tbody></table></div>')
    what = Say(
        f"Asked again, {n} of these questions, with prepared passages. Table: changes in points and shares of 100, "
        "with 95 % intervals.",
        f"用准备好的段落再次提问其中 {n} 题。表中为分差与百分比，附 95 % 区间。",
    )
    drawing = f'<div class="scroll">{svg.svg(w, h, takeaway, body)}</div>' if body else ""
    return Figure("robustness", takeaway, what, f"<div>{drawing}{table}</div>", wide=True)
