"""N facts of a folder of documents, changed: plausible new values, the same everywhere in their document.

A new value has as many signs as the old one, so that every span of the document stays where it was. Only values made of
numbers in files of plain text are changed: those can be changed without doubt about what the document then says.
"""

from __future__ import annotations

import random
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tunewise.nouns import Question
from tunewise.store import write_bytes

SUFFIXES = frozenset((".md", ".markdown", ".txt", ".html", ".htm", ".csv"))
_NUMBER = re.compile(r"\d+(?:[.,:/-]\d+)*")
_NUMERAL = re.compile(r"[一二三四五六七八九十百千零〇]{2,}")
_DIGITS = "一二三四五六七八九"


@dataclass(frozen=True, slots=True)
class Fact:
    """One changed fact: the question that asks for it, the value that stood there, and the present one."""

    question: Question
    document: str
    old: str
    new: str


def change_facts(
    folder: Path, questions: Sequence[Question], *, count: int, seed: int = 0
) -> tuple[list[Fact], list[str]]:
    """Change up to `count` facts that `questions` ask for in the files of `folder`; (facts, why others were left).

    Each value is changed once in a document, wherever it stands there as a whole number.
    """
    chance = random.Random(seed)
    order = sorted(questions, key=lambda question: question.id)
    chance.shuffle(order)
    facts: list[Fact] = []
    left: list[str] = []
    texts: dict[str, str] = {}
    taken: set[tuple[str, str]] = set()
    for question in order:
        if len(facts) == count:
            break
        old = _value(question)
        if not old or len(question.documents) != 1:
            continue
        (document,) = question.documents
        path = folder / document
        if path.suffix.lower() not in SUFFIXES:
            left.append(f"{question.id}: {document} is no file of plain text")
            continue
        try:
            text = texts.setdefault(document, path.read_bytes().decode("utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            left.append(f"{question.id}: {document}: {error}")
            continue
        spots = _whole(old).findall(text)
        new = _another(old, text, chance)
        if not spots or not new or any(old in pair or pair in old for name, pair in taken if name == document):
            left.append(f"{question.id}: the value {old!r} of {document} cannot be changed alone")
            continue
        texts[document] = _whole(old).sub(new, text)
        taken |= {(document, old), (document, new)}
        facts.append(Fact(question, document, old, new))
    for document in {fact.document for fact in facts}:
        write_bytes(folder / document, texts[document].encode("utf-8"))
    return facts, left


def follow(questions: Sequence[Question], facts: Sequence[Fact]) -> list[Question]:
    """The questions with their answers as the changed documents have them."""
    changed = []
    for question in questions:
        for fact in facts:
            if fact.document in question.documents:
                answers = tuple(_whole(fact.old).sub(fact.new, answer) for answer in question.answers)
                question = replace(question, answers=answers)
        changed.append(question)
    return changed


def says(answer: str, value: str) -> bool:
    """Whether an answer holds a value, as a whole number; widths and thousands marks aside."""
    plain = unicodedata.normalize("NFKC", answer)
    return bool(_whole(value).search(plain)) or bool(_whole(value.replace(",", "")).search(plain.replace(",", "")))


def _value(question: Question) -> str:
    """The number that an answer turns on, "" when there is none or more than one."""
    if not question.answers or not question.gold or not question.gold[0].end:
        return ""
    answer = question.answers[0]
    numbers = [*_NUMBER.findall(answer), *_NUMERAL.findall(answer)]
    numbers = [one for one in numbers if len(one) > 1]
    return numbers[0] if len(numbers) == 1 else ""


def _whole(value: str) -> re.Pattern[str]:
    inner = re.escape(value)
    if value[0].isascii():
        return re.compile(rf"(?<![\d])(?<!\d[.,:/-]){inner}(?![\d])(?![.,:/-]\d)")
    return re.compile(rf"(?<![一二三四五六七八九十百千零〇]){inner}(?![一二三四五六七八九十百千零〇])")


def _another(old: str, text: str, chance: random.Random) -> str:
    """A value of the same form that the text does not have yet."""
    for _ in range(50):
        new = "".join(_digit(sign, place, old, chance) for place, sign in enumerate(old))
        if new != old and new not in text:
            return new
    return ""


def _digit(sign: str, place: int, old: str, chance: random.Random) -> str:
    if sign in _DIGITS:
        return chance.choice(_DIGITS[1:])
    if not sign.isdigit() or not sign.isascii():
        return sign
    # Small digits keep months, days, hours and percentages possible; the first keeps the size of the number.
    after_first = place and old[place - 1].isdigit()
    return chance.choice("0123456789" if after_first else "12" if sign in "12" else "3456789" if sign != "0" else "0")
