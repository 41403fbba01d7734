"""Training data as people have it → examples: nine forms of JSONL, JSON, CSV, Parquet and datasets folders. No torch.

A form is known by its keys, from the first rows; every row is then held to it. A row that does not fit is a fault with
its line and its reason; the good ones are kept, and both are counted. What a form means is what TRL's documentation and
the tools that made it famous say; nothing is guessed beyond the keys.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tunewise.errors import DataMistake, need

ROLES = ("system", "user", "assistant")
Turn = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Example:
    """One example: what is shown, and what is to be learned from it.

    `kind` says which fields count: "answer" (messages → completion), "preference" (completion is better than
    `rejected`), "label" (completion is good or bad), "text" (completion alone is text to read). `groups`: the access
    groups whose knowledge is in it, as its row says.
    """

    kind: str
    line: int
    messages: tuple[Turn, ...]
    completion: str
    rejected: str = ""
    label: bool | None = None
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Read:
    """What a file held: its form, its good examples, and a fault for each row that gave none."""

    form: str
    rows: int
    examples: tuple[Example, ...]
    faults: tuple[str, ...]


FORMS: dict[str, tuple[str, ...]] = {
    # form: the keys that a row of it must have; of several forms that fit, the first is taken
    "messages": ("messages",),
    "sharegpt": ("conversations",),
    "preference": ("chosen", "rejected"),
    "kto": ("prompt", "completion", "label"),
    "prompt-completion": ("prompt", "completion"),
    "alpaca": ("instruction", "output"),
    "questions": ("question", "answers"),
    "question-answer": ("question", "answer"),
    "text": ("text",),
}
_SHAREGPT = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "system": "system",
             "chatgpt": "assistant", "bot": "assistant"}
_TRUE, _FALSE = ("true", "1", "yes", "good"), ("false", "0", "no", "bad")


def read_examples(path: Path, *, form: str = "auto") -> Read:
    """The examples of a file or of a datasets folder; `DataMistake` when nothing in it can be used."""
    path = Path(path)
    if form != "auto" and form not in FORMS:
        raise DataMistake(f"there is no format {form!r}", tip=f"known: auto, {', '.join(FORMS)}")
    if not path.exists():
        raise DataMistake(f"there is no file {path}", tip="tunewise questions import --help")
    examples: list[Example] = []
    faults: list[str] = []
    rows: list[tuple[int, Any]] = []
    for line, value in _rows(path):
        if isinstance(value, Mapping):
            rows.append((line, value))
        else:
            faults.append(f"{path}:{line}: {value if isinstance(value, _Fault) else 'it is no JSON object'}")
    seen = len(rows) + len(faults)
    found = form if form != "auto" else guess([value for _, value in rows[:50]], path)
    for line, value in rows:
        try:
            groups = _groups(value)
            examples += [replace(one, groups=groups) for one in _READERS[found](value, line)]
        except (ValueError, KeyError, TypeError) as error:
            why = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
            faults.append(f"{path}:{line}: {why}")
    if not examples:
        raise DataMistake(f"{path} holds no usable row of the format {found}", faults=tuple(faults),
                          tip="--format names another one")
    return Read(found, seen, tuple(examples), tuple(faults))


def guess(rows: Sequence[Mapping[str, Any]], path: Path) -> str:
    """The form whose keys most of the first rows have; `DataMistake` with the known forms and their keys."""
    for form, keys in FORMS.items():
        if rows and 2 * sum(all(key in row for key in keys) for row in rows) > len(rows):
            return form
    seen = ", ".join(sorted({key for row in rows for key in row})[:12]) or "nothing"
    known = "; ".join(f"{form}: {', '.join(keys)}" for form, keys in FORMS.items())
    raise DataMistake(f"the rows of {path} have no known format (keys: {seen})", tip=f"known: {known}")


# ------------------------------------------------------------------------------------------- files


class _Fault(str):
    """Why a line is no row."""


def _rows(path: Path) -> Iterator[tuple[int, Any]]:
    """(line or row number from 1, value or `_Fault`) of everything that is not blank."""
    if path.is_dir():
        yield from enumerate(_folder(path), 1)
    elif path.suffix == ".parquet":
        yield from enumerate(_parquet([path]), 1)
    elif path.suffix in (".csv", ".tsv"):
        yield from _csv(path)
    else:
        text = _text(path)
        if path.suffix == ".json" and text.lstrip().startswith("["):
            try:
                yield from enumerate(json.loads(text), 1)
            except ValueError as error:
                raise DataMistake(f"{path} is no JSON: {error}") from error
            return
        for number, line in enumerate(text.split("\n"), 1):
            if not line.strip():
                continue
            if path.suffix == ".txt":
                yield number, {"text": line}
                continue
            try:
                yield number, json.loads(line)
            except ValueError as error:
                yield number, _Fault(f"it is no JSON: {error}")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataMistake(f"{path} is not UTF-8 (byte {error.start})", tip="save it as UTF-8") from error


def _csv(path: Path) -> Iterator[tuple[int, Any]]:
    text = _text(path)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter="\t" if path.suffix == ".tsv" else ",")
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield reader.line_num, _Fault(f"it is no CSV row: {error}")
            continue
        if None in row or None in row.values():
            yield reader.line_num, _Fault("it has more or fewer cells than the head")
        else:
            # An empty cell is a value that is not there.
            yield reader.line_num, {str(key).strip(): cell for key, cell in row.items() if cell.strip()}


def _parquet(files: Sequence[Path]) -> Iterator[Any]:
    import pyarrow
    import pyarrow.parquet

    for file in files:
        try:
            yield from pyarrow.parquet.read_table(file).to_pylist()
        except pyarrow.ArrowException as error:
            raise DataMistake(f"{file} cannot be read as Parquet: {error}") from error


def _folder(path: Path) -> Iterator[Any]:
    """A folder of Parquet files, or one that `datasets` saved (of its splits, train)."""
    if files := sorted(path.rglob("*.parquet")):
        yield from _parquet([file for file in files if "train" in file.name] or files)
        return
    if not any((path / name).is_file() for name in ("state.json", "dataset_dict.json")):
        raise DataMistake(f"{path} is no datasets folder: it has neither Parquet files nor a state.json",
                          tip="datasets.Dataset.save_to_disk makes one")
    datasets = need("datasets", feature="a datasets folder", extra="train")
    loaded = datasets.load_from_disk(str(path))
    if isinstance(loaded, datasets.DatasetDict):
        if "train" not in loaded:
            raise DataMistake(f"{path} has no split 'train'", tip=f"it has {', '.join(loaded)}: give one's folder")
        loaded = loaded["train"]
    yield from loaded


# ------------------------------------------------------------------------------------------- forms


def _groups(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Whose knowledge a row holds; a column of a table separates the names by commas."""
    value = row.get("groups") or []
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",")]
    if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
        raise ValueError("'groups' is a list of texts")
    return tuple(sorted(set(value)))


