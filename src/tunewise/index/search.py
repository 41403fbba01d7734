"""Searches one generation, dense and lexical, inside the reader's access groups.

Knows nothing about embedders, fusion or models. The table yields ids and scores only: passages come from the catalog,
so that a removed document is gone and a new restriction holds from the moment the catalog has it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tunewise.catalog import Catalog
from tunewise.errors import Damaged, DataMistake
from tunewise.index import access, lexical, place
from tunewise.index.generation import FLAT_BELOW, REFINE, TABLE, check_files
from tunewise.nouns import Chunk

_EXTRA = 10
"""Rows asked for beyond k, to make up for those that the catalog withholds."""


def probes(rows: int, readable: int) -> int:
    """How many cells a search looks into: 20 at 100,000 rows, more where there are more and where a filter thins them.

    Measured recall@10 at 1,000,000 rows: .945 with 20, .996 with 60; where 1 % is readable .955 with 60, 1.0 with 120.
    """
    return max(20, round(20 * (rows / 100_000) ** 0.5 * (rows / readable) ** 0.15))


class Index:
    """One generation (default: the current one), opened after its files were checked against their hashes.

    `DataMistake` when nothing was built; `Damaged` when a file is not what was built, or was built by other settings.
    """

    def __init__(self, catalog: Catalog, folder: Path, generation: str | None = None, *, deep: bool = False) -> None:
        import lancedb

        kept = {one.id: one for one in catalog.generations()}
        found = catalog.current() if generation is None else kept.get(generation)
        if found is None:
            if generation is None:
                raise DataMistake("there is no index yet", tip="tunewise ingest FOLDER")
            raise DataMistake(
                f"there is no index generation {generation!r}", tip=f"kept are: {', '.join(kept) or 'none'}"
            )
        if found.lexical != lexical.FINGERPRINT:
            raise Damaged(
                f"the index generation {found.id} was built with another tokenizer",
                tip="tunewise ingest builds it again",
            )
        check_files(Path(folder), found, deep=deep)
        self.generation = found
        self.catalog = catalog
        self.fingerprint = found.fingerprint
        self.embedder_fingerprint = found.embedder_fingerprint
        self.dense_weight = found.dense_weight
        self._table: Any = lancedb.connect(place.address(Path(folder), found.id)).open_table(TABLE)
        self._rows = found.chunks
        self._readable: dict[str | None, int] = {None: found.chunks}

    def search_dense(
        self, vector: np.ndarray, k: int, *, groups: Collection[str] | None = None
    ) -> list[tuple[Chunk, float]]:
        """The k passages nearest to a normalised vector, with their cosine, best first.

        `groups`: None = no filter (the project's owner), () = public passages only, else public ones and those of these
        groups. ValueError when the vector has another dimension.
        """
        return self.search_both(vector, None, k, groups=groups)[0]

    def search_lexical(
        self, text: str, k: int, *, groups: Collection[str] | None = None
    ) -> list[tuple[Chunk, float]]:
        """The k passages with the highest BM25 for the text, with their scores, best first; `groups` as above."""
        return self.search_both(None, text, k, groups=groups)[1]

    def search_both(
        self, vector: np.ndarray | None, text: str | None, k: int, *, groups: Collection[str] | None = None
    ) -> tuple[list[tuple[Chunk, float]], list[tuple[Chunk, float]]]:
        """(`search_dense`, `search_lexical`) of one question; the catalog is asked once for the passages of both.

        None: that side is not searched.
        """
        near: list[tuple[str, float]] = []
        if vector is not None:
            vector = np.asarray(vector, dtype=np.float32)
            if vector.shape != (self.generation.dimension,):
                raise ValueError(f"a vector of {self.generation.dimension} numbers is needed, got shape {vector.shape}")
            query = self._table.search(vector, query_type="vector", vector_column_name="vector")
            query = query.distance_type("cosine")
            if self._rows > FLAT_BELOW:
                seen = self._count(access.where(groups))
                if seen > FLAT_BELOW:
                    query = query.nprobes(probes(self._rows, seen)).refine_factor(REFINE)
                else:
                    # Cells of which a reader may see a hundredth are mostly looked into in vain.
                    query = query.bypass_vector_index()
            near = [(id, 1.0 - distance) for id, distance in self._run(query, k, groups, "_distance")]
        ask = None if text is None else lexical.query(text)
        worded = [] if ask is None else self._run(self._table.search(ask, query_type="fts"), k, groups, "_score")
        chunks = self.catalog.chunks_by_id(list(dict.fromkeys(id for id, _ in (*near, *worded))))
        readable = {id: chunk for id, chunk in chunks.items() if access.may_read(chunk, groups)}
        return _best(near, readable, k), _best(worded, readable, k)

    def _count(self, condition: str | None) -> int:
        """How many rows fulfil a filter; the table of a generation never changes, so each is counted once."""
        if condition not in self._readable:
            if len(self._readable) > 1000:
                self._readable = {None: self._rows}
            self._readable[condition] = self._table.count_rows(condition)
        return self._readable[condition]

    def _run(self, query: Any, k: int, groups: Collection[str] | None, score: str) -> list[tuple[str, float]]:
        if (condition := access.where(groups)) is not None:
            query = query.where(condition, prefilter=True)
        found = query.select(["id", score]).limit(k + _EXTRA).to_arrow()
        return list(zip(found["id"].to_pylist(), found[score].to_pylist(), strict=True))

    def held(self) -> list[str]:
        """The ids of all passages in the table, sorted."""
        return sorted(self._table.search().select(["id"]).limit(self._table.count_rows()).to_arrow()["id"].to_pylist())

    def vectors(self, ids: Sequence[str]) -> np.ndarray:
        """The stored vectors of passages that this generation holds, float32 of shape (len(ids), dimension)."""
        if not ids:
            return np.empty((0, self.generation.dimension), np.float32)
        quoted = ", ".join("'" + id.replace("'", "''") + "'" for id in ids)
        rows = self._table.search().where(f"id IN ({quoted})").select(["id", "vector"]).limit(len(ids)).to_arrow()
        flat = np.asarray(rows["vector"].combine_chunks().flatten(), dtype=np.float32)
        place = {id: n for n, id in enumerate(rows["id"].to_pylist())}
        return flat.reshape(-1, self.generation.dimension)[[place[id] for id in ids]]

    def parents(self, chunks: Sequence[Chunk]) -> dict[str, Chunk]:
        """{id of a chunk: the passage to read for it}: its parent's exact span, or itself where there is none."""
        found: dict[str, Chunk] = {}
        for chunk in chunks:
            span = chunk.parent and self.catalog.span(chunk.document, chunk.revision, *chunk.parent)
            if not (chunk.parent and span):
                # Its document has another revision by now: the small passage is whole, the large one is gone.
                found[chunk.id] = chunk
                continue
            start, end = chunk.parent
            found[chunk.id] = replace(
                chunk, id=f"{chunk.document}@{chunk.revision[:12]}#{start}-{end}", start=start, end=end, text=span[0],
                page=span[1], parent=None,
            )
        return found


def _best(rows: list[tuple[str, float]], chunks: dict[str, Chunk], k: int) -> list[tuple[Chunk, float]]:
    # Equal scores in a fixed order: the same question must find the same passages on every machine.
    found = [(chunks[id], score) for id, score in rows if id in chunks]
    return sorted(found, key=lambda pair: (-pair[1], pair[0].id))[:k]
