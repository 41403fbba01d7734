"""The tables of the catalog, and how SQLite is opened. Knows nothing about what is put into them."""

from __future__ import annotations

from functools import cache
from typing import Any

SCHEMA = 2
"""Version of these tables; a catalog with a higher one was written by a newer tunewise and is refused."""


_PATIENCE = 10_000
"""Milliseconds that a writer waits for those of other processes; SQLite lets them in without an order."""


@cache
def tables() -> Any:
    """The tables, made on first use because importing SQLAlchemy takes a third of a second."""
    import sqlalchemy as sa

    class Tables:
        metadata = sa.MetaData()
        state = sa.Table(
            "state", metadata, sa.Column("key", sa.String(32), primary_key=True), sa.Column("value", sa.Text)
        )
        documents = sa.Table(
            "documents", metadata,
            sa.Column("id", sa.Text, primary_key=True),
            *(sa.Column(name, sa.Text, nullable=False) for name in ("revision", "title", "language", "source")),
            sa.Column("modified", sa.Text),
            sa.Column("groups", sa.JSON, nullable=False),
            sa.Column("pages", sa.JSON, nullable=False),
            sa.Column("headings", sa.JSON, nullable=False),
            sa.Column("text", sa.Text, nullable=False),
            sa.Column("settings", sa.Text, nullable=False),
            sa.Column("characters", sa.Integer, nullable=False),
            sa.Column("seal", sa.String(32)),
        )
        chunks = sa.Table(
            "chunks", metadata,
            sa.Column("id", sa.Text, primary_key=True),
            sa.Column(
                "document", sa.Text, sa.ForeignKey("documents.id", ondelete="CASCADE", onupdate="CASCADE"),
                nullable=False, index=True,
            ),
            sa.Column("live", sa.Boolean, nullable=False),
            sa.Column("revision", sa.Text, nullable=False),
            sa.Column("start", sa.Integer, nullable=False),
            sa.Column("end", sa.Integer, nullable=False),
            *(sa.Column(name, sa.Text, nullable=False) for name in ("text", "title", "heading")),
            sa.Column("page", sa.Integer),
            sa.Column("language", sa.Text, nullable=False),
            *(sa.Column(name, sa.Integer) for name in ("parent_start", "parent_end")),
            sa.Column("seal", sa.String(32)),
        )
        generations = sa.Table(
            "generations", metadata,
            sa.Column("id", sa.String(64), primary_key=True),
            sa.Column("fingerprint", sa.String(64), nullable=False),
            sa.Column("embedder", sa.Text, nullable=False),
            sa.Column("embedder_fingerprint", sa.String(64), nullable=False),
            sa.Column("precision", sa.String(16), nullable=False),
            sa.Column("dimension", sa.Integer, nullable=False),
            sa.Column("lexical", sa.String(64), nullable=False),
            sa.Column("chunks", sa.Integer, nullable=False),
            sa.Column("documents", sa.Integer, nullable=False),
            sa.Column("unknown", sa.JSON, nullable=False),
            sa.Column("dense_weight", sa.Float, nullable=False),
            sa.Column("created", sa.String(40), nullable=False),
            sa.Column("manifest", sa.String(64), nullable=False),
            sa.Column("notes", sa.JSON, nullable=False),
        )
        members = sa.Table(
            "generation_chunks", metadata,
            sa.Column(
                "generation", sa.String(64), sa.ForeignKey("generations.id", ondelete="CASCADE"), primary_key=True
            ),
            sa.Column("chunk", sa.Text, primary_key=True),
        )

    return Tables


def upgrade(connection: Any) -> None:
    """Add what this version's tables have and an older catalog has not; nothing that is there is touched."""
    import sqlalchemy as sa

    found = sa.inspect(connection)
    for table in tables().metadata.sorted_tables:
        if not found.has_table(table.name):
            table.create(connection)
            continue
        there = {column["name"] for column in found.get_columns(table.name)}
        for column in table.columns:
            if column.name not in there:
                kind = column.type.compile(connection.dialect)
                connection.execute(sa.text(f'ALTER TABLE "{table.name}" ADD COLUMN "{column.name}" {kind}'))


def prepare_sqlite(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    # Patience first: of processes that open a new file at once, all but one wait for its mode.
    for pragma in (f"busy_timeout={_PATIENCE}", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON",
                   "secure_delete=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
