"""The words of the reports in English and Chinese, and how numbers are written.

Knows nothing of comparisons; a `Say` is one text in both languages.
"""

from __future__ import annotations

import math
import unicodedata
from typing import NamedTuple

from tunewise.amounts import NOTHING, usable


class Say(NamedTuple):
    """One text in English and in Chinese."""

    en: str
    zh: str

    def in_(self, language: str) -> str:
        """The text in `language`: Chinese for "zh…", English for everything else."""
        return self.zh if language.lower().startswith("zh") else self.en


VERDICTS: dict[str, Say] = {
    "better": Say("better", "更好"),
    "worse": Say("worse", "更差"),
    "not distinguishable": Say("not distinguishable", "无法区分"),
}
NEEDS: dict[str, Say] = {
    "facts": Say("facts", "事实"),
    "form": Say("form", "格式"),
    "terms": Say("terms", "术语"),
}
STRATA: dict[str, Say] = {
    "need": Say("need", "需求"),
    "kind": Say("kind", "题型"),
    "language": Say("language", "语言"),
    "documents": Say("documents", "文档"),
    "answerable": Say("answerable", "可回答"),
    "evidence": Say("evidence in", "依据来自"),
    "table": Say("evidence in a table", "依据在表格中"),
    "without-documents": Say("answerable without documents", "无文档即可回答"),
}
VALUES: dict[str, Say] = {
    **NEEDS,
    "en": Say("English", "英文"),
    "zh": Say("Chinese", "中文"),
    "seen": Say("documents that training touched", "训练涉及的文档"),
    "untouched": Say("documents that training never touched", "训练未涉及的文档"),
    "fact": Say("fact", "事实题"),
    "one": Say("one document", "一份文档"),
    "several": Say("two or more documents", "两份或更多文档"),
    "yes": Say("yes", "是"),
    "no": Say("no", "否"),
}


def sureness(support: float, *, tie: bool = False) -> Say:
    """How sure a choice is, in words: the steps are 95, 80 and 50 % of the resamples.

    A tie is never sure, however often the rule chooses the same of those that are tied: no test shows it to be better.
    """
    if support < 0.5:
        return Say("not sure", "不确定")
    if support < 0.8:
        return Say("leaning, but a tie", "略有倾向，实为平局")
    if tie:
        return Say("often chosen, but a tie", "常被选中，实为平局")
    return Say("very sure", "非常确定") if support >= 0.95 else Say("fairly sure", "比较确定")


def verdict_word(verdict: str) -> Say:
    """A verdict of a Difference in both languages; an unknown one as it is."""
    return VERDICTS.get(verdict, Say(verdict, verdict))


def stratum_words(stratum: str) -> tuple[Say, Say]:
    """The name of a stratum, "what=value", as (what it splits by, its value); what the user named stays as it is."""
    what, _, value = stratum.partition("=")
    return STRATA.get(what, Say(what, what)), VALUES.get(value, Say(value, value))


_PHRASES: dict[str, Say] = {
    "answerable=yes": Say("what can be answered", "可回答的题"),
    "answerable=no": Say("what cannot be answered", "不可回答的题"),
    "documents=seen": Say("documents that training touched", "训练涉及的文档"),
    "documents=untouched": Say("documents that training never touched", "训练未涉及的文档"),
    "evidence=one": Say("evidence in one document", "依据在一份文档中"),
    "evidence=several": Say("evidence in two or more documents", "依据在多份文档中"),
    "table=yes": Say("evidence in a table", "依据在表格中"),
    "table=no": Say("evidence outside of tables", "依据不在表格中"),
    "without-documents=yes": Say("what the bare model knows", "裸模型已知的题"),
    "without-documents=no": Say("what the bare model does not know", "裸模型不知的题"),
}


def stratum_phrase(stratum: str) -> Say:
    """A stratum in a sentence: its own phrase, or what it splits by with its value in quotes."""
    if stratum in _PHRASES:
        return _PHRASES[stratum]
    what, value = stratum_words(stratum)
    return Say(f"{what.en} “{value.en}”", f"{what.zh}“{value.zh}”")


def listing(names: list[str] | tuple[str, ...], *, most: int = 4) -> Say:
    """Names as a phrase: "a, b and c", cut after `most` with the number of the others."""
    if not names:
        return Say("none", "无")
    shown, rest = list(names[:most]), len(names) - most
    if rest > 0:
        return Say(f"{', '.join(shown)} and {rest} more", f"{'、'.join(shown)} 等 {len(names)} 个")
    if len(shown) == 1:
        return Say(shown[0], shown[0])
    return Say(f"{', '.join(shown[:-1])} and {shown[-1]}", f"{'、'.join(shown[:-1])} 和 {shown[-1]}")


# ------------------------------------------------------------------------------------------------ numbers


def percent(value: float) -> str:
    """A share as a percentage without decimals, never rounding something to nothing."""
    if not usable(value):
        return NOTHING
    if 0 < value < 0.005:
        return "<1 %"
    if 0.995 < value < 1:
        return ">99 %"
    return f"{100 * value:.0f} %"


def tick(value: float) -> str:
    """A round number at an axis: 0.01, 25, 10,000, 1 M."""
    return f"{value / 1e6:g} M" if abs(value) >= 1e6 else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.6g}"


def rough(value: float, *, up: bool = False) -> int:
    """A whole number to two significant digits, for estimates: 25,633 is 26,000. `up`: never a smaller one."""
    size = 10 ** max(0, math.floor(math.log10(max(abs(value), 1))) - 1)
    return int((math.ceil(value / size) if up else round(value / size)) * size)


def p_value(p: float) -> str:
    """A p value as "p < 0.001" or "p = 0.034"."""
    if not usable(p):
        return ""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


# ------------------------------------------------------------------------------------------------ width


def width(text: str) -> int:
    """Columns that a text takes on a terminal: wide East Asian characters take two, combining ones none."""
    return sum(
        0
        if unicodedata.combining(sign) or unicodedata.category(sign) in ("Cf", "Me")
        else 2
        if unicodedata.east_asian_width(sign) in "WF"
        else 1
        for sign in text
    )


def one_line(text: object) -> str:
    """A text on one line and without control characters, so that no name can command a terminal."""
    plain = " ".join(str(text).split())
    return "".join(
        "\ufffd"
        if unicodedata.category(sign) in ("Cc", "Cs")
        or sign in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
        else sign
        for sign in plain
    )


def cut(text: str, columns: int) -> str:
    """A text of at most `columns` terminal columns, with an ellipsis where something was left out."""
    if width(text) <= columns:
        return text
    kept = ""
    for sign in text:
        if width(kept + sign) > columns - 1:
            break
        kept += sign
    return kept + "…"
