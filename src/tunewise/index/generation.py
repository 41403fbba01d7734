"""Builds an index generation aside, checks it, and switches to it by one pointer in the catalog.

Knows nothing about searching. A kill at any point leaves the old generation answering; the next build goes on with the
vectors that were computed.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tunewise.catalog import Catalog, Generation
from tunewise.errors import Damaged, DataMistake, Failed
from tunewise.index import access, lexical, place
from tunewise.index.vectors import FILE, VectorCache, keep_only
from tunewise.nouns import Chunk, to_json
from tunewise.store import disk_errors, fingerprint, lock, sha256, sync_file, sync_folder, write_json

if TYPE_CHECKING:
    from tunewise.embeddings import Embedder

Progress = Callable[[str, int, int], None]

TABLE = "chunks"
FORMAT = 1
FLAT_BELOW = 20_000
"""Rows up to which every vector is compared; above, IVF_SQ (recall@10 .99 to 1.0 with refine_factor 4)."""
REFINE = 4
"""How many times as many candidates of the quantised index are compared again with their exact vectors."""
_ROWS = 20_000
"""Rows in one append: few appends keep queries quick, portions keep memory bounded."""
_SAMPLE = 200
_AT_ONCE = 8
"""Files that are synced at the same time."""
KNOWS, HOPELESS = 0.1, 0.4
"""Shares of unknown tokens: up to the first the dense leg has its full weight, from the second on none."""


def dense_weight(unknown: float) -> float:
    """Weight of the dense leg, 0 to .5, by the embedder's share of unknown tokens."""
    return round(0.5 * min(1.0, max(0.0, (HOPELESS - unknown) / (HOPELESS - KNOWS))), 3)


def build(
    catalog: Catalog, folder: Path, *, embedder: Embedder, progress: Progress | None = None, cache: Path | None = None,
    uri: str | None = None,
) -> Generation:
    """Bring the index in `folder` to what the catalog holds now, and let it answer.

    `uri`: object storage for its files ("": the folder itself; None: wherever they lay before).

    Only texts without a vector in the cache (`cache`, default: in `folder`) are embedded; an unchanged catalog returns
    its generation at once. The generation before stays for a rollback unless it holds a removed document.
    `DataMistake` when the catalog is empty; `Failed` when another process builds; `ConfigMistake` when an index of
    another project lies under the URI.
    """
    folder = Path(folder)
    with lock(folder / "writer.lock"):
        if uri is not None:
            place.settle(folder, uri)
        # Before hours of embedding, not after them.
        place.claim(folder)
        chunks = list(catalog.chunks())
        if not chunks:
            raise DataMistake("there is nothing to index: the catalog holds no passages", tip="tunewise ingest FOLDER")
        identity = _fingerprint(chunks, embedder)
        id = identity[:16]
        found = next((one for one in catalog.generations() if one.id == id), None)
        if found is not None and _is_sound(folder, found):
            catalog.switch(id)
        else:
            found = _build(catalog, folder, id, identity, chunks, embedder, progress, cache)
        _drop_old(catalog, folder, found, lambda: keep_only(
            _cache(folder, cache), embedder, [lexical.passage_text(chunk) for chunk in chunks]))
        return found


def _build(
    catalog: Catalog, folder: Path, id: str, identity: str, chunks: list[Chunk], embedder: Embedder,
    progress: Progress | None, cache: Path | None,
) -> Generation:
    tell = progress or (lambda phase, done, total: None)
    vectors = VectorCache(_cache(folder, cache), embedder)
    aside = folder / f".building-{id}"
    try:
        with disk_errors(folder):
            missing = vectors.missing([lexical.passage_text(chunk) for chunk in chunks])
            for done in vectors.add(missing):
                tell("embed", done, len(missing))
            shutil.rmtree(aside, ignore_errors=True)
            _write_table(aside, chunks, vectors, embedder.dimension, tell)
    finally:
        vectors.close()
    unknown = _unknown_shares(chunks, embedder)
    weight = max(dense_weight(share) for share in unknown.values())
    hashes = _hash_and_sync(aside)
    generation = Generation(
        id=id, fingerprint=identity, embedder=embedder.name, embedder_fingerprint=embedder.fingerprint,
        precision=embedder.precision, dimension=embedder.dimension, lexical=lexical.FINGERPRINT, chunks=len(chunks),
        documents=len({chunk.document for chunk in chunks}), unknown=unknown, dense_weight=weight,
        created=datetime.now(UTC).isoformat(), manifest="",
        notes=(vectors_note(len(chunks)), *_notes(unknown, embedder)),
    )
    content = {"format": FORMAT, "fingerprint": identity, "lexical": lexical.FINGERPRINT, "rows": len(chunks)}
    content |= {"files": hashes, "sizes": {name: (aside / name).stat().st_size for name in hashes}}
    manifest = write_json(aside / place.MANIFEST, {**content, "row": to_json(generation)})
    generation = replace(generation, manifest=manifest)
    place.publish(aside, folder, id)
    sync_folder(folder)
    catalog.add_generation(generation, [chunk.id for chunk in chunks])
    return generation


def _cache(folder: Path, cache: Path | None) -> Path:
    return Path(cache or folder) / FILE


def _fingerprint(chunks: list[Chunk], embedder: Embedder) -> str:
    content = [
        [c.id, c.document, c.revision, sha256(lexical.passage_text(c)), c.language, access.tokens(c.groups),
         *(c.parent or ())]
        for c in chunks
    ]
    return fingerprint([FORMAT, lexical.FINGERPRINT, embedder.fingerprint, content])


