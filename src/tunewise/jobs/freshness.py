"""How soon, and how surely, does a changed fact reach the answers? Measured for every approach, each by its own means.

N facts are changed in a copy of the documents. An approach with an index is updated by an ingest; an adapter stays as
it was, unless it is to be retrained; a prompt alone cannot be updated. The project itself is never touched.
"""

from __future__ import annotations

import gc
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunewise.answers import QueryWriter, choose_examples, make_ask
from tunewise.errors import DataMistake, UserMistake
from tunewise.jobs.edits import Fact, change_facts, follow, says
from tunewise.jobs.fits import settled
from tunewise.jobs.foreign import is_foreign, leaves_for
from tunewise.jobs.ingest import ingest_project
from tunewise.jobs.library import Library, library
from tunewise.jobs.tune import build, plan
from tunewise.models import load_model
from tunewise.nouns import Answer, Approach, Estimate, Question, to_json
from tunewise.questions import load_questions, save_questions
from tunewise.statistics import wilson
from tunewise.store import project_folder, write_json
from tunewise.training import RECIPES

if TYPE_CHECKING:
    from tunewise.project import Project

Progress = Callable[[str, int, int], None]
FACTS = 20
FILES = ("rows", "general", "pairs", "parent")
"""Keys of [training] that name files of the project's folder; `parent` may be a recipe, too."""


@dataclass(frozen=True, slots=True)
class Fresh:
    """What one approach showed. `means`: none, ingest, ingest + adapter as it was, adapter as it was, retrained.

    `update_seconds`: what its means took. `seconds`: from the change to its first new answer, None when none came.
    `new`, `old`: share of the facts answered with the new and with the old value after the update; `knew`: share
    answered with the old value before it, when that was right.
    """

    approach: str
    means: str
    update_seconds: float
    seconds: float | None
    new: Estimate
    old: Estimate
    knew: Estimate
    answers: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class FreshnessResult:
    """The changed facts as (question id, document, old, new), every approach, and what was left out with the reason."""

    facts: tuple[tuple[str, str, str, str], ...]
    approaches: tuple[Fresh, ...]
    skipped: tuple[str, ...]
    left: tuple[str, ...]


def freshness(
    project: Project,
    *,
    approaches: Sequence[str] = (),
    facts: int = FACTS,
    retrain: bool = False,
    seed: int = 0,
    progress: Progress = lambda phase, done, total: None,
) -> FreshnessResult:
    """Change `facts` facts that test questions ask for, update each approach by its own means, and ask again.

    `retrain`: adapters are trained again on the changed documents. `DataMistake` when no fact can be changed. The
    result is kept in the project as freshness.json.
    """
    chosen = [project.approach(name) for name in approaches] if approaches else list(project.approaches)
    refused = {approach.name: why for approach in chosen if (why := _unmeasured(project, approach))}
    chosen = [approach for approach in chosen if approach.name not in refused]
    questions = load_questions(project.questions)
    home = project_folder(project.root)
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home, prefix="freshness-") as place:
        copy = _copy(project, Path(place))
        wanted = any(approach.index or approach.recipe for approach in chosen)
        if wanted:
            _bring(copy, progress)
        asked = [question for question in questions if question.split == "test" and question.answerable]
        changed, left = change_facts(copy.documents, asked, count=facts, seed=seed)
        if not changed:
            raise DataMistake(
                "no fact can be changed: no test question asks for one number in a file of plain text",
                tip="answers with a number, gold spans, and documents in Markdown, text or HTML are needed",
                faults=tuple(left),
            )
        save_questions(copy.questions, follow(questions, changed))
        seconds = _bring(copy, progress) if wanted else 0.0
        with (library(project) if wanted else nullcontext()) as before, (
            library(copy) if wanted else nullcontext()
        ) as after:
            measured: list[Fresh] = []
            skipped = [f"{name}: {why}" for name, why in refused.items()]
            for done, approach in enumerate(chosen):
                progress("freshness", done, len(chosen))
                try:
                    measured.append(
                        _measure(project, copy, approach, changed, before, after, seconds, retrain, progress)
                    )
                except UserMistake as mistake:
                    skipped.append(f"{approach.name}: {mistake.message} ({mistake.tip})")
            progress("freshness", len(chosen), len(chosen))
    result = FreshnessResult(
        tuple((fact.question.id, fact.document, fact.old, fact.new) for fact in changed), tuple(measured),
        tuple(skipped), tuple(left),
    )
    write_json(home / "freshness.json", to_json(result))
    return result


