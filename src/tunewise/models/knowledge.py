"""What a model knows in general: multiple choice by likelihood, and the perplexity of general text.

Each choice is scored as the assistant's whole turn after the question, in the chat template that answering uses; the
choice with the largest log-likelihood per UTF-8 byte wins (`acc_norm` of lm-evaluation-harness). Nothing is generated,
so no wording or format is judged. Virtual tokens of prompt learning are read, never scored.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tunewise.errors import DataMistake
from tunewise.models.local import prompt_tokens
from tunewise.models.marginal import log_likelihoods

if TYPE_CHECKING:
    from tunewise.models.local import LocalModel

_TOGETHER = 16
WINDOW = 1024
"""Tokens of general text that are scored at once: nearly all paragraphs are shorter, and are read whole."""


@dataclass(frozen=True, slots=True)
class Item:
    """A multiple-choice question; `answer` is the place of the right choice."""

    id: str
    question: str
    choices: tuple[str, ...]
    answer: int
    language: str = "en"
    context: str = ""


def load_items(path: Path) -> list[Item]:
    """Items of a JSONL file {id, lang, question, choices, answer, context}; `DataMistake` lists every broken line."""
    if not path.is_file():
        raise DataMistake(f"there is no multiple-choice file {path}", tip="[forgetting] sets = [\"general.jsonl\"]")
    items, faults = [], []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").split("\n"), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
            choices = tuple(value["choices"])
            if not all(isinstance(choice, str) and choice.strip() for choice in choices) or len(choices) < 2:
                raise ValueError("'choices' is a list of two or more texts")
            if value["answer"] not in range(len(choices)) or isinstance(value["answer"], bool):
                raise ValueError(f"answer {value['answer']!r} is no place in {len(choices)} choices, counted from 0")
            items.append(Item(str(value["id"]), str(value["question"]), choices, value["answer"],
                              str(value.get("lang", "en")), str(value.get("context") or "")))
        except KeyError as error:
            faults.append(f"{path}:{number}: it lacks {error}")
        except (ValueError, TypeError) as error:
            faults.append(f"{path}:{number}: {error}")
    if faults or not items:
        raise DataMistake(f"{path}: {len(faults)} broken line(s), {len(items)} good one(s)", faults=tuple(faults),
                          tip="a line is {\"id\", \"question\", \"choices\": [], \"answer\": 0}")
    return items


def load_texts(path: Path) -> list[str]:
    """The paragraphs of a text file (between blank lines)."""
    if not path.is_file():
        raise DataMistake(f"there is no text file {path}", tip="[forgetting] texts = [\"general.txt\"]")
    return [part.strip() for part in path.read_text(encoding="utf-8-sig").split("\n\n") if part.strip()]


def choices_made(
    model: LocalModel, items: Sequence[Item], *, progress: Callable[[int, int], None] = lambda done, total: None
) -> list[int]:
    """The place of the choice that the model finds likeliest per byte, for each item."""
    made = []
    for begin in range(0, len(items), _TOGETHER):
        progress(begin, len(items))
        asked = []
        for item in items[begin : begin + _TOGETHER]:
            words = f"{item.context}\n\n{item.question}" if item.context else item.question
            asked.append(([{"role": "user", "content": words}], item.choices))
        made += likeliest(model, asked)
    return made


def likeliest(model: LocalModel, asked: Sequence[tuple[list[dict[str, str]], Sequence[str]]]) -> list[int]:
    """The place of the choice that the model finds likeliest per byte after each list of chat messages."""
    pairs = []
    for messages, choices in asked:
        prompt = prompt_tokens(model.tokenizer, messages)
        pairs += [(prompt, model.tokenizer(choice, add_special_tokens=False)["input_ids"]) for choice in choices]
    found = iter(log_likelihoods(model, pairs))
    made = []
    for _, choices in asked:
        per_byte = [next(found) / len(choice.encode()) for choice in choices]
        made.append(per_byte.index(max(per_byte)))
    return made


def negative_log_likelihoods(model: LocalModel, texts: Sequence[str]) -> list[tuple[float, int]]:
    """(nats, tokens) of each text, every token but the first predicted from those before it.

    A text that is longer than `WINDOW` tokens, or than the model reads, is cut into windows of which each sees the half
    window before it.
    """
    window = _window(model)
    pairs, owners = [], []
    short = 0
    for number, text in enumerate(texts):
        ids = model.tokenizer(text, add_special_tokens=False)["input_ids"]
        short += len(ids) < 2
        for pair in _windows(ids, window):
            pairs.append(pair)
            owners.append(number)
    if short:
        raise DataMistake(f"{short} general text(s) are shorter than two tokens")
    found = [(0.0, 0)] * len(texts)
    for nats, (_, said), number in zip(log_likelihoods(model, pairs), pairs, owners, strict=True):
        found[number] = (found[number][0] - nats, found[number][1] + len(said))
    return found


def _window(model: LocalModel) -> int:
    """Tokens of a text that are read at once: `WINDOW`, or what the model has room for beside its virtual tokens."""
    config = model.model.config.get_text_config(decoder=True)
    longest = getattr(config, "max_position_embeddings", None) or WINDOW
    virtual = model.model.active_peft_config.num_virtual_tokens if hasattr(model.model, "prompt_encoder") else 0
    return max(2, min(WINDOW, longest - virtual))


def _windows(ids: list[int], window: int) -> list[tuple[list[int], list[int]]]:
    """(tokens seen, tokens predicted from them and from each other): each token but the first is predicted once."""
    pairs, done = [(ids[:1], ids[1:window])], window
    half = window // 2
    while done < len(ids):
        end = min(len(ids), done + window - half)
        pairs.append((ids[done - half : done], ids[done:end]))
        done = end
    return pairs
