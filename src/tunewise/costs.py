"""What an approach costs: to set up, per answer, per update of a fact, in money and in parts to look after.

Knows nothing about quality or about choosing; every figure comes from what its run kept.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tunewise.nouns import Approach, Assembly, Bill, Cost, Needs, Row


def update_seconds(approach: Approach, cost: Cost) -> float:
    """Machine seconds until one changed fact is in the answers: indexing where there is an index (at most that of all
    documents), training again where the adapter alone holds the facts, 0 for a prompt that holds none."""
    return cost.index_seconds if approach.index else cost.train_seconds if approach.adapter or approach.recipe else 0.0


def far(approach: Approach) -> bool:
    """Whether somebody else's machine answers: an endpoint, or a model behind one."""
    return bool(approach.endpoint) or approach.model.startswith(("openai:", "ollama:"))


def total_cost(
    approach: Approach, cost: Cost, seconds: float, needs: Needs, *, tokens: tuple[float, float] = (0.0, 0.0)
) -> float:
    """Money over `Needs.months`: labels, setting up, answering and updates. An answer is charged by `seconds` of
    machine time; behind an endpoint by its `tokens` (in, out), where the user gave a price for them."""
    hours = cost.train_seconds + cost.index_seconds
    hours += needs.updates_per_month * needs.months * update_seconds(approach, cost)
    answers = needs.answers_per_month * needs.months
    bought = tokens[0] * needs.price_tokens_in + tokens[1] * needs.price_tokens_out
    if approach.price is not None:
        answering = answers * approach.price
    elif approach.answers and not seconds:
        # A file of answers that tells no seconds, and no price: what nobody knows must not look cheap.
        answering = math.inf if answers else 0.0
    elif far(approach) and (needs.price_tokens_in or needs.price_tokens_out):
        answering = answers * bought / 1e6
    else:
        answering = answers * seconds / 3600 * needs.price_cpu_hour
    return cost.labels * needs.price_label + hours / 3600 * needs.price_cpu_hour + answering


def bill(approach: Approach, cost: Cost, rows: Sequence[Row], needs: Needs) -> Bill:
    """The total cost as a straight line over the answers a month, from the measured rows."""
    fine = [row.answer for row in rows if row.answer.error is None]
    tokens = (float(np.mean([a.tokens_in for a in fine])), float(np.mean([a.tokens_out for a in fine]))) if fine else (
        0.0, 0.0)
    seconds = seconds_per_answer(rows)
    fixed, first = (total_cost(approach, cost, seconds, replace(needs, answers_per_month=n), tokens=tokens)
                    for n in (0, 1))
    if rows and not fine:
        # Nobody knows what an answer costs that never came.
        return Bill(approach.name, fixed, math.inf)
    return Bill(approach.name, fixed, first - fixed)


def assembly(approach: Approach, cost: Cost) -> Assembly:
    """What an approach consists of, counted from its parts; nothing is weighed.

    Artefacts: the prompt template and the model (somebody else's system: its address or its file), the index, the
    embedder, the adapter, the examples. Services: the model, and the index where there is one. Steps to update one
    fact: ingest where there is an index (RAFT learns to use what is handed to it: it is not trained again); label,
    train and roll out where the adapter alone holds the facts; 0 where nothing holds a fact.
    """
    others = bool(approach.answers or approach.endpoint)
    wears = bool(approach.adapter or approach.recipe)
    artefacts = 1 if others else 2 + bool(approach.examples) + wears + 2 * bool(approach.index)
    services = 0 if approach.answers else 1 + bool(approach.index)
    steps = None if others else 1 if approach.index else 3 if wears else 0
    return Assembly(artefacts, services, steps, cost.labels)


def complexity(approach: Approach) -> int:
    """How much there is to look after: 0 a prompt, 1 an index, 2 an adapter, 3 both."""
    return bool(approach.index) + 2 * bool(approach.adapter or approach.recipe)


def seconds_per_answer(rows: Sequence[Row]) -> float:
    """Mean machine seconds of the answers that did not fail (as measured, in batches)."""
    seconds = [row.answer.seconds for row in rows if row.answer.error is None]
    return float(np.mean(seconds)) if seconds else 0.0


def at_volume(line: Bill, needs: Needs) -> float:
    """Money over the months at the user's volume; infinite where nobody knows what an answer costs."""
    return line.fixed + (line.rate * needs.answers_per_month if needs.answers_per_month else 0.0)
