"""One question to one approach of a project; what was loaded stays loaded for the next question of this process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tunewise.answers import choose_examples, make_ask
from tunewise.errors import ConfigMistake, DataMistake
from tunewise.jobs import compare as comparing
from tunewise.jobs.library import library
from tunewise.jobs.tune import build, plan
from tunewise.models import Model, load_model
from tunewise.nouns import Answer, Approach, Question
from tunewise.questions import load_questions

if TYPE_CHECKING:
    from pathlib import Path

    from tunewise.project import Project

_models: dict[tuple[str, str], Model] = {}


def _model(name: str, adapter: Path | None) -> Model:
    key = (name, str(adapter or ""))
    if key not in _models:
        # One at a time: a comparison of seven approaches must not hold seven models.
        _models.clear()
        _models[key] = load_model(name, adapter=adapter)
    return _models[key]


def default_approach(project: Project) -> Approach:
    """The recommended approach of the last comparison; before there is one, the first that reads an index, untuned."""
    try:
        choice = comparing.last(project).recommendation.choice
    except DataMistake:
        choice = None
    names = [approach.name for approach in project.approaches]
    if choice in names:
        return project.approach(choice)
    plain = [approach for approach in project.approaches if approach.index and not approach.recipe]
    return (plain or list(project.approaches))[0]


def ask(
    project: Project, question: str, *, approach: str | None = None, groups: Sequence[str] | None = None
) -> tuple[Answer, Approach]:
    """The answer of an approach (default: `default_approach`) to a question, asked as a member of `groups`."""
    if not question.strip():
        raise DataMistake("the question is empty", tip="tunewise ask 'How long may I return an article?'")
    chosen = project.approach(approach) if approach else default_approach(project)
    language = "zh" if any("一" <= letter <= "鿿" for letter in question) else "en"
    asked = Question(id="ask", question=question, answers=("",), language=language, groups=tuple(groups or ()))
    if not (chosen.index or chosen.recipe or chosen.examples):
        model = _model(chosen.model, None)
        return make_ask(chosen, model=model)([asked])[0], chosen
    questions = load_questions(project.questions) if chosen.recipe or chosen.examples else []
    with library(project) as books:
        adapter = None
        if chosen.recipe:
            made = plan(project, chosen.recipe, questions, model=chosen.model, retrieval=chosen.retrieval, books=books)
            if not made.folder.joinpath("tunewise.json").is_file():
                raise ConfigMistake(
                    f"the adapter of {chosen.name} was not trained yet", tip=f"tunewise tune {chosen.recipe}"
                )
            adapter = build(made, progress=lambda phase, done, total: None)
        model = _model(chosen.model, adapter)
        retriever = books.retriever(chosen.retrieval, model.count_tokens) if chosen.index else None
        examples = choose_examples([q for q in questions if q.split == "train"], chosen.examples)
        used = replace(
            chosen, index=books.index.fingerprint if chosen.index else None, adapter=str(adapter) if adapter else None
        )
        return make_ask(used, model=model, retriever=retriever, examples=examples)([asked])[0], used
