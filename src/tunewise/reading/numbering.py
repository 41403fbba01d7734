"""Numbers that Word draws but does not store ("3.2", "(a)"), worked out from its numbering part.

Knows list levels, number formats and restarts; nothing about the text of a document.
"""

from __future__ import annotations

import re
from typing import Any

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"


class Numbering:
    """Numbers that Word draws but does not store ("3.2", "(a)"): people ask for rules by them."""

    def __init__(self, document: Any) -> None:
        self.levels: dict[str, dict[int, tuple[str, str, int]]] = {}
        self.counts: dict[str, list[int]] = {}
        self.shared: dict[str, str] = {}
        part = next(
            (
                r.target_part
                for r in document.part.rels.values()
                if not r.is_external and r.reltype.endswith("/numbering")
            ),
            None,
        )
        if part is None:
            return
        from lxml import etree

        root = etree.fromstring(part.blob, etree.XMLParser(resolve_entities=False, no_network=True))
        abstract = {a.get(_W + "abstractNumId"): a for a in root.iter(_W + "abstractNum")}
        for number in root.iter(_W + "num"):
            link = number.find(_W + "abstractNumId")
            source = abstract.get(link.get(_W + "val")) if link is not None else None
            if source is None:
                continue
            levels = {}
            for level in source.iter(_W + "lvl"):
                value = {
                    tag: (found.get(_W + "val") or "") if (found := level.find(_W + tag)) is not None else ""
                    for tag in ("numFmt", "lvlText", "start")
                }
                start = int(value["start"]) if value["start"].isdigit() else 1
                levels[int(level.get(_W + "ilvl") or 0)] = (value["numFmt"], value["lvlText"], start)
            name = number.get(_W + "numId") or ""
            self.levels[name] = levels
            restarts = number.find(f"{_W}lvlOverride/{_W}startOverride") is not None
            self.shared[name] = name if restarts else "a" + (link.get(_W + "val") or "")

    def marker(self, paragraph: Any, styles: dict[str, Any]) -> str:
        """What Word writes before the paragraph: "3.2", "(a)", "-" for a bullet, "" for no list."""
        properties = paragraph.find(f"{_W}pPr/{_W}numPr")
        style = paragraph.find(f"{_W}pPr/{_W}pStyle")
        current = styles.get(style.get(_W + "val")) if style is not None else None
        steps = 0
        # A damaged file may let styles rest on one another in a ring.
        while properties is None and current is not None and (steps := steps + 1) < 20:
            properties, current = current.element.find(f"{_W}pPr/{_W}numPr"), current.base_style
        if properties is None:
            return ""
        number, depth = properties.find(_W + "numId"), properties.find(_W + "ilvl")
        name = (number.get(_W + "val") or "") if number is not None else ""
        levels = self.levels.get(name)
        level = int(depth.get(_W + "val") or 0) if depth is not None else 0
        if not levels or level not in levels:
            return ""
        shape, pattern, _ = levels[level]
        if shape in ("bullet", "none", ""):
            return "-" if shape == "bullet" else ""
        counts = self.counts.setdefault(self.shared[name], [])
        while len(counts) <= level:
            counts.append(levels.get(len(counts), ("", "", 1))[2] - 1)
        counts[level] += 1
        for above in range(level):
            counts[above] = max(counts[above], levels.get(above, ("", "", 1))[2])
        del counts[level + 1 :]
        return re.sub(
            "%([1-9])",
            lambda match: (
                _write(counts[i], levels.get(i, ("", "", 1))[0]) if (i := int(match[1]) - 1) < len(counts) else ""
            ),
            pattern,
        ).strip()


def _write(number: int, shape: str) -> str:
    if shape in ("lowerLetter", "upperLetter"):
        letter = chr(ord("a") + (number - 1) % 26) * ((number - 1) // 26 + 1)
        return letter.upper() if shape == "upperLetter" else letter
    if shape in ("lowerRoman", "upperRoman"):
        roman = ""
        for value, sign in (
            (1000, "m"),
            (900, "cm"),
            (500, "d"),
            (400, "cd"),
            (100, "c"),
            (90, "xc"),
            (50, "l"),
            (40, "xl"),
            (10, "x"),
            (9, "ix"),
            (5, "v"),
            (4, "iv"),
            (1, "i"),
        ):
            roman, number = roman + sign * (number // value), number % value
        return roman.upper() if shape == "upperRoman" else roman
    if (
        shape.startswith(("chineseCounting", "japaneseCounting", "ideographDigital", "taiwaneseCounting"))
        and number < 100
    ):
        digits = "〇一二三四五六七八九"
        tens, ones = divmod(number, 10)
        return ("" if tens == 0 else "十" if tens == 1 else digits[tens] + "十") + (
            digits[ones] if ones or not tens else ""
        )
    return str(number)
