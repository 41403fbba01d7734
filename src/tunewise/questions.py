"""Question files: read, check against the documents, split by fact and document, find leaks, import.

Knows nothing about models or scores. Every fault of a file is reported at once, with its line.
"""

from __future__ import annotations

import json
import random
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from tunewise.errors import DataMistake
from tunewise.nouns import Gold, Question, to_json
from tunewise.store import write_text

FIELDS = tuple(field.name for field in fields(Question))
NEAR = 0.6
"""Jaccard similarity of two questions' character 4-grams from which they count as nearly the same wording."""


def _question(value: Any) -> Question:
    if not isinstance(value, dict):
        raise ValueError("a question is a JSON object")
    if unknown := sorted(set(value) - set(FIELDS)):
        raise ValueError(f"unknown key(s) {', '.join(unknown)}; known: {', '.join(FIELDS)}")
    for key in ("id", "question"):
        if not isinstance(value.get(key), str) or not value[key].strip():
            raise ValueError(f"it needs a text under {key!r}")
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
        groups=tuple(value.get("groups", [])),
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
    value["rules"] = dict(value["rules"])
    return {key: item for key, item in value.items() if item not in ([], {}) or key in ("answers", "gold")}


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
    plain = unicodedata.normalize("NFKC", text).casefold()
    return set(re.findall(r"[一-鿿]|[^\W_一-鿿]+", plain))


def _grams(text: str, n: int = 4) -> frozenset[str]:
    plain = "".join(re.findall(r"[^\W_]+", unicodedata.normalize("NFKC", text).casefold()))
    size = 2 if re.search(r"[一-鿿]", plain) else n
    return frozenset(plain[i : i + size] for i in range(max(1, len(plain) - size + 1)))


def find_leaks(train: Sequence[Question], test: Sequence[Question]) -> list[tuple[str, str, str]]:
    """Pairs (train id, test id, why) where training would see a test question's fact or nearly its wording."""
    leaks = []
    by_document: dict[str, list[tuple[Gold, Question]]] = defaultdict(list)
    inverted: dict[str, list[int]] = defaultdict(list)
    grams = [_grams(question.question) for question in train]
    for number, question in enumerate(train):
        for gold in question.gold:
            if gold.end:
                by_document[gold.document].append((gold, question))
        for gram in grams[number]:
            inverted[gram].append(number)
    for question in test:
        for gold in question.gold:
            for other, learned in by_document.get(gold.document, ()):
                if gold.end and other.start < gold.end and gold.start < other.end:
                    leaks.append(
                        (
                            learned.id,
                            question.id,
                            f"both rest on {gold.document} {max(gold.start, other.start)}..{min(gold.end, other.end)}",
                        )
                    )
        wanted = _grams(question.question)
        shared: dict[int, int] = defaultdict(int)
        for gram in wanted:
            for number in inverted.get(gram, ()):
                shared[number] += 1
        for number, common in shared.items():
            alike = common / (len(wanted) + len(grams[number]) - common)
            if alike >= NEAR:
                leaks.append((train[number].id, question.id, f"nearly the same wording ({alike:.2f})"))
    return list(dict.fromkeys(leaks))


def split_questions(
    questions: Sequence[Question],
    *,
    seed: int = 0,
    test: float = 0.4,
    validation: float = 0.15,
    untouched: float = 0.35,
) -> list[Question]:
    """The same questions with `split` set, so that no training question leaks into validation or test.

    Questions that share a gold span or nearly their wording stay together (connected components). First, whole
    documents go to the test side until `untouched` of the test questions come from documents that no training question
    touches; then components are dealt out within each kind until the shares are met. Deterministic for a seed.
    """
    order = random.Random(seed)
    group = _components(questions)
    members: dict[int, list[Question]] = defaultdict(list)
    for question, root in zip(questions, group, strict=True):
        members[root].append(question)
    wanted = {"test": test * len(questions), "validation": validation * len(questions)}

    # 1. Untouched documents: each document taken whole, with every component that touches it.
    by_document: dict[str, set[int]] = defaultdict(set)
    for root, some in members.items():
        for question in some:
            for document in question.documents:
                by_document[document].add(root)
    documents = sorted(by_document)
    order.shuffle(documents)
    split: dict[int, str] = {}
    reserved: set[str] = set()
    for document in documents:
        held = sum(
            1 for root, where in split.items() for q in members[root] if q.documents and set(q.documents) <= reserved
        )
        if held >= untouched * wanted["test"]:
            break
        taking = set(split) | by_document[document]
        if sum(len(members[root]) for root in taking) > wanted["test"]:
            continue  # this document alone would eat up the test share, and leave nothing to learn from
        reserved.add(document)
        for root in by_document[document]:
            split[root] = "test"

    # 2. The rest, kind by kind, largest components first, to the split that is furthest from its share of this kind.
    shares = {"test": test, "validation": validation, "train": max(0.0, 1 - test - validation)}
    rest = [root for root in sorted(members) if root not in split]
    order.shuffle(rest)
    rest.sort(key=lambda root: -len(members[root]))
    total: dict[tuple[str, str], int] = defaultdict(int)
    count: dict[str, int] = defaultdict(int)
    for question in questions:
        count[question.kind] += 1
    for root, where in split.items():
        for question in members[root]:
            total[where, question.kind] += 1
    for root in rest:
        kind = members[root][0].kind
        where = max(shares, key=lambda name: shares[name] * count[kind] - total[name, kind])
        split[root] = where
        for question in members[root]:
            total[where, question.kind] += 1
    return [replace(question, split=split[root]) for question, root in zip(questions, group, strict=True)]


def _components(questions: Sequence[Question]) -> list[int]:
    parent = list(range(len(questions)))

    def find(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    position = {question.id: i for i, question in enumerate(questions)}
    for a, b, _ in find_leaks(questions, questions):
        if a != b:
            parent[find(position[a])] = find(position[b])
    return [find(i) for i in range(len(questions))]


def import_dataset(documents: Path, questions: Path, out: Path) -> tuple[int, int, list[str]]:
    """Convert `X.docs.jsonl` and `X.questions.jsonl` into a folder of text files and our question file.

    Reads documents as {doc_id, title, text} and questions as {qid, question, answers, answerable, gold: [{doc_id,
    start, end}], type, lang, split}. Writes out/documents/*.txt and out/questions.jsonl; returns how many of each,
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
        answers = tuple(dict.fromkeys(a for a in value.get("answers", []) if isinstance(a, str) and a.strip()))
        answerable = bool(value.get("answerable", True)) and bool(answers)
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
                split=split,
                language=value.get("lang", "en"),
            )
        )
    save_questions(out / "questions.jsonl", converted)
    return len(names), len(converted), blank
