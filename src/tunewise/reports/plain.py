"""The terminal table and the Markdown report: plain text, aligned also where names are Chinese.

Prints nothing and knows no terminal: it returns text of at most 120 columns (`wide` lifts that).
"""

from __future__ import annotations

import re

from tunewise.amounts import interval, number
from tunewise.nouns import Comparison, Needs, Recommendation, Standing
from tunewise.reports import bills, decision, story
from tunewise.reports.columns import Column, columns
from tunewise.reports.disturbed import shown as shown_robustness
from tunewise.reports.disturbed import words
from tunewise.reports.words import Say, cut, one_line, percent, width

TERMINAL_COLUMNS = 120
_LABELS = {
    "approach": Say("Approach", "方案"),
    "sure": Say("How sure", "把握"),
    "why": Say("Why", "理由"),
    "cost": Say("Total cost", "总成本"),
    "parts": Say("Cost by part", "分项成本"),
    "runner": Say("Runner-up", "次选"),
    "need": Say("Best for", "各需求最佳"),
    "rejected": Say("Excluded by your needs", "因需求被排除"),
    "flips": Say("What would change it", "什么会改变选择"),
    "robust": Say("Under bad passages", "段落不佳时"),
    "power": Say("What it can show", "能显示什么"),
    "null": Say("Self-test", "自检"),
    "notes": Say("Notes", "说明"),
    "warning": Say("Careful", "注意"),
    "front": Say("Pareto front", "帕累托前沿"),
    "where": Say("Others lead on", "其他方案领先处"),
    "router": Say("A router", "分流"),
    "even": Say("Cost by volume", "不同用量的成本"),
    "guess": Say("First guess", "初步猜测"),
    "title": Say("Comparison", "比较"),
    "recommendation": Say("Recommendation", "推荐"),
    "measured": Say("How it was measured", "如何测量"),
    "differences": Say("Paired differences", "配对差异"),
}


def _pad(text: str, columns_: int, *, right: bool) -> str:
    space = " " * max(0, columns_ - width(text))
    return space + text if right else text + space


def _table(header: list[str], rows: list[list[str]], left: set[int]) -> list[str]:
    sizes = [max(width(row[i]) for row in [header, *rows]) for i in range(len(header))]
    lines = [
        "  ".join(_pad(cell, sizes[i], right=i not in left) for i, cell in enumerate(row)).rstrip()
        for row in [header, *rows]
    ]
    return [lines[0], "  ".join("─" * size for size in sizes), *lines[1:]]


def _chosen(
    comparison: Comparison, recommendation: Recommendation | None, language: str, room: int | None
) -> list[Column]:
    """All columns, or the most important ones that fit beside names of 24 columns, in the order of the wide table."""
    every = columns(comparison, recommendation)
    if room is None:
        return every
    left, kept = room, set()
    for column in sorted(every, key=lambda c: (not c.main, c.rank)):
        need = 2 + max(
            [width(column.label.in_(language)), *(width(column.text(s, language)) for s in comparison.standings)]
        )
        if column.rank < 20 and need <= left:
            left -= need
            kept.add(column.key)
    return [column for column in every if column.key in kept]


def _wrap(text: str, first: str, rest: str, columns_: int) -> list[str]:
    """Break a text at spaces and between Chinese characters so that no line is wider than `columns_`."""
    lines, line = [], first
    for piece in re.findall(r"\s+|[\u2e80-\u9fff\uff00-\uffef]|[^\s\u2e80-\u9fff\uff00-\uffef]+", text):
        if width(line + piece.rstrip()) > columns_ and line.strip() and piece not in "，。；：、）":
            lines.append(line.rstrip())
            line, piece = rest, piece.lstrip()
        line += piece
    return [*lines, line.rstrip()]


def terminal(
    comparison: Comparison,
    recommendation: Recommendation | None = None,
    *,
    language: str = "en",
    wide: bool = False,
    needs: Needs | None = None,
) -> str:
    """The comparison as a plain table with the recommendation under it, at most 120 columns unless `wide`."""
    needs = story.needs_of(comparison, needs)
    choice = recommendation.choice if recommendation else None
    names = [
        ("* " if s.approach.name == choice else "  ") + cut(one_line(s.approach.name), 60 if wide else 24)
        for s in comparison.standings
    ]
    title = "  " + _LABELS["approach"].in_(language)
    size = max([width(title), *map(width, names)])
    shown = _chosen(comparison, recommendation, language, None if wide else TERMINAL_COLUMNS - size)
    header = [title, *((c.title(comparison) if wide else c.label).in_(language) for c in shown)]
    rows = [[name, *(c.text(s, language) for c in shown)] for name, s in zip(names, comparison.standings, strict=True)]
    lines = _table(header, rows, {0}) if rows else [story.headline(comparison, recommendation).in_(language)]
    lines += ["", one_line(story.headline(comparison, recommendation).in_(language))]
    room = TERMINAL_COLUMNS

    def add(label: str, texts: list[Say] | list[str]) -> None:
        for i, text in enumerate(texts):
            said = one_line(text.in_(language) if isinstance(text, Say) else text)
            head = _LABELS[label].in_(language) if i == 0 else ""
            lines.extend(_wrap(said, _pad(head, 24, right=False), " " * 24, room))

    lines += _wrap(one_line(story.lead(comparison, recommendation).in_(language)), "", "", room)
    lines.append("")
    if recommendation is not None:
        add("sure", [story.sure(recommendation)] if recommendation.choice else [])
        add("warning", decision.warnings(recommendation))
        add("why", story.reasons(recommendation))
        if choice and story.total(recommendation, choice):
            span = story.cost_span(needs)
            amount, line = story.total(recommendation, choice), bills.bill_of(recommendation, choice)
            of = bills.parts(line) if line else Say("", "")
            add("cost", [Say(f"{amount} {span.en}: {of.en}", f"{amount}（{span.zh}）：{of.zh}"), bills.prices(needs)])
        add("runner", [recommendation.runner_up] if recommendation.runner_up else [])
        add(
            "need",
            [
                Say(f"{need.en}: {name} {value}", f"{need.zh}：{name} {value}")
                for need, name, value in story.by_need(comparison, recommendation)
            ],
        )
        add("rejected", [f"{name}: {why.in_(language)}" for name, why in story.rejected(recommendation)])
        add("flips", story.flips(recommendation))
        add("front", decision.front(recommendation))
        add("where", decision.where(recommendation)[:3])
        add("router", decision.router(recommendation))
        add("guess", decision.guess(recommendation))
    add("robust", [words(one) for one in shown_robustness(comparison)])
    add("power", [story.power(comparison)])
    add("null", [story.self_test(comparison)])
    add("notes", story.notes(comparison))
    return "\n".join(lines).rstrip() + "\n"


