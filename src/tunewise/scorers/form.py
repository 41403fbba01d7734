"""Rules of form that an answer's text keeps or breaks: `Question.rules` by name.

Knows nothing about what is right. A word is what a reader would count: words between spaces, and each Chinese
character.
"""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Callable, Sequence
from typing import Any

from tunewise.errors import DataMistake, need
from tunewise.scorers.text import CJK, words
from tunewise.scorers.values import number_faults
from tunewise.sentences import sentences

ELSEWHERE = frozenset({"terms", "number", "list", "style"})
"""Names in `Question.rules` that other scorers read."""


def _lines(text: str) -> int:
    return sum(bool(line.strip()) for line in text.splitlines())


def _regex(text: str, value: str) -> bool:
    return re.fullmatch(value, text.strip(), re.DOTALL) is not None


def plain(value: Any) -> Any:
    """A rule's value as its file said it: questions keep lists as tuples and objects as JSON text."""
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, str) and value.startswith("{"):
        try:
            return json.loads(value)
        except ValueError:
            return value  # a pattern such as {3} is a text that opens with a brace
    return value


def _json_schema(text: str, value: dict[str, Any]) -> bool:
    jsonschema = need("jsonschema", feature="the rule json_schema", extra="schema")
    try:
        parsed = json.loads(_FENCE.sub("", text.strip()))
    except ValueError:
        return False
    return jsonschema.Draft202012Validator(value).is_valid(parsed)


def _starts_with(text: str, value: str | list[str]) -> bool:
    return text.lstrip().startswith((value,) if isinstance(value, str) else tuple(value))


_FENCE = re.compile(r"^```(?:json)?\s*\n|\n\s*```$")
"""Models put JSON into a fence; a reader of the chat sees JSON all the same."""


def grade(text: str) -> float:
    """School years that an English text asks for: the index of Coleman and Liau (1975), from letters and sentences."""
    parts = [text[a:b] for a, b in sentences(text, 0, len(text))]
    count = len(re.findall(r"[^\W\d_]+(?:['’][^\W\d_]+)*", text))
    if not count or not parts:
        return 0.0
    letters = sum(sign.isalpha() for sign in text)
    return 0.0588 * 100 * letters / count - 0.296 * 100 * len(parts) / count - 15.8


def sentence_words(text: str) -> float:
    """Mean length of a text's sentences in words (Chinese: characters): the reading level that both languages have."""
    found = [words(text[a:b]) for a, b in sentences(text, 0, len(text))]
    return statistics.fmean(found) if found else 0.0


LANGUAGES = ("en", "zh")
"""What `language_of` can tell, and the rule `language` can ask for."""
_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002ebef]")
_KANA = re.compile(r"[\u3040-\u30ff]")
_LATIN, _LETTERS = re.compile(r"[A-Za-z\u00c0-\u024f]+(?:['’][A-Za-z]+)?"), re.compile(rf"[^\W\d_{CJK}]+")
_ENGLISH_WORDS = (
    "the of and to is was were are be been it that this with for from by have has had not you they will would can "
    "which their there what who how why where when did does if or as at"
)
# German, French, Spanish, Italian, Portuguese and Dutch; without those that are English words too (die, do, per, me).
_OTHER_WORDS = (
    "der das und ist nicht mit ein eine einen dem den von zu für auf werden wird sind bei nach auch "
    "le la les des une dans pour pas que qui avec sont du au aux et "
    "el los las una por para como más pero y del il di che sono della nel não uma em het een van niet voor zijn"
)
_ENGLISH, _OTHERS = frozenset(_ENGLISH_WORDS.split()), frozenset(_OTHER_WORDS.split())


