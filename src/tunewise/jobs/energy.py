"""How much energy answers take: an `ask` that reads this machine's counters around every batch.

Whatever else the machine does meanwhile is counted too; far systems use none of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tunewise.answers import Ask
from tunewise.machine import Meter
from tunewise.nouns import Answer, Cost, Question


class Metered:
    """`ask`, and what its answers took so far; questions that an earlier process answered are not among them."""

    def __init__(self, ask: Ask, meter: Meter | None = None) -> None:
        self.ask, self.meter = ask, meter or Meter()
        self.joules: float | None = 0.0
        self.answers = 0

    def __call__(self, questions: Sequence[Question]) -> Sequence[Answer]:
        """The answers of `ask`."""
        before = self.meter.read()
        answers = self.ask(questions)
        after = self.meter.read()
        if before is None or after is None or self.joules is None:
            self.joules = None
        else:
            self.joules += after - before
            self.answers += len(questions)
        return answers

    def onto(self, cost: Cost) -> Cost:
        """The cost with the energy of an answer, where it is known."""
        if not self.joules or not self.answers:
            return cost
        return replace(cost, answer_joules=self.joules / self.answers, energy_of=self.meter.parts)
