"""The parts of a decision in sentences: the front, who is best where, a router, break-even, warnings, the first guess.

Repeats what a Recommendation says; it works nothing out.
"""

from __future__ import annotations

from itertools import groupby

from tunewise.amounts import apart, number, points, usable
from tunewise.nouns import BreakEven, Recommendation, Winner
from tunewise.reports.words import VALUES, Say, listing, percent, rough, stratum_phrase

_BY = {"need": Say("need", "需求"), "kind": Say("kind", "题型"), "language": Say("language", "语言")}
VERDICTS = {
    "right": Say("The first guess was right", "初步猜测正确"),
    "as good": Say("The first guess was as good", "初步猜测同样好"),
    "wrong": Say("The first guess was wrong", "初步猜测不成立"),
    "not measured": Say("The first guess was not measured", "初步猜测未被测量"),
}


def front(recommendation: Recommendation | None) -> list[Say]:
    """Who is on the Pareto front, each with the probability that it is."""
    if recommendation is None or not recommendation.front:
        return []
    on = sorted(recommendation.on_front, key=lambda name: -recommendation.front.get(name, 0.0))
    off = [name for name, share in recommendation.front.items() if name not in on and share >= 0.1]
    said = ", ".join(f"{name} {percent(recommendation.front[name])}" for name in on if name in recommendation.front)
    maybe = ", ".join(f"{name} {percent(recommendation.front[name])}" for name in off)
    more = Say(f"; perhaps {maybe}", f"；可能还有 {maybe}") if maybe else Say("", "")
    return [Say(f"{said}{more.en} (probability that nothing else is both cheaper and at least as good)",
                f"{said}{more.zh}（没有既更便宜又不差的方案的概率）")]


def where(recommendation: Recommendation | None) -> list[Say]:
    """The strata in which another approach than the choice has the highest mean; shown ones are called better."""
    if recommendation is None or not recommendation.choice:
        return []
    others = [w for w in recommendation.winners if w.name != recommendation.choice and w.mean > w.choice_mean]
    # The same questions under a second name (all that is unanswerable, the kind "unanswerable") are no news.
    once = {(w.name, w.n, w.mean, w.choice_mean): w for w in sorted(others, key=lambda w: w.stratum, reverse=True)}
    return [_where(w, recommendation.choice) for w in sorted(once.values(), key=lambda w: (not w.better, w.stratum))]


def _where(winner: Winner, choice: str) -> Say:
    what = stratum_phrase(winner.stratum)
    sure = Say("shown to be better", "确实更好") if winner.better else Say("not shown to be better", "尚无法证明更好")
    return Say(
        f"{what.en} ({winner.n}): {winner.name} {points(winner.mean)}, {choice} "
        f"{points(winner.choice_mean)}, {sure.en}",
        f"{what.zh}（{winner.n} 题）：{winner.name} {points(winner.mean)}，{choice} "
        f"{points(winner.choice_mean)}，{sure.zh}",
    )


def router(recommendation: Recommendation | None) -> list[Say]:
    """What sending questions to different approaches would gain, and whether that is shown."""
    found = recommendation.router if recommendation else None
    if found is None or recommendation is None:
        return []
    sent = [(kind, name) for kind, name in found.routes.items() if name != recommendation.choice]
    ways = {
        name: listing([VALUES.get(kind, Say(kind, kind)).en for kind, _ in pairs])
        for name, pairs in groupby(sorted(sent, key=lambda one: one[1]), key=lambda one: one[1])
    }
    ways_en = "; ".join(f"{name} for {kinds.en}" for name, kinds in ways.items())
    ways_zh = "；".join(f"{name} 用于 {kinds.zh}" for name, kinds in ways.items())
    by = _BY.get(found.by, Say(found.by, found.by))
    sure = Say("shown to be better", "确实更好") if found.better else Say("not shown to be better", "尚无法证明更好")
    span = apart(found.gain, found.low, found.high)
    return [Say(
        f"By {by.en} ({ways_en}; the rest to {recommendation.choice}): {span} points, cross-validated, {sure.en}; "
        f"together {number(found.cost)}",
        f"按{by.zh}（{ways_zh}；其余用 {recommendation.choice}）：{span} 分，经交叉验证，{sure.zh}；合计成本 "
        f"{number(found.cost)}",
    )]


def even(one: BreakEven) -> Say:
    """From which volume on another approach costs less than the choice, or that it never does."""
    if one.volume is None:
        return Say("never cheaper", "从不更便宜")
    if one.volume <= 0:
        return Say("cheaper at any volume", "任何用量都更便宜")
    volume = f"{rough(one.volume):,}"
    if one.below:
        return Say(f"cheaper below {volume} a month", f"每月少于 {volume} 次时更便宜")
    return Say(f"cheaper above {volume} a month", f"每月多于 {volume} 次时更便宜")


def break_even(recommendation: Recommendation | None) -> list[Say]:
    """One line for each approach: what it costs at the three volumes, and where it is cheaper than the choice."""
    if recommendation is None or not recommendation.bills:
        return []
    at = {one.other: even(one) for one in recommendation.break_even}
    volumes = [f"{volume:,}" for volume in recommendation.volumes]
    found = []
    for line in recommendation.bills:
        costs = [cost_at(recommendation, line.name, volume) for volume in recommendation.volumes]
        said = at.get(line.name, Say("", ""))
        found.append(Say(
            f"{line.name}: {' / '.join(costs)} at {' / '.join(volumes)} answers a month"
            + (f"; {said.en} than {recommendation.choice}" if said.en else ""),
            f"{line.name}：每月 {' / '.join(volumes)} 次作答时为 {' / '.join(costs)}"
            + (f"；与 {recommendation.choice} 相比，{said.zh}" if said.zh else ""),
        ))
    return found


def cost_at(recommendation: Recommendation, name: str, volume: int) -> str:
    """The total cost of an approach at a volume as text; empty where nobody knows it."""
    line = next((one for one in recommendation.bills if one.name == name), None)
    value = line.fixed + line.rate * volume if line else float("nan")
    return number(value) if usable(value) else "?"


def warnings(recommendation: Recommendation | None) -> list[Say]:
    """What has to be known before the choice is used."""
    return [Say(r.text, r.text_zh or r.text) for r in recommendation.warnings] if recommendation else []


def guess(recommendation: Recommendation | None) -> list[Say]:
    """What `tunewise advise` guessed before anything was built, and whether that was right."""
    found = recommendation.guess if recommendation else None
    if found is None or not found.verdict:
        return []
    word = VERDICTS.get(found.verdict, Say(found.verdict, found.verdict))
    more = Say(f": {found.said.text}", f"：{found.said.text_zh}") if found.said else Say("", "")
    return [Say(f"{word.en} ({found.family}){more.en}", f"{word.zh}（{found.family}）{more.zh}")]
