"""The XML of a chart in an Office file → its title and the numbers behind it as a Markdown table.

Read from the values that are stored with the chart, whatever its kind: nothing is computed or drawn.
"""

from __future__ import annotations

from typing import Any

from tunewise.reading.draft import one_line, pipe_table

_C = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"
_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_MOST_ROWS = 5000


def chart_text(chart: Any) -> list[str]:
    """[title, table] of a chart's root element, what is missing left out; a row is a category, a column a series."""
    found = []
    title = chart.find(f"{_C}chart/{_C}title")
    if title is not None and (text := one_line("".join(part.text or "" for part in title.iter(_A + "t")))):
        found.append(text)
    names: dict[int, str] = {}
    columns: list[tuple[str, dict[int, str]]] = []
    for series in chart.iter(_C + "ser"):
        name = " ".join(_points(series.find(_C + "tx")).values())
        categories = _points(series.find(_C + "cat")) or _points(series.find(_C + "xVal"))
        names = names or categories
        values = _points(series.find(_C + "val")) or _points(series.find(_C + "yVal"))
        if values:
            columns.append((name, values))
    places = sorted({place for _, values in columns for place in values} | set(names if columns else ()))
    rows = [["", *(name for name, _ in columns)]]
    rows += [
        [names.get(place, ""), *(values.get(place, "") for _, values in columns)] for place in places[:_MOST_ROWS]
    ]
    if columns and (table := pipe_table(rows)):
        found.append(table)
    return found


def _points(element: Any) -> dict[int, str]:
    """{place: value} of the points that are stored with a series."""
    points = {}
    for point in element.iter(_C + "pt") if element is not None else ():
        value = point.find(_C + "v")
        if value is not None and (point.get("idx") or "").isdigit():
            points[int(point.get("idx"))] = _number(one_line(value.text or ""))
    if element is not None and not points and (single := element.find(_C + "v")) is not None:
        points[0] = one_line(single.text or "")
    return points


def _number(text: str) -> str:
    try:
        return f"{float(text):.15g}"
    except ValueError:
        return text