def _copy(project: Project, place: Path) -> Project:
    """The project elsewhere: its documents, the vectors that were computed and what was fitted, with its own index."""
    shutil.copytree(project.documents, place / "documents", symlinks=True)
    shutil.copy(project.questions, place / "questions.jsonl")
    # Without the fits the legs would weigh something else after the change than before it.
    for name in ("cache", "fits"):
        if (project_folder(project.root) / name).is_dir():
            shutil.copytree(project_folder(project.root) / name, project_folder(place) / name)
    return replace(
        project, root=place, documents=place / "documents", questions=place / "questions.jsonl", index=None,
        training=_rooted(project.training, project.root),
    )


def _rooted(table: Mapping[str, Any], root: Path) -> dict[str, Any]:
    """[training] with its files where they are: what is named from the project's folder is not in the copy's."""
    found: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, Mapping):
            value = _rooted(value, root)
        elif key in FILES and value and not (key == "parent" and value in RECIPES):
            value = str(root / Path(str(value)).expanduser())
        found[key] = value
    return found


def _unmeasured(project: Project, approach: Approach) -> str:
    """Why an approach is not asked at all; else empty."""
    if is_foreign(approach):
        return "somebody else's system reads documents of its own, and the changed ones never reach it"
    try:
        address = leaves_for(project, approach)
    except UserMistake as mistake:
        return f"{mistake.message} ({mistake.tip})"
    return f"data would leave this machine for {address} (data_may_leave = false)" if address else ""


def _bring(project: Project, progress: Progress) -> float:
    # The copy's index stays in the copy, wherever the project keeps its own.
    return ingest_project(project, index=None, progress=progress).seconds


def _measure(
    project: Project, copy: Project, approach: Approach, facts: Sequence[Fact], before: Library | None,
    after: Library | None, ingest_seconds: float, retrain: bool, progress: Progress,
) -> Fresh:
    questions = load_questions(project.questions)
    adapter = renewed = None
    update, means = 0.0, []
    if approach.index:
        update, means = ingest_seconds, ["ingest"]
    if approach.recipe:
        adapter = renewed = _trained(project, approach, questions, before)
        if retrain:
            started = time.monotonic()
            moved = replace(approach, **_rooted({"parent": approach.parent}, project.root))
            renewed = build(plan(copy, moved, load_questions(copy.questions), books=after), progress=progress)
            update += time.monotonic() - started
        means.append("retrained" if retrain else "adapter as it was")
    asked = [fact.question for fact in facts]
    old = _ask(project, approach, asked, questions, before, adapter)
    now = _ask(copy, approach, asked, load_questions(copy.questions), after, renewed)
    told_new = [says(answer.text, fact.new) for answer, fact in zip(now, facts, strict=True)]
    told_old = [says(answer.text, fact.old) for answer, fact in zip(now, facts, strict=True)]
    knew = [says(answer.text, fact.old) for answer, fact in zip(old, facts, strict=True)]
    waits = [answer.seconds for answer, right in zip(now, told_new, strict=True) if right]
    return Fresh(
        approach.name, " + ".join(means) or "none", update, update + waits[0] if waits else None,
        *(_share(flags) for flags in (told_new, told_old, knew)),
        tuple((answer.question, answer.text) for answer in now),
    )


def _share(flags: Sequence[bool]) -> Estimate:
    return Estimate(sum(flags) / len(flags), *wilson(sum(flags), len(flags)), len(flags))


def _trained(project: Project, approach: Approach, questions: Sequence[Question], books: Library | None) -> Path:
    folder = plan(project, approach, questions, books=books).folder
    if not (folder / "tunewise.json").is_file():
        raise DataMistake("its adapter was not trained yet", tip=f"tunewise tune {approach.name}")
    return folder


def _ask(
    project: Project, approach: Approach, asked: Sequence[Question], questions: Sequence[Question],
    books: Library | None, adapter: Path | None,
) -> list[Answer]:
    model = load_model(approach.model, adapter=adapter)
    writer, retriever = QueryWriter(lambda: model), None
    if approach.index and books is not None:
        approach = replace(
            approach, index=books.index.fingerprint, retrieval=settled(project, books, approach.retrieval, questions)
        )
        retriever = books.retriever(approach.retrieval, model.count_tokens, generate=writer, model=model)
    learned = [question for question in questions if question.split == "train"]
    ask = make_ask(approach, model=model, retriever=retriever, examples=choose_examples(learned, approach.examples),
                   writer=writer)
    answers = ask(asked)
    gc.collect()
    return answers
