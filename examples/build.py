"""Render the example handbooks and find the spans of their questions.

    python examples/build.py [handbook | handbook-zh ...]             source/ -> documents/, questions.jsonl
    python examples/build.py --check [handbook | handbook-zh ...]     verify what is committed, write nothing

An example folder holds `source/**/*.md` (front matter with title and format), `questions.source.jsonl` (gold as
quotes) and `glossary.jsonl`. The rendered documents are committed, so only who changes an example needs the renderers:
markdown-it-py, reportlab, python-docx and, for Chinese PDF files, the Debian package fonts-droid-fallback.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rendering import RENDERERS, read_source

from tunewise.errors import DataMistake, TunewiseError
from tunewise.nouns import SPLITS, Document, Gold, Question
from tunewise.questions import check_questions, find_leaks, load_questions, save_questions, split_questions
from tunewise.reading import read_folder
from tunewise.scorers.form import broken_rules
from tunewise.scorers.terminology import GlossaryEntry, load_glossary, terms_scores
from tunewise.scorers.text import CJK
from tunewise.store import read_jsonl, write_bytes

HERE = Path(__file__).resolve().parent
SEEDS = range(60)
"""Split seeds that are tried; the one with the most even kinds is taken (it sees kinds and spans, never answers)."""
SHARES = {"test": 0.34, "validation": 0.2, "untouched": 0.35}
"""Shares of the splits: small enough a test that the demo ends in minutes on two cores."""


# ------------------------------------------------------------------------------------------------ spans


def _quote_pattern(quote: str) -> re.Pattern[str]:
    """A quote as a pattern: white space and bars between cells are alike; Chinese may be broken by a line's end."""
    parts: list[str] = []
    last = ""
    for char in unicodedata.normalize("NFC", quote):
        if char.isspace() or char == "|":
            parts.append(r"[\s|]+" if parts and parts[-1] != r"[\s|]+" else "")
        else:
            if last and (re.match(f"[{CJK}]", char) or re.match(f"[{CJK}]", last)) and not parts[-1].startswith("[\\s"):
                parts.append(r"\s*")
            parts.append(re.escape(char))
        last = char
    ends = [r"(?<![A-Za-z0-9])" if quote[0].isascii() and quote[0].isalnum() else "",
            r"(?![A-Za-z0-9])" if quote[-1].isascii() and quote[-1].isalnum() else ""]
    return re.compile(ends[0] + "".join(parts) + ends[1])


def find_gold(values: Sequence[Mapping[str, Any]], texts: Mapping[str, str]) -> dict[str, tuple[Gold, ...]]:
    """The spans of every question's quotes by id; `DataMistake` lists ALL quotes that are missing or ambiguous."""
    found: dict[str, tuple[Gold, ...]] = {}
    faults = []
    for value in values:
        spans = []
        for gold in value["gold"]:
            if gold["document"] not in texts:
                faults.append(f"{value['id']}: there is no document {gold['document']!r}")
                continue
            hits = list(_quote_pattern(gold["quote"].strip()).finditer(texts[gold["document"]]))
            if len(hits) == 1:
                spans.append(Gold(gold["document"], *hits[0].span()))
            else:
                what = "is missing from" if not hits else f"stands {len(hits)} times in"
                faults.append(f"{value['id']}: {gold['quote']!r} {what} {gold['document']}")
        found[value["id"]] = tuple(spans)
    if faults:
        raise DataMistake(f"{len(faults)} quote(s) cannot be placed", tip="mend questions.source.jsonl",
                          faults=tuple(faults))
    return found


def _read(folder: Path) -> dict[str, Document]:
    documents, unread = read_folder(folder / "documents")
    if unread:
        raise DataMistake(f"{folder}: documents that could not be read",
                          faults=tuple(f"{item.source}: {item.reason}" for item in unread))
    return {document.id: document for document in documents}


def _unevenness(questions: Sequence[Question]) -> float:
    """How far the kinds are from a share of test of 0.4 and of train of 0.45, the worst kind counting most."""
    per: dict[str, Counter[str]] = {}
    for question in questions:
        per.setdefault(question.kind, Counter())[question.split] += 1
    off = [abs(counts[name] / counts.total() - share) for counts in per.values()
           for name, share in (("train", 0.45), ("validation", 0.15), ("test", 0.4))]
    return max(off) + sum(off) / len(off)


# ------------------------------------------------------------------------------------------------ the two verbs


