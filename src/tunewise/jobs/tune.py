"""Training questions → rows → an adapter folder, by recipe. The same rows and settings give the same folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tunewise.answers import QueryWriter
from tunewise.errors import ConfigMistake, DataMistake, ModelMistake
from tunewise.jobs.child import in_child
from tunewise.jobs.fits import settled
from tunewise.jobs.library import Library, library
from tunewise.models import is_local, load_model, token_counter
from tunewise.nouns import Approach, Question
from tunewise.questions import check_questions, load_questions
from tunewise.store import project_folder
from tunewise.training import RECIPES, RowReport, TrainingRow, TrainingSettings, raft_rows, sft_rows

if TYPE_CHECKING:
    from tunewise.project import Project

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """A training run that was worked out and not yet begun; `identity` names its adapter."""

    recipe: str
    model: str
    rows: tuple[TrainingRow, ...]
    report: RowReport
    settings: TrainingSettings
    folder: Path


def plan(project: Project, approach: Approach, questions: Sequence[Question], *, books: Library | None) -> Plan:
    """Rows and settings of an approach's recipe on the training split of `questions`; raft needs `books`."""
    from tunewise.training.sft import adapter_identity

    recipe, model = approach.recipe or "", approach.model
    if recipe not in RECIPES:
        raise ConfigMistake(f"there is no recipe {recipe!r}", tip=f"known: {', '.join(RECIPES)}")
    if not is_local(model):
        raise ModelMistake(
            f"{model} cannot be tuned here: its weights are not on this machine",
            tip="use a local model, for example smollm2",
        )
    learned = [question for question in questions if question.split == "train"]
    if not learned:
        raise DataMistake("there is no training question", tip="tunewise questions split sets the splits")
    if not any(question.answerable for question in learned):
        raise DataMistake("all training questions are unanswerable: a model would only learn to refuse")
    settings = _settings(project, recipe)
    if recipe == "raft":
        if books is None:
            raise ConfigMistake("raft reads passages and needs an index", tip="index = true")
        retrieval = settled(project, books, approach.retrieval, questions)
        writer = QueryWriter(lambda: load_model(model))
        retriever = books.retriever(retrieval, token_counter(model), generate=writer)
        rows, report = raft_rows(
            learned,
            retriever,
            books.oracle,
            template=approach.prompt,
            without_oracle=settings.without_oracle,
            shuffle=settings.shuffle,
            seed=settings.seed,
        )
    else:
        rows, report = sft_rows(learned)
    identity = adapter_identity(model, rows, settings)
    folder = project_folder(project.root) / "adapters" / f"{recipe}-{identity[:12]}"
    return Plan(recipe, model, tuple(rows), report, settings, folder)


def _settings(project: Project, recipe: str) -> TrainingSettings:
    """The recipe's defaults, [training] over them, [training.RECIPE] over both."""
    common = {key: value for key, value in project.training.items() if not isinstance(value, dict)}
    tables = {key: value for key, value in project.training.items() if isinstance(value, dict)}
    if unknown := sorted(set(tables) - set(RECIPES)):
        raise ConfigMistake(f"[training.{unknown[0]}] is no recipe", tip=f"known: {', '.join(RECIPES)}")
    return RECIPES[recipe].but(common).but(tables.get(recipe, {}))


def build(made: Plan, *, progress: Progress) -> Path:
    """The plan's adapter folder, trained in a process of its own unless it is there already."""
    from tunewise.training.sft import finished, train

    if finished(made.folder, made.model, made.rows, made.settings):
        return made.folder
    arguments = {
        "model_name": made.model,
        "rows": made.rows,
        "folder": made.folder,
        "settings": made.settings,
        "recipe": made.recipe,
    }
    return in_child(train, arguments, progress=progress, what=f"training {made.recipe}")


def tune(project: Project, recipe: str, *, progress: Progress = lambda phase, done, total: None) -> Path:
    """Train the adapter of a recipe for a project, and return its folder."""
    questions = load_questions(project.questions)
    own = [one for one in project.approaches if one.recipe == recipe]
    prompt = "grounded" if recipe == "raft" else "answer"
    approach = own[0] if own else Approach(recipe, project.model, prompt, retrieval=project.retrieval, recipe=recipe)
    if recipe != "raft":
        return build(plan(project, approach, questions, books=None), progress=progress)
    with library(project) as books:
        texts = {record.id: books.catalog.document(record.id).text for record in books.catalog.documents()}
        if faults := check_questions([q for q in questions if q.split == "train"], texts):
            raise DataMistake(
                f"{len(faults)} fault(s) in {project.questions} against the documents",
                tip="tunewise questions check lists them; tunewise ingest if documents changed",
                faults=tuple(faults),
            )
        made = plan(project, approach, questions, books=books)
    return build(made, progress=progress)
