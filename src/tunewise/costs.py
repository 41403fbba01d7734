"""What an approach costs: to set up, per answer, per update of a fact, in money and in parts to look after.

Knows nothing about quality or about choosing; every figure comes from what its run kept.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tunewise.nouns import Approach, Assembly, Bill, Cost, Needs, Row

JOULES_PER_KWH = 3.6e6


def update_seconds(approach: Approach, cost: Cost) -> float | None:
    """Machine seconds until one changed fact is in the answers; None where nobody measured them.

    What was measured of an update, where it was; else the indexing of all documents where there is an index (at most
    that), training again where the adapter alone holds the facts, and 0 for a prompt that holds none.
    """
    if approach.answers or approach.endpoint:
        return None
    if cost.update_seconds is not None:
        return cost.update_seconds
    if approach.index:
        return cost.index_seconds or None
    return (cost.train_seconds or None) if approach.adapter or approach.recipe else 0.0


def far(approach: Approach) -> bool:
    """Whether somebody else's machine answers: an endpoint, or a model behind one."""
    return bool(approach.endpoint) or approach.model.startswith(("openai:", "ollama:"))


def bill(approach: Approach, cost: Cost, rows: Sequence[Row], needs: Needs) -> Bill:
    """What the needs' months cost, part by part, from the measured rows.

    An answer is charged by its seconds of machine time; behind an endpoint by its tokens, where the user gave a price
    for them; by its `price` where there is one. Energy that was read is charged on top where it has a price.
    """
    hour, joule = needs.price_cpu_hour / 3600, needs.price_kwh / JOULES_PER_KWH
    trained = (cost.train_joules or 0.0) * joule
    update = update_seconds(approach, cost)
    # What is trained again takes the energy again; what is ingested takes what nobody has read.
    each_update = None if update is None else update * hour + (trained if update and not approach.index else 0.0)
    each = _money_per_answer(approach, rows, needs, (cost.answer_joules or 0.0) * joule)
    rate = each * needs.months
    return Bill(
        approach.name, labels=cost.labels * needs.price_label,
        set_up=(cost.train_seconds + cost.index_seconds) * hour + trained,
        updates=needs.updates_per_month * needs.months * (each_update or 0.0),
        # Nothing times infinity is not a number; no answers cost nothing, whatever one would.
        answers=rate * needs.answers_per_month if needs.answers_per_month else 0.0, rate=rate,
        per_update=each_update, per_answer=each,
    )


def _money_per_answer(approach: Approach, rows: Sequence[Row], needs: Needs, energy: float) -> float:
    fine = [row.answer for row in rows if row.answer.error is None]
    if rows and not fine:
        # Nobody knows what an answer costs that never came.
        return math.inf
    if approach.price is not None:
        return approach.price
    seconds = seconds_per_answer(rows)
    if approach.answers and not seconds:
        # A file of answers that tells no seconds, and no price: what nobody knows must not look cheap.
        return math.inf
    if far(approach) and (needs.price_tokens_in or needs.price_tokens_out):
        bought = [a.tokens_in * needs.price_tokens_in + a.tokens_out * needs.price_tokens_out for a in fine]
        return float(np.mean(bought)) / 1e6 if bought else 0.0
    return seconds / 3600 * needs.price_cpu_hour + energy


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