def build(folder: Path) -> None:
    """Render the sources, find the spans, set the splits, write questions.jsonl."""
    sources = [read_source(path, folder / "source") for path in sorted((folder / "source").rglob("*.md"))]
    rendered = {source.name: RENDERERS[source.format](source) for source in sources}
    shutil.rmtree(folder / "documents", ignore_errors=True)
    for name, data in rendered.items():
        write_bytes(folder / "documents" / name, data)
    values = [value for _, value in read_jsonl(folder / "questions.source.jsonl")]
    gold = find_gold(values, {name: document.text for name, document in _read(folder).items()})
    questions = [
        Question(
            id=value["id"], question=value["question"], answers=tuple(value["answers"]), gold=gold[value["id"]],
            answerable=value["answerable"], kind=value["kind"], need=value["need"],
            language=value.get("language") or ("zh" if re.search(f"[{CJK}]", value["question"]) else "en"),
            rules=tuple(sorted((key, tuple(item) if isinstance(item, list) else item)
                               for key, item in value["rules"].items())),
        )
        for value in values
    ]
    seed = min(SEEDS, key=lambda seed: _unevenness(split_questions(questions, seed=seed, **SHARES)))
    save_questions(folder / "questions.jsonl", split_questions(questions, seed=seed, **SHARES))
    print(f"{folder.name}: {len(rendered)} documents, {len(questions)} questions, split with seed {seed}")


def _plain(text: str) -> str:
    """Lower case without bars; white space only between words of letters."""
    return re.sub(rf"\s*([{CJK}])\s*", r"\1", " ".join(re.split(r"[\s|]+", text.casefold()))).strip()


def check(folder: Path) -> list[str]:
    """Every fault of the committed example; prints its counts."""
    questions = load_questions(folder / "questions.jsonl")
    texts = {name: document.text for name, document in _read(folder).items()}
    values = {value["id"]: value for _, value in read_jsonl(folder / "questions.source.jsonl")}
    glossary = load_glossary(folder / "glossary.jsonl")
    faults = check_questions(questions, texts)
    if [question.id for question in questions] != list(values):
        return [*faults, "questions.jsonl and questions.source.jsonl do not hold the same questions: build again"]
    for question in questions:
        quotes = [gold["quote"] for gold in values[question.id]["gold"]]
        spans = [texts[gold.document][gold.start : gold.end] for gold in question.gold if gold.document in texts]
        faults += [f"{question.id}: the span holds {span!r}, not {quote!r}"
                   for span, quote in zip(spans, quotes, strict=True) if _plain(span) != _plain(quote)]
        faults += _answer_faults(question, spans, glossary)
    by_split = {name: [question for question in questions if question.split == name] for name in SPLITS}
    faults += [f"leak: {a} and {b}: {why}" for name in ("validation", "test")
               for a, b, why in find_leaks(by_split["train"], by_split[name])]
    print(f"{folder.name}: {len(texts)} documents, {len(questions)} questions")
    for need, kind in sorted({(question.need, question.kind) for question in questions}):
        counts = Counter(question.split for question in questions if (question.need, question.kind) == (need, kind))
        print(f"  {need:6} {kind:14} {counts.total():4}   " + "  ".join(f"{name} {counts[name]}" for name in SPLITS))
    touched = {document for question in by_split["train"] for document in question.documents}
    far = sum(bool(question.gold) and not touched & set(question.documents) for question in by_split["test"])
    print(f"  {far} test questions rest on documents that no training question touches")
    return faults


def _answer_faults(question: Question, spans: Sequence[str], glossary: Sequence[GlossaryEntry]) -> list[str]:
    faults = []
    if question.answerable and not spans:
        faults.append(f"{question.id}: it is answerable and has no gold")
    first = question.answers[0] if question.answers else ""
    if question.need == "facts" and question.kind in ("one-document", "table") and not any(
            _plain(first) in _plain(span) for span in spans):
        faults.append(f"{question.id}: the answer {first!r} does not stand in {spans}")
    for answer in question.answers:
        if broken := broken_rules(answer, question.rules):
            faults.append(f"{question.id}: its own answer {answer!r} breaks {', '.join(broken)}")
        required = dict(question.rules).get("terms", ())
        if question.need == "terms" and terms_scores(answer, required, glossary) != {"terms": 1.0}:
            faults.append(f"{question.id}: the answer {answer!r} misses its term or uses a forbidden variant")
    return faults


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Render the example handbooks and find the spans of their questions.")
    parser.add_argument("examples", nargs="*", default=["handbook", "handbook-zh"])
    parser.add_argument("--check", action="store_true", help="verify what is committed and write nothing")
    options = parser.parse_args(arguments)
    faults: list[str] = []
    for name in options.examples:
        try:
            if options.check:
                faults += [f"{name}: {fault}" for fault in check(HERE / name)]
            else:
                build(HERE / name)
        except TunewiseError as error:
            print(f"error: {error.message}" + (f"\ntip: {error.tip}" if error.tip else ""), file=sys.stderr)
            faults += [f"{name}: {fault}" for fault in getattr(error, "faults", ())] or [f"{name}: {error.message}"]
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
