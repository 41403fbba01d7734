"""Who may see a passage, as a filter that is applied before ranking. Knows nothing about tables or users.

Group names never enter a filter: they are stored and asked for as digests, so no name can change what a filter means.
"""

from __future__ import annotations

from collections.abc import Collection

from tunewise.nouns import Chunk
from tunewise.store import sha256

_EVERYBODY = "*"


def tokens(groups: Collection[str]) -> list[str]:
    """What stands in the access column of a passage of these groups; none = everybody."""
    return sorted(sha256(group)[:32] for group in groups) if groups else [_EVERYBODY]


def where(groups: Collection[str] | None) -> str | None:
    """The filter for a reader in these groups: public passages and theirs; None = no filter, for the owner."""
    if groups is None:
        return None
    if isinstance(groups, str):
        raise TypeError("groups are a collection of names, not one string")
    allowed = [_EVERYBODY, *(tokens(groups) if groups else [])]
    return "array_has_any(access, [" + ", ".join(f"'{token}'" for token in allowed) + "])"


def open_to(held: Collection[str], groups: Collection[str] | None) -> bool:
    """The same rule on the groups that a document has now."""
    return groups is None or not held or not set(held).isdisjoint(groups)


def may_read(chunk: Chunk, groups: Collection[str] | None) -> bool:
    """The same rule on a chunk as the catalog has it now."""
    return open_to(chunk.groups, groups)
