"""The hand-labelled sentences of tests/data: answers as a model might give them, against sections of the two handbooks.

Labels: g grounded (all of it follows from the section), p partly (something was added), u ungrounded, c contradicted.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

DATA = Path(__file__).parent / "data"
HANDBOOKS = Path(__file__).parent.parent / "examples"


class Labelled(NamedTuple):
    """One sentence with its label and the section that it was judged against."""

    sentence: str
    label: str
    section: str


def section(handbook: str, name: str) -> str:
    """The text under one heading ("policies/returns.md > Bench check") of a handbook's source."""
    file, heading = name.split(" > ")
    text = (HANDBOOKS / handbook / "source" / file).read_text(encoding="utf-8")
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"{name} is not in {handbook}"
    return f"{heading}\n{found[1].strip()}"


def labelled(language: str) -> list[Labelled]:
    """All sentences of a language ("en" or "zh"), in the order of the file."""
    handbook = {"en": "handbook", "zh": "handbook-zh"}[language]
    rows, text = [], ""
    for line in (DATA / f"grounding.{language}.txt").read_text(encoding="utf-8").splitlines():
        mark, _, rest = line.partition(" ")
        if mark == "@":
            text = section(handbook, rest)
        else:
            rows.append(Labelled(rest, mark, text))
    return rows


def figures(rows: list[Labelled], found: list[bool]) -> dict[str, float]:
    """Precision and recall of "grounded", and the share of each label that was taken for it."""
    right = sum(yes and row.label == "g" for row, yes in zip(rows, found, strict=True))
    shares = {
        label: sum(yes for row, yes in zip(rows, found, strict=True) if row.label == label)
        / sum(row.label == label for row in rows)
        for label in "gpuc"
    }
    return {"precision": right / sum(found), "recall": shares.pop("g"), **shares}
