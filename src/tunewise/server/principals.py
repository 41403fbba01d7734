"""Who asks: from a request's headers to a `Principal`, and what each kind may do.

Kinds of credentials: an API key (`Authorization: Bearer …` or `x-api-key`), a session cookie of the web pages, a
reverse proxy's identity header if configured, and nothing at all, which is the project's owner as long as the server
is bound to this machine and no key exists.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Role = Literal["reader", "editor", "admin"]
ROLES: tuple[str, ...] = get_args(Role)
COOKIE = "tunewise_session"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks. `groups` None sees every document (the owner and administrators), () public documents only.

    A reader asks, searches, rates; an editor also uploads and deletes documents of their own groups; an administrator
    also sees runs, starts comparisons, reads the audit log.
    """

    name: str
    role: Role = "reader"
    groups: tuple[str, ...] | None = ()
    key: str | None = None
    """Id of the API key behind it; None for the local owner and for a proxy's users."""

    @property
    def id(self) -> str:
        """By which its requests are counted: its key, or its name."""
        return self.key or self.name

    @property
    def may_write(self) -> bool:
        """Whether it may upload and delete documents (of its groups)."""
        return self.role in ("editor", "admin")

    @property
    def is_admin(self) -> bool:
        """Whether it may see everything."""
        return self.role == "admin"


OWNER = Principal("owner", "admin", None)
"""Who asks from this machine while there are no keys."""
