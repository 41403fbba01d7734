"""One question to one approach of a project; what was loaded stays loaded for the next question of this process."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tunewise.answers import QueryWriter, Retrieve, choose_examples, make_ask
from tunewise.approaches import READY_MADE
from tunewise.errors import ConfigMistake, DataMistake
from tunewise.jobs import compare as comparing
from tunewise.jobs.fits import settled
from tunewise.jobs.foreign import foreign_ask, is_foreign
from tunewise.jobs.library import Library, library
from tunewise.jobs.readers import examples_for, readable
from tunewise.jobs.tune import plan
from tunewise.models import Model, chains, load_model
from tunewise.nouns import Answer, Approach, Question
from tunewise.questions import load_questions
from tunewise.sentences import prompt_language
from tunewise.store import project_folder

if TYPE_CHECKING:
    from pathlib import Path

    from tunewise.project import Project

_models: dict[tuple[str, str], Model] = {}
_compared: dict[tuple[str, int, int], comparing.CompareResult | None] = {}


def _model(name: str, adapter: Path | None) -> Model:
    key = (name, str(adapter or ""))
    if key not in _models:
        # One at a time: a comparison of seven approaches must not hold seven models.
        _models.clear()
        _models[key] = load_model(name, adapter=adapter)
    return _models[key]


def default_approach(project: Project) -> Approach:
    """The recommended approach of the last comparison; before there is one, the first that reads an index, untuned."""
    measured = _last(project)
    choice = measured.recommendation.choice if measured else None
    if choice in {*(approach.name for approach in project.approaches), *READY_MADE}:
        return project.approach(choice)
    plain = [approach for approach in project.approaches if approach.index and not approach.recipe]
    return (plain or list(project.approaches))[0]


def ask(
    project: Project, question: str, *, approach: str | None = None, groups: Sequence[str] | None = None,
    history: Sequence[tuple[str, str]] = (),
) -> tuple[Answer, Approach]:
    """The answer of an approach (default: `default_approach`) to a question.

    `groups`: None asks as the project's owner, () as somebody who sees public documents only. `history`: earlier
    turns of the conversation as (question, answer), oldest first: a follow-up question is understood by them.
    """
    if not question.strip():
        raise DataMistake("the question is empty", tip="tunewise ask 'How long may I return an article?'")
    chosen = project.approach(approach) if approach else default_approach(project)
    if address := comparing.leaves_for(project, chosen):
        raise ConfigMistake(f"{chosen.name} would send the question to {address}, and data_may_leave = false",
                            tip="ask another approach")
    asked = Question(
        id="ask", question=question, answers=("",), language=prompt_language(question), history=tuple(history),
    )
    if is_foreign(chosen):
        return _foreign(project, chosen, asked, groups), chosen
    if not (chosen.index or chosen.recipe or chosen.examples):
        model = _model(chosen.model, None)
        return make_ask(chosen, model=model)([asked])[0], chosen
    adaptive = chosen.retrieval.gate == "adaptive"
    questions = load_questions(project.questions) if chosen.recipe or chosen.examples or adaptive else []
    with library(project) as books:
        adapter = adapter_of(project, chosen, questions, books) if chosen.recipe else None
        if adapter and groups is not None and _learned_more(adapter, books, groups):
            # What it learned cannot be taken out of its answers: it is as restricted as its documents.
            raise ConfigMistake(
                f"{chosen.name} was trained on documents that this reader may not see",
                tip="ask another approach, or train on documents that all its readers may see",
            )
        learned = [q for q in questions if q.split == "train"]
        learned = examples_for(learned, books.catalog.documents(), groups)
        model = _model(chosen.model, adapter)
        writer, retriever = QueryWriter(lambda: model), None
        if chosen.index:
            chosen = replace(chosen, retrieval=settled(project, books, chosen.retrieval, questions))
            retriever = books.retriever(chosen.retrieval, model.count_tokens, generate=writer, model=model)
            retriever = _for_reader(retriever, groups)
        used = replace(
            chosen, index=books.index.fingerprint if chosen.index else None, adapter=str(adapter) if adapter else None
        )
        examples = choose_examples(learned, chosen.examples)
        ask_it = make_ask(
            used, model=model, retriever=retriever, examples=examples, writer=writer, page_of=books.page_of
        )
        return ask_it([asked])[0], used


def moved_on(adapter: Path | None, index: str | None) -> bool:
    """Whether an approach that reads `index` was trained on the passages of another one."""
    learned = chains.learned_index(adapter) if adapter and index else ""
    return learned not in ("", index)


def _foreign(project: Project, chosen: Approach, asked: Question, groups: Sequence[str] | None) -> Answer:
    """What somebody else's system says now; a file of answers says nothing to a new question."""
    if chosen.answers:
        raise ConfigMistake(f"{chosen.name} is a file of answers: it cannot be asked anything new",
                            tip="name another one with --approach")
    if groups is not None:
        # Whose documents it reads is not ours to know, so nobody's rights can be held there.
        raise ConfigMistake(f"{chosen.name} does not know who may read what", tip="ask another approach")
    return foreign_ask(project, chosen)([asked])[0]


def forget() -> None:
    """Let go of the model that was loaded for the last question."""
    _models.clear()
    gc.collect()


def adapter_of(project: Project, chosen: Approach, questions: Sequence[Question], books: Library) -> Path:
    """The adapter that was measured in the last comparison; where there is none, the one of the present plan."""
    measured = _last(project)
    for standing in measured.comparison.standings if measured else ():
        if standing.approach.name == chosen.name and standing.approach.adapter:
            folder = project_folder(project.root) / "adapters" / standing.approach.adapter
            if (folder / "tunewise.json").is_file():
                return folder
    assert chosen.recipe
    made = plan(project, chosen, questions, books=books)
    if not (made.folder / "tunewise.json").is_file():
        raise ConfigMistake(f"the adapter of {chosen.name} was not trained yet", tip=f"tunewise tune {chosen.name}")
    return made.folder


def _learned_more(adapter: Path, books: Library, groups: Sequence[str]) -> bool:
    """Whether an adapter, or a parent of it, learned what a reader of these groups may not see now.

    A document that is gone has no groups to ask any more: nobody but the owner may hear what was learned from it.
    """
    about = [link for _, link in chains.chain(adapter)]
    held = {group for one in about for group in one.get("groups", ())}
    visible = {one.id for one in readable(books.catalog.documents(), groups)}
    return not held <= set(groups) or any(not visible.issuperset(one["documents"]) for one in about)


def _for_reader(retriever: Retrieve, groups: Sequence[str] | None) -> Retrieve:
    # A reader without groups sees what is public; only the owner (None) sees all.
    if groups is None:
        return retriever
    return lambda queries, **_: retriever(queries, groups=tuple(groups))


def _last(project: Project) -> comparing.CompareResult | None:
    """The last comparison, worked out once for as long as its file stays as it is."""
    file = project_folder(project.root) / "runs" / "last.json"
    if not file.is_file():
        return None
    key = (str(file), file.stat().st_mtime_ns, project.questions.stat().st_mtime_ns)
    if key not in _compared:
        _compared.clear()
        try:
            _compared[key] = comparing.last(project)
        except DataMistake:
            # The questions changed since: what was measured then says nothing about now.
            _compared[key] = None
    return _compared[key]
