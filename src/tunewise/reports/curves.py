"""The plot of learning curves, from the history that training left in each adapter's manifest; nothing is smoothed.

Knows a Comparison and SVG. Approaches that wear one adapter share one curve.
"""

from __future__ import annotations

from tunewise.amounts import number, usable
from tunewise.nouns import Comparison
from tunewise.reports import svg
from tunewise.reports.plots import Figure
from tunewise.reports.words import Say, listing, tick

_KINDS = (("loss", Say("training", "训练"), "thin"), ("validation_loss", Say("validation", "验证"), "thick"))


def learning(comparison: Comparison) -> Figure | None:
    """Loss by step of training, one line for each adapter; validation thicker, where it was measured."""
    shared: dict[tuple[tuple[float, float], ...], list[str]] = {}
    lines: list[tuple[int, str, list[str], list[tuple[float, float]]]] = []
    for i, standing in enumerate(comparison.standings):
        history = comparison.curves.get(standing.approach.name, ())
        for key, _, cls in _KINDS:
            points = tuple((float(one["step"]), float(one[key])) for one in history
                           if usable(one.get("step")) and usable(one.get(key)))
            if len(points) < 2:
                continue
            if points not in shared:
                shared[points] = []
                lines.append((i, cls, shared[points], list(points)))
            shared[points].append(standing.approach.name)
    if not lines:
        return None
    w, h, left, right, top, bottom = 560, 340, 52, 24, 26, 52
    most = max(point[0] for *_, points in lines for point in points)
    low, high = (f(point[1] for *_, points in lines for point in points) for f in (min, max))
    x = svg.linear(0, most, left, w - right)
    floor = min(0.0, low)
    y = svg.linear(floor, high * 1.05 or 1, h - bottom, top)
    body = [
        svg.line(left, y(v), w - right, y(v), "grid") + svg.text(left - 8, y(v) + 4, tick(v), "tick", "end")
        for v in svg.ticks(floor, high * 1.05 or 1)
    ]
    body += [svg.text(x(v), h - bottom + 18, tick(v), "tick", "middle") for v in svg.ticks(0, most)]
    body += [
        svg.line(left, h - bottom, w - right, h - bottom, "axis"),
        svg.text(w - right, h - 10, Say("Steps →", "步数 →"), "label", "end"),
        svg.text(14, top, Say("Loss ↑", "损失 ↑"), "label", "end", turn=True),
    ]
    at = top
    for i, cls, names, points in lines:
        body.append(svg.path([(x(a), y(b)) for a, b in points], f"curve {cls} s{i % 8}"))
        if cls == "thick" and any(kept == names for _, other, kept, _ in lines if other == "thin"):
            continue
        name = ", ".join(names)
        # The key stands where curves are not: at the upper right, in the colour and sign of the approach.
        body += [svg.mark(i, w - right - 6, at - 4, 5, f"dot s{i % 8}"),
                 svg.text(w - right - 18, at, name, f"name t{i % 8}", "end")]
        at += 18
    ends = [(names, points[0][1], points[-1][1]) for _, cls, names, points in lines if cls == "thin"]
    ends = ends or [(names, points[0][1], points[-1][1]) for _, _, names, points in lines]
    takeaway = Say(
        "In training, " + "; ".join(f"the loss of {listing(names).en} went from {number(a)} to {number(b)}" for names,
        a, b in ends) +
            ".",
        "；".join(f"{listing(names).zh} 的损失从 {number(a)} 降到 {number(b)}" if b < a else
                 f"{listing(names).zh} 的损失从 {number(a)} 变为 {number(b)}" for names, a, b in ends) + "。",
    )
    thick = any(cls == "thick" for _, cls, *_ in lines)
    what = Say(
        "Loss of each step as training wrote it, not smoothed." + (" Thick: validation." if thick else ""),
        "训练时逐步记录的损失，未平滑。" + ("粗线：验证。" if thick else ""),
    )
    return Figure("learning", takeaway, what, svg.svg(w, h, takeaway, body))
