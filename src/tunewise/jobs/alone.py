"""What one user waits: a few questions asked one at a time, measured once for each run and kept in its folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tunewise.answers import Ask
from tunewise.nouns import Question
from tunewise.store import read_json, write_json

ALONE = 4
"""Questions asked one at a time to see what one user waits; the others are answered in batches."""


def seconds_alone(ask: Ask, questions: Sequence[Question], folder: Path) -> tuple[float, ...]:
    """Seconds of a few questions asked one at a time, after one that warms up; empty when the approach fails.

    A run that goes on reads what `folder` holds of it, so that no question is asked twice.
    """
    kept = folder / "alone.json"
    if kept.is_file():
        return tuple(read_json(kept))
    some = [questions[i * len(questions) // ALONE] for i in range(min(ALONE, len(questions)))]
    try:
        ask(some[:1])
        answers = [ask([question])[0] for question in some]
    except Exception:
        # The same failure comes up again, and is recorded by question, when the run itself asks.
        return ()
    found = tuple(answer.seconds for answer in answers)
    if not any(answer.error for answer in answers):
        folder.mkdir(parents=True, exist_ok=True)
        write_json(kept, list(found))
    return found
