"""Public question sets as project folders, drawn the same way for every benchmark."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

from tunewise.questions import find_leaks, import_dataset, load_questions, save_questions
from tunewise.store import write_text

TOML = """\
[project]
name = "{name}"
model = "{model}"
embedder = "{embedder}"
[chunks]
tokens = {tokens}
[compare]
seeds = {seeds}
[retrieval]
k = {k}
[training]
epochs = {epochs}
[training.sft]
epochs = 2
{approaches}
"""
ASKED_WITH = {"pubmedqa_en": " Answer yes, no or maybe."}
"""What a set's questions leave unsaid: nobody can guess that a single word is wanted."""
TOKENS = {"tatqa_en": 240}
"""Passages of a length of their own: a table is of little use in pieces of three rows."""


def prepare(data: Path, name: str, folder: Path, *, train: int, limit: int, seed: int = 0) -> dict[str, int]:
    """A project folder with `train` training questions that do not leak and `limit` test questions, drawn by `seed`."""
    import_dataset(data / f"{name}.docs.jsonl", data / f"{name}.questions.jsonl", folder)
    questions = load_questions(folder / "questions.jsonl")
    draw = random.Random(seed)
    test = [q for q in questions if q.split == "test"]
    test = draw.sample(test, min(limit, len(test)))
    learned = [q for q in questions if q.split == "train"]
    leaky = {a for a, _, _ in find_leaks(learned, test)}
    clean = [q for q in learned if q.id not in leaky]
    clean = draw.sample(clean, min(train, len(clean)))
    more = ASKED_WITH.get(name, "")
    save_questions(folder / "questions.jsonl", [replace(q, question=q.question + more) for q in (*clean, *test)])
    return {"train": len(clean), "test": len(test), "leaky_training_questions_left_out": len(leaky)}


def write_settings(folder: Path, name: str, blocks: str, *, model: str = "smollm2", embedder: str = "minilm",
                   seeds: int = 1, k: int = 2, epochs: float = 1) -> None:
    """The project's tunewise.toml, for the approaches in `blocks`."""
    write_text(folder / "tunewise.toml", TOML.format(name=name, model=model, embedder=embedder, seeds=seeds, k=k,
                                                     epochs=epochs, tokens=TOKENS.get(name, 120), approaches=blocks))