def _said(value: Any, what: str) -> str:
    if isinstance(value, list):
        # Content parts, as chat endpoints take them: only text can be learned here.
        if not all(isinstance(part, Mapping) and part.get("type") == "text" for part in value):
            raise ValueError(f"{what} has parts that are no text")
        value = "".join(str(part.get("text", "")) for part in value)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{what} is empty or no text")
    return value


def _turns(value: Any) -> tuple[Turn, ...]:
    """Checked chat turns: known roles, a system turn only first, user and assistant alternating from user."""
    if not isinstance(value, list) or not value:
        raise ValueError("a list of messages is needed")
    turns = []
    for number, message in enumerate(value, 1):
        if not isinstance(message, Mapping) or message.get("role") not in ROLES:
            role = message.get("role") if isinstance(message, Mapping) else message
            raise ValueError(f"message {number} has the role {role!r}; known: {', '.join(ROLES)}")
        turns.append((str(message["role"]), _said(message.get("content"), f"message {number}")))
    talk = [role for role, _ in turns if role != "system"]
    if any(role == "system" for role, _ in turns[1:]):
        raise ValueError("a system message stands after the first place")
    if talk != [("user", "assistant")[i % 2] for i in range(len(talk))]:
        raise ValueError("user and assistant do not take turns, beginning with the user")
    return tuple(turns)


def _prompt(value: Any) -> tuple[Turn, ...]:
    """A prompt as text (one user turn) or as messages that end with the user's."""
    if isinstance(value, str):
        return (("user", _said(value, "prompt")),)
    turns = _turns(value)
    if turns[-1][0] != "user":
        raise ValueError("the prompt does not end with the user's message")
    return turns


def _reply(value: Any, what: str) -> str:
    """A completion as text, or as one assistant message."""
    if isinstance(value, list) and value and isinstance(value[-1], Mapping) and "role" in value[-1]:
        if value[-1]["role"] != "assistant":
            raise ValueError(f"{what} does not end with the assistant's message")
        value = value[-1].get("content")
    return _said(value, what)


def _chat(turns: tuple[Turn, ...], line: int) -> list[Example]:
    """An example for each of the assistant's turns, with everything before it."""
    said = [(i, content) for i, (role, content) in enumerate(turns) if role == "assistant"]
    made = [Example("answer", line, turns[:i], content) for i, content in said]
    if not made:
        raise ValueError("the assistant says nothing in it")
    return made


def _messages(row: Mapping[str, Any], line: int) -> list[Example]:
    return _chat(_turns(row["messages"]), line)


