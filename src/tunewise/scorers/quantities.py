"""Every number of a text with its unit, read as a value: digits, English number words, Chinese numerals, scales, money.

Knows nothing about questions. Units of time, mass, length and volume are converted, money is not.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from tunewise.scorers.text import MINUS, MINUSES, fold

UNITS: dict[str, tuple[str, float]] = {
    alias: (dimension, factor)
    for dimension, table in {
        "time": {
            1: "s sec secs second seconds 秒 秒钟", 60: "min mins minute minutes 分钟",
            3600: "h hr hrs hour hours 小时 钟头", 86400: "d day days 天 日", 604800: "week weeks 周 星期",
        },
        "months": {1: "month months 月 个月", 12: "year years yr yrs 年"},
        "mass": {0.001: "mg milligram milligrams 毫克", 1: "g gram grams 克", 500: "斤",
                 1000: "kg kilogram kilograms kilo kilos 千克 公斤", 1e6: "t ton tons tonne tonnes 吨"},
        "length": {0.001: "mm millimetre millimetres millimeter millimeters 毫米",
                   0.01: "cm centimetre centimetres centimeter centimeters 厘米",
                   1: "m metre metres meter meters 米", 1000: "km kilometre kilometres kilometer kilometers 公里 千米"},
        "volume": {0.001: "ml millilitre millilitres milliliter milliliters 毫升", 1: "l litre litres liter liters 升"},
        "share": {1: "% percent pct 个百分点", 0.01: "bps 基点 个基点"},
        "dollars": {1: "$ us$ usd dollar dollars 美元"}, "euros": {1: "€ eur euro euros 欧元"},
        "pounds": {1: "£ gbp pound pounds 英镑"}, "yuan": {1: "¥ cny rmb yuan 元 块 人民币"},
        "crowns": {1: "crown crowns 克朗"}, "celsius": {1: "°c ℃ celsius 摄氏度"},
    }.items()
    for factor, aliases in table.items()
    for alias in aliases.split()
}
SCALES = {"thousand": 1e3, "million": 1e6, "mn": 1e6, "billion": 1e9, "bn": 1e9, "trillion": 1e12, "百": 1e2,
          "千": 1e3, "万": 1e4, "十万": 1e5, "百万": 1e6, "千万": 1e7, "亿": 1e8, "万亿": 1e12}
_SHORT = {"k": 1e3, "m": 1e6, "mm": 1e6, "b": 1e9, "tn": 1e12}
"""Scales only beside a currency: elsewhere m is a metre."""
_MONEY = ("dollars", "euros", "pounds", "yuan", "crowns")
_TO_NINETEEN = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_WORDS = {name: value for value, name in enumerate(_TO_NINETEEN.split())} | {
    name: 10 * value for value, name in enumerate(_TENS.split(), 2)
}
_DIGITS = {sign: value for value, sign in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
_POWERS = {"十": 10, "百": 100, "千": 1000}


def _longest_first(words: Iterable[str]) -> str:
    return "|".join(sorted(words, key=len, reverse=True))


_ENGLISH = rf"(?:(?:{_TENS.replace(' ', '|')})(?:[ -](?:{_longest_first(_TO_NINETEEN.split()[1:10])}))?" \
           rf"|(?:{_longest_first(_TO_NINETEEN.split())}))(?![^\W_])"
_CHINESE = "[〇零一二三四五六七八九十百千万亿两]+(?:点[〇零一二三四五六七八九]+)?"
_ZH_SCALE = _longest_first(name for name in SCALES if not name.isascii())
_LINK = rf"(?P<count>\d+(?:\.\d+)?)\s?(?P<power>{_ZH_SCALE})"
# 1万2000: what follows a scale without one of its own fills all of its places, or opens with a zero.
_REST = r"(?:(?<=亿)\d{8}|(?<=万)\d{4}|(?<=千)\d{3}|(?<=百)\d{2}|零\d+)(?![\d.])"
_CHAIN = rf"\d+(?:\.\d+)?(?:{_ZH_SCALE})(?:(?:零?\d+(?:\.\d+)?(?:{_ZH_SCALE}))+(?:{_REST})?|{_REST})"
_CURRENCY = r"(?:us)?\$|[€£¥]|(?<![a-z])(?:usd|eur|gbp|cny|rmb)(?![a-z])|人民币"
_QUANTITY = re.compile(
    rf"(?P<before>{_CURRENCY})?\s?(?P<open>\()?(?P<minus>{MINUS})?(?P<before2>{_CURRENCY})?\s?(?P<minus2>(?<=[$€£¥])-)?"
    rf"(?:(?P<chain>{_CHAIN})|(?P<digits>\d+(?:,\d{{3}})+(?:\.\d+)?|\d+(?:\.\d+)?|(?<!\d)\.\d+)"
    rf"|(?P<percent>百分之)(?P<of>\d+(?:\.\d+)?|{_CHINESE})|(?P<chinese>{_CHINESE})"
    rf"|(?<![^\W_])(?P<words>{_ENGLISH}(?:\shundred(?:(?:\sand)?\s{_ENGLISH})?)?)(?![^\W_]))"
    rf"(?P<close>\))?(?:[ -]?(?P<scale>{_longest_first(SCALES)})(?![a-z]))?(?:\s?(?P<short>mm|tn|[kmb])(?![a-z]))?"
    rf"(?:[ -]?(?P<unit>{_longest_first(map(re.escape, UNITS))})(?![a-z]))?(?P<close2>\s?\))?"
)


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number in base units of its dimension ("" where no unit stands beside it); `factor` is its unit in these."""

    value: float
    dimension: str = ""
    factor: float = field(default=1.0, compare=False)


