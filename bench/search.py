"""What a search costs: python bench/search.py [--data FOLDER --set squad2_en] [--chunks 100000 …]

With --data: a warm hybrid search of the default settings against the embedding of its query plus the raw calls of the
store (both legs), question by question. With --chunks: an index of so many passages with made-up vectors (a mixture of
Gaussians in 384 dimensions) built by the product's own code: milliseconds of a dense search, of a full-text search, and
recall@10 against comparing all vectors, without a filter and with one that leaves 1 % of the passages. Prints a table
and, last, one JSON object.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import tempfile
import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from tunewise.catalog import Catalog
from tunewise.embeddings import HashEmbedder, load_embedder
from tunewise.index import Index, build, lexical
from tunewise.jobs.ingest import indexes_folder, ingest, open_catalog
from tunewise.machine import machine, versions
from tunewise.nouns import Chunk, Document, Retrieval
from tunewise.questions import import_dataset, load_questions
from tunewise.retrieval import make_retriever
from tunewise.store import sha256

DIMENSION = 384
_CENTRES = 2000
_IN_DOCUMENT = 1000


class Synthetic(HashEmbedder):
    """Vectors made up from a text's own number: the same text always gives the same vector."""

    name = "synthetic"
    dimension = DIMENSION
    fingerprint = sha256("synthetic 1")

    def __init__(self) -> None:
        self._centres = np.random.default_rng(1).standard_normal((_CENTRES, DIMENSION), dtype=np.float32)

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        vectors = np.empty((len(texts), DIMENSION), np.float32)
        for row, text in zip(vectors, texts, strict=True):
            code = zlib.crc32(text.encode())
            noise = np.random.Generator(np.random.SFC64(code)).standard_normal(DIMENSION, dtype=np.float32)
            row[:] = self._centres[code % _CENTRES] + noise
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def timed(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - started)


def spread(milliseconds: Sequence[float]) -> dict[str, float]:
    return {"p50": round(statistics.median(milliseconds), 2),
            "p95": round(statistics.quantiles(milliseconds, n=20)[-1], 2)}


def overhead(data: Path, name: str) -> dict[str, object]:
    """A search against its own parts on a public set."""
    folder = Path(tempfile.mkdtemp(prefix="tunewise-bench-"))
    import_dataset(data / f"{name}.docs.jsonl", data / f"{name}.questions.jsonl", folder)
    embedder = load_embedder("minilm")
    ingest(folder / "documents", project=folder, embedder=embedder)
    questions = [q.question for q in load_questions(folder / "questions.jsonl")][:300]
    whole, parts = [], []
    with open_catalog(folder) as catalog:
        index = Index(catalog, indexes_folder(folder))
        settings = Retrieval(budget=10**9)
        retrieve = make_retriever(index, embedder, settings)
        table, depth = index._table, max(20, 4 * settings.k) + 10

        def raw(question: str) -> None:
            vector = embedder.embed([question])[0]
            table.search(vector, query_type="vector", vector_column_name="vector").distance_type("cosine").select(
                ["id", "_distance"]).limit(depth).to_arrow()
            ask = lexical.query(question)
            if ask is not None:
                table.search(ask, query_type="fts").select(["id", "_score"]).limit(depth).to_arrow()

        for question in questions[:20]:
            retrieve([question])
            raw(question)
        for number, question in enumerate(questions):
            # Either goes first every other time: what is warm helps both alike.
            calls = [lambda q=question: retrieve([q]), lambda q=question: raw(q)]
            first = timed(calls[number % 2])
            second = timed(calls[1 - number % 2])
            whole.append(first if number % 2 == 0 else second)
            parts.append(second if number % 2 == 0 else first)
        passages = index.generation.chunks
    ratio = spread(whole)["p95"] / spread(parts)["p95"]
    return {"set": name, "passages": passages, "questions": len(questions), "search_ms": spread(whole),
            "embedding_and_raw_calls_ms": spread(parts), "ratio_p95": round(ratio, 3),
            "ratio_p50": round(spread(whole)["p50"] / spread(parts)["p50"], 3)}


