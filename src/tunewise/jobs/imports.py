"""Files of others → questions, or rows to train on; and such rows checked against the questions that measure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tunewise.errors import DataMistake, GateFailed
from tunewise.models import renderer, token_counter
from tunewise.nouns import Question
from tunewise.questions import save_questions, text_leaks
from tunewise.sentences import prompt_language
from tunewise.store import write_text
from tunewise.training import TrainingRow
from tunewise.training.formats import Example, Read, as_line, histogram, read_examples

if TYPE_CHECKING:
    from tunewise.training.preference import Pair

Count = Callable[[str], int]


@dataclass(frozen=True, slots=True)
class Imported:
    """What came of a file: `kept` of `rows` rows gave `examples`; `shown` are three of them as the model reads them."""

    form: str
    kind: str
    rows: int
    kept: int
    examples: int
    faults: tuple[str, ...]
    shown: tuple[str, ...]
    tokens: dict[str, int]
    longest: int
    file: Path


def import_file(path: Path, *, form: str, folder: Path, rows: bool, model: str) -> Imported:
    """Read a file of any known form and write `folder`/questions.jsonl, or rows.jsonl with `rows`.

    Questions come from examples of one turn; their answers have no gold, so they say nothing about documents.
    """
    read = read_examples(path, form=form)
    kinds = {example.kind for example in read.examples}
    kind = next(iter(kinds))
    faults = list(read.faults)
    examples = list(read.examples)
    if rows:
        target = folder / "rows.jsonl"
        write_text(target, "".join(json.dumps(as_line(one), ensure_ascii=False) + "\n" for one in examples))
    else:
        if kind != "answer":
            raise DataMistake(f"{path} holds {kind} rows ({read.form}): they are no questions", tip="--rows")
        alone = [one for one in examples if len(one.messages) == 1]
        faults += [f"{path}:{one.line}: it has a system message or earlier turns, and a question stands alone (--rows)"
                   for one in examples if len(one.messages) != 1]
        if not alone:
            raise DataMistake(f"{path} holds no question that stands alone", tip="--rows", faults=tuple(faults))
        examples = alone
        target = folder / "questions.jsonl"
        save_questions(target, [_question(one, path) for one in examples])
    count, render = token_counter(model), renderer(model)
    sizes = [count(_whole(one, lambda m: "\n".join(turn["content"] for turn in m))) for one in examples]
    shown = tuple(_whole(examples[i], render) for i in sorted({0, len(examples) // 2, len(examples) - 1}))
    return Imported(read.form, kind, read.rows, len({one.line for one in examples}), len(examples), tuple(faults),
                    shown, histogram(sizes), max(sizes), target)


def _whole(example: Example, render: Callable[[Sequence[dict[str, str]]], str]) -> str:
    if example.kind == "text":
        return example.completion
    turns = [{"role": role, "content": content} for role, content in example.messages]
    text = render([*turns, {"role": "assistant", "content": example.completion}])
    return text + (f"\n(rejected) {example.rejected}" if example.rejected else "")


def _question(example: Example, path: Path) -> Question:
    text = example.messages[0][1]
    return Question(f"{path.stem}-{example.line}", text, (example.completion,), kind="imported",
                    language=prompt_language(text), groups=example.groups)


def own_rows(path: Path, measured: Sequence[Question]) -> tuple[list[TrainingRow], Read]:
    """Rows of a file that `[training] rows` names, and what was read; `GateFailed` when one holds what is measured.

    Only prompts with completions can be learned here; other kinds are a `DataMistake`.
    """
    read = read_examples(path)
    if other := sorted({one.kind for one in read.examples} - {"answer"}):
        raise DataMistake(f"{path} holds {', '.join(other)} rows ({read.form}), not prompts with completions",
                          tip="tunewise questions import shows what a file holds")
    rows = [
        TrainingRow(one.messages, one.completion, f"{path.name}:{one.line}", groups=one.groups)
        for one in read.examples
    ]
    # A conversation gives a row for each of its replies: the last of them holds all turns.
    _refuse_leaks(path, {row.question: [*_said(row.messages), row.completion] for row in rows}, measured)
    return rows, read


def own_pairs(path: Path, measured: Sequence[Question]) -> list[Pair]:
    """Preference pairs of a file that `pairs` names; `GateFailed` when one of them holds what is measured."""
    from tunewise.training.preference import load_pairs

    pairs = [replace(pair, question=f"{path.name}#{i}") for i, pair in enumerate(load_pairs(path), 1)]
    said = {pair.question: [*_said(pair.messages), pair.chosen, pair.rejected] for pair in pairs}
    _refuse_leaks(path, said, measured)
    return pairs


def _said(messages: Sequence[tuple[str, str]]) -> list[str]:
    return [content for _, content in messages]


def _refuse_leaks(path: Path, texts: Mapping[str, Sequence[str]], measured: Sequence[Question]) -> None:
    if leaks := text_leaks(texts, [question for question in measured if question.split != "train"]):
        shown = "; ".join(f"{a} and {b} ({why})" for a, b, why in leaks[:5])
        raise GateFailed(f"{len(leaks)} time(s) a row of {path} asks what is measured: {shown}",
                         tip="take them out of it")