def _unknown_shares(chunks: list[Chunk], embedder: Embedder) -> dict[str, float]:
    """Share of unknown tokens by language, on at most 200 passages of each, taken evenly."""
    by_language: dict[str, list[str]] = {}
    for chunk in chunks:
        by_language.setdefault(chunk.language, []).append(chunk.text)
    return {
        language: round(embedder.unknown_share(texts[:: max(1, len(texts) // _SAMPLE)][:_SAMPLE]), 4)
        for language, texts in sorted(by_language.items())
    }


def vectors_note(rows: int) -> str:
    """What was derived for the vectors, and why."""
    if rows <= FLAT_BELOW:
        return f"{rows} passages: every vector is compared (exact; cells pay off above {FLAT_BELOW})"
    return (
        f"{rows} passages, more than {FLAT_BELOW}: vectors in cells (IVF_SQ), the best {REFINE} k compared exactly; "
        f"every vector for a reader of at most {FLAT_BELOW}"
    )


def _notes(unknown: dict[str, float], embedder: Embedder) -> tuple[str, ...]:
    notes = []
    for language, share in unknown.items():
        if share > 0.2:
            weight = dense_weight(share)
            effect = "is not used" if weight == 0 else f"counts {weight:g} instead of 0.5"
            notes.append(
                f"the embedder {embedder.name!r} does not know {share:.0%} of the tokens in language {language!r}: "
                f"its leg {effect} for such questions; full text carries them. Name an embedder for this language."
            )
    return tuple(notes)


# ------------------------------------------------------------------------------------------------ the table


def _write_table(aside: Path, chunks: list[Chunk], vectors: VectorCache, dimension: int, tell: Progress) -> None:
    import lancedb
    import pyarrow as pa
    from lancedb.index import FTS, IvfSq, LabelList

    schema = pa.schema(
        [
            ("id", pa.string()), ("access", pa.list_(pa.string())), ("words", pa.string()), ("codes", pa.string()),
            ("vector", pa.list_(pa.float32(), dimension)),
        ]
    )

    table = lancedb.connect(str(aside)).create_table(TABLE, schema=schema)
    for start in range(0, len(chunks), _ROWS):
        part = chunks[start : start + _ROWS]
        texts = [lexical.passage_text(chunk) for chunk in part]
        columns = [
            pa.array([chunk.id for chunk in part]),
            pa.array([access.tokens(chunk.groups) for chunk in part], pa.list_(pa.string())),
            pa.array([lexical.words(text) for text in texts]),
            pa.array([lexical.codes(text) for text in texts]),
            pa.FixedSizeListArray.from_arrays(pa.array(vectors.vectors(texts).ravel()), dimension),
        ]
        table.add(pa.Table.from_arrays(columns, schema=schema))
        tell("index", start + len(part), len(chunks))
    table.create_index("words", config=FTS(**lexical.WORDS))
    table.create_index("codes", config=FTS(**lexical.CODES))
    table.create_index("access", config=LabelList())
    if len(chunks) > FLAT_BELOW:
        table.create_index("vector", config=IvfSq(distance_type="cosine"))
    rows = table.count_rows()
    indexed = {tuple(index.columns): index.num_indexed_rows for index in table.list_indices()}
    for column in ("words", "codes"):
        if rows != len(chunks) or indexed.get((column,)) != len(chunks):
            raise Failed(
                f"the new index holds {rows} passages, {indexed} indexed, instead of {len(chunks)}", tip="run it again"
            )


def _hash_and_sync(folder: Path) -> dict[str, str]:
    """SHA-256 of every file by its path in the folder, after fsync (LanceDB itself never calls it)."""
    from concurrent.futures import ThreadPoolExecutor

    def one(path: Path) -> str:
        sync_file(path)
        return sha256(path)

    found = sorted(folder.rglob("*"))
    files = [path for path in found if not path.is_dir()]
    # A disk brings many files down together about as fast as one; whoever waits for each in turn waits for all.
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        hashes = dict(zip((path.relative_to(folder).as_posix() for path in files), pool.map(one, files), strict=True))
        for _ in pool.map(sync_folder, [folder, *(path for path in found if path.is_dir())]):
            pass
    return hashes


def check_files(folder: Path, generation: Generation, *, deep: bool = False) -> None:
    """`Damaged` unless every file of a generation is what its manifest says, and the manifest what the catalog says."""
    content = place.check(folder, generation.id, generation.manifest, deep=deep)
    row = to_json(replace(generation, manifest=""))
    if content.get("row", row) != row:
        raise Damaged(
            f"the catalog's row of the index generation {generation.id} is not what was built",
            tip="tunewise ingest builds it again (nothing is embedded twice)",
        )


def _is_sound(folder: Path, generation: Generation) -> bool:
    try:
        check_files(folder, generation)
    except Damaged:
        return False
    return True


def _drop_old(catalog: Catalog, folder: Path, current: Generation, forget: Callable[[], None]) -> None:
    """Keep the current generation and the one that answered before it; erase the rest, and what killed builds left.

    That is not always the newest of the others: after a rollback the newest is the one that was found bad. `forget` is
    called when passages of a removed document go with them.
    """
    others = [one for one in catalog.generations() if one.id != current.id]
    whole = [one.id for one in others if catalog.is_whole(one.id)]
    last = catalog.previous()
    # None is offered for a rollback whose files go with the place that they lie in.
    there = [id for id in whole if place.holds(folder, id)]
    before = [last] if last in there else there[-1:]
    if len(whole) < len(others):
        # Texts can be guessed from their vectors. First, so that a kill in between lets it be done again.
        forget()
    catalog.drop_generations(one.id for one in others if one.id not in before)
    catalog.checkpoint()
    place.erase_all_but(folder, {current.id, *before})
