"""Training rows: what a model is shown and what it should say. No torch in here.

Prompts come from `prompts.render`, the renderer of answering; passages come from a `retrieve` callable, the one that
answering uses. So a tuned model meets in use exactly what it met in training.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tunewise.errors import DataMistake
from tunewise.nouns import Chunk, Hit, Question
from tunewise.prompts import REFUSAL, render


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """One example: chat messages, the completion to learn, and the question that it was made from."""

    messages: tuple[tuple[str, str], ...]
    """(role, content) pairs."""
    completion: str
    question: str
    groups: tuple[str, ...] = ()
    documents: tuple[str, ...] = ()

    def chat(self) -> list[dict[str, str]]:
        """The messages as a model's chat template takes them."""
        return [{"role": role, "content": content} for role, content in self.messages]


@dataclass(frozen=True, slots=True)
class RowReport:
    """What became of the questions: how many came in, how many rows went out, and notes in plain words."""

    questions: int
    rows: int
    oracle_found: int = 0
    oracle_added: int = 0
    refusals: int = 0
    notes: tuple[str, ...] = ()


def _row(question: Question, messages: list[dict[str, str]], completion: str, hits: Sequence[Hit] = ()) -> TrainingRow:
    return TrainingRow(
        tuple((m["role"], m["content"]) for m in messages),
        completion,
        question.id,
        groups=tuple(sorted({group for hit in hits for group in hit.chunk.groups})),
        documents=tuple(dict.fromkeys([*question.documents, *(hit.chunk.document for hit in hits)])),
    )


def _refusal(question: Question) -> str:
    return REFUSAL["zh" if question.language == "zh" else "en"]


def sft_rows(questions: Sequence[Question], *, template: str = "answer") -> tuple[list[TrainingRow], RowReport]:
    """Instruction rows: the question alone, and its preferred answer (a refusal where the documents hold none)."""
    rows = [
        _row(q, render(template, q.question, language=q.language), q.answers[0] if q.answers else _refusal(q))
        for q in questions
    ]
    return rows, RowReport(len(questions), len(rows), refusals=sum(not q.answerable for q in questions))


def holds(chunk: Chunk, question: Question) -> bool:
    """Whether a chunk covers a gold span of the question (or stands in a gold document that has no span)."""
    return any(
        chunk.document == gold.document and (not gold.end or (chunk.start <= gold.start and gold.end <= chunk.end))
        for gold in question.gold
    )


def raft_rows(
    questions: Sequence[Question],
    retrieve: Callable[[Sequence[str]], list[list[Hit]]],
    oracle: Callable[[Question], Sequence[Chunk]],
    *,
    template: str = "grounded",
    without_oracle: float = 0.0,
    shuffle: float = 0.0,
    seed: int = 0,
) -> tuple[list[TrainingRow], RowReport]:
    """RAFT rows (Zhang et al. 2024, arXiv:2403.10131): retrieved passages, question, answer with its passage's number.

    Passages are what `retrieve` gives for the question, distractors included. Where it misses the gold passage (the
    oracle), `oracle(question)` puts it in place of the lowest ranked one. In the share `without_oracle` of the
    answerable rows the gold passages are taken out and the completion is the refusal, because the passages then do
    not hold the answer; unanswerable questions are refusal rows as well. `shuffle` is the share of rows whose passages
    are dealt in random order, so that position does not stand in for content.
    """
    rng = random.Random(seed)
    found = retrieve([question.question for question in questions])
    rows: list[TrainingRow] = []
    oracle_found = oracle_added = refusals = 0
    for question, retrieved in zip(questions, found, strict=True):
        hits = list(retrieved)
        # A gold span may be cut by a chunk's end: the chunks that the oracle names hold it as well.
        golden = {chunk.id for chunk in oracle(question)} if question.answerable else set()
        golden |= {hit.chunk.id for hit in hits if holds(hit.chunk, question)}
        dropped = question.answerable and rng.random() < without_oracle
        if question.answerable and not dropped:
            missing = [chunk for chunk in oracle(question) if all(hit.chunk.id != chunk.id for hit in hits)]
            if any(hit.chunk.id in golden for hit in hits):
                oracle_found += 1
            elif missing:
                oracle_added += 1
            # Distractors leave from the lowest rank; passages that hold gold stay.
            for chunk in missing:
                spare = [i for i, hit in enumerate(hits) if hit.chunk.id not in golden]
                if len(hits) > 1 and spare:
                    del hits[spare[-1]]
                hits.append(Hit(chunk, 0.0, len(hits) + 1))
        elif dropped:
            hits = [hit for hit in hits if hit.chunk.id not in golden]
        if rng.random() < shuffle:
            rng.shuffle(hits)
        markers = "".join(f"[{n}]" for n, hit in enumerate(hits, 1) if hit.chunk.id in golden)
        if question.answerable and markers:
            completion = f"{question.answers[0]} {markers}"
        elif question.answerable and not dropped and not question.gold:
            completion = question.answers[0]
        else:
            completion = _refusal(question)
            refusals += 1
        rows.append(
            _row(question, render(template, question.question, language=question.language, hits=hits), completion, hits)
        )
    if not rows:
        raise DataMistake("there is no training question", tip="tunewise questions split")
    notes = (
        f"the gold passage was among the retrieved ones for {oracle_found} of {sum(q.answerable for q in questions)}"
        f" answerable questions, and was put in for {oracle_added}; {refusals} rows teach the refusal",
    )
    return rows, RowReport(len(questions), len(rows), oracle_found, oracle_added, refusals, notes)
