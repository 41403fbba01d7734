"""The gates: hard needs that an approach fails with both numbers said. What was not measured does not pass a gate.

Knows nothing about costs or about who would win.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from tunewise.costs import complexity, update_seconds
from tunewise.nouns import Comparison, Needs, Standing

CITED = 0.5
"""`citations_required`: at least this share of the answers has to carry a verified citation."""


def stays_here(address: str) -> bool:
    """Whether an address is this very machine: all that can be said of where data goes without asking anybody."""
    host = urlsplit(address if "://" in address else f"//{address}").hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _address(comparison: Comparison, standing: Standing) -> str:
    """Where an approach's questions went; empty when they went nowhere."""
    run = comparison.identity.get("runs", {}).get(standing.approach.name, {})
    model = run.get("model", {})
    known = model.get("address", "") if isinstance(model, dict) else ""
    return standing.approach.endpoint or known or (
        standing.approach.model if standing.approach.model.startswith("openai:") else "")


def cited_share(comparison: Comparison, name: str) -> float:
    """Share of an approach's answers (neither refused nor failed) that carry a verified citation; 0 without answers."""
    answers = [row[name].answer for row in comparison.rows.values()]
    said = [answer for answer in answers if not answer.refused and answer.error is None]
    return sum(any(c.verified for c in answer.citations) for answer in said) / len(said) if said else 0.0


def _never_learns(comparison: Comparison, standing: Standing) -> bool:
    """Whether facts are asked for, and neither an index nor trained weights hold any."""
    return not complexity(standing.approach) and any(question.need == "facts" for question in comparison.questions)


def gate(comparison: Comparison, standing: Standing, needs: Needs) -> str:
    """The gates that an approach fails, in plain words with both numbers; empty when it passes all."""
    if comparison.questions and standing.errors == len(comparison.questions):
        return f"it failed on all {standing.errors} questions"
    failed = []
    for metric, limit, label in (("wrong", needs.max_wrong, "wrong answers"),
                                 ("false_refusal", needs.max_false_refusals, "false refusals")):
        if limit is not None and metric in standing.metrics and standing.metrics[metric].mean > limit + 1e-12:
            failed.append(f"{label} {standing.metrics[metric].mean:.3f} > {limit:g}")
    cost = standing.cost
    memory = max(cost.peak_memory_bytes, cost.train_memory_bytes) / 1e9
    minutes = update_seconds(standing.approach, cost) / 60
    hard = []
    if needs.max_p95_seconds is not None and standing.approach.answers and not standing.seconds_p95:
        hard.append(f"p95 latency is not told: ? > {needs.max_p95_seconds:g} s")
    elif needs.max_p95_seconds is not None and standing.seconds_p95 > needs.max_p95_seconds:
        alone = len(standing.cost.alone_seconds)
        few = f" (of {alone} asked one at a time)" if alone else ""
        hard.append(f"p95 latency{few} {standing.seconds_p95:.2f} s > {needs.max_p95_seconds:g} s")
    if needs.max_memory_gb is not None and memory > needs.max_memory_gb:
        hard.append(f"memory {memory:.2f} GB > {needs.max_memory_gb:g} GB")
    if needs.max_update_minutes is not None and (standing.approach.answers or standing.approach.endpoint):
        hard.append(f"time to update a fact is not known: ? > {needs.max_update_minutes:g} min")
    elif needs.max_update_minutes is not None and _never_learns(comparison, standing):
        hard.append(f"a changed fact never reaches its answers: ∞ > {needs.max_update_minutes:g} min")
    elif needs.max_update_minutes is not None and minutes > needs.max_update_minutes:
        hard.append(f"time to update a fact {minutes:.1f} min > {needs.max_update_minutes:g} min")
    if needs.citations_required and (share := cited_share(comparison, standing.approach.name)) < CITED:
        hard.append(f"answers with a verified citation {share:.2f} < {CITED:g}")
    if not needs.data_may_leave and (address := _address(comparison, standing)) and not stays_here(address):
        hard.append(f"data would leave this machine: {address}")
    if needs.max_forgetting is not None and (standing.approach.adapter or standing.approach.recipe):
        if standing.forgetting is None:
            hard.append(f"forgetting was not measured: ? > {needs.max_forgetting:g}")
        elif -standing.forgetting.mean > needs.max_forgetting + 1e-12:
            hard.append(f"forgetting {-standing.forgetting.mean:.3f} > {needs.max_forgetting:g}")
    return "; ".join(hard + failed)
