"""The gates: hard needs that an approach fails with both numbers said. What was not measured does not pass a gate.

Knows nothing about costs or about who would win.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from tunewise.costs import complexity, far, update_seconds
from tunewise.nouns import Comparison, Needs, Reason, Standing

CITED = 0.5
"""`citations_required`: at least this share of the answers has to carry a verified citation."""


SHARES = {"max_wrong": ("wrong", "wrong answers", "错误回答"),
          "max_false_refusals": ("false_refusal", "false refusals", "误拒")}
"""Gates on shares of the questions, which every resample asks again: key of [needs], score, words."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One gate that an approach fails: its key in [needs] ("" where it answered nothing), what is said, what was
    measured (None: it was not) and the limit."""

    gate: str
    said: Reason
    value: float | None = None
    limit: float | None = None


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
        standing.approach.model if far(standing.approach) else "")


def cited_share(comparison: Comparison, name: str) -> float:
    """Share of an approach's answers (neither refused nor failed) that carry a verified citation; 0 without answers."""
    answers = [row[name].answer for row in comparison.rows.values()]
    said = [answer for answer in answers if not answer.refused and answer.error is None]
    return sum(any(c.verified for c in answer.citations) for answer in said) / len(said) if said else 0.0


def _never_learns(comparison: Comparison, standing: Standing) -> bool:
    """Whether facts are asked for, and neither an index nor trained weights hold any."""
    return not complexity(standing.approach) and any(question.need == "facts" for question in comparison.questions)


def gate(comparison: Comparison, standing: Standing, needs: Needs) -> tuple[Fault, ...]:
    """The gates that an approach fails, those that are facts first; empty when it passes all."""
    if comparison.questions and standing.errors == len(comparison.questions):
        count = standing.errors
        return (Fault("", Reason(f"it failed on all {count} questions", f"{count} 题全部报错", float(count))),)
    return (*_facts(comparison, standing, needs), *_shares(standing, needs))


def said(faults: Sequence[Fault]) -> Reason:
    """Several faults as one sentence; its number is the first one's."""
    return Reason("; ".join(fault.said.text for fault in faults), "；".join(fault.said.text_zh for fault in faults),
                  faults[0].said.value)


def _over(gate: str, words: str, words_zh: str, value: float | None, limit: float, unit: str = "", *,
          digits: int = 3) -> Iterator[Fault]:
    """The fault of a value above its limit, or of one that nobody measured."""
    if value is None:
        yield Fault(gate, Reason(f"{words}, not measured: ? > {limit:g}{unit}",
                                 f"{words_zh}未测量：? > {limit:g}{unit}"), None, limit)
    elif value > limit + 1e-12:
        yield Fault(gate, Reason(f"{words} {value:.{digits}f}{unit} > {limit:g}{unit}",
                                 f"{words_zh} {value:.{digits}f}{unit} > {limit:g}{unit}", value), value, limit)


def _shares(standing: Standing, needs: Needs) -> Iterator[Fault]:
    for key, (metric, words, words_zh) in SHARES.items():
        limit: float | None = getattr(needs, key)
        if limit is not None:
            found = standing.metrics.get(metric)
            yield from _over(key, words, words_zh, None if found is None else found.mean, limit)


def _facts(comparison: Comparison, standing: Standing, needs: Needs) -> Iterator[Fault]:
    approach, cost = standing.approach, standing.cost
    if needs.max_p95_seconds is not None:
        alone = len(cost.alone_seconds)
        few, few_zh = (f" (of {alone} asked one at a time)", f"（逐个提问 {alone} 题）") if alone else ("", "")
        yield from _over("max_p95_seconds", f"p95 latency{few}", f"p95 延迟{few_zh}", standing.seconds_p95 or None,
                         needs.max_p95_seconds, " s", digits=2)
    if needs.max_memory_gb is not None:
        # What this process holds while somebody else's system answers says nothing about that system.
        here = 0 if approach.answers or approach.endpoint else max(cost.peak_memory_bytes, cost.train_memory_bytes)
        yield from _over("max_memory_gb", "memory", "内存", here / 1e9 or None, needs.max_memory_gb, " GB", digits=2)
    if needs.max_update_minutes is not None:
        yield from _late(comparison, standing, needs.max_update_minutes)
    if needs.citations_required and (share := cited_share(comparison, approach.name)) < CITED:
        yield Fault("citations_required", Reason(
            f"answers with a verified citation {share:.2f} < {CITED:g}", f"带已核实引用的回答 {share:.2f} < {CITED:g}",
            share), share, CITED)
    if not needs.data_may_leave and (address := _address(comparison, standing)) and not stays_here(address):
        yield Fault("data_may_leave", Reason(f"data would leave this machine: {address}", f"数据会离开本机：{address}"))
    if needs.max_forgetting is not None and (approach.adapter or approach.recipe):
        lost = None if standing.forgetting is None else -standing.forgetting.mean
        yield from _over("max_forgetting", "forgetting", "遗忘", lost, needs.max_forgetting)


def _late(comparison: Comparison, standing: Standing, limit: float) -> Iterator[Fault]:
    key, seconds = "max_update_minutes", update_seconds(standing.approach, standing.cost)
    if seconds is not None and _never_learns(comparison, standing):
        yield Fault(key, Reason(f"a changed fact never reaches its answers: ∞ > {limit:g} min",
                                f"更改的事实永远不会进入其回答：∞ > {limit:g} min"), None, limit)
    else:
        minutes = None if seconds is None else seconds / 60
        yield from _over(key, "time to update a fact", "更新一个事实所需时间", minutes, limit, " min", digits=1)
