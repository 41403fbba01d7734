"""This comparison against an earlier report, as a table: what is used, and every approach that both have.

Knows the JSON of that comparison (docs/report-schema.md, `baseline`) and nothing of how it was made.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from tunewise.amounts import points, signed
from tunewise.reports.tables import both
from tunewise.reports.words import Say

_WORDS = {
    "better": Say("better", "更好"),
    "worse": Say("worse, within the margin", "变差，但在容差内"),
    "not distinguishable": Say("not distinguishable", "无法区分"),
}


def _word(change: Mapping[str, Any]) -> Say:
    difference = change["difference"]
    if change["regressed"]:
        return Say("regression", "退步")
    if change["same"]:
        return Say("unchanged", "没有变化")
    return _WORDS.get(difference["verdict"], Say(difference["verdict"], difference["verdict"]))


def _row(name: str, change: Mapping[str, Any], cls: str = "") -> str:
    difference = change["difference"]
    span = f"{signed(difference['mean'])} [{signed(difference['low'])}, {signed(difference['high'])}]"
    bad = " v-worse" if change["regressed"] else ""
    return (f'<tr class="{cls}"><th scope="row">{name}</th><td>{escape(span)}</td>'
            f'<td class="turn"><span class="verdict{bad}">{both(_word(change))}</span></td></tr>')


def against_baseline(found: Mapping[str, Any]) -> str:
    """The table, with the margin and how many questions are the same."""
    used = found["used"]
    way = (
        Say("paired on the same questions", "相同题目配对")
        if used["paired"]
        else Say("two independent means: the questions are not the same", "题目不同：两个独立均值")
    )
    head = Say(
        f"Against {found['baseline']}: {found['shared']} of {found['questions']} questions are the same; {way.en}; "
        f"margin "
        f"{points(found['margin'])} points.",
        f"与 {found['baseline']} 相比：{found['questions']} 题中有 {found['shared']} 题相同；{way.zh}；容差 "
        f"{points(found['margin'])} 分。",
    )
    name = both(Say(f"what is recommended: {used['then']} → {used['now']}", f"推荐方案：{used['then']} → "
        f"{used['now']}"))
    rows = [_row(name, used, "chosen"), *(_row(f"<bdi>{escape(one['now'])}</bdi>", one) for one in found["others"])]
    title = Say("Against an earlier report", "与先前报告相比")
    return (f'<div class="block baseline"><h3>{both(title)}</h3><p class="hint">{both(head)}</p>'
            f'<table class="money"><tbody>{"".join(rows)}</tbody></table></div>')
