"""The HTML page: one file with style, script and all questions inside, English and Chinese, opened by a double click.

Puts the pieces together. The page's policy allows its own style and script by their hashes and nothing else: no
request leaves it, and markup in a document or an answer stays text even if an escape were ever forgotten.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from html import escape
from importlib.resources import files
from typing import Any

from tunewise.amounts import interval, number, points
from tunewise.nouns import Comparison, Needs, Recommendation, to_json
from tunewise.reports import bills, decision, plots, story, tables
from tunewise.reports.curves import learning
from tunewise.reports.disturbed import disturbed
from tunewise.reports.earlier import against_baseline
from tunewise.reports.embedded import embedded
from tunewise.reports.schema import plain
from tunewise.reports.tables import both
from tunewise.reports.timeline import timeline
from tunewise.reports.volume import cost_by_volume, cost_table
from tunewise.reports.words import Say, percent, sureness

_ESCAPES = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})


def embed(value: Any) -> str:
    """JSON that may stand inside a script element: no `<`, `>` or `&` survives in it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).translate(_ESCAPES)


def _source(content: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode() + "'"


def _list(title: Say, items: list[str], tag: str = "ul", cls: str = "") -> str:
    if not items:
        return ""
    rows = "".join(f"<li>{item}</li>" for item in items)
    return f'<div class="block {cls}"><h3>{both(title)}</h3><{tag}>{rows}</{tag}></div>'


def _figure_of(label: Say, value: str, note: str) -> str:
    return f'<div class="fact"><dt>{both(label)}</dt><dd><b>{value}</b><span>{note}</span></dd></div>'


def _facts(comparison: Comparison, recommendation: Recommendation | None, needs: Needs | None) -> str:
    """The four numbers under the headline: quality, wrong answers, how sure, cost."""
    name = (
        recommendation.choice
        if recommendation
        else (comparison.standings[0].approach.name if comparison.standings else None)
    )
    standing, facts = story.standing_of(comparison, name), []
    main = standing.metrics.get(comparison.metric) if standing else None
    if main is not None:
        facts.append(
            _figure_of(
                Say("Quality", "质量"),
                points(main.mean),
                both(
                    Say(
                        f"of 100; 95 %: {points(main.low)} to {points(main.high)}",
                        f"满分 100；95 %：{points(main.low)} 至 {points(main.high)}",
                    )
                ),
            )
        )
    wrong = standing.metrics.get("wrong") if standing else None
    if wrong is not None:
        facts.append(
            _figure_of(
                Say("Wrong answers", "答错"),
                percent(wrong.mean),
                both(
                    Say(
                        f"95 %: {percent(wrong.low)} to {percent(wrong.high)}",
                        f"95 %：{percent(wrong.low)} 至 {percent(wrong.high)}",
                    )
                ),
            )
        )
    if recommendation is not None and recommendation.choice:
        share, tie = percent(recommendation.support), story.tied(recommendation)
        word = sureness(recommendation.support, tie=tie)
        # A large number over a tie would be read as certainty.
        value = both(Say("Tie", "平局")) if tie else share
        note = Say(f"{word.en}: {share} of the resamples choose it", f"{word.zh}：{share} 的重抽样选中它")
        facts.append(_figure_of(Say("How sure", "把握"), value, both(note)))
    line = bills.bill_of(recommendation, name)
    if name and story.total(recommendation, name):
        span = story.cost_span(needs)
        of = bills.parts(line) if line else Say("", "")
        note = Say(f"{span.en}: {of.en}", f"{span.zh}：{of.zh}") if of.en else span
        facts.append(_figure_of(Say("Total cost", "总成本"), story.total(recommendation, name), both(note)))
    elif line is not None and bills.unknown(line):
        note = Say("nobody told what an answer costs: it counts as the highest", "未提供每答成本：按最高计")
        facts.append(_figure_of(Say("Total cost", "总成本"), "?", both(note)))
    elif standing is not None:
        slow = number(standing.seconds_p95)
        note = Say(f"half are faster; slow ones take {slow}", f"中位数；较慢的为 {slow}")
        facts.append(_figure_of(Say("Seconds per answer", "每答秒数"), number(standing.seconds_p50), both(note)))
    return f'<dl class="facts">{"".join(facts)}</dl>' if facts else ""


def _emphasised(say: Say, name: str | None) -> str:
    """The headline with the approach's name set apart."""

    def one(text: str) -> str:
        safe = escape(text)
        return safe.replace(escape(name), f"<em><bdi>{escape(name)}</bdi></em>", 1) if name else safe

    return f'<span class="en" lang="en">{one(say.en)}</span><span class="zh" lang="zh">{one(say.zh)}</span>'


def answer(comparison: Comparison, recommendation: Recommendation | None, needs: Needs | None) -> str:
    """The first section: what to use, why, how sure, at what cost, and what would flip it."""
    n, k = len(comparison.questions), len(comparison.standings)
    name = recommendation.choice if recommendation else (comparison.standings[0].approach.name if k else None)
    kicker = Say(f"{k} approach{'es' if k != 1 else ''} · {n} question{'s' if n != 1 else ''}", f"{k} 个方案 · {n} 题")
    null = comparison.null
    alarm = (
        f'<p class="alarm" role="note">{both(story.self_test(comparison))}</p>'
        if null is not None and null.verdict != "not distinguishable"
        else ""
    )
    alarm += "".join(f'<p class="caution" role="note">{both(said)}</p>' for said in decision.warnings(recommendation))
    card = (
        f'<div class="verdict-card"><p class="kicker">{both(kicker)}</p><h1 id="headline">'
        f"{_emphasised(story.headline(comparison, recommendation), name)}</h1>"
        f'<p class="lead">{both(story.lead(comparison, recommendation))}</p>'
        f"{_facts(comparison, recommendation, needs)}</div>{alarm}"
    )
    if recommendation is None:
        return card
    need_rows = [
        f'<span class="what">{both(need)}</span> <b><bdi>{escape(who)}</bdi></b> <small>{escape(value)}</small>'
        for need, who, value in story.by_need(comparison, recommendation)
    ]
    runner = []
    if recommendation.runner_up:
        cost = story.total(recommendation, recommendation.runner_up)
        main = story.standing_of(comparison, recommendation.runner_up)
        estimate = main.metrics.get(comparison.metric) if main else None
        notes = [interval(estimate)] if estimate else []
        tail = both(Say(f"; cost {cost}", f"；成本 {cost}")) if cost else ""
        runner = [
            f"<b><bdi>{escape(recommendation.runner_up)}</bdi></b> <small>{escape(' '.join(notes))}{tail}</small>"
        ]
    gates = [
        f"<b><bdi>{escape(who)}</bdi></b> <small>{both(why)}</small>" for who, why in story.rejected(recommendation)
    ]
    why = _list(Say("Why", "理由"), [both(r) for r in story.reasons(recommendation)], "ol", "why")
    flips = _list(
        Say("What would change it", "什么会改变选择"), [both(r) for r in story.flips(recommendation)], cls="flips"
    )
    front = [both(said) for said in decision.front(recommendation)]
    leads = [both(said) for said in decision.where(recommendation)[:4]]
    routed = [both(said) for said in decision.router(recommendation)]
    guess = [both(said) for said in decision.guess(recommendation)]
    flips += _list(Say("Where others lead", "其他方案领先之处"), leads)
    aside = (
        _list(Say("Best for each need", "各需求最佳"), need_rows, cls="byneed")
        + _list(Say("Runner-up", "次选"), runner)
        + _list(Say("On the Pareto front", "帕累托前沿"), front)
        + _list(Say("A router by question type", "按题分流"), routed)
        + _list(Say("The first guess", "初步猜测"), guess)
        + _list(Say("Excluded by your needs", "因需求被排除"), gates)
    )
    return f'{card}<div class="because"><div>{why}{flips}</div><div class="aside">{aside}</div></div>'


def _figures(comparison: Comparison, recommendation: Recommendation | None, needs: Needs | None) -> str:
    drawn = [
        plots.quality_cost(comparison, recommendation, needs),
        plots.forest(comparison, recommendation, needs),
        plots.outcomes(comparison, recommendation),
        bills.bills(recommendation, needs),
        cost_by_volume(comparison, recommendation, needs),
        cost_table(recommendation),
        learning(comparison),
        timeline(comparison),
        disturbed(comparison, recommendation.choice if recommendation else None),
        plots.needs_dots(comparison, recommendation),
        tables.heat(comparison, recommendation),
    ]
    out = []
    for figure in drawn:
        if figure is not None:
            body = figure.body if figure.body.startswith("<div") else f'<div class="scroll">{figure.body}</div>'
            out.append(
                f'<figure id="figure-{figure.key}" class="{"wide" if figure.wide else ""}"><figcaption>'
                f"<strong>{both(figure.takeaway)}</strong>"
                f"<span>{both(figure.what)}</span></figcaption>{body}</figure>"
            )
    return "".join(out) or f"<p>{both(Say('Nothing was measured that could be drawn.', '没有可绘制的测量结果。'))}</p>"


def _tree(value: Any) -> str:
    """Any nested values as nested definition lists."""
    if isinstance(value, Mapping):
        return (
            "<dl class=tree>"
            + "".join(f"<div><dt>{escape(str(k))}</dt><dd>{_tree(v)}</dd></div>" for k, v in value.items())
            + "</dl>"
        )
    if isinstance(value, (list, tuple)):
        return "<br>".join(_tree(item) for item in value)
    return f"<code>{escape(str(value))}</code>"


def method(comparison: Comparison, recommendation: Recommendation | None, needs: Needs | None, command: str) -> str:
    """The last section: power, self-test, notes, differences, definitions, identity."""
    items = [
        both(story.power(comparison)),
        f"<b>{both(Say('Self-test. ', '自检。'))}</b>{both(story.self_test(comparison))}",
    ]
    items += [both(note) for note in story.notes(comparison)]
    out = [f'<ul class="prose">{"".join(f"<li>{item}</li>" for item in items)}</ul>']
    if comparison.differences:
        out.append(
            f"<details class=paper><summary>{both(Say('All paired differences', '所有配对差异'))}</summary>"
            "<ul class=numbers>"
            + "".join(f"<li>{both(story.difference_words(d))}</li>" for d in comparison.differences)
            + "</ul></details>"
        )
    out.append(
        f"<details open><summary>{both(Say('What each measure means', '各指标含义'))}</summary><dl class=definitions>"
        f"{tables.definitions(comparison, recommendation)}</dl></details>"
    )
    if needs is not None:
        out.append(
            f"<details><summary>{both(Say('Your needs', '您的需求'))}</summary>{_tree(to_json(needs))}</details>"
        )
    kept = {key: value for key, value in comparison.identity.items() if key != "needs"}
    setups = {
        s.approach.name: {k: v for k, v in plain(s.approach).items() if k != "name" and v is not None}
        for s in comparison.standings
    }
    out.append(
        f"<details><summary>{both(Say('Each approach in full', '各方案的完整设置'))}</summary>{_tree(setups)}</details>"
    )
    if kept:
        out.append(
            f"<details><summary>{both(Say('Identity: models, versions, machine, seeds', '标识：模型、版本、机器'))}"
            "</summary>"
            f"{_tree(plain(kept))}</details>"
        )
    if command:
        out.append(f"<p class=again>{both(Say('The same again: ', '重新运行：'))}<code>{escape(command)}</code></p>")
    return "".join(out)


def html(
    comparison: Comparison,
    recommendation: Recommendation | None = None,
    *,
    language: str = "en",
    needs: Needs | None = None,
    command: str = "",
    baseline: Mapping[str, Any] | None = None,
) -> str:
    """The whole report as one HTML page with everything inside; it opens in `language`, the other is a click away.

    `needs` adds the money per 1,000 answers, the plot of cost by volume and the margin (without it: those kept in the
    comparison's identity under "needs"); `command` is shown as the way to make this report again. `baseline` is the
    JSON of the comparison with an earlier report (docs/report-schema.md) and is shown under the answer.
    """
    needs = story.needs_of(comparison, needs)
    language = "zh" if language.lower().startswith("zh") else "en"
    room = files("tunewise.reports")
    css, script = (
        (room / "page.css").read_text("utf-8"),
        "\n".join((room / name).read_text("utf-8") for name in ("page.js", "questions.js")),
    )
    own = f"style-src {_source(css)}; script-src {_source(script)}"
    policy = f"default-src 'none'; {own}; base-uri 'none'; form-action 'none'"
    parts = {
        "language": language,
        "policy": policy,
        "css": css,
        "script": script,
        "data": embed(embedded(comparison, recommendation.choice if recommendation else None)),
        "title": escape(story.headline(comparison, recommendation).in_(language).rstrip(".。") + " · Tunewise"),
        "answer": answer(comparison, recommendation, needs) + (against_baseline(baseline) if baseline else ""),
        "table": tables.approaches_table(comparison, recommendation),
        "figures": _figures(comparison, recommendation, needs),
        "method": method(comparison, recommendation, needs, command),
    }
    template = (room / "page.html").read_text("utf-8")
    page = re.sub(
        r"\{\{(\w+)\}\}", lambda match: parts[match[1]], template
    )  # one pass: what is filled in is never filled again
    return re.sub("[\ud800-\udfff]", "\ufffd", page)
