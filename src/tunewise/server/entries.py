"""What the state holds, as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Key:
    """An API key without its secret."""

    id: str
    name: str
    role: str
    groups: tuple[str, ...]
    created: str
    revoked: str | None = None


@dataclass(frozen=True, slots=True)
class Rating:
    """A judgement: `kind` "thumb" or "pair", `payload` what was judged and how."""

    id: str
    principal: str
    kind: str
    payload: Mapping[str, Any]
    created: str


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that was handed in. `state`: waiting, reading, ready, or failed with its `reason`."""

    id: str
    name: str
    document: str
    state: str
    reason: str
    groups: tuple[str, ...]
    size: int
    sha256: str
    principal: str
    created: str


@dataclass(frozen=True, slots=True)
class Turn:
    """One question of a conversation with its answer as JSON."""

    question: str
    answer: Mapping[str, Any]
    created: str


def shown(reply: Mapping[str, Any]) -> set[str]:
    """The documents whose passages a kept reply holds."""
    answer = reply.get("answer") or {}
    return {hit["chunk"]["document"] for hit in answer.get("hits", ())} | {
        one["document"] for one in answer.get("citations", ())
    }
