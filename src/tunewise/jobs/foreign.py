"""Somebody else's system, made ready to be measured like ours: its callable, and what identifies it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunewise.errors import ConfigMistake, DataMistake
from tunewise.jobs.search import ingested
from tunewise.models import describe_model, is_local
from tunewise.nouns import Approach, Chunk
from tunewise.recommendation import stays_here
from tunewise.store import sha256
from tunewise.systems import Library, answers_file, endpoint

if TYPE_CHECKING:
    from tunewise.evaluation import Ask
    from tunewise.project import Project


def is_foreign(approach: Approach) -> bool:
    """Whether somebody else's system answers."""
    return bool(approach.answers or approach.endpoint)


def identify(approach: Approach) -> dict[str, Any]:
    """What `describe_model` is for our own: the file's hash, or the address and the model's name there."""
    if approach.answers:
        path = Path(approach.answers)
        if not path.is_file():
            raise DataMistake(f"{path} does not exist", tip='one line for each question: {"id": "q1", "answer": "…"}')
        return {"answers": path.name, "sha256": sha256(path)}
    return {"model": approach.model, "address": masked(approach.endpoint or "")}


def masked(address: str) -> str:
    """An address as it may be kept in a run or shown in a report: without the password inside it."""
    return re.sub(r"//[^/@]*@", "//***@", address)


def refuse_leaving(project: Project, model: str, what: str) -> None:
    """`ConfigMistake` where `what` would go to a model elsewhere and the user's data may not leave this machine."""
    if address := leaves_for(project, Approach(what, model)):
        raise ConfigMistake(f"{what} would go to {address}, and data_may_leave = false",
                            tip="name a model on this machine, or change data_may_leave in [needs]")


def leaves_for(project: Project, approach: Approach) -> str:
    """The address to which asking this approach would take data that may not leave; else empty."""
    if project.needs.data_may_leave or approach.answers or (not approach.endpoint and is_local(approach.model)):
        return ""
    address = approach.endpoint or str(describe_model(approach.model).get("address", ""))
    return masked(address) if address and not stays_here(address) else ""


def foreign_ask(project: Project, approach: Approach) -> Ask:
    """The callable of a foreign system; its citations are looked up in what was ingested, if anything was."""
    library = _library(project)
    return answers_file(Path(approach.answers), library) if approach.answers else endpoint(approach, library)


def _library(project: Project) -> Library:
    try:
        catalog = ingested(project.root)
    except DataMistake:
        # Answers can be measured without documents; their citations then name none.
        return Library()
    with catalog:
        ids = tuple(record.id for record in catalog.documents())
        chunks: dict[str, list[Chunk]] = {}
        for chunk in catalog.chunks():
            chunks.setdefault(chunk.document, []).append(chunk)
    return Library(ids, lambda document: chunks.get(document, ()))
