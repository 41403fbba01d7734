"""Questions × approaches → measured runs → comparison → recommendation: the main job, written down once.

Every run has a folder of its own under `.tunewise/runs`, named by what it measures; a finished one is read again, an
interrupted one goes on where it stopped. Models are loaded one at a time.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunewise import __version__
from tunewise.answers import Ask, QueryWriter, choose_examples, make_ask
from tunewise.comparison import compare as compare_runs
from tunewise.errors import DataMistake, GateFailed
from tunewise.evaluation import evaluate, load_run, run_folder
from tunewise.jobs.fits import settled
from tunewise.jobs.library import Library, index_cost, library
from tunewise.jobs.tune import Plan, build, plan
from tunewise.machine import machine, peak_memory, reset_peak, versions
from tunewise.models import describe_model, is_local, load_model
from tunewise.nouns import Approach, Comparison, Cost, Question, Recommendation, Run, Standing, to_json
from tunewise.prompts import template_fingerprint
from tunewise.questions import check_questions, find_leaks, load_questions, question_json
from tunewise.recommendation import recommend
from tunewise.scorers import score
from tunewise.scorers.terminology import load_glossary
from tunewise.store import fingerprint, project_folder, read_json, write_json

if TYPE_CHECKING:
    from tunewise.project import Project

Progress = Callable[[str, int, int], None]
ALONE = 4
"""Questions asked one at a time to see what one user waits; the others are answered in batches."""


@dataclass(frozen=True, slots=True)
class CompareResult:
    """What a comparison ended with, and the folder that holds its runs."""

    comparison: Comparison
    recommendation: Recommendation
    folder: Path


def quiet(phase: str, done: int, total: int) -> None:
    """A progress callable that tells nobody."""


def compare(
    project: Project,
    *,
    approaches: Sequence[str] | None = None,
    limit: int | None = None,
    progress: Progress = quiet,
    on_standing: Callable[[Standing], None] | None = None,
) -> CompareResult:
    """Build and measure the project's approaches (or those named) on its test questions, and recommend one.

    `limit` takes that many test questions, spread over the kinds. `on_standing` is told of each approach as soon as it
    is measured. `GateFailed` when training questions leak into the test questions, naming the pairs.
    """
    chosen = [project.approach(name) for name in approaches] if approaches else list(project.approaches)
    questions = load_questions(project.questions)
    asked = _asked(questions, limit)
    learned = [question for question in questions if question.split == "train"]
    if any(approach.recipe or approach.examples for approach in chosen):
        _refuse_leaks(learned, asked)
    glossary = load_glossary(project.glossary) if project.glossary else ()
    needs_index = any(approach.index for approach in chosen)
    folder = project_folder(project.root) / "runs"
    with _books(project, wanted=needs_index) as books:
        if books is not None:
            texts = {record.id: books.catalog.document(record.id).text for record in books.catalog.documents()}
            if faults := check_questions([*asked, *learned], texts):
                raise DataMistake(
                    f"{len(faults)} fault(s) in {project.questions} against the documents",
                    tip="tunewise questions check lists them; tunewise ingest if documents changed",
                    faults=tuple(faults),
                )
        runs: list[Run] = []
        scored = partial(score, glossary=glossary)
        for approach in sorted(chosen, key=_effort):
            run = _measure(project, approach, questions, asked, books, scored, folder, progress)
            runs.append(run)
            if on_standing is not None:
                on_standing(compare_runs([run], asked, needs=project.needs, train_questions=learned).standings[0])
        again = replace(runs[0].approach, name=f"{runs[0].approach.name} (again)")
        null = _measure(project, again, questions, asked, books, scored, folder, progress)
    write_json(
        folder / "last.json",
        {
            "folders": [run_folder(folder, run.approach, run.identity).name for run in (*runs, null)],
            "questions": [question.id for question in asked],
        },
    )
    return _decide(project, [*runs, null], asked, learned, folder)


def last(project: Project) -> CompareResult:
    """The last comparison of a project, worked out again from its runs; `DataMistake` when there is none."""
    folder = project_folder(project.root) / "runs"
    if not (folder / "last.json").is_file():
        raise DataMistake(f"nothing was compared in {project.root} yet", tip="tunewise compare")
    kept = read_json(folder / "last.json")
    questions = load_questions(project.questions)
    by_id = {question.id: question for question in questions}
    if missing := [id for id in kept["questions"] if id not in by_id]:
        raise DataMistake(
            f"{project.questions} changed since the last comparison ({missing[0]!r} is gone)", tip="tunewise compare"
        )
    runs = [load_run(folder / name) for name in kept["folders"]]
    mark = _mark([by_id[id] for id in kept["questions"]])
    if any(run.identity["questions"] != mark for run in runs):
        raise DataMistake(f"{project.questions} changed since the last comparison", tip="tunewise compare")
    learned = [question for question in questions if question.split == "train"]
    return _decide(project, runs, [by_id[id] for id in kept["questions"]], learned, folder)


def _decide(
    project: Project, runs: Sequence[Run], asked: Sequence[Question], learned: Sequence[Question], folder: Path
) -> CompareResult:
    comparison = compare_runs(runs, asked, needs=project.needs, train_questions=learned)
    return CompareResult(comparison, recommend(comparison, project.needs), folder)


def _books(project: Project, *, wanted: bool) -> Any:
    from contextlib import nullcontext

    return library(project) if wanted else nullcontext(None)


def _asked(questions: Sequence[Question], limit: int | None) -> list[Question]:
    test = [question for question in questions if question.split == "test"]
    if not test:
        raise DataMistake("there is no test question", tip="tunewise questions split sets the splits")
    if limit is None or limit >= len(test):
        return test
    # Every n-th of the questions sorted by kind: all kinds stay in, and the choice does not depend on chance.
    order = sorted(test, key=lambda question: (question.kind, question.id))
    taken = {order[i * len(order) // limit].id for i in range(limit)}
    return [question for question in test if question.id in taken]


def _refuse_leaks(learned: Sequence[Question], asked: Sequence[Question]) -> None:
    if leaks := find_leaks(learned, asked):
        shown = "; ".join(f"{a} and {b} ({why})" for a, b, why in leaks[:5])
        raise GateFailed(
            f"{len(leaks)} training question(s) leak into the test questions: {shown}",
            tip="tunewise questions split deals them out anew",
        )


def _effort(approach: Approach) -> tuple[bool, bool, int, int]:
    return (
        approach.recipe is not None,
        approach.index is not None,
        approach.decoding.max_new_tokens,
        approach.examples,
    )


def _measure(
    project: Project,
    approach: Approach,
    questions: Sequence[Question],
    asked: Sequence[Question],
    books: Library | None,
    scored: partial[dict[str, float]],
    folder: Path,
    progress: Progress,
) -> Run:
    learned = [question for question in questions if question.split == "train"]
    examples = choose_examples(learned, approach.examples)
    cost, trained_on = Cost(labels=len(examples)), frozenset(question.id for question in learned if examples)
    adapter: Path | None = None
    if approach.recipe:
        made = plan(project, approach, questions, books=books)
        adapter = build(made, progress=progress)
        cost, trained_on = _training_cost(made, adapter), frozenset(row.question for row in made.rows)
    if approach.index:
        assert books is not None
        seconds, size = index_cost(project, books)
        retrieval = settled(project, books, approach.retrieval, questions)
        approach = replace(approach, index=books.index.fingerprint, retrieval=retrieval)
        cost = replace(cost, index_seconds=seconds, artefact_bytes=cost.artefact_bytes + size)
    approach = replace(approach, adapter=adapter.name if adapter else None)
    identity = {
        "model": describe_model(approach.model, adapter=adapter),
        "template": template_fingerprint(approach.prompt),
        "questions": _mark(asked),
        "examples": fingerprint(list(examples)),
        "glossary": fingerprint(to_json(scored.keywords["glossary"])),
        "code": __version__,
        "machine": machine(),
        "versions": versions(),
        "seed": approach.decoding.seed,
    }
    place = run_folder(folder, approach, identity)
    # A finished run is read again, but one with errors is gone over: what failed may answer now.
    if (place / "manifest.json").is_file() and not read_json(place / "manifest.json")["errors"]:
        return load_run(place)
    reset_peak()
    phase = f"answer {approach.name}"
    progress(phase, 0, len(asked))
    model = load_model(approach.model, adapter=adapter)
    writer = QueryWriter(lambda ready=model: ready)
    retriever = None
    if approach.index and books:
        retriever = books.retriever(approach.retrieval, model.count_tokens, generate=writer)
    page_of = books.page_of if books else None
    ask = make_ask(
        approach, model=model, retriever=retriever, examples=examples, writer=writer, page_of=page_of
    )
    alone = _alone(ask, asked) if is_local(approach.model) else ()

    def costs() -> Cost:
        return replace(cost, alone_seconds=alone, peak_memory_bytes=peak_memory())

    run = evaluate(
        ask,
        asked,
        approach=approach,
        score=scored,
        folder=place,
        identity=identity,
        batch=32,
        cost=costs,
        trained_on=trained_on,
        progress=lambda name, done, total: progress(phase, done, total),
    )
    del model, ask, retriever, writer
    gc.collect()
    return run


def _alone(ask: Ask, questions: Sequence[Question]) -> tuple[float, ...]:
    """Seconds of a few questions asked one at a time, after one that warms up; empty when the approach fails."""
    some = [questions[i * len(questions) // ALONE] for i in range(min(ALONE, len(questions)))]
    try:
        ask(some[:1])
        return tuple(ask([question])[0].seconds for question in some)
    except Exception:
        # The same failure comes up again, and is recorded by question, when the run itself asks.
        return ()


def _mark(questions: Sequence[Question]) -> str:
    return fingerprint([question_json(question) for question in questions])


def _training_cost(made: Plan, adapter: Path) -> Cost:
    about = read_json(adapter / "tunewise.json")
    return Cost(
        train_seconds=about["seconds"],
        train_tokens=about["tokens"],
        trained_parameters=about["trained_parameters"],
        artefact_bytes=sum(file.stat().st_size for file in adapter.glob("*") if file.is_file()),
        train_memory_bytes=about["peak_memory_bytes"],
        labels=len(made.rows),
    )
