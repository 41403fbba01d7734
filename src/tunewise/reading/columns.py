"""Two columns that a program wrote row by row → one column after the other.

Most programs write a column to its end, and nothing is to be done. Knows places of lines and of wide gaps in them.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from tunewise.reading.lines import Line

Gap = tuple[float, float]
_LEAST_ROWS = 5
_LONG = 18
"""Letters of a usual line of a column; a Chinese character counts as two. Labels and values are shorter."""


def gutter(lines: Sequence[Line], gaps: Sequence[Gap]) -> float | None:
    """The place between two columns when rows run across it; None when the page is in order.

    `gaps` are (end of the left part, start of the right part) of rows that run across.
    """
    if len(gaps) < _LEAST_ROWS:
        return None
    places = sorted({(left + right) / 2 for left, right in gaps})
    counted = [(sum(left < place < right for left, right in gaps), place) for place in places]
    most = max(counted)[0]
    # The middle of the places that are as good: rows of unequal length leave a corridor.
    best = statistics.median_low([place for count, place in counted if count == most])
    across = sum(line.left < best < line.right for line in lines if not line.table)
    return best if most >= _LEAST_ROWS and (across - most) * 4 <= most else None


def in_columns(lines: Sequence[Line], place: float) -> list[Line] | None:
    """Cut lines in the order of reading; None when what stands side by side is too short for columns."""
    left = [line for line in lines if line.right <= place]
    right = [line for line in lines if line.left >= place]
    if min(_usual(left), _usual(right)) < _LONG:
        return None
    ordered: list[Line] = []
    waiting: list[Line] = []
    # A line across both columns, a title, closes what stands above it.
    for line in sorted(lines, key=lambda line: -line.top):
        if line.left < place < line.right:
            ordered += _parted(waiting, place)
            ordered.append(line)
            waiting = []
        else:
            waiting.append(line)
    return ordered + _parted(waiting, place)


def _parted(lines: Sequence[Line], place: float) -> list[Line]:
    return [line for line in lines if line.right <= place] + [line for line in lines if line.right > place]


def _usual(lines: Sequence[Line]) -> float:
    return statistics.median([len(line.text.encode("gb18030", "replace")) for line in lines]) if lines else 0.0
