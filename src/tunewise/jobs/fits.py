"""What retrieval learned from a project's validation questions: leg weights and the gate, kept by what they rest on.

Test questions are never read here. A fit is worked out once for an index, an embedder, settings and validation
questions. The leg weights that were asked for hold on when documents change: they say how far each leg can be trusted,
which is a matter of the embedder, the tokenizer and the language. That they are older than the index is said.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunewise.errors import Damaged, DataMistake
from tunewise.jobs.search import ingested
from tunewise.nouns import Question, Retrieval, to_json
from tunewise.retrieval import Fit
from tunewise.scorers.retrieval import retrieval_scores
from tunewise.store import fingerprint, project_folder, read_json, write_json

if TYPE_CHECKING:
    from tunewise.catalog import Generation
    from tunewise.jobs.library import Library
    from tunewise.project import Project

Progress = Callable[[str, int, int], None]
_LIMIT = 400
"""Validation questions that are searched, taken evenly: more settle nothing."""


def load_fit(home: Path, id: str) -> Fit:
    """A fit of this project by its id; `Damaged` when it is not there or not what was written."""
    return _fit(_kept(home, id)["fit"])


def chosen(home: Path) -> str | None:
    """The id of the fit that `tunewise index fit` made last, None before."""
    file = home / "fits" / "chosen.json"
    return read_json(file)["fit"] if file.is_file() else None


def fit_state(home: Path, generation: Generation) -> str:
    """What the fit that was made last is to an index generation: "current", "older", "other" or "" (there is none).

    "older": made on another state of the index, and used. "other": with another embedder or tokenizer, and not used.
    """
    id = chosen(home)
    if id is None:
        return ""
    about = _kept(home, id)["about"]
    if about["index"] == generation.fingerprint:
        return "current"
    same = (about["embedder"], about.get("lexical")) == (generation.embedder_fingerprint, generation.lexical)
    return "older" if same else "other"


def present_fit(project: Project) -> tuple[str | None, str]:
    """(id of the fit that was made last, its `fit_state` for the index that answers); (None, "") when there is none."""
    home = project_folder(project.root)
    id = chosen(home)
    if id is None:
        return None, ""
    with ingested(project.root) as catalog:
        generation = catalog.current()
        assert generation is not None
        return id, fit_state(home, generation)


def settled(project: Project, books: Library, settings: Retrieval, questions: Sequence[Question]) -> Retrieval:
    """The settings with the fit that holds for them: for an adaptive gate one that is made now if there is none; else
    the leg weights of `tunewise index fit`, unless embedder or tokenizer are others by now."""
    if settings.gate == "adaptive":
        return replace(settings, fit=make_fit(books, settings, questions))
    if not is_fitted(settings):
        return settings
    home = project_folder(project.root)
    used = fit_state(home, books.index.generation) in ("current", "older")
    return replace(settings, fit=chosen(home)) if used else settings


def is_fitted(settings: Retrieval) -> bool:
    """Whether the leg weights of `tunewise index fit` are for these settings: nothing else says what a leg weighs."""
    return settings.mode == "hybrid" and settings.dense_weight is None


def make_fit(books: Library, settings: Retrieval, questions: Sequence[Question], *, choose: bool = False) -> str:
    """Fit leg weights and the gate on the validation questions, keep the result, and return its id.

    `choose`: the leg weights are used by all approaches that do not set their own from now on. `DataMistake` when there
    is no validation question with evidence.
    """
    from tunewise.index.generation import dense_weight
    from tunewise.retrieval.fitting import Searched, fit_gate, fit_weights
    from tunewise.retrieval.gate import WIDER
    from tunewise.retrieval.queries import Query
    from tunewise.retrieval.retriever import search_legs

    known = [one for one in questions if one.split == "validation" and (one.gold or not one.answerable)]
    known = known[:: max(1, -(-len(known) // _LIMIT))]
    if not any(one.gold for one in known):
        raise DataMistake(
            "retrieval is fitted on validation questions with gold spans, and there are none",
            tip="tunewise questions split sets the splits",
        )
    about = {
        "index": books.index.fingerprint,
        "embedder": books.embedder.fingerprint,
        "lexical": books.index.generation.lexical,
        "settings": to_json(replace(settings, fit=None)),
        "questions": fingerprint([[one.question, to_json(one.gold)] for one in known]),
        "version": 2,
    }
    id = fingerprint(about)[:16]
    file = _file(books.home, id)
    if not file.is_file():
        # Both legs are searched even where one of them weighs nothing now.
        both = replace(settings, mode="hybrid", dense_weight=0.5)
        depth = max(20, 4 * WIDER * settings.k)
        plain = [[Query(one.question, (one.question,))] for one in known]
        legs = search_legs(books.index, books.embedder, both, plain, depth, None)
        searched = [Searched(one.question, one.gold, tuple(found)) for one, found in zip(known, legs, strict=True)]
        unknown = books.index.generation.unknown

        def derived(language: str) -> float:
            return dense_weight(unknown.get(language, 0.0))

        weights, reasons = fit_weights(searched, derived, retrieval_scores)
        if settings.mode != "hybrid" or settings.dense_weight is not None:
            own = {"dense": 1.0, "lexical": 0.0}.get(settings.mode, settings.dense_weight or 0.0)
            weights, reasons = dict.fromkeys(weights, own), [f"the settings say {own:g} for the dense leg"]
        fit = fit_gate(searched, weights, retrieval_scores, k=settings.k)
        value = to_json(replace(fit, reasons=(*reasons, *fit.reasons)))
        write_json(file, {"about": about, "fit": value, "sha256": fingerprint(value)})
    if choose:
        write_json(books.home / "fits" / "chosen.json", {"fit": id})
    return id


def fit_project(project: Project, *, progress: Progress = lambda phase, done, total: None) -> tuple[str, Fit]:
    """Fit a project's retrieval to its validation questions and use its leg weights from now on; (id, the fit)."""
    from tunewise.jobs.library import library
    from tunewise.questions import load_questions

    progress("fit", 0, 1)
    questions = load_questions(project.questions)
    with library(project) as books:
        id = make_fit(books, project.retrieval, questions, choose=True)
        progress("fit", 1, 1)
        return id, load_fit(books.home, id)


def _kept(home: Path, id: str) -> dict[str, Any]:
    """A fit with what it rests on; `Damaged` when it is not there or not what was written."""
    file = _file(home, id)
    tip = "tunewise index fit works it out again"
    if not file.is_file():
        raise Damaged(f"there is no fit {id!r} in {file.parent}", tip=tip)
    value = read_json(file)
    if fingerprint(value["fit"]) != value["sha256"]:
        raise Damaged(f"{file} is not what was written", tip=tip)
    return value


def _file(home: Path, id: str) -> Path:
    return home / "fits" / f"{id}.json"


def _fit(value: dict) -> Fit:
    return Fit(**{**value, "coefficients": tuple(value["coefficients"]), "reasons": tuple(value["reasons"])})
