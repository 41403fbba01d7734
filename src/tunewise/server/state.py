"""What the server remembers: keys, sessions, ratings, conversations, uploads and the audit log, in SQL.

SQLite (WAL, synchronous=FULL) by default, PostgreSQL by URL. A method returns after its commit: what was acknowledged
is on the disk. Knows nothing about HTTP. Keys and session tokens are kept as SHA-256 only.
"""

from __future__ import annotations

import json
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tunewise.errors import DataMistake, DiskFull, Failed, need
from tunewise.server import audit as chain
from tunewise.server import tables as t
from tunewise.server.entries import Key, Rating, Turn, Upload, shown
from tunewise.server.principals import ROLES, Principal
from tunewise.store import project_folder, sha256

FRESH = 1.0
"""Seconds for which keys are remembered: a key that another process revokes is dead after that."""
SESSION = 12 * 3600.0

_LAST = sa.select(t.audit.c.number, t.audit.c.hash).order_by(t.audit.c.number.desc()).limit(1)
_LINE = sa.insert(t.audit)


def now() -> str:
    """This moment in UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def state_url(root: Path, database: str | None) -> str:
    """Where a project's state is kept: as set, else a SQLite file in the project's folder."""
    if database:
        # Without a driver's name SQLAlchemy 2.0 would look for another one than 2.1 does.
        url = re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", database)
        if url.startswith("postgresql+psycopg"):
            need("psycopg", feature="a PostgreSQL database", extra="postgres")
        return url
    project_folder(root).mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{project_folder(root) / 'server.sqlite'}"


class State:
    """The state at a database URL, brought to the present version; usable from many threads and processes."""

    def __init__(self, url: str) -> None:
        self._engine = t.open_engine(url)
        self.gone: Callable[[str], bool] = lambda document: False
        self._writing = threading.Lock()
        self._fresh = threading.Lock()
        self._keys: dict[str, tuple[str, Key]] = {}
        self._read_at = -FRESH
        self._sessions: dict[str, tuple[float, str | None]] = {}
        try:
            self._migrate()
        except BaseException:
            self._engine.dispose()
            raise

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    # -------------------------------------------------------------------------------------------- connections

    @contextmanager
    def _errors(self) -> Iterator[None]:
        where = self._engine.url.render_as_string(hide_password=True)
        try:
            yield
        except sa.exc.DatabaseError as error:
            cause = str(error.orig)
            if "disk is full" in cause or "No space left" in cause:
                raise DiskFull(f"no space left on the disk that holds {where}", tip="free some and repeat") from error
            raise Failed(f"the server's state {where} cannot be used: {cause}") from error

    @contextmanager
    def _write(self) -> Iterator[sa.Connection]:
        with self._errors(), self._writing, self._engine.begin() as connection:
            yield connection

    @contextmanager
    def _read(self) -> Iterator[sa.Connection]:
        with self._errors(), self._engine.connect().execution_options(reading=True) as connection:
            yield connection

    def _migrate(self) -> None:
        """Run what is missing of MIGRATIONS, each with its version number in one transaction."""
        for number, migration in enumerate(t.MIGRATIONS, 1):
            with self._write() as connection:
                self._serialise(connection)
                t.schema.create(connection, checkfirst=True)
                version = connection.scalar(sa.select(sa.func.max(t.schema.c.version))) or 0
                if version > len(t.MIGRATIONS):
                    where = self._engine.url.render_as_string(hide_password=True)
                    raise Failed(f"{where} was written by a newer tunewise (version {version})", tip="update tunewise")
                if version < number:
                    migration(connection)
                    connection.execute(sa.insert(t.schema).values(version=number))

    def _serialise(self, connection: sa.Connection) -> None:
        """One writer at a time across processes; SQLite's BEGIN IMMEDIATE is that already."""
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(823194721)")

    def check(self) -> None:
        """Whether the database answers; `Failed` when not."""
        with self._read() as connection:
            connection.execute(sa.select(t.schema.c.version)).first()

    # -------------------------------------------------------------------------------------------- keys

    def add_key(self, name: str, *, role: str = "reader", groups: Sequence[str] = ()) -> tuple[Key, str]:
        """(the key, its secret): the secret is shown once and never stored. `DataMistake` for a bad or used name."""
        if role not in ROLES:
            raise DataMistake(f"role {role!r} is none of {', '.join(ROLES)}", tip="--role reader")
        if not name.strip() or len(name) > 100 or not name.isprintable() or ":" in name or name.strip() == "owner":
            raise DataMistake("a key's name is printable, without ':', and not 'owner'", tip="tunewise keys add anna")
        if any(not group.strip() or not group.isprintable() or "," in group for group in groups):
            raise DataMistake("a group's name is printable and has no comma", tip="--group staff")
        secret = "tw-" + secrets.token_urlsafe(32)
        key = Key(secrets.token_hex(8), name.strip(), role, tuple(sorted(set(groups))), now())
        with self._write() as connection:
            # Conversations, ratings and uploads hang on the name: a revoked one given again would hand them on.
            if connection.scalar(sa.select(t.keys.c.id).where(t.keys.c.name == key.name)) is not None:
                tip = f"take another name: tunewise keys add {key.name}-2"
                raise DataMistake(f"there is, or was, a key named {key.name!r}", tip=tip)
            connection.execute(
                sa.insert(t.keys).values(
                    id=key.id, name=key.name, digest=sha256(secret), role=role, groups=list(key.groups),
                    created=key.created,
                )
            )
            self._append(connection, "owner", "key.add", key.id, {"name": key.name, "role": role})
        self._read_at = -FRESH
        return key, secret

    def revoke_key(self, id_or_name: str) -> Key:
        """End a key and its sessions; `DataMistake` when there is no such key in use."""
        with self._write() as connection:
            named = sa.or_(t.keys.c.id == id_or_name, t.keys.c.name == id_or_name)
            row = connection.execute(sa.select(t.keys).where(named, t.keys.c.revoked.is_(None))).mappings().first()
            if row is None:
                raise DataMistake(f"there is no key {id_or_name!r} in use", tip="tunewise keys list")
            ended = now()
            connection.execute(sa.update(t.keys).where(t.keys.c.id == row["id"]).values(revoked=ended))
            connection.execute(sa.delete(t.sessions).where(t.sessions.c.key == row["id"]))
            self._append(connection, "owner", "key.revoke", row["id"], {"name": row["name"]})
        self._read_at = -FRESH
        self._sessions.clear()
        return replace(_key(row), revoked=ended)

    def keys(self) -> list[Key]:
        """All keys, oldest first, revoked ones too."""
        with self._read() as connection:
            found = connection.execute(sa.select(t.keys).order_by(t.keys.c.created, t.keys.c.id)).mappings()
            return [_key(row) for row in found]

    def _known(self) -> dict[str, tuple[str, Key]]:
        """{digest: (id, key)} of all keys, at most `FRESH` seconds old."""
        with self._fresh:
            if time.monotonic() - self._read_at > FRESH:
                with self._read() as connection:
                    rows = connection.execute(sa.select(t.keys)).mappings().all()
                self._keys = {row["digest"]: (row["id"], _key(row)) for row in rows}
                self._read_at = time.monotonic()
            return self._keys

    def at_hand(self, token: str | None) -> bool:
        """Whether the keys, and this session's token if there is one, are remembered: the database is not asked."""
        now = time.monotonic()
        if now - self._read_at > FRESH:
            return False
        known = None if token is None else self._sessions.get(sha256(token))
        return token is None or known is not None and now - known[0] <= FRESH

    def revoked(self) -> frozenset[str]:
        """The names of the keys that were revoked."""
        return frozenset(key.name for _, key in self._known().values() if key.revoked is not None)

    def has_keys(self) -> bool:
        """Whether there ever was a key: from the first one on, nobody is let in without."""
        return bool(self._known())

    def has_live_keys(self) -> bool:
        """Whether anybody could come in with a key."""
        return any(key.revoked is None for _, key in self._known().values())

    def principal(self, secret: str) -> Principal | None:
        """Who holds this secret; None for an unknown or revoked one."""
        found = self._known().get(sha256(secret))
        return None if found is None else _principal(found[1])

    def alive(self, principal: Principal) -> bool:
        """Whether a principal's key was not revoked meanwhile."""
        if principal.key is None:
            return True
        return any(id == principal.key and key.revoked is None for id, key in self._known().values())

    # -------------------------------------------------------------------------------------------- sessions

    def open_session(self, secret: str) -> str | None:
        """A token for the web pages' cookie, in exchange for a key; None for a bad key."""
        found = self._known().get(sha256(secret))
        if found is None or found[1].revoked:
            return None
        token = secrets.token_urlsafe(32)
        with self._write() as connection:
            connection.execute(sa.delete(t.sessions).where(t.sessions.c.expires < time.time()))
            connection.execute(
                sa.insert(t.sessions).values(digest=sha256(token), key=found[0], expires=time.time() + SESSION)
            )
        return token

    def session(self, token: str) -> Principal | None:
        """Who a session's token belongs to; None when it ended."""
        digest = sha256(token)
        known = self._sessions.get(digest)
        if known is None or time.monotonic() - known[0] > FRESH:
            query = sa.select(t.sessions.c.key).where(t.sessions.c.digest == digest, t.sessions.c.expires > time.time())
            with self._read() as connection:
                known = (time.monotonic(), connection.scalar(query))
            if len(self._sessions) > 10_000:
                self._sessions.clear()
            self._sessions[digest] = known
        if known[1] is None:
            return None
        return next((_principal(key) for id, key in self._known().values() if id == known[1]), None)

    def close_session(self, token: str) -> None:
        """End a session."""
        digest = sha256(token)
        with self._write() as connection:
            connection.execute(sa.delete(t.sessions).where(t.sessions.c.digest == digest))
        self._sessions.pop(digest, None)

    # -------------------------------------------------------------------------------------------- ratings, turns

    def rate(self, asker: Principal, kind: str, payload: Mapping[str, Any]) -> str:
        """Keep a judgement, with its audit line, and return its id."""
        id = secrets.token_hex(16)
        with self._write() as connection:
            connection.execute(
                sa.insert(t.ratings).values(
                    id=id, principal=asker.name, kind=kind, payload=dict(payload), created=now()
                )
            )
            self._append(connection, asker.name, "rate", id, {"kind": kind})
        return id

    def ratings(self, *, kind: str | None = None, principal: str | None = None) -> list[Rating]:
        """Judgements in the order in which they were given."""
        query = sa.select(t.ratings).order_by(t.ratings.c.created, t.ratings.c.id)
        if kind is not None:
            query = query.where(t.ratings.c.kind == kind)
        if principal is not None:
            query = query.where(t.ratings.c.principal == principal)
        with self._read() as connection:
            return [Rating(**row) for row in connection.execute(query).mappings()]

    def remember(self, asker: Principal, conversation: str | None, question: str, answer: Mapping[str, Any]) -> str:
        """Add a turn to a conversation of the asker's (None: a new one), return its id; `DataMistake` for others', and
        for an answer from a document of ours that is `gone`."""
        with self._write() as connection:
            self._serialise(connection)
            if conversation is None:
                conversation = secrets.token_hex(16)
                connection.execute(
                    sa.insert(t.conversations).values(id=conversation, principal=asker.name, created=now())
                )
            elif connection.scalar(_own(conversation, asker)) is None:
                raise DataMistake("there is no such conversation")
            number = connection.scalar(
                sa.select(sa.func.count()).select_from(t.turns).where(t.turns.c.conversation == conversation)
            )
            connection.execute(
                sa.insert(t.turns).values(
                    conversation=conversation, number=number + 1, question=question, answer=dict(answer), created=now()
                )
            )
            # Last, and before whoever erases it can `forget`: what goes later is forgotten then.
            if answer.get("reads") and any(map(self.gone, shown(answer) - {""})):
                raise DataMistake("a document that this answer rests on was removed meanwhile", tip="ask again")
        return conversation

    def conversation(self, asker: Principal, id: str) -> list[Turn] | None:
        """The turns of a conversation of the asker's; None when there is none."""
        with self._read() as connection:
            if connection.scalar(_own(id, asker)) is None:
                return None
            query = sa.select(t.turns).where(t.turns.c.conversation == id).order_by(t.turns.c.number)
            return [Turn(r["question"], r["answer"], r["created"]) for r in connection.execute(query).mappings()]

    def conversations(self, asker: Principal) -> list[tuple[str, str, str]]:
        """(id, first question, created) of the asker's conversations, newest first."""
        query = (
            sa.select(t.conversations.c.id, t.turns.c.question, t.conversations.c.created)
            .join(t.turns, t.turns.c.conversation == t.conversations.c.id)
            .where(t.conversations.c.principal == asker.name, t.turns.c.number == 1)
            .order_by(t.conversations.c.created.desc())
        )
        with self._read() as connection:
            return [(row[0], row[1], row[2]) for row in connection.execute(query)]

    def forget(self, document: str) -> int:
        """Erase every conversation in which a reply was given passages of a document; how many there were.

        Whole ones: what was said later rests on what was said before.
        """
        with self._write() as connection:
            self._serialise(connection)
            rows = connection.execute(sa.select(t.turns.c.conversation, t.turns.c.answer)).all()
            gone = sorted({row[0] for row in rows if document in shown(row[1])})
            for id in gone:
                connection.execute(sa.delete(t.turns).where(t.turns.c.conversation == id))
                connection.execute(sa.delete(t.conversations).where(t.conversations.c.id == id))
        t.empty_log(self._engine)
        return len(gone)

    # -------------------------------------------------------------------------------------------- uploads

    def add_upload(self, upload: Upload) -> None:
        """Keep an upload, with its audit line."""
        with self._write() as connection:
            values = {name: getattr(upload, name) for name in Upload.__slots__} | {"groups": list(upload.groups)}
            connection.execute(sa.insert(t.uploads).values(values))
            self._append(connection, upload.principal, "upload", upload.document, {"sha256": upload.sha256})

    def set_upload(self, id: str, state: str, reason: str = "") -> None:
        """Say how far an upload is."""
        with self._write() as connection:
            connection.execute(
                sa.update(t.uploads).where(t.uploads.c.id == id).values(state=state, reason=reason[:2000])
            )

    def uploads(self, *, states: Sequence[str] | None = None) -> list[Upload]:
        """All uploads, newest first."""
        query = sa.select(t.uploads).order_by(t.uploads.c.created.desc())
        if states is not None:
            query = query.where(t.uploads.c.state.in_(states))
        with self._read() as connection:
            return [Upload(**{**row, "groups": tuple(row["groups"])}) for row in connection.execute(query).mappings()]

    # -------------------------------------------------------------------------------------------- audit

    def audit_line(self, principal: str, action: str, target: str, details: Mapping[str, Any] | None = None) -> int:
        """Append a line to the chain and return its number."""
        with self._write() as connection:
            return self._append(connection, principal, action, target, details or {})

    def _append(
        self, connection: sa.Connection, principal: str, action: str, target: str, details: Mapping[str, Any]
    ) -> int:
        self._serialise(connection)
        last = connection.execute(_LAST).first()
        number, before = (last[0] + 1, last[1]) if last else (1, chain.GENESIS)
        text = json.dumps(details, ensure_ascii=False, sort_keys=True)
        line = chain.sealed(before, chain.Line(number, now(), principal[:200], action, target[:1000], text))
        connection.execute(_LINE, {name: getattr(line, name) for name in chain.Line.__slots__})
        return number

    def audit(self, *, after: int = 0, limit: int | None = None) -> list[chain.Line]:
        """Lines of the log in their order, those behind number `after`."""
        query = sa.select(t.audit).where(t.audit.c.number > after).order_by(t.audit.c.number).limit(limit)
        with self._read() as connection:
            return [chain.Line(**row) for row in connection.execute(query).mappings()]

    def audit_faults(self, *, kept: str | None = None) -> list[str]:
        """What was altered in the log (see `audit.faults`)."""
        return chain.faults(self.audit(), kept=kept)


def _key(row: Mapping[str, Any]) -> Key:
    return Key(row["id"], row["name"], row["role"], tuple(row["groups"]), row["created"], row["revoked"])


def _principal(key: Key) -> Principal | None:
    if key.revoked is not None:
        return None
    return Principal(key.name, key.role, None if key.role == "admin" else key.groups, key.id)  # type: ignore[arg-type]


def _own(conversation: str, asker: Principal) -> sa.Select[Any]:
    return sa.select(t.conversations.c.id).where(
        t.conversations.c.id == conversation, t.conversations.c.principal == asker.name
    )
