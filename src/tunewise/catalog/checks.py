"""Is the catalog what was written? Every row against its checksums, every passage against its document.

Reads only. Knows nothing about index files.
"""

from __future__ import annotations

from collections.abc import Iterator

from tunewise.catalog import Catalog, derived
from tunewise.catalog.seals import seal_access
from tunewise.errors import Damaged, Failed
from tunewise.store import sha256


def catalog_faults(catalog: Catalog) -> Iterator[str]:
    """Every fault of the catalog, in plain words; a database that cannot be read at all is one fault."""
    try:
        yield from _pages(catalog)
        for record in catalog.documents(checked=False):
            yield from _document(catalog, record.id)
        for generation in catalog.generations():
            members = len(catalog.members(generation.id))
            if members != generation.chunks:
                yield f"generation {generation.id} has {members} passages in the catalog instead of {generation.chunks}"
    except (Failed, ValueError, TypeError, KeyError) as error:
        yield f"the catalog cannot be read through: {error}"


def _pages(catalog: Catalog) -> Iterator[str]:
    """SQLite's own check of its pages and indexes."""
    for line in catalog.integrity():
        if line != "ok":
            yield f"the catalog's database: {line}"


def _document(catalog: Catalog, id: str) -> Iterator[str]:
    document = catalog.document(id, checked=False)
    if sha256(document.text) != document.revision:
        yield f"the text of {id} is not the one that was read"
        return
    seal = catalog.access_seal(id)
    if seal is not None and seal != seal_access(list(document.groups)):
        yield f"the access groups of {id} are not those that were set"
    try:
        chunks = list(catalog.chunks(id))
    except Damaged as error:
        yield error.message
        return
    for chunk in chunks:
        if document.text[chunk.start : chunk.end] != chunk.text:
            yield f"the passage {chunk.id} is no span of its document"
    settings = next(record.settings for record in catalog.documents(checked=False) if record.id == id)
    if derived(document, chunks) != settings:
        yield f"what is kept of {id} is not what was written"
