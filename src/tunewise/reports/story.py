"""The decision in sentences: headline, how sure, what it costs, ties, rejections; the same words for every format.

Knows what a Recommendation says and repeats it; it decides nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields

from tunewise.amounts import interval, number, points, signed, usable
from tunewise.nouns import Comparison, Difference, Estimate, Needs, Recommendation, Standing
from tunewise.reports.words import NEEDS, Say, listing, p_value, percent, rough, sureness, verdict_word


def standing_of(comparison: Comparison, name: str | None) -> Standing | None:
    """The standing of an approach by name."""
    return next((s for s in comparison.standings if s.approach.name == name), None)


def needs_of(comparison: Comparison, needs: Needs | None) -> Needs | None:
    """The needs that were handed in, else those that the comparison's identity kept, else None: never a guess."""
    kept = comparison.identity.get("needs")
    if needs is None and isinstance(kept, Needs):
        return kept
    if needs is None and isinstance(kept, Mapping):
        known = {field.name for field in fields(Needs)}
        return Needs(**{str(key): value for key, value in kept.items() if key in known})
    return needs


def headline(comparison: Comparison, recommendation: Recommendation | None) -> Say:
    """The answer in one sentence."""
    if recommendation is None:
        best = comparison.standings[0].approach.name if comparison.standings else ""
        return (
            Say(f"Best measured: {best}.", f"实测最佳：{best}。")
            if best
            else Say("Nothing was measured.", "没有测量任何方案。")
        )
    if recommendation.choice is None:
        left = [s for s in comparison.standings if s.approach.name not in recommendation.rejected]
        if comparison.standings and not left:
            return Say("No approach meets your needs.", "没有方案满足您的需求。")
        return Say("These measurements do not support a choice.", "现有测量不足以做出选择。")
    return Say(f"Use {recommendation.choice}.", f"使用 {recommendation.choice}。")


def lead(comparison: Comparison, recommendation: Recommendation | None) -> Say:
    """The sentence under the headline: tie, abstention, or by how much it is clear."""
    n = len(comparison.questions)
    if recommendation is None:
        return Say(
            f"{n} questions; no needs were given, so nothing is recommended.", f"共 {n} 题；未给出需求，故不作推荐。"
        )
    tie = [name for name in recommendation.tie if name != recommendation.choice]
    if recommendation.choice is None:
        if tie:
            names = listing(tie)
            return Say(
                f"Tied: {names.en}. More questions, or a need that tells them apart, would settle it.",
                f"平局：{names.zh}。更多题目，或一项能区分它们的需求，才能定论。",
            )
        return Say(
            "What was missing is said below. Nothing is recommended, rather than guessed.",
            "缺少什么见下文。宁可不推荐，也不猜测。",
        )
    if tied(recommendation):
        names = listing(tie) if tie else Say("the others", "其他方案")
        return Say(
            f"It is a tie with {names.en}: they would do as well. {recommendation.choice} is the one to start with.",
            f"它与 {names.zh} 打成平局，选谁都可以；建议先用 {recommendation.choice}。",
        )
    return _apart(comparison, recommendation, recommendation.choice)


def _apart(comparison: Comparison, recommendation: Recommendation, choice: str) -> Say:
    """How the choice stands to the others by the deciding measure; level is not higher."""
    n = len(comparison.questions)
    means = {s.approach.name: s.metrics[comparison.metric].mean for s in comparison.standings
             if comparison.metric in s.metrics}
    mine, best = means.get(choice), max(means, key=lambda name: means[name], default=None)
    if mine is None or best is None:
        return Say(f"Of {len(comparison.standings)} on {n} questions.", f"{n} 题，{len(comparison.standings)} 个方案。")
    level = [name for name, mean in means.items() if math.isclose(mean, mine, abs_tol=1e-9) and name != choice]
    level = [name for name in level if name not in recommendation.rejected] or level
    if means[best] > mine and best not in level:
        if best in recommendation.rejected:
            return Say(f"{best} scored higher, but it does not meet your needs.",
                       f"{best} 得分更高，但不满足您的需求。")
        return Say(f"{best} scored higher, but not by enough to outweigh the rest of your needs.",
                   f"{best} 得分更高，但优势不足以压过您的其他需求。")
    if level:
        names, why = listing(level), _less(recommendation, choice, level)
        return Say(f"{names.en} scored the same on {n} questions{why.en}.",
                   f"{names.zh} 在 {n} 题上得分相同{why.zh}。")
    return Say(f"It has the highest {comparison.metric} of {len(comparison.standings)} on {n} questions.",
               f"在 {n} 题上，{len(comparison.standings)} 个方案中质量最高。")


def _less(recommendation: Recommendation, choice: str, level: list[str]) -> Say:
    """Why those that scored the same were not chosen, where one thing is true of all of them; else nothing."""
    cost, one = recommendation.total_cost, len(level) == 1
    if level[0] in recommendation.rejected:
        return Say(", but did not pass your gates", "，但未通过您的门槛")
    if choice in cost and all(cost.get(name, 0.0) > cost[choice] for name in level):
        return Say(", but costs more" if one else ", but cost more", "，但成本更高")
    parts = {name: (a.artefacts, a.services) for name, a in recommendation.assemblies.items()}
    if choice in parts and all(sum(parts.get(name, (0, 0))) > sum(parts[choice]) for name in level):
        return Say(", but has more to look after" if one else ", but have more to look after", "，但更难维护")
    return Say("", "")


