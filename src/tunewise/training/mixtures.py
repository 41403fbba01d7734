"""Rows of raw documents, and mixtures of rows: domain-adaptive pre-training and hybrid. No torch in here."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from tunewise.errors import DataMistake
from tunewise.nouns import Document
from tunewise.store import read_jsonl
from tunewise.training.rows import RowReport, TrainingRow


def load_texts(path: Path) -> list[str]:
    """General text: a .jsonl with `text` on each line, or a plain file of paragraphs with empty lines between them."""
    if not path.is_file():
        raise DataMistake(f"{path} does not exist", tip="general = a .txt or .jsonl file, in [training.dap]")
    if path.suffix == ".jsonl":
        faults, texts = [], []
        for number, value in read_jsonl(path):
            if not (isinstance(value, dict) and isinstance(value.get("text"), str)):
                faults.append(f"{path}:{number}: no text")
            elif value["text"].strip():
                texts.append(value["text"])
        if faults:
            raise DataMistake(f"{len(faults)} line(s) of {path} have no text", faults=tuple(faults))
    else:
        texts = [text.strip() for text in path.read_text(encoding="utf-8-sig").split("\n\n") if text.strip()]
    if not texts:
        raise DataMistake(f"{path} holds no text")
    return texts


def dap_rows(
    documents: Sequence[Document], *, general: Sequence[str] = (), share: float = 0.0, seed: int = 0
) -> tuple[list[TrainingRow], RowReport]:
    """Domain-adaptive pre-training (Gururangan et al. 2020, arXiv:2004.10964): every document whole, one row each.

    Rows have no messages: the completion is the raw text, which `encoding.encode` cuts into blocks without losing a
    token. General text is drawn until it is the `share` of all characters (against forgetting), repeated if needed.
    """
    texts = [document for document in documents if document.text.strip()]
    if not texts:
        raise DataMistake("there is no document to train on", tip="tunewise ingest")
    rows = [TrainingRow((), document.text, "", groups=document.groups, documents=(document.id,)) for document in texts]
    characters = sum(len(row.completion) for row in rows)
    notes = [f"{len(rows)} documents, {characters:,} characters in, {characters:,} characters in rows"]
    if len(texts) < len(documents):
        notes.append(f"{len(documents) - len(texts)} documents hold no text")
    if general and share:
        wanted, taken = characters * share / (1 - share), 0
        rng, drawn = random.Random(seed), 0
        order: list[str] = []
        while taken < wanted:
            if not order:
                order = rng.sample(list(general), len(general))
            text = order.pop()
            rows.append(TrainingRow((), text, ""))
            taken, drawn = taken + len(text), drawn + 1
        again = f", some of it more than once ({len(general)} texts)" if drawn > len(general) else ""
        notes.append(f"{drawn} general texts, {taken:,} characters ({taken / (taken + characters):.0%} of all){again}")
    elif share:
        notes.append("no general text is mixed in (general = FILE in [training.dap]): watch forgetting")
    return rows, RowReport(0, len(rows), notes=tuple(notes))


def hybrid_rows(
    retrieval: Sequence[TrainingRow], instructions: Sequence[TrainingRow], *, share: float, seed: int = 0
) -> tuple[list[TrainingRow], RowReport]:
    """Rows with passages and rows without, mixed: the `share` of rows without, or as near as there are rows."""
    rng = random.Random(seed)
    with_, without = list(retrieval), list(instructions)
    wanted = round(len(with_) * share / (1 - share))
    if wanted <= len(without):
        without = rng.sample(without, wanted)
    else:
        with_ = rng.sample(with_, round(len(without) * (1 - share) / share))
    rows = [*with_, *without]
    rng.shuffle(rows)
    left = len(retrieval) + len(instructions) - len(rows)
    note = (
        f"{len(with_)} rows with passages and {len(without)} without ({len(without) / len(rows):.0%}); "
        f"{left} were left out to keep the share of {share:.0%}"
    )
    return rows, RowReport(len({row.question for row in rows}), len(rows), left_out=left, notes=(note,))