def chinese_number(text: str) -> float:
    """The value of a number in Chinese signs: 二十四 is 24, 一百零五 105, 三万五千 35,000, 二〇二四 2024."""
    whole, _, decimals = text.partition("点")
    value = _chinese_whole(whole)
    return value + sum(_DIGITS[sign] / 10**place for place, sign in enumerate(decimals, 1))


def _chinese_whole(text: str) -> float:
    for sign, power in (("亿", 1e8), ("万", 1e4)):
        if sign in text:
            head, _, tail = text.rpartition(sign)
            return (_chinese_whole(head) if head else 1) * power + (_chinese_whole(tail) if tail else 0)
    if not any(sign in _POWERS for sign in text):
        return float("".join(str(_DIGITS[sign]) for sign in text) or 0)
    value, digit = 0, 0
    for sign in text:
        if sign in _POWERS:
            value, digit = value + (digit or 1) * _POWERS[sign], 0
        else:
            digit = _DIGITS[sign]
    return float(value + digit)


def _chained(text: str) -> float | None:
    """The value of "3万5千" or "3亿5000万"; None where the scales do not fall, so that these are several numbers."""
    value, last, end = 0.0, math.inf, 0
    for link in re.finditer(_LINK, text):
        scale = SCALES[link["power"]]
        if scale >= last or float(link["count"]) * scale >= last:
            return None
        value, last, end = value + float(link["count"]) * scale, scale, link.end()
    return value + float(text[end:].lstrip("零") or 0)


@lru_cache(maxsize=4096)
def quantities(text: str) -> tuple[Quantity, ...]:
    """Every number of a text with its unit, in order: digits, English words and Chinese signs, scales applied.

    "1.2 million", 三万 and 3万5千; k, m, b only beside a currency ("$3M"). A number that is said again in brackets
    ("thirty (30) days") counts once. Brackets are negative as in a balance sheet: around a decimal or thousands
    ("(1,234)"), before a scale or a percent sign, behind a currency ("$(5)"), or alone in a table cell; where another
    unit follows they never are.
    """
    plain = re.sub(r"(?<=\d)per cent\b|(?<=\d )per cent\b", "percent", fold(text).translate(MINUSES))
    found: list[Quantity] = []
    place, last = 0, (-1, 0.0)
    while match := _QUANTITY.search(plain, place):
        place = match.end()
        value = _value(match)
        if value is None and match["chain"]:
            # 3万4万 are two numbers: the first of them, then on behind it.
            first = re.match(_LINK, match["chain"])
            assert first is not None
            place, value = match.start("chain") + first.end(), float(first["count"]) * SCALES[first["power"]]
            found.append(Quantity(value))
            continue
        if value is None:
            continue
        unit, scale, short = match["unit"] or "", SCALES.get(match["scale"] or "", 1.0), match["short"] or ""
        currency = match["before"] or match["before2"] or ""
        money = bool(currency) or (unit in UNITS and UNITS[unit][0] in _MONEY)
        if short and money:
            scale = _SHORT[short]
        elif short in UNITS and not unit:
            unit = short
        unit = "%" if match["percent"] else unit or currency.replace("人民币", "cny")
        opened, closed = match["open"], match["close"] or match["close2"]
        bare = value
        value *= scale
        if match["minus"] or match["minus2"]:
            value = -value
        elif opened and closed:
            again = last[0] >= 0 and not plain[last[0] : match.start("open")].strip(" -")
            if again and last[1] == bare:
                found.pop()
            elif not again and match["digits"] and _owed(plain, match, unit):
                value = -value
        dimension, factor = UNITS[unit] if unit else ("", 1.0)
        found.append(Quantity(value * factor, dimension, factor))
        last = (-1 if unit or match["scale"] else match.end(), bare)
    return tuple(found)


def _value(match: re.Match[str]) -> float | None:
    """The number of a match before its scale; None where its signs are no number."""
    if match["chain"]:
        return _chained(match["chain"])
    if match["digits"]:
        return float(match["digits"].replace(",", ""))
    if match["percent"]:
        return float(match["of"]) if match["of"][0].isdigit() else chinese_number(match["of"])
    if signs := match["chinese"]:
        # One sign alone counts only before a unit: 一 stands in 一般 and 一些 too.
        if len(signs) == 1 and (not match["unit"] or signs in "千万亿百"):
            return None
        return None if signs in ("千万", "十分", "万一") else chinese_number(signs)
    return _english_number(match["words"])


def _owed(plain: str, match: re.Match[str], unit: str) -> bool:
    """Whether a bracketed number is a negative one, as in a balance sheet; "(94 pounds)" in a sentence is none."""
    behind = plain[match.end() :].lstrip(" ")[:1]
    alone = plain[: match.start()].rstrip(" ")[-1:] in ("", "|", "\t") and behind in ("", "|", "\t", "\n", ".")
    if unit:
        outside = bool(match["before"] or (match["close"] and match["unit"]))
        return UNITS[unit][0] in (*_MONEY, "share") and (alone or outside)
    return alone or bool(match["scale"]) or bool(re.search("[.,]", match["digits"]))


def _english_number(text: str) -> float:
    value = 0
    for word in re.split(r"[\s-]+", text):
        value = value * 100 if word == "hundred" else value + _WORDS.get(word, 0)
    return float(value)
