"""What a project holds of each document: its title, who may read it, which revision, how old, and how it was read.

Reads the catalog and what the last ingest said of the files. Knows nothing about the index.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from tunewise.jobs.ages import age
from tunewise.jobs.files import kept_faults
from tunewise.jobs.readers import readable
from tunewise.jobs.search import ingested
from tunewise.store import project_folder

if TYPE_CHECKING:
    from tunewise.project import Project

_REVISION = 12


@dataclass(frozen=True, slots=True)
class Listed:
    """One document. `days` is its age (None: it tells no date), `allowed` what its rule allows (None: no rule).

    `read`: the format that it was read as, or the web address that it came from. `faults`: what of it could not be read
    at the last ingest; where that is all of it, the version of before is kept.
    """

    id: str
    title: str
    groups: tuple[str, ...]
    revision: str
    modified: str | None
    days: int | None
    allowed: int | None
    stale: bool
    read: str
    faults: tuple[str, ...]


def documents(project: Project, *, groups: Sequence[str] | None = None) -> list[Listed]:
    """The documents that a reader of these groups may see (None: the owner, all of them), sorted by id."""
    faults = kept_faults(project_folder(project.root))
    with ingested(project.root, empty=True) as catalog:
        records = readable(catalog.documents(), groups)
    found = []
    for one in records:
        old = age(one.id, one.modified, project.max_age)
        found.append(Listed(
            one.id, one.title, one.groups, one.revision[:_REVISION], one.modified, old.days, old.allowed, old.stale,
            one.source if "://" in one.source else PurePosixPath(one.id).suffix.lstrip(".").lower(),
            tuple(faults.get(one.id, ())),
        ))
    return found
