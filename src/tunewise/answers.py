"""Approach in, callable out: questions to answers. The only room that joins retrieval, prompts, models and citations.

Knows nothing about scores. A retriever, where the approach reads an index, is handed in.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import cast

from tunewise.citations import marked, verify
from tunewise.errors import ConfigMistake, ModelMistake
from tunewise.models import Generated, MarginalModel, Model, is_local
from tunewise.nouns import Answer, Approach, Citation, Decoding, Hit, Question
from tunewise.prompts import final_answer, is_refusal, reads_passages, render
from tunewise.retrieval import RERANKED
from tunewise.retrieval import stand_alone as stand_alone
from tunewise.sentences import prompt_language

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
    writer: QueryWriter | None = None,
    page_of: Callable[[Citation], int | None] | None = None,
) -> Ask:
    """The callable that answers as `approach` says; `retriever(queries, groups=...)` gives each query's passages.

    `writer` is what the retriever writes its queries with: its tokens are part of what an answer cost. `page_of` says
    on which page a citation's own span begins: a passage may go on over several pages.
    """
    if bool(approach.index) != (retriever is not None):
        raise ConfigMistake(
            f"approach {approach.name}: {'an index needs a retriever' if approach.index else 'it reads no index'}"
        )
    if retriever is not None and not reads_passages(approach.prompt):
        raise ConfigMistake(
            f"approach {approach.name} reads an index, but its prompt {approach.prompt!r} has no place for passages",
            tip='prompt = "grounded"',
        )
    if approach.decoding.marginal != "none":
        if retriever is None:
            raise ConfigMistake(f"approach {approach.name}: marginal decoding sums over passages", tip="index = true")
        if not is_local(model.name):
            raise ModelMistake(
                f"{approach.name} sums token probabilities over passages, and {model.name} gives none",
                tip="use a local model, for example smollm2, or the approach rag",
            )

    def ask(questions: Sequence[Question]) -> list[Answer]:
        start = time.perf_counter()
        found: list[list[Hit]] = [[] for _ in questions]
        searched = [_searched(approach, question, writer) if retriever else "" for question in questions]
        if retriever is not None:
            # Questions of one reader are searched together; rights never mix.
            for groups in dict.fromkeys(question.groups for question in questions):
                asked = [i for i, question in enumerate(questions) if question.groups == groups]
                hits = retriever([searched[i] for i in asked], groups=groups or None)
                for i, passages in zip(asked, hits, strict=True):
                    found[i] = passages
        searching = (time.perf_counter() - start) / max(1, len(questions))
        spoken = _say(approach, model, questions, found, examples)
        answers = []
        written = [writer.take(text) if writer else (0, 0) for text in searched]
        for (tokens_in, tokens_out), question, hits, said in zip(written, questions, found, spoken, strict=True):
            raw = final_answer(approach.prompt, said.text, language=question.language)
            text, citations = verify(raw, hits)
            if page_of is not None:
                citations = tuple(replace(one, page=page_of(one)) for one in citations)
            refused = is_refusal(text)
            answers.append(
                Answer(
                    question=question.id,
                    text=text,
                    raw=said.text,
                    hits=tuple(hits),
                    citations=() if refused else citations,
                    refused=refused,
                    tokens_in=said.tokens_in + tokens_in,
                    tokens_out=said.tokens_out + tokens_out,
                    seconds=said.seconds + searching,
                )
            )
        return answers

    return ask


def _say(
    approach: Approach,
    model: Model,
    questions: Sequence[Question],
    found: Sequence[Sequence[Hit]],
    examples: Sequence[tuple[str, str]],
) -> list[Generated]:
    """One completion for each question: from all its passages in one prompt, or marginal over them (one each)."""

    def prompt(question: Question, hits: Sequence[Hit]) -> list[dict[str, str]]:
        return render(
            approach.prompt, question.question, language=question.language, hits=hits,
            examples=(*examples, *question.history),
        )

    if approach.decoding.marginal == "none":
        return model.generate([prompt(q, hits) for q, hits in zip(questions, found, strict=True)], approach.decoding)
    groups = [
        [prompt(question, [hit]) for hit in hits] or [prompt(question, ())]
        for question, hits in zip(questions, found, strict=True)
    ]
    priors = [_priors(hits) for hits in found]
    said = cast(MarginalModel, model).marginal(groups, priors, approach.decoding)
    return [
        replace(one.generated, text=_renumber(one.generated.text, one.posterior.index(max(one.posterior)), len(hits)))
        for one, hits in zip(said, found, strict=True)
    ]


def _priors(hits: Sequence[Hit]) -> list[float]:
    """p(z|x) of a question's passages; 1 for the single prompt of a question that found none."""
    from tunewise.models.marginal import passage_weights

    if not hits:
        return [1.0]
    # A reranker orders all passages of a question or none.
    reranked = any(name == RERANKED for name, _ in hits[0].legs)
    return passage_weights([hit.score for hit in hits], reranked=reranked)


def _renumber(text: str, passage: int, count: int) -> str:
    """Markers of a prompt with one passage, as those of all: 1 is the passage that speaks, others stay unknown."""
    made, cut = [], 0
    for (start, end), numbers in marked(text):
        shown = dict.fromkeys(passage + 1 if number == 1 else count + number for number in numbers)
        made += [text[cut:start], "[" + ", ".join(map(str, shown)) + "]"]
        cut = end
    return "".join([*made, text[cut:]])


def _searched(approach: Approach, question: Question, writer: QueryWriter | None) -> str:
    how = approach.retrieval.follow_up
    return stand_alone(question.question, question.history, how=how, generate=writer)


class QueryWriter:
    """Writes search queries with a model, by the templates in `templates/queries`, and keeps count of its tokens.

    The model is loaded when the first query is wanted.
    """

    def __init__(self, model: Callable[[], Model], *, max_new_tokens: int = 96) -> None:
        self._load = model
        self._model: Model | None = None
        self._decoding = Decoding(max_new_tokens=max_new_tokens)
        self._spent: dict[str, tuple[int, int]] = {}

    def __call__(self, template: str, texts: Sequence[str]) -> list[str]:
        """What the model wrote for each text, raw."""
        self._model = self._model or self._load()
        prompts = [render(template, text, language=prompt_language(text)) for text in texts]
        said = self._model.generate(prompts, self._decoding)
        for text, one in zip(texts, said, strict=True):
            before = self._spent.get(text, (0, 0))
            self._spent[text] = (before[0] + one.tokens_in, before[1] + one.tokens_out)
        return [one.text for one in said]

    def take(self, text: str) -> tuple[int, int]:
        """(tokens in, tokens out) that were spent on a text since they were last taken."""
        return self._spent.pop(text, (0, 0))