def large(chunks: int, queries: int, folder: Path) -> dict[str, object]:
    """Speed and recall of one index of `chunks` made-up passages, kept in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    embedder = Synthetic()
    words = [f"word{n}" for n in range(20_000)]
    with Catalog(f"sqlite:///{folder / 'catalog.sqlite'}") as catalog:
        started = time.perf_counter()
        for first in () if catalog.current() else range(0, chunks, _IN_DOCUMENT):
            # One document in a hundred may be read by the group "rare", the others by "many".
            rare = (first // _IN_DOCUMENT) % 100 == 50 % max(1, min(100, chunks // _IN_DOCUMENT))
            catalog.put(*_document(first, min(_IN_DOCUMENT, chunks - first), words, "rare" if rare else "many"))
        filled = time.perf_counter() - started
        started = time.perf_counter()
        built = build(catalog, folder / "indexes", embedder=embedder)
        seconds = time.perf_counter() - started
        index = Index(catalog, folder / "indexes")
        everything = list(catalog.chunks())
        ids, groups = [c.id for c in everything], np.array([c.groups[0] == "rare" for c in everything])
        texts = [lexical.passage_text(c) for c in everything]
        del everything
        vectors = np.concatenate([embedder.embed(texts[n : n + 4096]) for n in range(0, len(texts), 4096)])
        asked = embedder.embed([f"question {n}" for n in range(queries)])
        # Near passages, as real questions are: a passage's vector, moved.
        chance = np.random.default_rng(2)
        near = vectors[chance.integers(0, len(vectors), queries)] + 0.5 * asked
        asked = near / np.linalg.norm(near, axis=1, keepdims=True)
        figures: dict[str, object] = {
            "passages": chunks, "fill_seconds": round(filled, 1), "build_seconds": round(seconds, 1),
            "derived": built.notes[0], "peak_memory_gb": round(
                resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2),
            "disk_mb": round(sum(f.stat().st_size for f in (folder / "indexes" / built.id).rglob("*")) / 1e6),
        }
        for name, held in (("all", None), ("1% filter", ("rare",))):
            mask = np.ones(len(ids), bool) if held is None else groups
            own = np.array(ids)[mask]
            near_all = vectors[mask]
            recall, dense, full = [], [], []
            for query in asked[:5]:
                index.search_dense(query, 10, groups=held)
            for number, query in enumerate(asked):
                scores = near_all @ query
                exact = set(own[np.argpartition(-scores, 10)[:10]])
                started = time.perf_counter()
                found = index.search_dense(query, 10, groups=held)
                dense.append(1000 * (time.perf_counter() - started))
                recall.append(len({chunk.id for chunk, _ in found} & exact) / 10)
                text = " ".join(words[(number * 37 + n * 911) % len(words)] for n in range(6))
                full.append(timed(lambda text=text, held=held: index.search_lexical(text, 10, groups=held)))
            figures[name] = {"share": round(float(mask.mean()), 4), "recall@10": round(float(np.mean(recall)), 4),
                             "dense_ms": spread(dense), "full_text_ms": spread(full), "queries": queries}
    return figures


def _document(first: int, count: int, words: list[str], group: str) -> tuple[Document, list[Chunk]]:
    chance = np.random.default_rng(first)
    lines = [f"Passage {first + n}: " + " ".join(words[w] for w in chance.zipf(1.3, 24) % len(words))
             for n in range(count)]
    text, id = "\n".join(lines), f"d{first:08}.txt"
    document = Document(id=id, text=text, title=id, revision=sha256(text), language="en", groups=(group,))
    chunks, start = [], 0
    for line in lines:
        end = start + len(line)
        chunks.append(Chunk(f"{id}#{start}-{end}", id, document.revision, start, end, line, title=id, language="en",
                            groups=(group,)))
        start = end + 1
    return document, chunks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--set", default="squad2_en")
    parser.add_argument("--chunks", type=int, action="append", default=[])
    parser.add_argument("--folder", type=Path, help="where the large indexes are kept; one that is there is searched")
    parser.add_argument("--queries", type=int, default=200)
    args = parser.parse_args()
    figures: dict[str, object] = {}
    if args.data:
        figures["overhead"] = overhead(args.data, args.set)
    for chunks in args.chunks:
        place = args.folder or Path(tempfile.mkdtemp(prefix="tunewise-bench-"))
        figures[f"{chunks} passages"] = large(chunks, args.queries, place / str(chunks))
    for name, found in figures.items():
        print(name)
        for key, value in found.items():  # type: ignore[attr-defined]
            print(f"  {key:28} {value}")
    print(json.dumps({"name": "search", "figures": figures, "units": "milliseconds, shares", "runs": 1,
                      "machine": machine(), "versions": versions()}))


if __name__ == "__main__":
    main()
