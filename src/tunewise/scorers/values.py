"""Answers that are a number, a list, or yes / no / maybe: read as values, so that wording does not decide.

Knows nothing about passages. `rules.number` = {"value", "tolerance", "unit"} (or true: from the first gold answer),
`rules.list` = ["item", "item|alias", …] (or true: the gold answer, split). Yes / no / maybe needs no rule: it applies
where every gold answer is one of these words.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tunewise.errors import DataMistake
from tunewise.nouns import Question
from tunewise.scorers.quantities import SCALES, UNITS, quantities
from tunewise.scorers.text import fold, holds, names_kept, tokens

# ------------------------------------------------------------------------------------------------ numbers


@dataclass(frozen=True, slots=True)
class _Wanted:
    value: float
    tolerance: float
    dimension: str
    factor: float
    scale: float = 1.0


@lru_cache(maxsize=4096)
def _wanted_number(rule: str, gold: str) -> _Wanted:
    given = json.loads(rule)
    if given is True:
        found = quantities(gold)
        if not found:
            raise DataMistake(f"rule 'number': the gold answer {gold!r} holds no number",
                              tip='write {"value": 12.5, "tolerance": 0.1, "unit": "kg"}')
        first = found[0]
        return _Wanted(first.value, abs(first.value) * 1e-9, first.dimension, first.factor)
    unit = fold(str(given.get("unit", "")))
    scale = 1.0
    for word in unit.split():
        if word in SCALES:
            scale *= SCALES[word]
    name = next((word for word in reversed(unit.split()) if word in UNITS), "")
    dimension, factor = UNITS[name] if name else ("", 1.0)
    value, tolerance = float(given["value"]) * scale * factor, given.get("tolerance", 0)
    if isinstance(tolerance, str):
        margin = abs(value) * float(tolerance.rstrip("%")) / 100
    else:
        margin = float(tolerance) * scale * factor
    return _Wanted(value, margin + abs(value) * 1e-9, dimension, factor, scale)


def number_faults(value: Any) -> list[str]:
    """What is wrong with the value of a rule `number`, in plain words."""
    if value is True:
        return []
    if not isinstance(value, Mapping):
        return [f"rule 'number' needs true or {{\"value\", \"tolerance\", \"unit\"}}, got {value!r}"]
    faults = [f"rule 'number': unknown key {key!r}; known: value, tolerance, unit"
              for key in value if key not in ("value", "tolerance", "unit")]
    if not isinstance(value.get("value"), (int, float)) or isinstance(value.get("value"), bool):
        faults.append("rule 'number': value has to be a number")
    tolerance = value.get("tolerance", 0)
    relative = isinstance(tolerance, str) and re.fullmatch(r"\d+(\.\d+)?%", tolerance)
    if not relative and (not isinstance(tolerance, (int, float)) or isinstance(tolerance, bool) or tolerance < 0):
        faults.append("rule 'number': tolerance is a number in the unit of the value, or a share such as \"1%\"")
    unit = value.get("unit", "")
    unknown = [word for word in fold(str(unit)).split() if word not in UNITS and word not in SCALES]
    if unknown:
        faults.append(f"rule 'number': unknown unit {unknown[0]!r}; leave it out where only the number counts")
    return faults


MOST_NUMBERS = 3
"""A right number counts among this many of an answer, those of the question aside: a shower of numbers is no answer."""


def number_right(text: str, wanted: _Wanted, question: str) -> bool:
    """Whether one of the first three numbers of a text is the wanted one within its tolerance. A number without a unit
    passes; one with another unit of the same dimension is converted (24 months are 2 years)."""
    asked = set(quantities(question))
    said = [one for one in dict.fromkeys(quantities(text)) if one not in asked or one.value == wanted.value]
    for one in said[:MOST_NUMBERS]:
        if one.dimension and wanted.dimension and one.dimension != wanted.dimension:
            continue
        # "24" where "24 months" is wanted: a bare number is one of the wanted unit.
        value = one.value * (wanted.factor if wanted.dimension and not one.dimension else 1)
        # And "1,496.5" where millions are wanted is one of a table in millions.
        if any(abs(read - wanted.value) <= wanted.tolerance for read in (value, value * wanted.scale)):
            return True
    return False


# ------------------------------------------------------------------------------------------------ lists

# The comma of "73,260" and the "and" of "time-and-material" separate nothing, and 可以及时 holds no 以及.
_SEPARATOR = re.compile(
    r"\s*(?:(?<!\d),|,(?!\d)|[;，；、\n•]|(?:^|\n)\s*[-*]\s|(?<=\s)(?:and|or)(?=\s)|(?<!可)以及(?![时格]))\s*"
)
# 和, 与 and 及 stand inside many words; these are the commonest.
_AND = re.compile(
    r"(?<![共饱温缓总附柔祥平谦中人])和(?![平谐解睦气蔼善约风尚])|(?<![参给赋])与(?![会其否])|(?<![涉普波危埃顾提触以遍])及(?![时格其早])"
)


def items_of(text: str, wanted: Collection[str] = ()) -> list[str]:
    """The items of a list in running text or on lines of their own.

    At 和, 与 or 及 only where it cannot be inside a word: with two signs or more on either side, or a `wanted` item on
    one; and never inside of a wanted item ("和平与发展").
    """
    parts = _SEPARATOR.split(re.sub(r"(?m)^\s*(?:[-*•]|\d{1,2}[.)、](?!\d))\s*", "\n", text))
    known = {_bare(item) for item in wanted}
    found = [item for part in parts for item in _parted(part, known)]
    return [part.strip(" .。:：") for part in found if tokens(part)]


def _bare(item: str) -> str:
    return fold(item).strip(" .。:：")


def _parted(part: str, known: Collection[str]) -> list[str]:
    """The items that 和, 与 and 及 join in one part of a list."""
    if _bare(part) in known:
        return [part]
    for match in _AND.finditer(part):
        left, right = part[: match.start()], part[match.end() :]
        if any(_covers(fold(part), item, match.start()) for item in known):
            continue
        long = min(len(_bare(left)), len(_bare(right))) > 1
        if long or (_bare(left) and _bare(right) and {_bare(left), _bare(right)} & set(known)):
            return [left, *_parted(right, known)]
    return [part]


def _covers(text: str, item: str, place: int) -> bool:
    """Whether an occurrence of an item in a text holds the sign at a place."""
    return any(at.start() <= place < at.start() + len(item) for at in re.finditer(f"(?={re.escape(item)})", text))


def list_scores(text: str, wanted: Sequence[str]) -> dict[str, float]:
    """`list_f1` and `list_exact`: items of the answer against the wanted ones ("a|b": a or its alias b).

    A wanted item is found when one of its wordings stands in the answer as one run of words (so that an item may hold
    an "and"). Precision counts the answer's items that hold, or are held by, a wanted one.
    """
    names = [item.split("|") for item in wanted]
    aliases = [[names_kept(alias) for alias in item] for item in names]
    said = names_kept(text)
    found = sum(any(holds(said, alias) for alias in item) for item in aliases)
    items = [names_kept(item) for item in items_of(text, [alias for item in names for alias in item])]
    good = sum(any(holds(item, alias) or holds(alias, item) for group in aliases for alias in group) for item in items)
    if not found or not good:
        return {"list_f1": 0.0, "list_exact": 0.0}
    recall, precision = found / len(aliases), good / len(items)
    return {"list_f1": 2 * recall * precision / (recall + precision),
            "list_exact": float(found == len(aliases) and good == len(items))}


# ------------------------------------------------------------------------------------------------ yes, no, maybe

def _longest_first(words: Iterable[str]) -> str:
    return "|".join(sorted(words, key=len, reverse=True))


_DECISIONS = {
    word: name
    for name, words in {
        "yes": "yes true 是 是的 是可以 可以 允许 对 对的 有 能 能够",
        "no": "no false 否 否定 不是 不可以 不能 不能够 不得 不允许 不会 不行 不 没有 不对 无法 禁止",
        "maybe": "maybe unclear uncertain 也许 可能 不确定 不能确定 无法确定 不一定",
    }.items()
    for word in words.split()
}
_ONLY = frozenset({"yes", "no", "maybe", "是", "否", "是的", "不是", "不确定", "也许", "可以", "不可以", "能", "不能"})
_CHINESE = [word for word in _DECISIONS if not word.isascii()]
_ENDS = r"(?=$|[\W_]|的|吗|呀|呢|吧|啊)"
"""Behind a word of one sign: 对不起, 对于, 有效期, 是否, 不知道 and 不仅 open with one and decide nothing."""
_OPENING = re.compile(
    rf"^\W*(?:(?:the )?answer(?: is)?:?\s*|答案是?[:：]?\s*|回答[:：]?\s*)?"
    rf"({_longest_first(d for d in _DECISIONS if d.isascii())})(?![^\W_])"
    rf"|^\W*(?:答案是?[:：]?\s*|回答[:：]?\s*)?"
    rf"((?:{_longest_first(d for d in _CHINESE if len(d) > 1)})(?!提到|说明|提及|相关|信息|问题)"
    rf"|能(?![否源量力])|(?:{_longest_first(d for d in _CHINESE if len(d) == 1)}){_ENDS})"
)


def decision(text: str) -> str:
    """"yes", "no" or "maybe" as an answer opens with it (English or Chinese), else ""."""
    match = _OPENING.match(fold(text).strip())
    return _DECISIONS[match[1] or match[2]] if match else ""


def decision_asked(answers: Sequence[str]) -> str:
    """The decision that the gold answers want; "" where they are other words, or disagree."""
    if not answers or any(fold(answer).strip(" .。") not in _ONLY for answer in answers):
        return ""
    found = {decision(answer) for answer in answers}
    return found.pop() if len(found) == 1 else ""


# ------------------------------------------------------------------------------------------------ the door


def value_scores(question: Question, text: str, *, refused: bool) -> dict[str, float]:
    """`number`, `list_f1` and `list_exact`, or `yes_no`, as the question's rules and gold answers ask for."""
    rules = dict(question.rules)
    said = "" if refused else text
    scores: dict[str, float] = {}
    if "number" in rules:
        rule = rules["number"]
        gold = question.answers[0] if question.answers else ""
        wanted = _wanted_number(rule if isinstance(rule, str) else json.dumps(rule), gold)
        scores["number"] = float(number_right(said, wanted, question.question))
    if "list" in rules:
        rule = rules["list"]
        wanted_items = items_of(question.answers[0]) if rule is True and question.answers else list(rule)
        scores |= list_scores(said, wanted_items)
    asked = decision_asked(question.answers)
    if asked:
        scores["yes_no"] = float(decision(said) == asked)
    return scores


def value_right(scores: Mapping[str, float]) -> bool | None:
    """Whether an answer that was read as a value is right; None where it was not."""
    read = [scores[name] for name in ("number", "list_exact", "yes_no") if name in scores]
    return all(value == 1 for value in read) if read else None


__all__ = ["decision", "decision_asked", "items_of", "list_scores", "number_faults", "value_right", "value_scores"]
