"""What can be set when the server starts; every limit has one place."""

from __future__ import annotations

from dataclasses import dataclass

LOCAL = ("127.0.0.1", "::1", "localhost")
"""Addresses that nobody but this machine reaches."""


@dataclass(frozen=True, slots=True)
class Options:
    """How the server behaves. Sizes in bytes, times in seconds, rates per minute and principal."""

    host: str = "127.0.0.1"
    port: int = 8321
    hosts: tuple[str, ...] = ()
    """Names under which it may be reached besides its own address (the Host header is checked)."""
    database: str | None = None
    """SQLAlchemy URL of the state (keys, ratings, audit); None: SQLite in the project's folder."""
    identity_header: str | None = None
    """Header in which a reverse proxy names the user, for example X-Forwarded-User; trusted from `proxies` only."""
    groups_header: str | None = None
    admins: tuple[str, ...] = ()
    """Users of the proxy who are administrators."""
    proxies: tuple[str, ...] = ("127.0.0.1", "::1")
    queue: int = 64
    """Questions that may wait or be answered at a time; more get 429."""
    batch: int = 8
    """Questions of one approach that are answered together."""
    seconds: float = 120.0
    """Time-out of one answer, waiting included."""
    rate: int = 600
    """Requests per minute of one principal; more get 429."""
    at_once: int = 64
    """Requests of one principal at a time; more get 429."""
    upload_bytes: int = 50_000_000
    upload_count: int = 1_000
    body_bytes: int = 1_000_000
    """Largest body that is no upload."""
    messages: int = 200
    question_characters: int = 8_000
    grace: float = 30.0
    """Time that a shutdown gives to what was begun."""
