"""The tables of the server's state, their versions, and how each database is opened.

A state of version n is brought to the present one by the functions of `MIGRATIONS` from n on, each in one transaction
with its version number: a migration is whole or absent. Never change one that was released; append the next.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

metadata = sa.MetaData()

schema = sa.Table("tunewise_schema", metadata, sa.Column("version", sa.Integer, primary_key=True))
keys = sa.Table(
    "api_keys", metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("name", sa.String(200), nullable=False),
    # SHA-256 of 256 random bits: there is no password to guess, so a slow hash would only slow the server.
    sa.Column("digest", sa.String(64), nullable=False, unique=True),
    sa.Column("role", sa.String(16), nullable=False),
    sa.Column("groups", sa.JSON, nullable=False),
    sa.Column("created", sa.String(40), nullable=False),
    sa.Column("revoked", sa.String(40)),
)
sessions = sa.Table(
    "sessions", metadata,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("key", sa.String(32), sa.ForeignKey("api_keys.id", ondelete="CASCADE"), nullable=False),
    sa.Column("expires", sa.Float, nullable=False),
)
ratings = sa.Table(
    "ratings", metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("principal", sa.String(200), nullable=False, index=True),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("payload", sa.JSON, nullable=False),
    sa.Column("created", sa.String(40), nullable=False),
)
conversations = sa.Table(
    "conversations", metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("principal", sa.String(200), nullable=False, index=True),
    sa.Column("created", sa.String(40), nullable=False),
)
turns = sa.Table(
    "turns", metadata,
    sa.Column("conversation", sa.String(32), sa.ForeignKey("conversations.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("question", sa.Text, nullable=False),
    sa.Column("answer", sa.JSON, nullable=False),
    sa.Column("created", sa.String(40), nullable=False),
)
uploads = sa.Table(
    "uploads", metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("name", sa.String(300), nullable=False),
    sa.Column("document", sa.String(400), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("groups", sa.JSON, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("principal", sa.String(200), nullable=False),
    sa.Column("created", sa.String(40), nullable=False),
)
audit = sa.Table(
    "audit", metadata,
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("time", sa.String(40), nullable=False),
    sa.Column("principal", sa.String(200), nullable=False),
    sa.Column("action", sa.String(64), nullable=False),
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("details", sa.Text, nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
)
FIRST = (schema, keys, sessions, ratings, conversations, turns, uploads, audit)


def _first(connection: sa.Connection) -> None:
    metadata.create_all(connection, tables=FIRST)


MIGRATIONS: tuple[Callable[[sa.Connection], None], ...] = (_first,)


def empty_log(engine: sa.Engine) -> None:
    """Move SQLite's write-ahead log into the database, so that erased text does not linger there."""
    if engine.dialect.name == "sqlite":
        with engine.connect().execution_options(reading=True) as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")


def open_engine(url: str) -> sa.Engine:
    """An engine whose writing transactions never deadlock: SQLite takes its write lock at the start of each."""
    engine = sa.create_engine(url, pool_pre_ping=not url.startswith("sqlite"))
    if engine.dialect.name != "sqlite":
        return engine

    def connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        # Secure deletion: what was said of an erased document does not stay in free pages.
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON",
                       "busy_timeout=10000"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    def begin(connection: sa.Connection) -> None:
        if not connection.get_execution_options().get("reading"):
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    sa.event.listen(engine, "connect", connect)
    sa.event.listen(engine, "begin", begin)
    return engine
