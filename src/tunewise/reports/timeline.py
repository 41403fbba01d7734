"""The plot of freshness: when each approach first gave the new answer after facts were changed, and how many it gave.

Knows what `tunewise freshness` kept and SVG; nothing is worked out but places.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunewise.amounts import number, usable
from tunewise.nouns import Comparison
from tunewise.reports import svg
from tunewise.reports.plots import Figure
from tunewise.reports.words import Say, listing, percent, tick


def _share(one: Mapping[str, Any], key: str) -> float:
    value = (one.get(key) or {}).get("mean")
    return float(value) if usable(value) else 0.0


def timeline(comparison: Comparison) -> Figure | None:
    """One row for each approach: a mark where its first new answer came (none: it never came), and after the update the
    shares of facts answered with the new value and still with the old one."""
    rows = [one for one in comparison.freshness if isinstance(one.get("approach"), str)]
    if not rows:
        return None
    places = {s.approach.name: i for i, s in enumerate(comparison.standings)}
    came = [float(one["seconds"]) for one in rows if usable(one.get("seconds")) and one["seconds"] > 0]
    w, gap, top = 560, 40, 40
    left = min(170.0, 18 + max(svg.text_width(one["approach"], 14) for one in rows))
    middle, right = w - 190, 24
    h = top + gap * len(rows) + 44
    low, high = (min(came) / 1.6, max(came) * 1.6) if came else (0.1, 10.0)
    x, share = svg.logarithmic(low, high, left, middle - 24), svg.linear(0, 1, middle, w - right)
    body = [
        svg.text(left, 16, Say("first new answer", "首个新答案"), "tick"),
        svg.text(middle, 16, Say("after the update: new, still old", "更新后：新值、仍为旧值"), "tick"),
    ]
    for v in svg.decades(low, high) if came else ():
        body += [svg.line(x(v), top - 8, x(v), top + gap * len(rows), "grid"),
                 svg.text(x(v), top + gap * len(rows) + 18, tick(v), "tick", "middle")]
    for row, one in enumerate(rows):
        y, i = top + gap * row + 12, places.get(one["approach"], 7)
        body.append(svg.text(left - 12, y + 4, one["approach"], f"name t{i % 8}", "end"))
        if usable(one.get("seconds")):
            at = x(max(float(one["seconds"]), low))
            body += [svg.line(left, y, at, y, f"whisker s{i % 8}"), svg.mark(i, at, y, 6, f"dot s{i % 8}")]
        else:
            body.append(svg.text(left, y + 4, Say("never", "从未"), "tick"))
        new, old = _share(one, "new"), _share(one, "old")
        body += [svg.rect(share(0), y - 8, share(1) - share(0), 16, "bar missing"),
                 svg.rect(share(0), y - 8, share(new) - share(0), 16, "bar correct"),
                 svg.rect(share(max(0.0, 1 - old)), y - 8, share(1) - share(max(0.0, 1 - old)), 16, "bar stale")]
        if new >= 0.12:
            body.append(svg.text(share(new / 2), y + 4, percent(new), "in-correct", "middle"))
    body.append(svg.text(middle - 24, h - 6, Say("Seconds since the change →", "变更后秒数 →"), "label", "end"))
    never = [one["approach"] for one in rows if not usable(one.get("seconds"))]
    soon = min((one for one in rows if usable(one.get("seconds"))), key=lambda one: one["seconds"], default=None)
    if soon is None:
        takeaway = Say("No approach gave a changed fact.", "没有方案给出变更后的事实。")
    else:
        late = Say(f" {listing(never).en} never did.", f"{listing(never).zh} 从未给出。") if never else Say("", "")
        takeaway = Say(f"{soon['approach']} gave the first changed fact after {number(soon['seconds'])} s.{late.en}",
                       f"{soon['approach']} 在 {number(soon['seconds'])} 秒后最先给出变更后的事实。{late.zh}")
    what = Say("Facts were changed in a copy of the documents, each approach was updated by its own means and asked "
               "again.",
               "在文档副本中修改事实，各方案以自己的方式更新后再次提问。")
    return Figure("freshness", takeaway, what, svg.svg(w, h, takeaway, body))
