"""Vectors computed once, by content and embedder, in one SQLite file of the cache that can be deleted at any time.

Knows nothing about chunks or indexes. A stored vector carries a checksum; a wrong one is computed again.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tunewise.errors import DiskFull, Failed
from tunewise.store import sha256

if TYPE_CHECKING:
    from tunewise.embeddings import Embedder

FILE = "embeddings.sqlite"
_PORTION = 400


def damaged_vectors(path: Path) -> int:
    """How many vectors of a cache fail their checksum; a file that is no database any more counts as one."""
    bad = 0
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            for data, crc in database.execute("SELECT vector, crc FROM vectors"):
                bad += not isinstance(data, bytes) or zlib.crc32(data) != crc
    except sqlite3.DatabaseError:
        return bad + 1
    return bad


def keep_only(path: Path, embedder: Embedder, texts: Sequence[str]) -> None:
    """Erase all vectors but those of these texts by this embedder, from the file and its log too."""
    cache = VectorCache(path, embedder)
    try:
        cache.keep_only(texts)
    finally:
        cache.close()


def _failed(error: sqlite3.OperationalError) -> Failed:
    if "full" in str(error) or "disk I/O" in str(error) or "unable to open" in str(error):
        return DiskFull("no space left for the cache of embeddings", tip="free some and repeat")
    return Failed(f"the cache of embeddings cannot be used: {error}", tip="close other users of it, and repeat")


class VectorCache:
    """{(text, embedder): vector} on disk; every `add` is whole or absent."""

    def __init__(self, path: Path, embedder: Embedder) -> None:
        self._embedder = embedder
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._open(path)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                # A full disk or a lock: the vectors themselves are good.
                raise _failed(error) from error
            # Only a cache: a file that is not one any more is started again.
            for suffix in ("", "-wal", "-shm"):
                Path(f"{path}{suffix}").unlink(missing_ok=True)
            self._open(path)

    def _open(self, path: Path) -> None:
        self._db = sqlite3.connect(path, timeout=30)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute("PRAGMA secure_delete=ON")
        columns = "key BLOB PRIMARY KEY, vector BLOB, crc INT"
        self._db.execute(f"CREATE TABLE IF NOT EXISTS vectors ({columns}) WITHOUT ROWID")

    def close(self) -> None:
        self._db.close()

    def _key(self, text: str) -> bytes:
        return bytes.fromhex(sha256(f"{self._embedder.fingerprint}\0{text}"))

    def _get(self, keys: Sequence[bytes]) -> dict[bytes, np.ndarray]:
        found = {}
        for start in range(0, len(keys), _PORTION):
            portion = keys[start : start + _PORTION]
            marks = ",".join("?" * len(portion))
            query = f"SELECT key, vector, crc FROM vectors WHERE key IN ({marks})"
            with closing(self._db.execute(query, portion)) as rows:
                for key, data, crc in rows:
                    if zlib.crc32(data) == crc and len(data) == 4 * self._embedder.dimension:
                        found[key] = np.frombuffer(data, dtype="<f4")
        return found

    def missing(self, texts: Sequence[str]) -> list[str]:
        """Those texts that have no vector yet, each once."""
        unique = {self._key(text): text for text in texts}
        found = self._get(list(unique))
        return [text for key, text in unique.items() if key not in found]

    def add(self, texts: Sequence[str], *, batch: int = 512) -> Iterator[int]:
        """Embed texts and keep their vectors, yielding how many are done after each batch (each is committed)."""
        # Sorting over all texts, not only inside a batch, is what makes batches of equal lengths.
        order = sorted(texts, key=len)
        for start in range(0, len(order), batch):
            part = order[start : start + batch]
            rows = []
            for text, vector in zip(part, self._embedder.embed(part), strict=True):
                data = np.ascontiguousarray(vector, dtype="<f4").tobytes()
                rows.append((self._key(text), data, zlib.crc32(data)))
            try:
                with self._db:
                    self._db.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", rows)
            except sqlite3.OperationalError as error:
                raise _failed(error) from error
            yield start + len(part)

    def keep_only(self, texts: Sequence[str]) -> None:
        """Erase every vector but those of these texts, for good."""
        try:
            with self._db:
                self._db.execute("CREATE TEMP TABLE kept (key BLOB PRIMARY KEY)")
                self._db.executemany("INSERT OR IGNORE INTO kept VALUES (?)", ((self._key(text),) for text in texts))
                self._db.execute("DELETE FROM vectors WHERE key NOT IN (SELECT key FROM kept)")
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.OperationalError as error:
            raise _failed(error) from error

    def vectors(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of texts that were added, float32 of shape (len(texts), dimension)."""
        keys = [self._key(text) for text in texts]
        found = self._get(keys)
        return np.stack([found[key] for key in keys]) if keys else np.empty((0, self._embedder.dimension), np.float32)
