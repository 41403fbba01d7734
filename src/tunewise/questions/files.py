"""Question files: read, write, check against the documents, bring in a set of the form X.questions.jsonl.

Knows nothing about models or scores. Every fault of a file is reported at once, with its line.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from tunewise.errors import DataMistake
from tunewise.nouns import Gold, Question, to_json
from tunewise.sentences import prompt_language, terms
from tunewise.store import write_text

FIELDS = tuple(field.name for field in fields(Question))


def _question(value: Any) -> Question:
    if not isinstance(value, dict):
        raise ValueError("a question is a JSON object")
    if unknown := sorted(set(value) - set(FIELDS)):
        raise ValueError(f"unknown key(s) {', '.join(unknown)}; known: {', '.join(FIELDS)}")
    for key in ("id", "question"):
        if not isinstance(value.get(key), str) or not value[key].strip():
            raise ValueError(f"it needs a text under {key!r}")
    for key in ("kind", "language"):
        if not isinstance(value.get(key, "x"), str) or not value.get(key, "x").strip():
            raise ValueError(f"{key!r} is a text")
    if not isinstance(value.get("answerable", True), bool):
        raise ValueError("'answerable' is true or false")
    groups = value.get("groups", [])
    if not isinstance(groups, list) or not all(isinstance(group, str) for group in groups):
        raise ValueError("'groups' is a list of texts")
    answers = value.get("answers", [])
    if not isinstance(answers, list) or not all(isinstance(item, str) and item.strip() for item in answers):
        raise ValueError("'answers' is a list of texts")
    gold = value.get("gold", [])
    if not isinstance(gold, list) or not all(
        isinstance(item, dict) and isinstance(item.get("document"), str) for item in gold
    ):
        raise ValueError("'gold' is a list of {document, start, end}")
    spans = tuple(Gold(item["document"], int(item.get("start", 0)), int(item.get("end", 0))) for item in gold)
    rules = value.get("rules", {})
    if not isinstance(rules, dict):
        raise ValueError("'rules' is a JSON object")
    plain = {
        key: value[key] for key in ("id", "question", "answerable", "kind", "split", "need", "language") if key in value
    }
    # Left out, it is what the question is written in: scores, prompts and refusals go by it.
    plain.setdefault("language", prompt_language(value["question"]))
    question = Question(
        **plain,
        answers=tuple(answers),
        gold=spans,
        rules=tuple(
            sorted(
                (key, json.dumps(item) if isinstance(item, dict) else tuple(item) if isinstance(item, list) else item)
                for key, item in rules.items()
            )
        ),
        groups=tuple(groups),
        history=_history(value.get("history", [])),
    )
    if question.answerable and not question.answers:
        raise ValueError('it has no answers; an unanswerable question says "answerable": false')
    return question


def _history(turns: Any) -> tuple[tuple[str, str], ...]:
    good = isinstance(turns, list) and all(
        isinstance(turn, list) and len(turn) == 2 and all(isinstance(text, str) for text in turn) for turn in turns
    )
    if not good:
        raise ValueError("'history' is a list of [question, answer]")
    return tuple((asked, answered) for asked, answered in turns)


def load_questions(path: Path) -> list[Question]:
    """The questions of a JSONL file; `DataMistake` lists every broken line, and nothing is dropped silently."""
    path = Path(path)
    if not path.is_file():
        raise DataMistake(f"there is no question file {path}", tip="tunewise questions --help shows its format")
    questions: list[Question] = []
    faults: list[str] = []
    seen: dict[str, int] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").split("\n"), 1):
        if not line.strip():
            continue
        try:
            question = _question(json.loads(line))
            if question.id in seen:
                raise ValueError(f"the id {question.id!r} stands already in line {seen[question.id]}")
        except (ValueError, TypeError) as error:
            faults.append(f"{path}:{number}: {error}")
            continue
        seen[question.id] = number
        questions.append(question)
    if faults:
        raise DataMistake(
            f"{path}: {len(faults)} broken line(s), {len(questions)} good one(s)",
            tip="mend the lines and run the command again",
            faults=tuple(faults),
        )
    if not questions:
        raise DataMistake(f"{path} holds no question", tip="one JSON object on each line")
    return questions


def question_json(question: Question) -> dict[str, Any]:
    """A question as its line of the file: defaults that say nothing are left out."""
    value = to_json(question)
    value["rules"] = {name: _object(item) for name, item in value["rules"]}
    return {key: item for key, item in value.items() if item not in ([], {}) or key in ("answers", "gold")}


def _object(item: Any) -> Any:
    """A rule's JSON object, kept as text in the question, as the object that its file had."""
    if not isinstance(item, str) or not item.startswith("{"):
        return item
    try:
        return json.loads(item)
    except ValueError:
        return item  # a pattern may open with a brace


def save_questions(path: Path, questions: Iterable[Question]) -> None:
    """Write a question file, whole or not at all."""
    write_text(Path(path), "".join(json.dumps(question_json(q), ensure_ascii=False) + "\n" for q in questions))