def sure(recommendation: Recommendation) -> Say:
    """How sure, in words and percent."""
    word, share = sureness(recommendation.support, tie=tied(recommendation)), percent(recommendation.support)
    return Say(f"{word.en}: chosen in {share} of the resamples", f"{word.zh}：在 {share} 的重抽样中被选中")


def tied(recommendation: Recommendation) -> bool:
    """Whether the choice is a tie: with approaches that are named, or for want of support."""
    return recommendation.support < 0.8 or any(name != recommendation.choice for name in recommendation.tie)


def cost_span(needs: Needs | None) -> Say:
    """What the total cost covers."""
    if needs is None:
        return Say("over the months of your needs", "按需求期计")
    return Say(
        f"over {needs.months} months at {needs.answers_per_month:,} answers a month",
        f"{needs.months} 个月，每月 {needs.answers_per_month:,} 次作答",
    )


def reasons(recommendation: Recommendation | None) -> list[Say]:
    """Why, step by step."""
    return [Say(r.text, r.text_zh or r.text) for r in recommendation.reasons] if recommendation else []


def rejected(recommendation: Recommendation | None) -> list[tuple[str, Say]]:
    """Who is out, and by which gate."""
    gates = recommendation.rejected.items() if recommendation else ()
    return [(name, Say(r.text, r.text_zh or r.text)) for name, r in gates]


def notes(comparison: Comparison) -> list[Say]:
    """What a reader has to know of how it was measured."""
    return [Say(r.text, r.text_zh or r.text) for r in comparison.notes]


def flips(recommendation: Recommendation | None) -> list[Say]:
    """What would change the choice."""
    return [Say(r.text, r.text_zh or r.text) for r in recommendation.flips] if recommendation else []


def by_need(comparison: Comparison, recommendation: Recommendation | None) -> list[tuple[Say, str, str]]:
    """(need, the best approach for it, its value with interval) for each need."""
    found = []
    for need, name in recommendation.by_need.items() if recommendation else ():
        standing = standing_of(comparison, name)
        estimate = need_estimate(standing, need, comparison.metric) if standing else None
        # Where nobody got anything right, nobody is best.
        if estimate is not None and estimate.mean <= 0:
            continue
        found.append((NEEDS.get(need, Say(need, need)), name, interval(estimate) if estimate else ""))
    return found


def need_estimate(standing: Standing, need: str, metric: str) -> Estimate | None:
    """The estimate of one need's stratum."""
    return standing.strata.get(f"need={need}", {}).get(metric)


def against(difference: Difference, name: str) -> tuple[float, float, float]:
    """(mean, low, high) of a difference as seen from `name`, whichever side of it `name` stands on."""
    if difference.a == name:
        return difference.mean, difference.low, difference.high
    return -difference.mean, -difference.high, -difference.low


def verdict_for(difference: Difference, name: str) -> str:
    """The verdict of a difference as seen from `name`."""
    if difference.a == name:
        return difference.verdict
    return {"better": "worse", "worse": "better"}.get(difference.verdict, difference.verdict)


def difference_words(difference: Difference) -> Say:
    """One paired difference as a sentence, with its interval, p and the questions that would settle it."""
    span = f"{signed(difference.mean)} [{signed(difference.low)}, {signed(difference.high)}]"
    p, word = p_value(difference.p), verdict_word(difference.verdict)
    more_en = more_zh = ""
    if difference.questions_needed:
        more_en = f"; about {rough(difference.questions_needed, up=True):,} questions would settle it"
        more_zh = f"；约需 {rough(difference.questions_needed, up=True):,} 题才能定论"
    return Say(
        f"{difference.a} − {difference.b}: {span} points, {p}: {word.en}{more_en}",
        f"{difference.a} − {difference.b}：{span} 分，{p}：{word.zh}{more_zh}",
    )


def self_test(comparison: Comparison) -> Say:
    """What the same approach run twice came out as, and whether the comparison can be believed."""
    null = comparison.null
    if null is None:
        return Say("No approach was run twice, so there is no self-test.", "没有方案重复运行，故无自检结果。")
    span = f"{signed(null.mean)} [{signed(null.low)}, {signed(null.high)}]"
    # The other one's name only adds that it is the repetition.
    name = min(null.a, null.b, key=len)
    if null.verdict == "not distinguishable":
        return Say(
            f"Passed: {name} run twice differs by {span} points, not distinguishable, as it must be.",
            f"通过：{name} 运行两次相差 {span} 分，无法区分，符合要求。",
        )
    return Say(
        f"FAILED: {name} run twice came out as {null.verdict} ({span} points). Do not trust the verdicts below.",
        f"未通过：{name} 运行两次竟判为{verdict_word(null.verdict).zh}（{span} 分）。请勿采信以下判定。",
    )


def power(comparison: Comparison) -> Say:
    """What this number of questions can show at all."""
    n = len(comparison.questions)
    if not usable(comparison.detectable):
        return Say(f"{n} questions.", f"共 {n} 题。")
    return Say(
        f"{n} questions can show differences of {points(comparison.detectable)} points or more; "
        "smaller ones stay unseen.",
        f"{n} 题能显示 {points(comparison.detectable)} 分及以上的差异；更小的差异看不出来。",
    )


def total(recommendation: Recommendation | None, name: str) -> str:
    """The total cost of an approach as text, empty where it is unknown."""
    value = recommendation.total_cost.get(name) if recommendation else None
    return number(value) if value is not None and usable(value) else ""
