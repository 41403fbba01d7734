"""One setting: its kind, what is wrong with a value of it, and where a key stands in a file. Knows none by name."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Setting:
    """One key: its kind, its default, and whether the user file may hold it."""

    key: str
    kind: str
    default: Any
    choices: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    user: bool = True

    @property
    def env(self) -> str:
        """Its environment twin: the last part of the key, in capitals."""
        return "TUNEWISE_" + self.key.rpartition(".")[2].upper()


def key_lines(text: str) -> dict[tuple[str, ...], int]:
    """Line of every table header and key, found by their form: good enough to point at, not to parse."""
    part = r"""(?:"[^"\n]*"|'[^'\n]*'|[\w-]+)"""
    header = re.compile(rf"\s*\[\s*({part}(?:\s*\.\s*{part})*)\s*\]")
    key = re.compile(rf"\s*({part}(?:\s*\.\s*{part})*)\s*=")
    lines: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        if match := header.match(line):
            table = tuple(p.strip("\"'") for p in re.findall(part, match[1]))
            for length in range(1, len(table) + 1):
                lines.setdefault(table[:length], number)
        elif match := key.match(line):
            names = tuple(p.strip("\"'") for p in re.findall(part, match[1]))
            for length in range(1, len(names) + 1):
                lines.setdefault((*table, *names[:length]), number)
    return lines


_KINDS: dict[str, Callable[[Any], bool]] = {
    "text": lambda v: isinstance(v, str) and v != "",
    "model": lambda v: isinstance(v, str) and v != "",
    "template": lambda v: isinstance(v, str) and v != "",
    "path": lambda v: isinstance(v, (str, Path)) and str(v) != "",
    "whole": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "number": lambda v: isinstance(v, (int, float)) and not isinstance(v, bool),
    "yes or no": lambda v: isinstance(v, bool),
    "table": lambda v: isinstance(v, dict),
}
_WANTED = {
    "text": "a text in quotes", "model": "a model's name in quotes", "template": "a template's name in quotes",
    "path": "a path in quotes", "whole": "a whole number", "number": "a number", "yes or no": "true or false",
    "table": "a table",
}


def fault(value: Any, setting: Setting) -> str:
    """What is wrong with a value, or ""."""
    if not _KINDS[setting.kind](value):
        return f"{_WANTED[setting.kind]} is needed, not {value!r}"
    if setting.choices and value not in setting.choices:
        return f"{value!r} is none of {', '.join(setting.choices)}{near(value, setting.choices)}"
    # `not >=` also refuses nan, which TOML can write.
    if setting.low is not None and setting.kind in ("whole", "number") and not value >= setting.low:
        return f"at least {setting.low:g} is needed, not {value!r}"
    if setting.high is not None and setting.kind in ("whole", "number") and not value <= setting.high:
        return f"at most {setting.high:g} is possible, not {value!r}"
    return ""


def check(value: Any, setting: Setting, where: str, faults: list[str]) -> bool:
    wrong = fault(value, setting)
    if wrong:
        faults.append(f"{where}: {wrong}" if setting.key.rpartition(".")[2] in where else
                      f"{where}: {setting.key}: {wrong}")
    return not wrong


def parse(text: str, setting: Setting) -> Any:
    """An environment's text as the setting's kind; what is no number stays text and becomes a fault."""
    if setting.kind == "whole" and re.fullmatch(r"[+-]?\d+", text.strip()):
        return int(text)
    if setting.kind == "number" and re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)", text.strip()):
        return float(text)
    return text


def placed(value: Any, setting: Setting, base: Path) -> Any:
    """A path, written relative to `base`, as an absolute one. Names of models are paths when they start like one."""
    if not isinstance(value, (str, Path)) or not str(value):
        return value
    named = {"path": True, "model": str(value).startswith(("./", "../", "~")), "template": str(value).endswith(".toml")}
    if not named.get(setting.kind):
        return value
    place = base / Path(value).expanduser()
    # The model's room takes text; normpath, because resolve() would follow the user's links.
    return place if setting.kind == "path" else os.path.normpath(place)


def near(name: Any, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    return f" (did you mean {close[0]!r}?)" if close else ""
