"""The truth about documents, revisions, chunks, access groups and index generations, in SQL.

Knows nothing about models, vectors or files of documents: an index is derived from here and can always be made again.
SQLite (WAL, synchronous=FULL) by default, any SQLAlchemy URL otherwise; a method returns after its commit.

A chunk that a newer revision replaced is kept but not *live* until no generation needs it, so that a reader of the old
generation sees whole old passages and a rollback finds them. `remove` erases at once, in every generation.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunewise.catalog.rows import (
    DocumentRecord,
    Generation,
    absent,
    chunk_of,
    derived,
    document_row,
    generation_of,
    portions,
    row_of,
)
from tunewise.catalog.seals import check_access, check_text, seal_access
from tunewise.catalog.tables import SCHEMA, prepare_sqlite, tables, upgrade
from tunewise.errors import DataMistake, DiskFull, Failed
from tunewise.nouns import Chunk, Document, Heading, Page
from tunewise.store import make_folder

if TYPE_CHECKING:
    from sqlalchemy import Connection

_NOBODY = seal_access(["nobody"])


class Catalog:
    """Documents, chunks and generations at a database URL ("sqlite:///…/catalog.sqlite"); usable from many threads.

    Raises `Failed` when the database was written by a newer version, `DiskFull` when a write found no space.
    """

    def __init__(self, url: str) -> None:
        import sqlalchemy as sa

        self.url = url
        self._sa = sa
        self._t = tables()
        self._writing = threading.Lock()
        parsed = sa.make_url(url)
        if parsed.get_backend_name() == "sqlite" and parsed.database not in (None, "", ":memory:"):
            make_folder(Path(parsed.database).parent)
        self._engine = sa.create_engine(parsed)
        if self._engine.dialect.name == "sqlite":
            sa.event.listen(self._engine, "connect", prepare_sqlite)
        try:
            self._check_schema()
        except BaseException:
            self._engine.dispose()
            raise

    def __enter__(self) -> Catalog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    # -------------------------------------------------------------------------------------------- connections

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        """One transaction: committed whole, or not at all; writers of other processes wait for it."""
        with self._errors(), self._writing, self._engine.begin() as connection:
            if self._engine.dialect.name == "sqlite":
                # What is read in here decides what is written: nobody else may write in between.
                connection.execute(self._sa.text("BEGIN IMMEDIATE"))
            yield connection

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        with self._errors(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def _errors(self) -> Iterator[None]:
        where = self._engine.url.render_as_string(hide_password=True)
        try:
            yield
        except self._sa.exc.IntegrityError as error:
            raise Failed(f"the catalog {where} refused a row: {error.orig}") from error
        except self._sa.exc.DatabaseError as error:
            cause = str(error.orig)
            if "disk is full" in cause or "No space left" in cause:
                raise DiskFull(f"no space left on the disk that holds {where}", tip="free some and repeat") from error
            raise Failed(f"the catalog {where} cannot be used: {cause}", tip="close other users of it") from error

    def _check_schema(self) -> None:
        sa, state = self._sa, self._t.state
        with self._read() as connection:
            found = None
            if sa.inspect(connection).has_table("state"):
                found = connection.scalar(sa.select(state.c.value).where(state.c.key == "schema"))
        if found is not None and int(found) > SCHEMA:
            raise Failed(
                f"the catalog has schema {found}, this version of tunewise reads up to {SCHEMA}",
                tip="upgrade tunewise, or use another project folder",
            )
        if found is None or int(found) < SCHEMA:
            with self._write() as connection:
                upgrade(connection)
                self._keep(connection, "schema", str(SCHEMA))

    # -------------------------------------------------------------------------------------------- documents

    def put(self, document: Document, chunks: Iterable[Chunk]) -> None:
        """Add a document with its chunks, or replace both, in one transaction."""
        self.put_all([(document, list(chunks))])

    def put_all(self, pairs: Sequence[tuple[Document, Sequence[Chunk]]]) -> None:
        """`put` for several documents in one transaction: all of them, or none."""
        sa, documents, rows = self._sa, self._t.documents, self._t.chunks
        values = [document_row(document, chunks) for document, chunks in pairs]
        ids = Counter(document.id for document, _ in pairs)
        with self._write() as connection:
            there = set()
            for some in portions(list(ids)):
                there.update(connection.scalars(sa.select(documents.c.id).where(documents.c.id.in_(some))))
            # Many new ones in a statement; what replaces something, or stands here twice, one after the other.
            new = [n for n, (one, _) in enumerate(pairs) if one.id not in there and ids[one.id] == 1]
            if new:
                connection.execute(sa.insert(documents), [values[n] for n in new])
            if inserted := [row_of(chunk, pairs[n][0]) for n in new for chunk in pairs[n][1]]:
                connection.execute(sa.insert(rows), inserted)
            for n in sorted(set(range(len(pairs))).difference(new)):
                document, chunks = pairs[n]
                update = sa.update(documents).where(documents.c.id == document.id).values(values[n])
                if not connection.execute(update).rowcount:
                    connection.execute(sa.insert(documents).values(values[n]))
                connection.execute(sa.update(rows).where(rows.c.document == document.id).values(live=False))
                for some in portions([chunk.id for chunk in chunks]):
                    connection.execute(sa.delete(rows).where(rows.c.id.in_(some), rows.c.document == document.id))
                if chunks:
                    connection.execute(sa.insert(rows), [row_of(chunk, document) for chunk in chunks])

    def remove(self, document_id: str) -> None:
        """Erase a document and all chunks it ever had; no generation returns them from now on."""
        documents = self._t.documents
        with self._write() as connection:
            if not connection.execute(self._sa.delete(documents).where(documents.c.id == document_id)).rowcount:
                raise absent("document", document_id)

    def documents(self, *, checked: bool = True) -> list[DocumentRecord]:
        """All documents without their texts, sorted by id; `Damaged` when groups of one are not those that were set.

        `checked` False is for the search for damage itself.
        """
        names = [field.name for field in fields(DocumentRecord)]
        table = self._t.documents
        with self._read() as connection:
            query = self._sa.select(*(table.c[name] for name in names), table.c.seal).order_by(table.c.id)
            rows = [dict(row) for row in connection.execute(query).mappings()]
        for row in rows:
            seal = row.pop("seal")
            if checked:
                check_access(row["id"], seal, row["groups"])
        return [DocumentRecord(**{**row, "groups": tuple(row["groups"])}) for row in rows]

    def groups(self, id: str) -> tuple[str, ...] | None:
        """Who may read a document, without reading it; None when there is none; `Damaged` when that was altered."""
        table = self._t.documents
        sa = self._sa
        # A row comes back in any case, and its seal is checked: time must not tell an absent document from one that is
        # there and forbidden.
        kept = sa.select(table.c.groups, table.c.seal, sa.literal(1).label("there")).where(table.c.id == id)
        nobody = sa.select(sa.literal(["nobody"], table.c.groups.type), sa.literal(_NOBODY), sa.literal(0))
        query = sa.union_all(kept, nobody).order_by(sa.desc("there")).limit(1)
        with self._read() as connection:
            groups, seal, there = connection.execute(query).one()
        check_access(id, seal, groups)
        return tuple(groups) if there else None

    def document(self, id: str, *, checked: bool = True) -> Document:
        """One document, whole; `DataMistake` when there is none, `Damaged` when it is not what was written.

        `checked` False is for the search for damage itself.
        """
        table = self._t.documents
        with self._read() as connection:
            row = connection.execute(self._sa.select(table).where(table.c.id == id)).mappings().first()
        if row is None:
            raise absent("document", id)
        if checked:
            check_access(id, row["seal"], row["groups"])
            check_text(id, row["revision"], row["text"])
        return Document(
            id=row["id"], text=row["text"], title=row["title"], revision=row["revision"], source=row["source"],
            language=row["language"], pages=tuple(Page(*page) for page in row["pages"]),
            headings=tuple(Heading(*heading) for heading in row["headings"]), modified=row["modified"],
            groups=tuple(row["groups"]),
        )

    # -------------------------------------------------------------------------------------------- chunks

    def _select_chunks(self) -> Any:
        rows, documents = self._t.chunks, self._t.documents
        # Groups are read from the document, so that a restriction holds from the moment it is written.
        chosen = self._sa.select(rows, documents.c.groups, documents.c.seal.label("access"))
        # A passage goes with its document: one without is damage, to be told and not left out.
        return chosen.join(documents, rows.c.document == documents.c.id, isouter=True)

    def chunks(self, document_id: str | None = None) -> Iterator[Chunk]:
        """The live chunks, of one document or of all, sorted by document and place."""
        rows = self._t.chunks
        query = self._select_chunks().where(rows.c.live).order_by(rows.c.document, rows.c.start, rows.c.end, rows.c.id)
        if document_id is not None:
            query = query.where(rows.c.document == document_id)
        with self._read() as connection:
            for row in connection.execution_options(yield_per=1000).execute(query).mappings():
                yield chunk_of(row)

    def chunk(self, id: str) -> Chunk:
        """One chunk, live or kept for a generation; `DataMistake` when there is none."""
        found = self.chunks_by_id([id])
        if id not in found:
            raise absent("chunk", id)
        return found[id]

    def chunks_by_id(self, ids: Sequence[str]) -> dict[str, Chunk]:
        """{id: chunk} of those ids that there are, with the access groups of this moment."""
        found = {}
        with self._read() as connection:
            for portion in portions(ids):
                query = self._select_chunks().where(self._t.chunks.c.id.in_(portion))
                found.update((row["id"], chunk_of(row)) for row in connection.execute(query).mappings())
        return found

    def span(self, document_id: str, revision: str, start: int, end: int) -> tuple[str, int | None] | None:
        """(text, page of its start) of a span of a document; None when the document is no longer in that revision.

        `Damaged` when its groups were altered. The text is what the passage that led here was checked to be.
        """
        table = self._t.documents
        # Without its text a long document is not read for a few sentences of it.
        text = self._sa.func.substr(table.c.text, start + 1, end - start)
        with self._read() as connection:
            row = connection.execute(
                self._sa.select(text, table.c.pages, table.c.groups, table.c.seal).where(
                    table.c.id == document_id, table.c.revision == revision
                )
            ).first()
        if row is None or len(row[0]) != end - start:
            return None
        check_access(document_id, row[3], row[2])
        pages = [number for number, first, _ in row[1] if first <= start]
        return row[0], (pages[-1] if pages else None)

    # -------------------------------------------------------------------------------------------- generations

    def generations(self) -> list[Generation]:
        """All generations that are kept, oldest first."""
        table = self._t.generations
        with self._read() as connection:
            found = connection.execute(self._sa.select(table).order_by(table.c.created)).mappings()
            return [generation_of(row) for row in found]

    def current(self) -> Generation | None:
        """The generation that answers, None before the first build."""
        table, state = self._t.generations, self._t.state
        pointer = self._sa.select(state.c.value).where(state.c.key == "current").scalar_subquery()
        with self._read() as connection:
            row = connection.execute(self._sa.select(table).where(table.c.id == pointer)).mappings().first()
        return None if row is None else generation_of(row)

    def previous(self) -> str | None:
        """The id of the generation that answered before the current one; it may be gone by now."""
        return self._kept("previous")

    def source(self) -> str | None:
        """Which folder the documents were read from, as `keep_source` was told; None before."""
        return self._kept("source")

    def keep_source(self, folder: str) -> None:
        """Remember which folder the documents are read from."""
        with self._write() as connection:
            self._keep(connection, "source", folder)

    def _kept(self, key: str) -> str | None:
        state = self._t.state
        with self._read() as connection:
            return connection.scalar(self._sa.select(state.c.value).where(state.c.key == key))

    def _keep(self, connection: Connection, key: str, value: str) -> None:
        sa, state = self._sa, self._t.state
        if not connection.execute(sa.update(state).where(state.c.key == key).values(value=value)).rowcount:
            connection.execute(sa.insert(state).values(key=key, value=value))

    def switch(self, generation_id: str) -> None:
        """Let this generation answer from now on: the one pointer; also the way back to the one before.

        `DataMistake` when it is not kept, or holds passages of a document that was removed since.
        """
        if not self.is_whole(generation_id):
            raise DataMistake(
                f"generation {generation_id!r} holds passages of a removed document", tip="tunewise ingest builds anew"
            )
        with self._write() as connection:
            self._switch(connection, generation_id)

    def _switch(self, connection: Connection, id: str) -> None:
        sa, state, table = self._sa, self._t.state, self._t.generations
        if connection.scalar(sa.select(table.c.id).where(table.c.id == id)) is None:
            known = ", ".join(connection.scalars(sa.select(table.c.id).order_by(table.c.created))) or "none"
            raise DataMistake(f"there is no index generation {id!r}", tip=f"kept are: {known}")
        before = connection.scalar(sa.select(state.c.value).where(state.c.key == "current"))
        if before not in (None, id):
            # With the pointer, so that a kill cannot part them: this is the one a rollback goes to.
            self._keep(connection, "previous", before)
        self._keep(connection, "current", id)

    def add_generation(self, generation: Generation, chunk_ids: Iterable[str]) -> None:
        """Register a finished generation with its chunks and let it answer, in one transaction."""
        sa, table, members = self._sa, self._t.generations, self._t.members
        values = {field.name: getattr(generation, field.name) for field in fields(Generation)}
        values["notes"] = list(generation.notes)
        with self._write() as connection:
            connection.execute(sa.delete(members).where(members.c.generation == generation.id))
            connection.execute(sa.delete(table).where(table.c.id == generation.id))
            connection.execute(sa.insert(table).values(values))
            for ids in portions(list(chunk_ids)):
                connection.execute(sa.insert(members), [{"generation": generation.id, "chunk": id} for id in ids])
            self._switch(connection, generation.id)

    def drop_generations(self, ids: Iterable[str]) -> None:
        """Forget generations (never the current one), and erase the replaced chunks that only they needed."""
        sa, table, members, rows, state = self._sa, self._t.generations, self._t.members, self._t.chunks, self._t.state
        with self._write() as connection:
            current = connection.scalar(sa.select(state.c.value).where(state.c.key == "current"))
            for id in ids:
                if id == current:
                    raise Failed(f"generation {id} is the current one and cannot be dropped")
                connection.execute(sa.delete(members).where(members.c.generation == id))
                connection.execute(sa.delete(table).where(table.c.id == id))
            needed = sa.exists().where(members.c.chunk == rows.c.id)
            connection.execute(sa.delete(rows).where(sa.not_(rows.c.live), sa.not_(needed)))

    def clear_generations(self) -> None:
        """Forget every generation, and which one answers: nothing is offered whose files are about to go."""
        sa, table, members, rows, state = self._sa, self._t.generations, self._t.members, self._t.chunks, self._t.state
        with self._write() as connection:
            connection.execute(sa.delete(state).where(state.c.key.in_(("current", "previous"))))
            for rest in (sa.delete(members), sa.delete(table), sa.delete(rows).where(sa.not_(rows.c.live))):
                connection.execute(rest)

    def is_whole(self, generation_id: str) -> bool:
        """Whether every chunk of a generation still exists (a removed document makes it a place for leftovers)."""
        sa, members, rows = self._sa, self._t.members, self._t.chunks
        lost = sa.select(sa.func.count()).select_from(members.outerjoin(rows, members.c.chunk == rows.c.id)).where(
            members.c.generation == generation_id, rows.c.id.is_(None)
        )
        with self._read() as connection:
            return connection.scalar(lost) == 0

    def members(self, generation_id: str) -> list[str]:
        """The ids of the chunks that a generation was built from."""
        members = self._t.members
        with self._read() as connection:
            chosen = self._sa.select(members.c.chunk).where(members.c.generation == generation_id)
            return list(connection.scalars(chosen))

    def access_seal(self, document_id: str) -> str | None:
        """The checksum that was kept with a document's groups; None in catalogs of before there were any."""
        table = self._t.documents
        with self._read() as connection:
            return connection.scalar(self._sa.select(table.c.seal).where(table.c.id == document_id))

    def integrity(self) -> list[str]:
        """What SQLite says of its own pages: ["ok"], or its faults."""
        if self._engine.dialect.name != "sqlite":
            return ["ok"]
        with self._read() as connection:
            return list(connection.scalars(self._sa.text("PRAGMA integrity_check(20)")))

    def checkpoint(self) -> None:
        """Move SQLite's write-ahead log into the database file, so that erased text does not linger there."""
        if self._engine.dialect.name == "sqlite":
            with self._read() as connection:
                connection.execute(self._sa.text("PRAGMA wal_checkpoint(TRUNCATE)"))


__all__ = ["Catalog", "DocumentRecord", "Generation", "derived"]
