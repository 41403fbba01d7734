"""Where the keys of a TOML text stand, so that a fault can name its line. Knows no setting."""

from __future__ import annotations

import re


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
