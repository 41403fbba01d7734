"""The audit log's hash chain: each line's hash covers its fields and the hash before it, so that an alteration shows.

A chain proves order and integrity against edits, insertions and deletions inside it; whoever can rewrite the whole
database can rewrite the whole chain, so `head` is worth keeping somewhere else.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from tunewise.store import fingerprint

GENESIS = "0" * 64


@dataclass(frozen=True, slots=True)
class Line:
    """One line: who did what to what, and when (UTC, ISO 8601). `details` is canonical JSON."""

    number: int
    time: str
    principal: str
    action: str
    target: str
    details: str
    hash: str = ""


def line_hash(before: str, line: Line) -> str:
    """SHA-256 over the hash before and every field of a line."""
    return fingerprint([before, line.number, line.time, line.principal, line.action, line.target, line.details])


def sealed(before: str, line: Line) -> Line:
    """A line with its hash."""
    return replace(line, hash=line_hash(before, line))


def faults(lines: Iterable[Line], *, kept: str | None = None) -> list[str]:
    """What is wrong with a chain, in its order: a number that is missing or doubled, a line that was altered.

    `kept`: the newest hash of an earlier look; where it is gone, lines were cut off at the end or made anew.
    """
    found: list[str] = []
    lost = kept is not None and kept != GENESIS
    before, expected = GENESIS, 1
    for line in lines:
        if line.number != expected:
            found.append(f"line {expected} is missing: line {line.number} follows")
        elif line_hash(before, line) != line.hash:
            found.append(f"line {line.number} was altered")
        before, expected = line.hash, line.number + 1
        lost = lost and line.hash != kept
    return [*found, "the line of the hash that was kept is not there"] if lost else found
