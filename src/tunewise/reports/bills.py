"""What each approach costs, part by part, and by which prices: labels, set-up, an update, a thousand answers, all.

Repeats the recommendation's bills and the prices of the needs; it works nothing out but shares of them.
"""

from __future__ import annotations

import math
from html import escape

from tunewise.amounts import number, usable
from tunewise.nouns import Bill, Needs, Recommendation
from tunewise.reports.plots import Figure
from tunewise.reports.tables import both
from tunewise.reports.words import Say, percent

PARTS = (
    ("labels", Say("labels", "标注")), ("set_up", Say("set-up", "构建")), ("updates", Say("updates", "更新")),
    ("answers", Say("answers", "作答")),
)
HEADS = (
    Say("Labels", "标注"), Say("Set-up", "构建"), Say("One update", "每次更新"), Say("1,000 answers", "每千次作答"),
    Say("Total", "合计"),
)
UNKNOWN = Say("not known", "未知")


def money(value: float | None) -> Say:
    """An amount in both languages; what nobody knows is said so."""
    if value is None or not usable(value):
        return UNKNOWN
    return Say(number(value), number(value))


def cells(line: Bill) -> list[Say]:
    """The amounts under `HEADS`."""
    return [money(value) for value in (line.labels, line.set_up, line.per_update, 1000 * line.per_answer, line.total)]


def bill_of(recommendation: Recommendation | None, name: str | None) -> Bill | None:
    """The bill of an approach by name."""
    return next((line for line in recommendation.bills if line.name == name), None) if recommendation else None


def parts(line: Bill) -> Say:
    """The total in its parts, largest first, but for crumbs: "labels 160, answers 2.88"."""
    known = [(getattr(line, key), word) for key, word in PARTS if usable(getattr(line, key))]
    known = [one for one in known if one[0] > 0.005 * sum(value for value, _ in known)]
    known.sort(key=lambda one: -one[0])
    said = [(f"{word.en} {number(value)}", f"{word.zh} {number(value)}") for value, word in known]
    return Say(", ".join(en for en, _ in said), "，".join(zh for _, zh in said))


def prices(needs: Needs | None) -> Say:
    """By which prices it was counted, and where to change them."""
    if needs is None:
        return Say("Prices: those of [needs] in tunewise.toml.", "价格见 tunewise.toml 的 [needs]。")
    given = [
        (f"{needs.price_label:g} a label (price_label)", f"每条标注 {needs.price_label:g}（price_label）"),
        (f"{needs.price_cpu_hour:g} a machine hour (price_cpu_hour)",
         f"每机时 {needs.price_cpu_hour:g}（price_cpu_hour）"),
    ]
    if needs.price_tokens_in or needs.price_tokens_out:
        given.append((f"{needs.price_tokens_in:g} and {needs.price_tokens_out:g} for a million tokens in and out at an "
                      "endpoint (price_tokens_in, price_tokens_out)",
                      f"远端每百万输入、输出词元 {needs.price_tokens_in:g}、{needs.price_tokens_out:g}"
                      "（price_tokens_in、price_tokens_out）"))
    if needs.price_kwh:
        given.append((f"{needs.price_kwh:g} a kilowatt-hour (price_kwh)", f"每千瓦时 {needs.price_kwh:g}（price_kwh）"))
    return Say(
        f"Counted for {needs.answers_per_month:,} answers and {needs.updates_per_month:,} updates a month over "
        f"{needs.months} months, at {', '.join(en for en, _ in given)}: change them in [needs] of tunewise.toml.",
        f"按每月 {needs.answers_per_month:,} 次作答、{needs.updates_per_month:,} 次更新、共 {needs.months} 个月计；"
        f"{'，'.join(zh for _, zh in given)}。可在 tunewise.toml 的 [needs] 中修改。")


def _takeaway(recommendation: Recommendation) -> Say:
    """What the money goes into: the largest part of the choice's bill, or of the dearest one's."""
    known = [line for line in recommendation.bills if usable(line.total) and line.total > 0]
    line = bill_of(recommendation, recommendation.choice) if recommendation.choice else None
    if line is None or line not in known:
        line = max(known, key=lambda one: one.total, default=None)
    if line is None:
        return Say("Nothing here costs money at your prices.", "按您的价格，均无花费。")
    value, word = max((getattr(line, key), word) for key, word in PARTS if usable(getattr(line, key)))
    return Say(f"{percent(value / line.total)} of what {line.name} costs is {word.en}: {number(value)} of "
               f"{number(line.total)}.",
               f"{line.name} 的成本中 {percent(value / line.total)} 为{word.zh}：{number(line.total)} 中的 "
               f"{number(value)}。")


def bills(recommendation: Recommendation | None, needs: Needs | None) -> Figure | None:
    """The table of every bill, with the prices under it."""
    if recommendation is None or not recommendation.bills:
        return None
    heads = "".join(f'<th scope="col">{both(head)}</th>' for head in HEADS)
    rows = [
        f'<tr{" class=chosen" if line.name == recommendation.choice else ""}><th scope="row">'
        f"<bdi>{escape(line.name)}</bdi></th>{''.join(f'<td>{both(cell)}</td>' for cell in cells(line))}</tr>"
        for line in recommendation.bills
    ]
    first = Say("Cost by part", "分项成本")
    body = (f'<div class="scroll" role="region" tabindex="0" aria-label="{first.en}" data-aria-label-en="{first.en}" '
            f'data-aria-label-zh="{first.zh}"><table class="money"><thead><tr><th scope="col">'
            f'{both(Say("Approach", "方案"))}</th>{heads}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>')
    return Figure("bills", _takeaway(recommendation), prices(needs), body)


def lines(recommendation: Recommendation | None) -> list[Say]:
    """One line for each bill, for reports without tables."""
    found = []
    for line in recommendation.bills if recommendation else ():
        pairs = list(zip(HEADS, cells(line), strict=True))
        found.append(Say(f"{line.name}: " + ", ".join(f"{head.en.lower()} {cell.en}" for head, cell in pairs),
                         f"{line.name}：" + "，".join(f"{head.zh} {cell.zh}" for head, cell in pairs)))
    return found


def unknown(line: Bill) -> bool:
    """Whether nobody knows what its answers cost."""
    return not math.isfinite(line.rate)
