"""Approaches that read an index, under passages that are worse than their own: noise, false values, none, displaced.

After the four abilities of RGB (Chen et al. 2024) and "lost in the middle" (Liu et al. 2024). Nothing in answering
changes: the retriever that is handed to `answers.make_ask` gives prepared passages instead of found ones. Every
condition is a run of its own under `.tunewise/robustness`, so that a stopped job goes on where it was.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tunewise import __version__
from tunewise.answers import choose_examples, make_ask
from tunewise.comparison import clusters_of
from tunewise.errors import ConfigMistake, DataMistake
from tunewise.evaluation import evaluate, run_folder
from tunewise.jobs.beside import keep_robustness
from tunewise.jobs.compare import quiet
from tunewise.jobs.fits import settled
from tunewise.jobs.foreign import leaves_for
from tunewise.jobs.library import Library, library
from tunewise.jobs.tune import build, plan
from tunewise.machine import machine, versions
from tunewise.models import Model, describe_model, load_model
from tunewise.nouns import Approach, Chunk, Estimate, Hit, Question, Run, to_json
from tunewise.prompts import template_fingerprint
from tunewise.questions import load_questions, question_json
from tunewise.scorers import rules, score
from tunewise.scorers.retrieval import overlaps
from tunewise.scorers.terminology import load_glossary
from tunewise.scorers.text import fold, is_correct
from tunewise.statistics import bootstrap_means
from tunewise.store import fingerprint, project_folder

if TYPE_CHECKING:
    from tunewise.project import Project

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Context:
    """What a question is asked with: its gold passages, what retrieval found beside them, and distractors.

    `others` are found passages that meet no gold span; `distractors` are the next best ones of other documents, none of
    which holds a gold answer.
    """

    question: Question
    gold: tuple[Chunk, ...]
    others: tuple[Chunk, ...]
    distractors: tuple[Chunk, ...]


@dataclass(frozen=True, slots=True)
class Robustness:
    """How one approach takes bad passages; every share with its 95 % interval, clustered by document.

    `noise`: right answers when r of k passages are distractors (the gold stays), by r; `noise_slope`: change of that
    share from none to all replaced. `position`: right answers by the rank of the gold passage; `position_slope`: change
    from the first rank to the last. `follows` / `keeps`: answers that follow a value changed in the passage, or keep
    the old one. `rejects` / `invents`: refusals and wrong answers when no passage holds the answer.
    """

    approach: str
    k: int
    questions: int
    changed: int
    """Questions with a value that could be changed."""
    noise: Mapping[int, Estimate]
    noise_slope: Estimate | None
    position: Mapping[int, Estimate]
    position_slope: Estimate | None
    follows: Estimate | None
    keeps: Estimate | None
    rejects: Estimate
    invents: Estimate


def robustness(
    project: Project,
    *,
    approaches: Sequence[str] | None = None,
    limit: int | None = None,
    k: int | None = None,
    seed: int = 0,
    progress: Progress = quiet,
    on_result: Callable[[Robustness], None] | None = None,
) -> list[Robustness]:
    """Measure the approaches that read an index (or those named) on the answerable test questions with gold spans.

    `k`: passages in a prompt (default: the approach's own, at least 2). `ConfigMistake` when an approach reads none.
    What was measured is kept in the project (robustness.json) and shown with a comparison of the same questions.
    """
    named = [project.approach(name) for name in approaches] if approaches else list(project.approaches)
    chosen = [approach for approach in named if approach.index]
    if not chosen or (approaches and len(chosen) < len(named)):
        raise ConfigMistake("only approaches that read an index have passages to disturb",
                            tip=f"with an index: {', '.join(a.name for a in project.approaches if a.index) or 'none'}")
    if away := {approach.name: to for approach in chosen if (to := leaves_for(project, approach))}:
        stay = ", ".join(approach.name for approach in chosen if approach.name not in away) or "none"
        raise ConfigMistake(
            "data would leave this machine: " + ", ".join(f"{name} for {to}" for name, to in away.items()),
            tip=f"data_may_leave = false in tunewise.toml; these stay here: {stay}",
        )
    questions = load_questions(project.questions)
    asked = [q for q in questions if q.split == "test" and q.answerable and q.answers and any(g.end for g in q.gold)]
    asked = list({q.question: q for q in reversed(asked)}.values())[::-1]  # passages are handed over by the wording
    if not asked:
        raise DataMistake("no test question has a gold span", tip="gold: [{document, start, end}] says where it stands")
    if limit is not None and limit < len(asked):
        order = sorted(asked, key=lambda q: (q.kind, q.id))
        taken = {order[i * len(order) // limit].id for i in range(limit)}
        asked = [q for q in asked if q.id in taken]
    glossary = load_glossary(project.glossary) if project.glossary else ()
    results = []
    with library(project) as books:
        for approach in chosen:
            results.append(_measure(project, approach, questions, asked, books, partial(score, glossary=glossary),
                                    k or max(2, approach.retrieval.k), seed, progress))
            if on_result is not None:
                on_result(results[-1])
    return results


def contexts_of(questions: Sequence[Question], books: Library, approach: Approach, k: int,
                count: Callable[[str], int]) -> list[Context]:
    """The passages that every condition is made of; questions whose gold is in no
    passage, or beside which too few others stand, are left out."""
    deep = replace(approach.retrieval, k=4 * k + 8, budget=10**9, order="best-first")
    retrieve = books.retriever(deep, count)
    everything = sorted(books.catalog.chunks(), key=lambda chunk: chunk.id)
    made = []
    for question in questions:
        gold = tuple(books.oracle(question))[:k]
        if not gold:
            continue
        found = [hit.chunk for hit in retrieve([question.question], groups=question.groups or None)[0]]
        free = [chunk for chunk in found if not _meets(question, chunk) and chunk not in gold]
        own = set(question.documents)
        draw = random.Random(question.id)
        strange = [c for c in free[k:] if c.document not in own] + draw.sample(everything, min(4 * k, len(everything)))
        distractors = [
            c for c in dict.fromkeys(strange)
            if c.document not in own and c not in free[:k] and not _holds(question, c) and _open(c, question)
        ]
        # A prompt with fewer passages than the others would be another condition.
        if len(free) >= k - 1 and len(distractors) >= k - 1:
            made.append(Context(question, gold, tuple(free[:k]), tuple(distractors[:k])))
    if not made:
        raise DataMistake("no test question has both its gold in a passage and enough others",
                          tip=f"tunewise ingest, if documents changed; or less than {k} passages: --k 2")
    return made


def _open(chunk: Chunk, question: Question) -> bool:
    return not question.groups or not chunk.groups or bool(set(chunk.groups) & set(question.groups))


def _meets(question: Question, chunk: Chunk) -> bool:
    return any(overlaps(gold, chunk.document, chunk.start, chunk.end) for gold in question.gold)


def _holds(question: Question, chunk: Chunk) -> bool:
    plain = fold(chunk.text)
    return any(fold(answer) in plain for answer in question.answers)


# ------------------------------------------------------------------------------------------------ conditions


def noisy(context: Context, k: int, replaced: int, seed: int) -> list[Chunk]:
    """The gold where a seeded draw puts it, among found passages of which `replaced` are distractors (nested in r)."""
    room = k - len(context.gold)
    draw = random.Random(f"{context.question.id} {seed}")
    kept = list(context.others[:room])
    places = list(range(len(kept)))
    draw.shuffle(places)
    for place, distractor in zip(places[:replaced], context.distractors, strict=False):
        kept[place] = distractor
    at = draw.randrange(len(kept) + 1)
    return [*kept[:at], *context.gold, *kept[at:]]


def placed(context: Context, k: int, rank: int) -> list[Chunk]:
    """The first gold passage at this rank (from 1) among k - 1 found ones."""
    kept = [*context.others, *context.distractors][: k - 1]
    return [*kept[: rank - 1], context.gold[0], *kept[rank - 1 :]]


def without_gold(context: Context, k: int) -> list[Chunk]:
    """The best found passages that neither meet the gold nor hold a gold answer, filled up with distractors."""
    free = [chunk for chunk in context.others if not _holds(context.question, chunk)]
    return [*free, *context.distractors][:k]


def changed_value(question: Question, chunk: Chunk, strangers: Sequence[str], seed: int) -> tuple[Chunk, str] | None:
    """The passage with another value where the gold answer stands, and that value; None where it does not stand there
    word for word. A number gets other digits of the same length, anything else the answer of another question."""
    draw = random.Random(f"{question.id} {seed}")
    for answer in question.answers:
        edge = (r"(?<!\w)", r"(?!\w)") if answer.isascii() else ("", "")
        pattern = re.compile(f"{edge[0]}{re.escape(answer)}{edge[1]}", re.IGNORECASE)
        if not pattern.search(chunk.text):
            continue
        number = re.search(r"\d+", answer)
        if number:
            old = int(number[0])
            new = next(n for n in (draw.randrange(10 ** (len(number[0]) - 1), 10 ** len(number[0]))
                                   for _ in iter(int, 1)) if n != old)
            other = answer[: number.start()] + str(new) + answer[number.end() :]
        else:
            fitting = [s for s in strangers if not re.search(r"\d", s) and not is_correct(s, answer)
                       and not is_correct(answer, s) and fold(s) not in fold(chunk.text)]
            if not fitting:
                continue
            other = draw.choice(fitting)
        text = pattern.sub(lambda match, other=other: other, chunk.text)
        return replace(chunk, id=f"{chunk.id}~changed", text=text, end=chunk.start + len(text)), other
    return None


# ------------------------------------------------------------------------------------------------ measuring


def _hits(chunks: Sequence[Chunk], order: str) -> list[Hit]:
    hits = [Hit(chunk, 1.0 / rank, rank, (("prepared", rank),)) for rank, chunk in enumerate(chunks, 1)]
    return hits if order == "best-first" else hits[::-1]


def _measure(
    project: Project, approach: Approach, questions: Sequence[Question], asked: Sequence[Question], books: Library,
    scored: partial[dict[str, float]], k: int, seed: int, progress: Progress,
) -> Robustness:
    adapter: Path | None = None
    if approach.recipe:
        adapter = build(plan(project, approach, questions, books=books), progress=progress)
    # Passages are found by the plain question, and handed over by it: no query is written, none joined, none gated.
    retrieval = replace(settled(project, books, approach.retrieval, questions), k=k, rewrite="none", gate="always",
                        follow_up="off")
    approach = replace(approach, index=books.index.fingerprint, adapter=adapter.name if adapter else None,
                       retrieval=retrieval)
    examples = choose_examples([q for q in questions if q.split == "train"], approach.examples)
    model = load_model(approach.model, adapter=adapter)
    contexts = contexts_of(asked, books, approach, k, model.count_tokens)
    identity = {
        "model": describe_model(approach.model, adapter=adapter), "template": template_fingerprint(approach.prompt),
        "examples": fingerprint(list(examples)), "glossary": fingerprint(to_json(scored.keywords["glossary"])),
        "code": __version__, "machine": machine(), "versions": versions(), "seed": seed,
    }
    home = project_folder(project.root) / "robustness"

    def run(name: str, prepared: Mapping[str, Sequence[Chunk]], some: Sequence[Question]) -> Run:
        return _run(f"{approach.name} {name}", approach, model, prepared, some, examples, scored, identity, home,
                    progress)

    all_questions = [context.question for context in contexts]
    room = max(k - len(context.gold) for context in contexts)
    noise = {r: run(f"noise {r} of {k}", {c.question.question: noisy(c, k, r, seed) for c in contexts}, all_questions)
             for r in range(room + 1)}
    position = {rank: run(f"gold at {rank}", {c.question.question: placed(c, k, rank) for c in contexts}, all_questions)
                for rank in range(1, k + 1)}
    empty = run("no gold", {c.question.question: without_gold(c, k) for c in contexts}, all_questions)
    follows, keeps, swapped = _counterfactual(contexts, k, seed, run)
    steps = [r / k for r in noise]
    result = Robustness(
        approach=approach.name, k=k, questions=len(contexts), changed=swapped,
        noise={r: _share(one, all_questions) for r, one in noise.items()},
        noise_slope=_slope([_correct(one) for one in noise.values()], steps, all_questions),
        position={rank: _share(one, all_questions) for rank, one in position.items()},
        position_slope=_slope([_correct(one) for one in position.values()],
                              [(rank - 1) / max(1, k - 1) for rank in position], all_questions),
        follows=follows, keeps=keeps,
        rejects=_estimate([float(row.answer.refused) for row in empty.rows], all_questions),
        invents=_estimate([row.scores["wrong"] for row in empty.rows], all_questions),
    )
    keep_robustness(project, result, all_questions, index=approach.index, adapter=approach.adapter)
    return result


def _run(
    name: str, approach: Approach, model: Model, prepared: Mapping[str, Sequence[Chunk]], questions: Sequence[Question],
    examples: Sequence[tuple[str, str]], scored: Any, identity: Mapping[str, Any], home: Path, progress: Progress,
) -> Run:
    def retrieve(queries: Sequence[str], groups: Any = None) -> list[list[Hit]]:
        return [_hits(prepared[query], approach.retrieval.order) for query in queries]

    one = replace(approach, name=name)
    full = {**identity, "questions": fingerprint([question_json(q) for q in questions]),
            "passages": fingerprint([[c.id, c.text] for q in questions for c in prepared[q.question]])}
    return evaluate(
        make_ask(one, model=model, retriever=retrieve, examples=examples), questions, approach=one, score=scored,
        folder=run_folder(home, one, full), identity=full, rules=rules(), batch=32,
        progress=lambda _, done, total: progress(name, done, total),
    )


def _counterfactual(
    contexts: Sequence[Context], k: int, seed: int, run: Callable[..., Run]
) -> tuple[Estimate | None, Estimate | None, int]:
    strangers = sorted({context.question.answers[0] for context in contexts})
    prepared: dict[str, list[Chunk]] = {}
    wanted: dict[str, str] = {}
    some = []
    for context in contexts:
        question = context.question
        made = changed_value(question, context.gold[0], strangers, seed)
        if made is None:
            continue
        # No other passage may still say the old value.
        rest = [chunk for chunk in [*context.others, *context.distractors] if not _holds(question, chunk)]
        prepared[question.question] = [made[0], *rest[: k - 1]]
        wanted[question.id] = made[1]
        some.append(question)
    if not some:
        return None, None, 0
    rows = run("changed value", prepared, some).rows
    follows = [float(not row.answer.refused and is_correct(row.answer.text, wanted[row.question])) for row in rows]
    return _estimate(follows, some), _estimate([row.scores["correct"] for row in rows], some), len(some)


def _correct(run: Run) -> list[float]:
    return [row.scores["correct"] for row in run.rows]


def _estimate(values: Sequence[float], questions: Sequence[Question]) -> Estimate:
    (found,) = bootstrap_means(np.array(values, float)[:, None], clusters_of(questions)[0])
    assert found is not None, "no value is NaN"
    return found


def _share(run: Run, questions: Sequence[Question]) -> Estimate:
    return _estimate(_correct(run), questions)


def _slope(values: Sequence[Sequence[float]], steps: Sequence[float], questions: Sequence[Question]) -> Estimate | None:
    """Mean over the questions of each one's least-squares slope; None for a single step."""
    if len(steps) < 2:
        return None
    x = np.array(steps) - np.mean(steps)
    slopes = (np.array(values, float).T @ x) / (x @ x)
    (found,) = bootstrap_means(slopes[:, None], clusters_of(questions)[0], differences=True)
    return found
