"""From which value on the choice turns: the margin, the label price, the volume and the gates, one at a time.

Knows the rule and the numbers it read; every threshold is one at which the rule, asked again, chooses another.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from tunewise.nouns import Bill, Comparison, Needs, Reason, Threshold
from tunewise.recommendation.gates import Fault, gate
from tunewise.recommendation.rule import Evidence, point, shortfalls

FARTHEST = 1000.0
"""A price or a volume is looked at up to a thousand times the user's."""
WIDEST = 0.3
"""Nobody gives up more quality than that for a cheaper approach."""
_HALVINGS = 40
LIMITS = ("max_wrong", "max_false_refusals", "max_p95_seconds", "max_memory_gb", "max_update_minutes", "max_forgetting")
"""The gates of [needs] that are numbers."""


def thresholds(
    comparison: Comparison, needs: Needs, evidence: Evidence, choice: str, lines: Sequence[Bill],
    faults: Mapping[str, Sequence[Fault]],
) -> tuple[Threshold, ...]:
    """Every value of [needs] at which another approach would be chosen, all else as it is."""
    return (*_margins(evidence, choice), *_costs(comparison, needs, evidence, choice, lines),
            *_opened(evidence, choice, faults), *_shut(comparison, needs, evidence, choice))


def _margins(evidence: Evidence, choice: str) -> Iterator[Threshold]:
    """From which margin on each approach that costs less wins; the smallest first, as each cheaper one comes in."""
    _, short = shortfalls(evidence)
    seen = {choice}
    for margin in sorted(math.ceil(1000 * value + 1e-6) / 1000 for value in short.values()):
        if margin > WIDEST:
            return
        other = point(replace(evidence, margin=max(margin, evidence.margin)))
        if other is not None and other not in seen:
            seen.add(other)
            yield Threshold("margin", margin, False, other, Reason(
                f"From a margin of {margin:g} on (now {evidence.margin:g}), {other} would be chosen.",
                f"若 margin 达到 {margin:g}（现为 {evidence.margin:g}），则会选择 {other}。", margin))


def _turn(chosen: Callable[[float], str | None], choice: str, here: float, there: float) -> float | None:
    """The value between `here`, where the choice holds, and `there` at which it turns; None where it does not."""
    if chosen(there) == choice:
        return None
    for _ in range(_HALVINGS):
        middle = (here + there) / 2
        here, there = (middle, there) if chosen(middle) == choice else (here, middle)
    return there


def _costs(
    comparison: Comparison, needs: Needs, evidence: Evidence, choice: str, lines: Sequence[Bill]
) -> Iterator[Threshold]:
    """The label price and the volume at which costs cross so far that the choice turns, upwards and downwards."""
    bills = {line.name: line for line in lines}
    labels = {standing.approach.name: standing.cost.labels for standing in comparison.standings}

    def chosen_by(cost: Callable[[str], float]) -> str | None:
        return point(replace(evidence, costs=np.array([cost(name) for name in evidence.names])))

    def at_price(price: float) -> str | None:
        # Added up as a bill is, so that the last digits decide nothing.
        return chosen_by(lambda name: replace(bills[name], labels=labels[name] * price).total)

    def at_volume(volume: float) -> str | None:
        return chosen_by(lambda name: bills[name].fixed + (bills[name].rate * volume if volume else 0.0))

    asked = (("price_label", at_price, needs.price_label, "a label price", "标注价格"),
             ("answers_per_month", at_volume, float(needs.answers_per_month), "answers a month", "每月作答次数"))
    for key, chosen, now, words, words_zh in asked:
        for below in (True, False):
            end = 0.0 if below else FARTHEST * max(now, 0.01)
            value = _turn(chosen, choice, now, end) if now != end else None
            if value is None or (other := chosen(value)) is None:
                continue
            volume = key == "answers_per_month"
            number, today = (f"{value:,.0f}", f"{now:,.0f}") if volume else (f"{value:.3g}", f"{now:,.3g}")
            if not float(number.replace(",", "")):
                # What is said of nought has to hold there.
                value, other = 0.0, chosen(0.0)
                if other is None or other == choice:
                    continue
            text = f"{number} {words}" if volume else f"{words} of {number}"
            side, side_zh = ("or less", "及以下") if below else ("or more", "及以上")
            yield Threshold(key, value, below, other, Reason(
                f"At {text} {side} (now {today}), {other} would be chosen.",
                f"若{words_zh}为 {number} {side_zh}（现为 {today}），则会选择 {other}。", value))


def _opened(evidence: Evidence, choice: str, faults: Mapping[str, Sequence[Fault]]) -> Iterator[Threshold]:
    """The gates that keep out an approach which would else be chosen, where one gate alone does."""
    for name, failed in faults.items():
        fault = failed[0]
        if len(failed) > 1 or fault.value is None or fault.limit is None:
            continue
        allowed = evidence.fixed | (np.array(evidence.names) == name)
        if point(replace(evidence, fixed=allowed)) != name:
            continue
        # A limit lets in what it is no smaller than, so that digits are cut upwards.
        value = math.ceil(1000 * fault.value) / 1000
        if fault.gate == "citations_required":
            said = Reason(f"Without citations_required, {name} would be chosen.",
                          f"若不要求引用（citations_required），则会选择 {name}。", fault.value)
        else:
            said = Reason(f"With {fault.gate} at {value:g} or more (now {fault.limit:g}), {name} would be chosen.",
                          f"若 {fault.gate} 放宽到 {value:g} 及以上（现为 {fault.limit:g}），则会选择 {name}。", value)
        yield Threshold(fault.gate, value, fault.gate == "citations_required", name, said)


def _shut(comparison: Comparison, needs: Needs, evidence: Evidence, choice: str) -> Iterator[Threshold]:
    """Under which limit each gate would take the choice away, and to whom it would go."""
    mine = next(s for s in comparison.standings if s.approach.name == choice)
    # Limits of nothing are failed by everything that was measured, each with its value.
    for fault in gate(comparison, mine, replace(needs, **dict.fromkeys(LIMITS, 0.0))):
        if fault.gate not in LIMITS or fault.value is None:
            continue
        stricter = replace(needs, **{fault.gate: fault.value * (1 - 1e-6)})
        allowed = np.array([
            fine and not any(one.gate == fault.gate for one in gate(comparison, standing, stricter))
            for standing, fine in zip(comparison.standings, evidence.fixed, strict=True)])
        other = point(replace(evidence, fixed=allowed))
        value = math.floor(1000 * fault.value) / 1000
        then, then_zh = (f"then {other}", f"届时选 {other}") if other else ("then nothing is left", "届时无方案可选")
        yield Threshold(fault.gate, value, True, other, Reason(
            f"{fault.gate} under {value:g} ({then})", f"{fault.gate} 低于 {value:g}（{then_zh}）", value))


def sentences(found: Sequence[Threshold], choice: str) -> tuple[Reason, ...]:
    """The thresholds as they are said: one sentence each, but the gates that would exclude the choice in one."""
    shut = [one for one in found if one.below and one.key in LIMITS]
    said = [one.said for one in found if one not in shut]
    if shut:
        said.append(Reason(f"{choice} would be excluded by {', '.join(one.said.text for one in shut)}.",
                           f"以下任一门槛会排除 {choice}：{'、'.join(one.said.text_zh for one in shut)}。"))
    return tuple(said)


__all__ = ["sentences", "thresholds"]