def row(standing: Standing, *, language: str = "en") -> str:
    """One approach in one line while a comparison is still running: name, quality with interval, wrong, seconds."""
    quality, wrong = standing.metrics.get("quality"), standing.metrics.get("wrong")
    parts = [_pad(cut(one_line(standing.approach.name), 24), 24, right=False)]
    if quality is not None:
        parts.append(f"{Say('quality', '质量').in_(language)} {interval(quality)}")
    if wrong is not None:
        parts.append(f"{Say('wrong', '错误').in_(language)} {percent(wrong.mean)}")
    parts.append(f"{number(standing.seconds_p50)} {Say('s per answer', '秒/答').in_(language)}")
    return "  ".join(parts)


def _cell(text: object) -> str:
    """A text for Markdown: one line, and nothing in it is read as markup."""
    return re.sub(r"([\\`*_\[\]<>|#~$&!])", r"\\\1", one_line(text))


def markdown(
    comparison: Comparison,
    recommendation: Recommendation | None = None,
    *,
    language: str = "en",
    needs: Needs | None = None,
) -> str:
    """The whole comparison as GitHub-flavoured Markdown: the recommendation, the table, how it was measured."""
    needs = story.needs_of(comparison, needs)

    def say(label: str) -> str:
        return _LABELS[label].in_(language)

    def bullets(label: str, texts: list[str]) -> list[str]:
        return [f"**{say(label)}**", "", *(f"- {_cell(text)}" for text in texts), ""] if texts else []

    choice = recommendation.choice if recommendation else None
    out = [
        f"# {_cell(story.headline(comparison, recommendation).in_(language))}",
        "",
        _cell(story.lead(comparison, recommendation).in_(language)),
        "",
    ]
    if recommendation is not None:
        if choice:
            out += [
                f"**{say('sure')}** – {_cell(story.sure(recommendation).in_(language))}",
                "",
            ]
        out += bullets("why", [text.in_(language) for text in story.reasons(recommendation)])
        if choice and story.total(recommendation, choice):
            span = story.cost_span(needs)
            out += bullets("cost", [Say(f"{story.total(recommendation, choice)} ({span.en})",
                                    f"{story.total(recommendation, choice)}（{span.zh}）").in_(language)])
        out += bullets("parts", [text.in_(language) for text in (*bills.lines(recommendation), bills.prices(needs))]
                       if recommendation.bills else [])
        out += bullets("runner", [recommendation.runner_up] if recommendation.runner_up else [])
        out += bullets(
            "need",
            [
                Say(f"{need.en}: {name} {value}", f"{need.zh}：{name} {value}").in_(language)
                for need, name, value in story.by_need(comparison, recommendation)
            ],
        )
        out += bullets("rejected", [f"{name}: {why.in_(language)}" for name, why in story.rejected(recommendation)])
        for label, said in (
            ("flips", story.flips),
            ("warning", decision.warnings),
            ("front", decision.front),
            ("where", decision.where),
            ("router", decision.router),
            ("even", decision.break_even),
            ("guess", decision.guess),
        ):
            out += bullets(label, [text.in_(language) for text in said(recommendation)])
    shown = columns(comparison, recommendation)
    out += [
        f"## {say('title')}",
        "",
        "| " + " | ".join([say("approach"), *(_cell(c.title(comparison).in_(language)) for c in shown)])
        + " |",
        "| :-- |" + " --: |" * len(shown),
    ]
    for standing in comparison.standings:
        name = _cell(standing.approach.name)
        cells = [
            f"**{name}**" if standing.approach.name == choice else name,
            *(_cell(c.text(standing, language)) for c in shown),
        ]
        out.append("| " + " | ".join(cells) + " |")
    out.append("")
    out += bullets("differences", [story.difference_words(d).in_(language) for d in comparison.differences])
    out += [f"## {say('measured')}", ""]
    out += bullets("robust", [words(one).in_(language) for one in shown_robustness(comparison)])
    out += bullets("power", [story.power(comparison).in_(language)])
    out += bullets("null", [story.self_test(comparison).in_(language)])
    out += bullets("notes", [note.in_(language) for note in story.notes(comparison)])
    return "\n".join(out).rstrip() + "\n"
