"""Who may read a file that has another name now: a new name must not open what the old one kept closed.

A content hash tells a renamed or copied file, whatever it is named. Knows nothing about rules and files.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from tunewise.catalog import DocumentRecord

_NAMED = 5


class Inheritance:
    """`groups` by content, of the documents that were known before; what was inherited is told by `notes`."""

    def __init__(self, known: Collection[DocumentRecord], held: Mapping[str, tuple[str, ...]]) -> None:
        self._held = held
        # What everybody could read under one of its names stays open under a new one.
        self._open = {record.revision for record in known if not held[record.id]}
        self._closed: dict[str, list[str]] = {}
        for record in known:
            if held[record.id]:
                self._closed.setdefault(record.revision, []).append(record.id)
        self._heirs: dict[str, list[str]] = {}

    def groups(self, revision: str) -> tuple[str, ...] | None:
        """Who may read this content under the names that it had; None where it had none, or was for everybody."""
        ids = None if revision in self._open else self._closed.get(revision)
        # Whoever could read one of two equal documents could read the other's text.
        return tuple(sorted({group for id in ids for group in self._held[id]})) if ids else None

    def take(self, id: str, revision: str) -> None:
        """A new document has inherited the groups of its content."""
        self._heirs.setdefault(revision, []).append(id)

    def notes(self, removed: Collection[str], opened: Sequence[str]) -> list[str]:
        """What to tell: who inherited, and what was `removed` while `opened`, new and for everybody, came.

        A file that was renamed and edited at once has no hash in common with what it was.
        """
        told = []
        for revision, heirs in self._heirs.items():
            groups = ", ".join(self.groups(revision) or ())
            told += [
                f"{id} has the content of {self._closed[revision][0]} and no access rule names it: only {groups} may "
                f'read it too; "{id}" = [] under [groups] opens it' for id in heirs
            ]
        gone = {id for revision, ids in self._closed.items() if revision not in self._heirs for id in ids}
        if opened and (lost := sorted(gone.intersection(removed))):
            told.append(
                f"{some(lost)} had access groups and is gone; new and for everybody: {some(opened)}. If that is the "
                "same document under another name, give it a line under [groups]"
            )
        return told


def some(ids: Sequence[str]) -> str:
    """The first of many names, and how many more there are."""
    more = len(ids) - _NAMED
    return ", ".join(ids[:_NAMED]) + (f" and {more} more" if more > 0 else "")
