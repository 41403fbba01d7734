"""How old the sources are, and which are older than the user's rule: stale sources mislead.

Knows nothing about retrieval; a document's age is that of its own modification time, not of its ingest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tunewise.jobs.globs import matches
from tunewise.jobs.search import ingested
from tunewise.store import project_folder

if TYPE_CHECKING:
    from tunewise.project import Project


@dataclass(frozen=True, slots=True)
class Age:
    """A source's age in whole days, the days its rule allows (None: no rule), and whether it is older than that.

    `days` is None where the source tells no time; then it cannot be called fresh, and under a rule it is stale.
    """

    document: str
    modified: str | None
    days: int | None
    allowed: int | None
    stale: bool


def age(document: str, modified: str | None, rules: Mapping[str, int], *, now: datetime | None = None) -> Age:
    """The age of one source; `rules` maps globs over document ids to days, the last match wins."""
    now = now or datetime.now(UTC)
    allowed = None
    for pattern, limit in rules.items():
        if matches(document, pattern):
            allowed = limit
    days = None
    if modified:
        then = datetime.fromisoformat(modified)
        then = then if then.tzinfo else then.replace(tzinfo=UTC)
        days = max(0, (now - then).days)
    return Age(document, modified, days, allowed, allowed is not None and (days is None or days > allowed))


def ages(project: Project, documents: Iterable[str], *, now: datetime | None = None) -> dict[str, Age]:
    """{document id: its age} of those of the documents that the catalog has."""
    wanted = set(documents)
    if not wanted or not (project_folder(project.root) / "catalog.sqlite").is_file():
        return {}
    with ingested(project.root) as catalog:
        records = [record for record in catalog.documents() if record.id in wanted]
    return {record.id: age(record.id, record.modified, project.max_age, now=now) for record in records}