def _sharegpt(row: Mapping[str, Any], line: int) -> list[Example]:
    talk = row["conversations"]
    if not isinstance(talk, list) or not all(isinstance(turn, Mapping) for turn in talk):
        raise ValueError("'conversations' is a list of {from, value}")
    unknown = sorted({str(turn.get("from")) for turn in talk} - set(_SHAREGPT))
    if unknown:
        raise ValueError(f"unknown speaker(s) {', '.join(unknown)}; known: {', '.join(_SHAREGPT)}")
    turns = [{"role": _SHAREGPT[turn["from"]], "content": turn.get("value")} for turn in talk]
    if row.get("system"):
        turns.insert(0, {"role": "system", "content": row["system"]})
    return _chat(_turns(turns), line)


def _preference(row: Mapping[str, Any], line: int) -> list[Example]:
    chosen, rejected = row["chosen"], row["rejected"]
    if "prompt" in row:
        prompt = _prompt(row["prompt"])
    elif isinstance(chosen, list) and isinstance(rejected, list) and chosen[:-1] == rejected[:-1]:
        # TRL's implicit prompt: what both conversations share.
        prompt = _prompt(chosen[:-1])
    else:
        raise ValueError("it has no prompt, and 'chosen' and 'rejected' do not share one")
    better, worse = _reply(chosen, "chosen"), _reply(rejected, "rejected")
    if better == worse:
        raise ValueError("chosen and rejected are the same")
    return [Example("preference", line, prompt, better, rejected=worse)]


def _kto(row: Mapping[str, Any], line: int) -> list[Example]:
    label = row["label"]
    if isinstance(label, str) and label.strip().lower() in (*_TRUE, *_FALSE):
        label = label.strip().lower() in _TRUE
    if label in (0, 1):
        label = bool(label)
    if not isinstance(label, bool):
        raise ValueError(f"label is {label!r}, not true or false")
    return [Example("label", line, _prompt(row["prompt"]), _reply(row["completion"], "completion"), label=label)]


def _prompt_completion(row: Mapping[str, Any], line: int) -> list[Example]:
    return [Example("answer", line, _prompt(row["prompt"]), _reply(row["completion"], "completion"))]


def _alpaca(row: Mapping[str, Any], line: int) -> list[Example]:
    asked = _said(row["instruction"], "instruction")
    if row.get("input"):
        asked += "\n\n" + _said(row["input"], "input")
    turns: list[Turn] = [("system", _said(row["system"], "system"))] if row.get("system") else []
    for pair in row.get("history") or []:
        if not isinstance(pair, Sequence) or isinstance(pair, str) or len(pair) != 2:
            raise ValueError("'history' is a list of [asked, answered]")
        turns += [("user", _said(pair[0], "history")), ("assistant", _said(pair[1], "history"))]
    return [Example("answer", line, (*turns, ("user", asked)), _said(row["output"], "output"))]


def _question(row: Mapping[str, Any], line: int) -> list[Example]:
    answers = row["answers"] if "answers" in row else [row["answer"]]
    if isinstance(answers, str):
        answers = [part.strip() for part in answers.split("|")]
    if not isinstance(answers, list):
        raise ValueError("'answers' is a list of texts")
    if not answers and row.get("answerable") is False:
        raise ValueError("it is unanswerable: such questions need `tunewise questions check`, not an import")
    if not answers:
        raise ValueError("it has no answer")
    return [Example("answer", line, (("user", _said(row["question"], "question")),), _said(answers[0], "answer"))]


def _plain(row: Mapping[str, Any], line: int) -> list[Example]:
    return [Example("text", line, (), _said(row["text"], "text"))]


_READERS = {
    "messages": _messages, "sharegpt": _sharegpt, "preference": _preference, "kto": _kto,
    "prompt-completion": _prompt_completion, "alpaca": _alpaca, "questions": _question, "question-answer": _question,
    "text": _plain,
}


def as_line(example: Example) -> dict[str, Any]:
    """An example as a row of TRL's forms: messages, prompt/chosen/rejected, prompt/completion/label, or text."""
    shown = [{"role": role, "content": content} for role, content in example.messages]
    said = [{"role": "assistant", "content": example.completion}]
    line: dict[str, Any] = {"prompt": shown, "completion": said}
    if example.kind == "text":
        line = {"text": example.completion}
    elif example.kind == "preference":
        line = {"prompt": shown, "chosen": said, "rejected": [{"role": "assistant", "content": example.rejected}]}
    elif example.kind == "label":
        line["label"] = example.label
    return line | ({"groups": list(example.groups)} if example.groups else {})


def histogram(counts: Sequence[int]) -> dict[str, int]:
    """How many examples have so many tokens, by powers of two: {"0-31": n, "32-63": n, …}; empty ends left out."""
    found: dict[str, int] = {}
    for low, high in [(0, 32), *((2**i, 2 ** (i + 1)) for i in range(5, 20))]:
        found[f"{low}-{high - 1}"] = sum(low <= count < high for count in counts)
    filled = [i for i, count in enumerate(found.values()) if count]
    return dict(list(found.items())[filled[0] : filled[-1] + 1]) if filled else {}
