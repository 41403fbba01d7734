"""Drawing by hand: scales, ticks, marks and bilingual text as SVG strings. No colours (page.css has them), no data.

Everything that is written goes through `html.escape`; attributes only, no styles: the page's policy forbids them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape

from tunewise.reports.words import Say, width

Scale = Callable[[float], float]


def linear(low: float, high: float, start: float, end: float) -> Scale:
    """Map [low, high] to [start, end]."""
    span = (high - low) or 1.0
    return lambda value: start + (value - low) / span * (end - start)


def logarithmic(low: float, high: float, start: float, end: float) -> Scale:
    """Map [low, high] (both > 0) to [start, end] by logarithm."""
    base, span = math.log10(low), (math.log10(high) - math.log10(low)) or 1.0
    return lambda value: start + (math.log10(max(value, low)) - base) / span * (end - start)


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers within [low, high], at most about `most`."""
    span = high - low
    if not span > 0:
        return [low]
    raw = span / max(1, most - 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 10) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def decades(low: float, high: float) -> list[float]:
    """Ticks for a logarithmic axis: 1, 10, 100 …, with 2 and 5 between where there are few."""
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    marks = [10.0**e for e in exponents if low * 0.999 <= 10.0**e <= high * 1.001]
    if len(marks) < 3:
        marks = [m * 10.0**e for e in exponents for m in (1, 2, 5) if low * 0.999 <= m * 10.0**e <= high * 1.001]
    return marks


def line(x1: float, y1: float, x2: float, y2: float, cls: str) -> str:
    """A line."""
    return f'<line class="{cls}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def rect(x: float, y: float, w: float, h: float, cls: str, *, fill: str = "") -> str:
    """A rectangle; `fill` for patterns."""
    paint = f' fill="{fill}"' if fill else ""
    return f'<rect class="{cls}" x="{x:.1f}" y="{y:.1f}" width="{max(0.0, w):.1f}" height="{h:.1f}"{paint}/>'


def path(points: Sequence[tuple[float, float]], cls: str) -> str:
    """An open line through points."""
    return f'<path class="{cls}" d="M' + " L".join(f"{x:.1f} {y:.1f}" for x, y in points) + '"/>'


def text(x: float, y: float, content: str | Say, cls: str = "", anchor: str = "start", *, turn: bool = False) -> str:
    """A text, or one in each language of which the page shows one."""
    where = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"' + (
        f' transform="rotate(-90 {x:.1f} {y:.1f})"' if turn else ""
    )
    if isinstance(content, Say):
        return "".join(
            f'<text class="{cls} {lang}" lang="{lang}" {where}>{escape(words)}</text>'
            for lang, words in (("en", content.en), ("zh", content.zh))
        )
    return f'<text class="{cls}" {where}>{escape(content)}</text>'


def text_width(content: str, size: float = 13) -> float:
    """About how wide a text is in pixels."""
    return width(content) * size * 0.54


_UNIT: tuple[tuple[tuple[float, float], ...], ...] = (
    (),
    ((-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)),
    ((0, -1.15), (1.1, 0.85), (-1.1, 0.85)),
    ((0, -1.25), (1.25, 0), (0, 1.25), (-1.25, 0)),
    ((0, 1.15), (1.1, -0.85), (-1.1, -0.85)),
    (
        (-0.4, -1.1),
        (0.4, -1.1),
        (0.4, -0.4),
        (1.1, -0.4),
        (1.1, 0.4),
        (0.4, 0.4),
        (0.4, 1.1),
        (-0.4, 1.1),
        (-0.4, 0.4),
        (-1.1, 0.4),
        (-1.1, -0.4),
        (-0.4, -0.4),
    ),
    ((0, -1.2), (1.15, -0.3), (0.7, 1.05), (-0.7, 1.05), (-1.15, -0.3)),
)


def mark(kind: int, x: float, y: float, r: float, cls: str, title: str = "") -> str:
    """One of seven shapes, so that colour is never the only difference; `title` is shown by a pointer at rest."""
    hint = f"<title>{escape(title)}</title>" if title else ""
    shape = _UNIT[kind % len(_UNIT)]
    if not shape:
        return f'<circle class="{cls}" cx="{x:.1f}" cy="{y:.1f}" r="{r:.1f}">{hint}</circle>'
    corners = " ".join(f"{x + dx * r:.1f},{y + dy * r:.1f}" for dx, dy in shape)
    return f'<polygon class="{cls}" points="{corners}">{hint}</polygon>'


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Positions near the wanted ones, in their order, `gap` apart and within [low, high] where there is room."""
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    placed: list[float] = []
    for i in order:
        placed.append(max(wanted[i], placed[-1] + gap) if placed else max(wanted[i], low))
    over = (placed[-1] - high) if placed else 0
    for at in range(len(placed) - 1, -1, -1):
        if over > 0:
            placed[at] = min(placed[at], (placed[at + 1] - gap) if at + 1 < len(placed) else high)
    result = [0.0] * len(wanted)
    for position, i in zip(placed, order, strict=True):
        result[i] = position
    return result


def label_places(
    spots: Sequence[tuple[float, float, float, float, float]], frame: tuple[float, float, float, float]
) -> list[tuple[float, float, str]]:
    """Where the names of points go: (x, baseline, anchor) for each (x, y, y of both ends, width of the name).

    Greedy, over places beside and around the point: the first that meets least of the other marks and names.
    """
    left, top, right, bottom = frame
    taken = [(x - 8, y - 8, x + 8, y + 8) for x, y, *_ in spots]
    sticks = [(x - 2, high, x + 2, low) for x, _, low, high, _ in spots]

    def meets(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
        return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]

    places = []
    for i, (x, y, low, high, wide) in enumerate(spots):
        tries = []
        for dx, dy, anchor in (
            (12, 4, "start"),
            (-12, 4, "end"),
            (12, 18, "start"),
            (-12, 18, "end"),
            (12, -10, "start"),
            (-12, -10, "end"),
            (0, high - y - 6, "middle"),
            (0, low - y + 15, "middle"),
            (12, 34, "start"),
            (-12, 34, "end"),
            (6, -24, "start"),
            (-6, -24, "end"),
            (6, -40, "start"),
            (6, -56, "start"),
        ):
            start = x + dx - {"start": 0, "middle": wide / 2, "end": wide}[anchor]
            box = (start, y + dy - 11, start + wide, y + dy + 3)
            cost = 3 * sum(meets(box, other) for other in taken) + sum(
                meets(box, other) for k, other in enumerate(sticks) if k != i
            )
            cost += 10 * (box[0] < left or box[2] > right or box[1] < top - 8 or box[3] > bottom)
            tries.append((cost, len(tries), x + dx, y + dy, anchor, box))
        best = min(tries)
        taken.append(best[5])
        places.append((best[2], best[3], best[4]))
    return places


def svg(w: int, h: int, label: Say, body: Sequence[str], cls: str = "") -> str:
    """A whole drawing that a screen reader announces by `label`."""
    return (
        f'<svg class="plot {cls}" viewBox="0 0 {w} {h}" width="{w}" height="{h}" role="img" '
        f'aria-label="{escape(label.en)}" '
        f'data-aria-label-en="{escape(label.en)}" data-aria-label-zh="{escape(label.zh)}">{"".join(body)}</svg>'
    )