def check_questions(questions: Sequence[Question], documents: Mapping[str, str]) -> list[str]:
    """Every fault of questions against their documents' texts: missing documents, spans outside, spans off words."""
    faults = []
    for question in questions:
        for gold in question.gold:
            text = documents.get(gold.document)
            if text is None:
                faults.append(f"{question.id}: there is no document {gold.document!r}")
            elif gold.end > len(text):
                faults.append(
                    f"{question.id}: its gold span {gold.start}..{gold.end} lies beyond {gold.document} "
                    f"({len(text)} characters)"
                )
            elif gold.end and not text[gold.start : gold.end].strip():
                faults.append(f"{question.id}: its gold span {gold.start}..{gold.end} of {gold.document} is blank")
            elif gold.end and text[gold.start : gold.end] != text[gold.start : gold.end].strip():
                faults.append(
                    f"{question.id}: its gold span {gold.start}..{gold.end} of {gold.document} "
                    "begins or ends with space"
                )
        spans = [documents[g.document][g.start : g.end] for g in question.gold if g.end and g.document in documents]
        # One span that shares no word with any answer is most often an offset of another version of the text.
        if question.need == "facts" and len(question.gold) == 1 and spans and question.answers:
            words = _words(spans[0])
            if not any(words & _words(answer) for answer in question.answers):
                faults.append(f"{question.id}: no answer shares a word with its gold span {spans[0][:60]!r}")
    return faults


def _words(text: str) -> set[str]:
    return set(terms(unicodedata.normalize("NFKC", text)))


def _value_rules(value: Mapping[str, Any], answers: Sequence[str]) -> tuple[tuple[str, Any], ...]:
    """The rule that reads an imported answer as a list, or as a number in its scale; none for plain text."""
    if value.get("answers_are_list"):
        return (("list", tuple(answers)),)
    plain = re.sub(r"[$€£,%\s]", "", answers[0])
    if "scale" not in value or len(answers) > 1 or not re.fullmatch(r"\(?-?\d+(\.\d+)?\)?", plain):
        return ()
    number = float(plain.strip("()")) * (-1 if plain.startswith("(") else 1)
    decimals = len(plain.strip("()").partition(".")[2])
    # Half a unit of the last digit that the answer has: 12.5 stands for 12.45 to 12.55.
    rule = {"value": number, "tolerance": 0.5 * 10.0**-decimals}
    unit = " ".join(part for part in (value["scale"], "dollars" if "$" in answers[0] else "") if part)
    return (("number", json.dumps(rule | ({"unit": unit} if unit else {}))),)


def _answer(value: Any) -> str:
    """An answer of a foreign set as text: 5 and true are answers, too."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else str(value) if isinstance(value, (int, float)) else ""


def import_dataset(documents: Path, questions: Path, out: Path) -> tuple[int, int, list[str]]:
    """Convert `X.docs.jsonl` and `X.questions.jsonl` into a folder of text files and our question file.

    Reads documents as {doc_id, title, text} and questions as {qid, question, answers, answerable, gold: [{doc_id,
    start, end}], type, lang, split}; `answers_are_list` and `scale` (TAT-QA) become the rules `list` and `number`.
    Writes out/documents/*.txt and out/questions.jsonl; returns how many of each,
    and the ids of those left out because they ask nothing.
    """
    from tunewise.store import read_jsonl

    names: dict[str, str] = {}
    shift: dict[str, int] = {}
    for _, value in read_jsonl(documents):
        name = re.sub(r"[^\w.-]+", "_", value["doc_id"]) + ".txt"
        text = value["text"]
        if name in names.values():
            raise DataMistake(f"{documents}: two document ids would both be written to {name}", tip="rename one")
        if unicodedata.normalize("NFC", text) != text or "\r" in text:
            raise DataMistake(f"{documents}: the text of {value['doc_id']} is not NFC with \\n: its offsets would move")
        names[value["doc_id"]] = name
        # Readers strip white space at both ends; offsets move with it.
        shift[value["doc_id"]] = len(text) - len(text.lstrip())
        write_text(out / "documents" / name, text.strip() + "\n")
    converted, blank = [], []
    for _, value in read_jsonl(questions):
        if not value["question"].strip():
            blank.append(value["qid"])
            continue
        answers = tuple(dict.fromkeys(text for a in value.get("answers", []) if (text := _answer(a)).strip()))
        answerable = bool(value.get("answerable", True)) and bool(answers)
        rules = _value_rules(value, answers) if answerable else ()
        if dict(rules).get("list"):
            # The items of a list are not aliases of one another: each alone would be half of the answer.
            answers = (", ".join(answers),)
        gold = tuple(
            Gold(
                names[g["doc_id"]],
                *((g["start"] - shift[g["doc_id"]], g["end"] - shift[g["doc_id"]]) if "start" in g else (0, 0)),
            )
            for g in value.get("gold", [])
            if answerable
        )
        split = {"val": "validation", "validation": "validation", "train": "train"}.get(
            value.get("split", "test"), "test"
        )
        converted.append(
            Question(
                id=value["qid"],
                question=value["question"],
                answers=answers if answerable else (),
                gold=gold,
                answerable=answerable,
                kind=value.get("type") or "fact",
                rules=rules,
                split=split,
                language=value.get("lang") or prompt_language(value["question"]),
            )
        )
    save_questions(out / "questions.jsonl", converted)
    return len(names), len(converted), blank
