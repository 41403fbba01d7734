"""Training rows: what a model is shown and what it should say. No torch in here.

Prompts come from `prompts.render`, the renderer of answering; passages come from a `retrieve` callable, the one that
answering uses. So a tuned model meets in use exactly what it met in training.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from tunewise.errors import ConfigMistake, DataMistake
from tunewise.nouns import Chunk, Hit, Question
from tunewise.prompts import REFUSAL, answer_mark, render
from tunewise.sentences import sentences


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """One example: chat messages, the completion to learn, and the question that it was made from."""

    messages: tuple[tuple[str, str], ...]
    """(role, content) pairs."""
    completion: str
    question: str
    groups: tuple[str, ...] = ()
    documents: tuple[str, ...] = ()

    @property
    def refuses(self) -> bool:
        """Whether the completion is, or ends with, the refusal."""
        return self.completion.endswith(tuple(REFUSAL.values()))

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
    left_out: int = 0
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


def few_refusals(
    rows: Sequence[TrainingRow], *, most: float, seed: int
) -> tuple[list[TrainingRow], int, int, tuple[str, ...]]:
    """The rows with refusals at most the share `most` of them, how many refuse and how many were left out, and a note.

    A model that sees too many refusals learns to refuse: with 58 % unanswerable training questions (SQuAD 2) the tuned
    model refused 86 % of the answerable ones as well.
    """
    refusing = [i for i, row in enumerate(rows) if row.refuses]
    answers = len(rows) - len(refusing)
    room = len(refusing) if most >= 1 else int(most * answers / (1 - most) + 1e-9)
    if not answers or len(refusing) <= room:
        return list(rows), len(refusing), 0, ()
    kept = set(random.Random(seed).sample(refusing, room))
    left = set(refusing) - kept
    note = (
        f"{len(left)} of {len(refusing)} refusal rows were left out, so that {most:.0%} of the rows refuse at most "
        "(max_refusals): more of them teach a model to refuse what it could answer"
    )
    return [row for i, row in enumerate(rows) if i not in left], room, len(left), (note,)


def sft_rows(
    questions: Sequence[Question], *, template: str = "answer", max_refusals: float = 1.0, seed: int = 0
) -> tuple[list[TrainingRow], RowReport]:
    """Instruction rows: the question alone, and its preferred answer (a refusal where the documents hold none)."""
    all_rows = [
        _row(
            q,
            render(template, q.question, language=q.language, examples=q.history),
            q.answers[0] if q.answers else _refusal(q),
        )
        for q in questions
    ]
    rows, refusals, left, notes = few_refusals(all_rows, most=max_refusals, seed=seed)
    return rows, RowReport(len(questions), len(rows), refusals=refusals, left_out=left, notes=notes)


def holds(chunk: Chunk, question: Question) -> bool:
    """Whether a chunk covers a gold span of the question (or stands in a gold document that has no span)."""
    return any(
        chunk.document == gold.document and (not gold.end or (chunk.start <= gold.start and gold.end <= chunk.end))
        for gold in question.gold
    )


def _shown(chunk: Chunk, question: Question, hits: Sequence[Hit]) -> bool:
    """Whether the hits cover, with other chunks, every gold span that this chunk holds some of."""
    spans = [
        gold
        for gold in question.gold
        if gold.end and gold.document == chunk.document and gold.start < chunk.end and chunk.start < gold.end
    ]
    return bool(spans) and all(any(holds(hit.chunk, replace(question, gold=(g,))) for hit in hits) for g in spans)


def quote(chunk: Chunk, question: Question) -> str:
    """The sentences of a chunk, word for word, that hold a gold span of the question; "" where none does."""
    spans = [
        (max(gold.start, chunk.start) - chunk.start, min(gold.end, chunk.end) - chunk.start)
        for gold in question.gold
        if gold.document == chunk.document and gold.start < chunk.end and chunk.start < gold.end
    ]
    found = [
        chunk.text[a:b]
        for a, b in sentences(chunk.text, 0, len(chunk.text))
        if any(a < end and start < b for start, end in spans)
    ]
    return " ".join(found)


def raft_rows(
    questions: Sequence[Question],
    retrieve: Callable[[Sequence[str]], list[list[Hit]]],
    oracle: Callable[[Question], Sequence[Chunk]],
    *,
    template: str = "grounded",
    without_oracle: float | str = 0.0,
    shuffle: float = 0.0,
    quotes: bool = False,
    max_refusals: float = 1.0,
    seed: int = 0,
    arrange: Callable[[list[Hit]], list[Hit]] = lambda hits: hits,
    searched: Callable[[Question], str] = lambda question: question.question,
    further: Callable[[str], list[Hit]] = lambda query: [],
) -> tuple[list[TrainingRow], RowReport]:
    """RAFT rows (Zhang et al. 2024, arXiv:2403.10131): retrieved passages, question, answer with its passage's number.

    Passages are what `retrieve` gives for the question, distractors included. Where it misses the gold passage (the
    oracle), `oracle(question)` puts it in place of the lowest ranked one. In the share `without_oracle` of the
    answerable rows ("auto": the share that retrieval missed) the gold passages are taken out and the completion is the
    refusal, because the passages then do not hold the answer; the next ranked distractors of `further(query)` fill
    their places, else the number of passages would tell which rows refuse. Unanswerable questions are refusal rows as
    well, and `max_refusals` is the largest share of all of them. `shuffle` is the share of rows whose passages are
    dealt in random order, so that position does not stand in for content. With `quotes` the completion first says,
    word for word, the sentence that holds the answer (chain of thought with citations, section 3 of the paper), then
    the template's answer mark and the answer. `searched` is what is searched for a question with earlier turns;
    `arrange` puts ranked passages into the order in which answering shows them.
    """
    if not questions:
        raise DataMistake("there is no training question", tip="tunewise questions split")
    if quotes and not answer_mark(template, "en"):
        raise ConfigMistake(
            f"quotes need a template that says where the answer begins, which {template!r} does not",
            tip='prompt = "quoted" and max_new_tokens = 120 in the approach',
        )
    rng = random.Random(seed)
    found = retrieve([searched(question) for question in questions])
    notes: tuple[str, ...] = ()
    if without_oracle == "auto":
        could = [(q, hits) for q, hits in zip(questions, found, strict=True) if q.answerable and q.gold]
        missed = sum(not any(holds(hit.chunk, q) for hit in hits) for q, hits in could)
        without_oracle = missed / max(1, len(could))
        notes = (f"without_oracle {without_oracle:.2f}: retrieval missed the gold passage of {missed} of {len(could)}",)
    rows: list[TrainingRow] = []
    oracle_found = oracle_added = short = 0
    for question, retrieved in zip(questions, found, strict=True):
        hits = list(retrieved)
        # A gold span may be cut by a chunk's end: the chunks that the oracle names hold it as well.
        golden = {chunk.id for chunk in oracle(question)} if question.answerable else set()
        golden |= {hit.chunk.id for hit in hits if holds(hit.chunk, question)}
        # Where nobody said which passage holds the answer, none can be taken out.
        dropped = question.answerable and rng.random() < float(without_oracle) and bool(golden)
        if question.answerable and not dropped:
            missing = [
                chunk
                for chunk in oracle(question)
                if all(hit.chunk.id != chunk.id for hit in hits) and not _shown(chunk, question, hits)
            ]
            if any(hit.chunk.id in golden for hit in hits):
                oracle_found += 1
            elif missing:
                oracle_added += 1
            # Distractors leave from the lowest rank; passages that hold gold stay.
            for chunk in missing:
                rank = len(hits) + 1
                if len(hits) >= len(retrieved) and (spare := [hit for hit in hits if hit.chunk.id not in golden]):
                    last = max(spare, key=lambda hit: hit.rank)
                    hits.remove(last)
                    rank = last.rank
                hits.append(Hit(chunk, 0.0, rank))
            if missing:
                # Answering shows passages in the order of the settings, and so do these.
                hits = arrange(sorted(hits, key=lambda hit: hit.rank))
        elif dropped:
            hits = [hit for hit in hits if hit.chunk.id not in golden]
            if len(hits) < len(retrieved):
                hits = arrange(_refilled(hits, further(searched(question)), question, golden, len(retrieved)))
                short += len(hits) < len(retrieved)
        if rng.random() < shuffle:
            rng.shuffle(hits)
        completion = _completion(question, hits, golden, dropped)
        if quotes:
            completion = _quoted(question, hits, golden, completion, template)
        rows.append(
            _row(
                question,
                render(
                    template, question.question, language=question.language, hits=hits, examples=question.history
                ),
                completion,
                hits,
            )
        )
    made = len(rows)
    rows, refusals, left, capped = few_refusals(rows, most=max_refusals, seed=seed)
    notes = (
        *notes,
        f"the gold passage was among the retrieved ones for {oracle_found} of {sum(q.answerable for q in questions)}"
        f" answerable questions, and was put in for {oracle_added}; {refusals} of {len(rows)} rows teach the refusal",
        *capped,
    )
    if short:
        notes = (*notes, f"{short} rows without their gold passage show fewer passages: there were no further ones")
    assert made == len(rows) + left
    return rows, RowReport(len(questions), len(rows), oracle_found, oracle_added, refusals, left, notes)


def _refilled(
    hits: Sequence[Hit], further: Sequence[Hit], question: Question, golden: set[str], count: int
) -> list[Hit]:
    """Up to `count` passages by rank: these, and the next ones that hold nothing of the gold."""
    known = golden | {hit.chunk.id for hit in hits}
    last = max((hit.rank for hit in hits), default=0)
    fresh = [hit for hit in further if hit.chunk.id not in known and not _touches(hit.chunk, question)]
    more = fresh[: count - len(hits)]
    return [*sorted(hits, key=lambda hit: hit.rank), *(replace(hit, rank=last + n) for n, hit in enumerate(more, 1))]


def _touches(chunk: Chunk, question: Question) -> bool:
    return any(
        chunk.document == gold.document and (not gold.end or (gold.start < chunk.end and chunk.start < gold.end))
        for gold in question.gold
    )


def _completion(question: Question, hits: Sequence[Hit], golden: set[str], dropped: bool) -> str:
    markers = "".join(f"[{n}]" for n, hit in enumerate(hits, 1) if hit.chunk.id in golden)
    if question.answerable and markers:
        return f"{question.answers[0]} {markers}"
    if question.answerable and not dropped and not question.gold:
        return question.answers[0]
    return _refusal(question)


def _quoted(question: Question, hits: Sequence[Hit], golden: set[str], completion: str, template: str) -> str:
    """The completion after its evidence: each gold passage's own sentence in quotation marks, with its number."""
    evidence = [
        f'[{n}] "{said}"'
        for n, hit in enumerate(hits, 1)
        if hit.chunk.id in golden and (said := quote(hit.chunk, question))
    ]
    mark = answer_mark(template, question.language)
    return "\n".join([*evidence, f"{mark}{'' if mark.endswith('：') else ' '}{completion}"])
