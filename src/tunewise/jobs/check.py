"""Is what a project keeps of its documents still what was written? Counts, hashes, catalog against index.

Reads only; repairs nothing. What it cannot vouch for it names, with the command that mends it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tunewise.catalog import Catalog
from tunewise.catalog.checks import catalog_faults
from tunewise.errors import TunewiseError
from tunewise.index import Index
from tunewise.index.vectors import damaged_vectors
from tunewise.jobs.ingest import indexes_folder
from tunewise.jobs.search import ingested
from tunewise.jobs.watermark import is_untouched
from tunewise.store import project_folder

if TYPE_CHECKING:
    from tunewise.project import Project


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What was looked at, and every fault in plain words; no faults: everything is what was written."""

    documents: int
    passages: int
    generations: int
    faults: tuple[str, ...]
    seconds: float


def check(project: Project) -> CheckResult:
    """Check catalog, index generations, their agreement and the cache of vectors; never raises for damage."""
    started = time.monotonic()
    faults: list[str] = []
    documents = passages = generations = 0
    home = project_folder(project.root)
    if is_untouched(home) is False:
        faults.append("catalog.sqlite is not what the last finished ingest left: it was damaged, or an ingest was "
                      "killed (tunewise ingest goes on where it stopped)")
    try:
        with ingested(project.root, empty=True) as catalog:
            faults += catalog_faults(catalog)
            documents, generations = len(catalog.documents()), len(catalog.generations())
            passages = sum(1 for _ in catalog.chunks())
            faults += _index_faults(catalog, indexes_folder(project.root))
    except TunewiseError as error:
        faults.append(error.message)
    cache = home / "cache" / "embeddings.sqlite"
    if cache.is_file() and (bad := damaged_vectors(cache)):
        faults.append(f"{bad} vector(s) of the cache are damaged (they are computed again when they are needed)")
    return CheckResult(documents, passages, generations, tuple(dict.fromkeys(faults)), time.monotonic() - started)


def _index_faults(catalog: Catalog, folder: Path) -> Iterator[str]:
    for generation in catalog.generations():
        try:
            held = Index(catalog, folder, generation.id, deep=True).held()
        except TunewiseError as error:
            yield error.message
            continue
        members = set(catalog.members(generation.id))
        if len(held) != len(set(held)):
            yield f"generation {generation.id} holds {len(held) - len(set(held))} passage(s) twice"
        if missing := members - set(held):
            yield f"generation {generation.id} lacks {len(missing)} passage(s), for example {min(missing)}"
        if strange := set(held) - members:
            yield f"generation {generation.id} holds {len(strange)} passage(s) of nowhere, for example {min(strange)}"
    current = catalog.current()
    if current is not None:
        live = {chunk.id for chunk in catalog.chunks()}
        if live != set(catalog.members(current.id)):
            yield (f"the current generation {current.id} is not in step with the documents "
                   "(tunewise ingest brings it up; after a rollback this is what you asked for)")
