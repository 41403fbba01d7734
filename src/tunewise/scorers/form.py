"""Rules of form that an answer's text keeps or breaks: `Question.rules` by name.

Knows nothing about what is right. A word is what a reader would count: words between spaces, and each Chinese
character.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from tunewise.errors import DataMistake, need
from tunewise.scorers.text import CJK, words

ELSEWHERE = frozenset({"terms"})
"""Names in `Question.rules` that other scorers read."""


def _lines(text: str) -> int:
    return sum(bool(line.strip()) for line in text.splitlines())


def _regex(text: str, value: str) -> bool:
    return re.fullmatch(value, text.strip(), re.DOTALL) is not None


def _json_schema(text: str, value: dict[str, Any]) -> bool:
    jsonschema = need("jsonschema", feature="the rule json_schema", extra="schema")
    try:
        parsed = json.loads(text)
    except ValueError:
        return False
    return jsonschema.Draft202012Validator(value).is_valid(parsed)


def _starts_with(text: str, value: str | list[str]) -> bool:
    return text.lstrip().startswith((value,) if isinstance(value, str) else tuple(value))


def language_of(text: str) -> str:
    """"zh" when Chinese characters are at least as many as words in other letters, "en" when not, "und" without
    letters."""
    chinese = len(re.findall(rf"[{CJK}]", text))
    other = len(re.findall(rf"[^\W\d_{CJK}]+", text))
    return "und" if not chinese + other else "zh" if chinese >= other else "en"


RULES: dict[str, tuple[type | tuple[type, ...], Callable[[str, Any], bool]]] = {
    "choices": (list, lambda text, value: text.strip() in value),
    "json_schema": (dict, _json_schema),
    "language": (str, lambda text, value: language_of(text) == value.lower().split("-")[0]),
    "max_lines": (int, lambda text, value: _lines(text) <= value),
    "max_words": (int, lambda text, value: words(text) <= value),
    "min_words": (int, lambda text, value: words(text) >= value),
    "regex": (str, _regex),
    "starts_with": ((str, list), _starts_with),
}
"""Rule by name: the JSON type of its value, and the check. `regex` has to match the whole text, without outer space."""


def check_rules(rules: Sequence[tuple[str, Any]]) -> list[str]:
    """Every fault of a question's rules, in plain words: unknown names, values of a wrong type, broken patterns."""
    faults = []
    for name, value in rules:
        if name in ELSEWHERE:
            continue
        if name not in RULES:
            faults.append(f"unknown rule {name!r}; known: {', '.join(sorted((*RULES, *ELSEWHERE)))}")
            continue
        wanted = RULES[name][0]
        if isinstance(value, tuple):
            value = list(value)
        if not isinstance(value, wanted) or isinstance(value, bool):
            names = [kind.__name__ for kind in (wanted if isinstance(wanted, tuple) else (wanted,))]
            faults.append(f"rule {name!r} needs {' or '.join(names)}, got {value!r}")
        elif name == "regex":
            try:
                re.compile(value)
            except re.error as error:
                faults.append(f"rule 'regex': {value!r} is not a pattern: {error}")
    return faults


def broken_rules(text: str, rules: Sequence[tuple[str, Any]]) -> list[str]:
    """The names of the rules that the text breaks; `DataMistake` listing the known ones for a rule that is none."""
    faults = check_rules(rules)
    if faults:
        raise DataMistake("; ".join(faults), tip="see the rules of form in docs/questions.md", faults=tuple(faults))
    return [
        name
        for name, value in rules
        if name not in ELSEWHERE and not RULES[name][1](text, list(value) if isinstance(value, tuple) else value)
    ]


def form_scores(text: str, rules: Sequence[tuple[str, Any]]) -> dict[str, float]:
    """`form`: 1 when every rule of form is kept, else 0; absent when the question has none."""
    broken = broken_rules(text, rules)
    return {"form": float(not broken)} if any(name not in ELSEWHERE for name, _ in rules) else {}