def language_of(text: str) -> str:
    """"zh" when Chinese characters are at least as many as words in Latin letters, "en" when not, else "und".

    "und" (undetermined): no letters; mostly letters of another script; kana among the Chinese characters; or Latin
    letters where two or more of the commonest words of other languages stand (der, les, para …) and fewer English ones.
    """
    han, kana = len(_HAN.findall(text)), len(_KANA.findall(text))
    latin = [word.lower() for word in _LATIN.findall(text)]
    strange = sum(1 for word in _LETTERS.findall(text) if not _LATIN.match(word))
    if not han + kana + len(latin) or strange > max(han, len(latin)):
        return "und"
    if han + kana >= len(latin):
        # Japanese is never without kana; a の in a Chinese name is one in many.
        return "und" if kana * 10 > han else "zh"
    others = sum(word in _OTHERS for word in latin)
    return "und" if others > 1 and others > sum(word in _ENGLISH for word in latin) else "en"


def _language(value: str) -> str:
    return value.lower().split("-")[0]


def _max_grade(text: str, value: float) -> bool:
    # A text without letters, such as "24", asks for no school at all.
    return grade(text) <= value if language_of(text) == "en" else not _LETTERS.search(text) and not _HAN.search(text)


RULES: dict[str, tuple[type | tuple[type, ...], Callable[[str, Any], bool]]] = {
    "choices": (list, lambda text, value: text.strip() in value),
    "json_schema": (dict, _json_schema),
    "max_characters": (int, lambda text, value: len(text.strip()) <= value),
    "max_grade": ((int, float), _max_grade),
    "max_sentence_words": ((int, float), lambda text, value: sentence_words(text) <= value),
    "language": (str, lambda text, value: language_of(text) == _language(value)),
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
        value = plain(value)
        if name in ELSEWHERE:
            if name == "number":
                faults += number_faults(value)
            elif name in ("list", "style") and not (
                isinstance(value, list) and value and all(isinstance(item, str) and item.strip() for item in value)
            ) and not (name == "list" and value is True):
                faults.append(f"rule {name!r} needs a list of texts, got {value!r}")
            continue
        if name not in RULES:
            faults.append(f"unknown rule {name!r}; known: {', '.join(sorted((*RULES, *ELSEWHERE)))}")
            continue
        wanted = RULES[name][0]
        if not isinstance(value, wanted) or isinstance(value, bool):
            names = [kind.__name__ for kind in (wanted if isinstance(wanted, tuple) else (wanted,))]
            faults.append(f"rule {name!r} needs {' or '.join(names)}, got {value!r}")
        elif name == "language" and _language(value) not in LANGUAGES:
            faults.append(f"rule 'language': unknown language {value!r}; known: {', '.join(LANGUAGES)} (a region may "
                          "follow: zh-CN)")
        elif isinstance(value, (int, float)) and value < 0:
            faults.append(f"rule {name!r}: {value!r} is below 0, so that every answer would break it")
        elif isinstance(value, list) and not (value and all(isinstance(item, str) and item for item in value)):
            faults.append(f"rule {name!r} needs a list of texts, got {value!r}")
        elif name == "regex":
            try:
                re.compile(value)
            except re.error as error:
                faults.append(f"rule 'regex': {value!r} is not a pattern: {error}")
        elif name == "json_schema":
            faults += _schema_faults(value)
    return faults


def _schema_faults(value: dict[str, Any]) -> list[str]:
    jsonschema = need("jsonschema", feature="the rule json_schema", extra="schema")
    try:
        jsonschema.Draft202012Validator.check_schema(value)
    except jsonschema.SchemaError as error:
        return [f"rule 'json_schema' is no schema: {error.message}"]
    return []


def broken_rules(text: str, rules: Sequence[tuple[str, Any]]) -> list[str]:
    """The names of the rules that the text breaks; `DataMistake` listing the known ones for a rule that is none."""
    faults = check_rules(rules)
    if faults:
        raise DataMistake("; ".join(faults), tip='the rules are in docs/measures.md, "Form and terms"',
                          faults=tuple(faults))
    return [
        name
        for name, value in rules
        if name not in ELSEWHERE and not RULES[name][1](text, value if name == "regex" else plain(value))
    ]


def form_scores(text: str, rules: Sequence[tuple[str, Any]]) -> dict[str, float]:
    """`form`: 1 when every rule of form is kept, else 0; absent when the question has none."""
    broken = broken_rules(text, rules)
    return {"form": float(not broken)} if any(name not in ELSEWHERE for name, _ in rules) else {}
