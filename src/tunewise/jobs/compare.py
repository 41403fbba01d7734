"""Questions × approaches → measured runs → comparison → recommendation: the main job, written down once.

Every run has a folder of its own under `.tunewise/runs`, named by what it measures; a finished one is read again, an
interrupted one goes on where it stopped. Models are loaded one at a time, and approaches on one model share it.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunewise import __version__
from tunewise.answers import QueryWriter, choose_examples, make_ask
from tunewise.baseline import Against, against, load_baseline
from tunewise.comparison import compare as compare_runs
from tunewise.comparison import expected_detectable
from tunewise.costs import far
from tunewise.errors import ConfigMistake, DataMistake
from tunewise.evaluation import evaluate, load_run, run_folder, scored_by
from tunewise.jobs.advise import judged
from tunewise.jobs.alone import seconds_alone
from tunewise.jobs.beside import beside
from tunewise.jobs.choosing import with_choices
from tunewise.jobs.energy import Metered
from tunewise.jobs.fits import settled
from tunewise.jobs.foreign import foreign_ask, identify, is_foreign, leaves_for, masked
from tunewise.jobs.forgetting import forgetting
from tunewise.jobs.judging import check_judge, judge_runs, known_verdicts
from tunewise.jobs.library import Library, index_cost, library
from tunewise.jobs.reranking import scoring_model
from tunewise.jobs.tune import Note, build, needs_documents, plan, refuse_leaks, silent
from tunewise.jobs.updates import with_updates
from tunewise.machine import machine, peak_memory, reset_peak, versions
from tunewise.models import Model, describe_model, is_local, load_model
from tunewise.models.chains import chain
from tunewise.models.gpu import gpu_peak, release, reset_gpu_peak
from tunewise.nouns import Approach, Comparison, Cost, Needs, Question, Reason, Recommendation, Run, Standing, to_json
from tunewise.prompts import template_fingerprint
from tunewise.questions import check_questions, load_questions, question_json
from tunewise.recommendation import recommend
from tunewise.scorers import rules, score
from tunewise.scorers.grounding import load_nli
from tunewise.scorers.terminology import load_glossary
from tunewise.store import fingerprint, project_folder, read_json, write_json

if TYPE_CHECKING:
    from tunewise.project import Project

Progress = Callable[[str, int, int], None]


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
    entailment: str | None = None,
    progress: Progress = quiet,
    note: Note = silent,
    on_start: Callable[[int, float], None] | None = None,
    on_standing: Callable[[Standing], None] | None = None,
) -> CompareResult:
    """Build and measure the project's approaches (or those named) on its test questions, and recommend one.

    `limit` takes that many test questions, spread over the kinds. `entailment` names a model that judges whether the
    passages entail the answers (`scorers.grounding.load_nli`). A trained approach is trained with
    `project.seeds` seeds. `on_start` is told, before anything is built, how many questions there are and the smallest
    difference that they can be expected to show. `on_standing` is told of each approach as soon as it
    is measured. `GateFailed` when questions leak from one split into another, naming the pairs.
    """
    chosen = [project.approach(name) for name in approaches] if approaches else list(project.approaches)
    left_out = _kept_here(project, chosen)
    chosen = [approach for approach in chosen if approach.name not in left_out]
    if not chosen:
        raise ConfigMistake("data_may_leave = false leaves no approach to compare",
                            tip="; ".join(why.text for why in left_out.values()))
    questions = load_questions(project.questions)
    asked = _asked(questions, limit)
    learned = [question for question in questions if question.split == "train"]
    if any(approach.recipe or approach.examples for approach in chosen):
        refuse_leaks([*(question for question in questions if question.split != "test"), *asked])
    check_judge(project)
    if on_start is not None:
        on_start(len(asked), expected_detectable(asked, len(chosen)))
    glossary = load_glossary(project.glossary) if project.glossary else ()
    needs_index = any(approach.index or needs_documents(project, approach) for approach in chosen)
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
        held: dict[tuple[str, str], Model] = {}
        scored = partial(score, glossary=glossary, entails=load_nli(entailment) if entailment else None)
        ordered = sorted(chosen, key=_effort)
        for approach in ordered:
            own = [
                _measure(project, one, questions, asked, books, scored, folder, progress, note, seed=seed,
                         reader=entailment, held=held)
                for seed, one in enumerate(_seeds(approach, project.seeds))
            ]
            runs += own
            for run in own:
                if run.approach.adapter and _asks_forgetting(project):
                    # Two models are loaded one after the other, in the room of the one that is held.
                    held.clear()
                    gc.collect()
                    forgetting(project, _adapter(project, run), model=run.approach.model, progress=progress)
            if on_standing is not None:
                on_standing(compare_runs(own, asked, needs=project.needs, train_questions=learned).standings[0])
        # The self-test costs a run: of ours, where there is one, rather than of a system that somebody pays for.
        twice = next((approach for approach in ordered if not is_foreign(approach)), ordered[0])
        again = replace(twice, name=f"{twice.name} (again)")
        null = _measure(project, again, questions, asked, books, scored, folder, progress, note, reader=entailment,
                        held=held)
        held.clear()
    write_json(
        folder / "last.json",
        {
            "folders": [run_folder(folder, run.approach, run.identity).name for run in (*runs, null)],
            "questions": [question.id for question in asked],
            "left_out": to_json(left_out),
        },
    )
    measured = judge_runs(project, [*runs, null], asked, progress=progress, note=note)
    return _decide(project, measured, asked, learned, folder, left_out)


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
    runs = known_verdicts(project, runs, [by_id[id] for id in kept["questions"]])
    learned = [question for question in questions if question.split == "train"]
    # Earlier versions kept the English words alone.
    left_out = {name: Reason(why, why) if isinstance(why, str) else Reason(**why)
                for name, why in kept.get("left_out", {}).items()}
    return _decide(project, runs, [by_id[id] for id in kept["questions"]], learned, folder, left_out)


def _kept_here(project: Project, chosen: Sequence[Approach]) -> dict[str, Reason]:
    """Approaches that must not even be asked, because questions and passages would leave this machine, and why."""
    named = {approach.name: leaves_for(project, approach) for approach in chosen}
    return {name: Reason(f"not asked: data would leave this machine for {address} (data_may_leave = false)",
                         f"未提问：数据会离开本机，发往 {address}（data_may_leave = false）")
            for name, address in named.items() if address}


def _asks_forgetting(project: Project) -> bool:
    """Whether what training took away is to be measured: a [forgetting] table asks for it, and so does a limit."""
    return project.forgetting is not None or project.needs.max_forgetting is not None


def _decide(
    project: Project, runs: Sequence[Run], asked: Sequence[Question], learned: Sequence[Question], folder: Path,
    left_out: Mapping[str, Reason],
) -> CompareResult:
    runs = with_updates(project, runs)
    comparison = beside(project, runs, compare_runs(runs, asked, needs=project.needs, train_questions=learned))
    found = recommend(comparison, project.needs)
    found = replace(found, rejected={**found.rejected, **left_out}, guess=judged(project.root, comparison, found))
    return CompareResult(comparison, found, folder)


def measured_against(result: CompareResult, baseline: Path, margin: float, needs: Needs) -> Against:
    """A result against an earlier report (JSON) or the folder of a run; `margin` is what may be lost."""
    return against(result.comparison, result.recommendation, load_baseline(baseline), margin=margin, needs=needs)


def _adapter(project: Project, run: Run) -> Path:
    return project_folder(project.root) / "adapters" / str(run.approach.adapter)


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


def _seeds(approach: Approach, seeds: int) -> list[Approach]:
    """The approach, and it again under the names of further training seeds where it is trained."""
    more = range(2, seeds + 1) if approach.recipe else ()
    return [approach, *(replace(approach, name=f"{approach.name} (seed {number})") for number in more)]


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
    note: Note,
    *,
    seed: int = 0,
    reader: str | None = None,
    held: dict[tuple[str, str], Model],
) -> Run:
    learned = [question for question in questions if question.split == "train"]
    examples = choose_examples(learned, approach.examples)
    cost, trained_on = Cost(labels=len(examples)), frozenset(question.id for question in learned if examples)
    adapter: Path | None = None
    if approach.recipe:
        made = plan(project, approach, questions, books=books, seed=seed)
        if not (made.folder / "tunewise.json").is_file():
            # Training needs the memory, in its own process.
            held.clear()
            gc.collect()
            release()
        adapter = build(made, progress=progress, note=note)
        rows_of = frozenset(read_json(adapter / "tunewise.json")["questions"])
        texts = {question.question for question in learned if question.id in rows_of}
        # A label that is shown as an example and was trained on as well was paid for once.
        shown = sum(asked not in texts for asked, _ in examples)
        cost = _training_cost(adapter)
        cost, trained_on = replace(cost, labels=cost.labels + shown), trained_on | rows_of
    if approach.index:
        assert books is not None
        seconds, size = index_cost(project, books)
        retrieval = settled(project, books, approach.retrieval, questions)
        approach = replace(approach, index=books.index.fingerprint, retrieval=retrieval)
        cost = replace(cost, index_seconds=seconds, artefact_bytes=cost.artefact_bytes + size)
    approach, foreign = replace(approach, adapter=adapter.name if adapter else None), approach
    theirs, rate = is_foreign(approach), partial(scored, reads=bool(approach.index))
    if approach.answers:
        # Where the file lies on this machine is nobody's business: its hash says which one it was.
        approach = replace(approach, answers=Path(approach.answers).name)
    if approach.endpoint:
        approach = replace(approach, endpoint=masked(approach.endpoint))
    identity = {
        "model": identify(foreign) if theirs else describe_model(approach.model, adapter=adapter),
        "template": "" if theirs else template_fingerprint(approach.prompt),
        "questions": _mark(asked),
        "examples": fingerprint(list(examples)),
        "glossary": fingerprint(to_json(scored.keywords["glossary"])),
        "code": __version__,
        "machine": machine(),
        "versions": versions(),
        "seed": approach.decoding.seed,
    }
    if reader:
        identity["entailment"] = reader
    if approach.index and (scorer := scoring_model(approach.retrieval.reranker)):
        identity["reranker"] = describe_model(scorer)
    place = run_folder(folder, approach, identity)
    # A finished run is read again, but gone over where something failed, which may answer now, or where the scorers
    # have changed since: no table mixes two rules.
    finished = (place / "manifest.json").is_file() and not read_json(place / "manifest.json")["errors"]
    if finished and scored_by(place) == rules():
        return load_run(place)
    reset_peak()
    reset_gpu_peak()
    phase, metered = f"answer {approach.name}", None
    progress(phase, 0, len(asked))
    if theirs:
        ask, alone = foreign_ask(project, foreign), ()
    else:
        model = _loaded(approach.model, adapter, held, journal=place / "replies.jsonl")
        writer = QueryWriter(lambda ready=model: ready)
        retriever = None
        if approach.index and books:
            retriever = books.retriever(approach.retrieval, model.count_tokens, generate=writer, model=model)
        page_of = books.page_of if books else None
        ask = make_ask(
            approach, model=model, retriever=retriever, examples=examples, writer=writer, page_of=page_of
        )
        alone = seconds_alone(ask, asked, place) if is_local(approach.model) else ()
        rate = with_choices(rate, approach, model, examples)
        if not far(approach):
            ask = metered = Metered(ask)
        del model, retriever, writer

    def costs() -> Cost:
        # This process only waits for somebody else's system: its own memory says nothing of that one's.
        memory = 0 if theirs else gpu_peak() or peak_memory()
        known = replace(cost, alone_seconds=alone, peak_memory_bytes=memory)
        return metered.onto(known) if metered else known

    run = evaluate(
        ask,
        asked,
        approach=approach,
        score=rate,
        folder=place,
        identity=identity,
        rules=rules(),
        batch=32,
        cost=costs,
        trained_on=trained_on,
        progress=lambda name, done, total: progress(phase, done, total),
    )
    # What the journal held is in the rows now.
    (place / "replies.jsonl").unlink(missing_ok=True)
    del ask, rate
    gc.collect()
    return run


def _loaded(name: str, adapter: Path | None, held: dict[tuple[str, str], Model], *, journal: Path) -> Model:
    """The model of an approach: the one that is held where it is the same, else a fresh one in its place."""
    if not is_local(name):
        return load_model(name, adapter=adapter, journal=journal)
    key = (name, str(adapter or ""))
    if key not in held:
        held.clear()
        gc.collect()
        held[key] = load_model(name, adapter=adapter)
    return held[key]


def _mark(questions: Sequence[Question]) -> str:
    return fingerprint([question_json(question) for question in questions])


def _training_cost(adapter: Path) -> Cost:
    """What the adapter took, and everything that it was trained on top of."""
    links = chain(adapter)
    about = links[-1][1]
    joules = [link.get("joules") for _, link in links]
    return Cost(
        train_seconds=sum(link["seconds"] for _, link in links),
        train_tokens=sum(link["tokens"] for _, link in links),
        trained_parameters=about["trained_parameters"],
        artefact_bytes=sum(f.stat().st_size for place, _ in links for f in place.glob("*") if f.is_file()),
        train_memory_bytes=max(link["peak_memory_bytes"] for _, link in links),
        labels=len(about["questions"]),
        # A part of the energy would look like all of it.
        train_joules=None if None in joules else sum(joules),
        energy_of=about.get("joules_of", ""),
    )
