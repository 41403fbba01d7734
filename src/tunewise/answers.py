"""Approach in, callable out: questions to answers. The only room that joins retrieval, prompts, models and citations.

Knows nothing about scores. A retriever, where the approach reads an index, is handed in.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from tunewise.citations import verify
from tunewise.errors import ConfigMistake
from tunewise.models import Model
from tunewise.nouns import Answer, Approach, Hit, Question
from tunewise.prompts import final_answer, is_refusal, reads_passages, render

Ask = Callable[[Sequence[Question]], list[Answer]]
Retrieve = Callable[..., list[list[Hit]]]


def choose_examples(questions: Sequence[Question], count: int) -> tuple[tuple[str, str], ...]:
    """(question, answer) pairs for few-shot prompts: one question of each kind in turn, in file order.

    Unanswerable questions are shown with the refusal. The same questions give the same examples.
    """
    from tunewise.prompts import REFUSAL

    by_kind: dict[str, list[Question]] = {}
    for question in questions:
        if question.answers or not question.answerable:
            by_kind.setdefault(question.kind, []).append(question)
    chosen: list[Question] = []
    depth = 0
    while len(chosen) < count and any(len(group) > depth for group in by_kind.values()):
        chosen += [group[depth] for group in by_kind.values() if len(group) > depth][: count - len(chosen)]
        depth += 1
    return tuple(
        (q.question, q.answers[0] if q.answers else REFUSAL["zh" if q.language == "zh" else "en"]) for q in chosen
    )


def make_ask(
    approach: Approach,
    *,
    model: Model,
    retriever: Retrieve | None = None,
    examples: Sequence[tuple[str, str]] = (),
) -> Ask:
    """The callable that answers as `approach` says; `retriever(queries, groups=...)` gives each query's passages."""
    if bool(approach.index) != (retriever is not None):
        raise ConfigMistake(
            f"approach {approach.name}: {'an index needs a retriever' if approach.index else 'it reads no index'}"
        )
    if retriever is not None and not reads_passages(approach.prompt):
        raise ConfigMistake(
            f"approach {approach.name} reads an index, but its prompt {approach.prompt!r} has no place for passages",
            tip='prompt = "grounded"',
        )

    def ask(questions: Sequence[Question]) -> list[Answer]:
        start = time.perf_counter()
        found: list[list[Hit]] = [[] for _ in questions]
        if retriever is not None:
            # Questions of one reader are searched together; rights never mix.
            for groups in dict.fromkeys(question.groups for question in questions):
                asked = [i for i, question in enumerate(questions) if question.groups == groups]
                hits = retriever([questions[i].question for i in asked], groups=groups or None)
                for i, passages in zip(asked, hits, strict=True):
                    found[i] = passages
        searching = (time.perf_counter() - start) / max(1, len(questions))
        prompts = [
            render(approach.prompt, question.question, language=question.language, hits=hits, examples=examples)
            for question, hits in zip(questions, found, strict=True)
        ]
        answers = []
        for question, hits, said in zip(questions, found, model.generate(prompts, approach.decoding), strict=True):
            raw = final_answer(approach.prompt, said.text, language=question.language)
            text, citations = verify(raw, hits)
            refused = is_refusal(text)
            answers.append(
                Answer(
                    question=question.id,
                    text=text,
                    raw=said.text,
                    hits=tuple(hits),
                    citations=() if refused else citations,
                    refused=refused,
                    tokens_in=said.tokens_in,
                    tokens_out=said.tokens_out,
                    seconds=said.seconds + searching,
                )
            )
        return answers

    return ask
