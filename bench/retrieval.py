"""Retrieval on public question sets: python bench/retrieval.py --data FOLDER --set xquad_zh [--set cmrc2018_zh …]

Dense, lexical and hybrid legs with default settings on the test questions: recall@5, nDCG@10 and MRR with 95 %
intervals, recall@5 per 1,000 characters of context, and the milliseconds of a search against the embedding of its query
alone.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

from tunewise.embeddings import load_embedder
from tunewise.index import Index
from tunewise.jobs.ingest import indexes_folder, ingest, open_catalog
from tunewise.machine import machine, versions
from tunewise.nouns import Retrieval
from tunewise.questions import import_dataset, load_questions
from tunewise.retrieval import make_retriever
from tunewise.scorers.retrieval import retrieval_scores
from tunewise.statistics import bootstrap_mean


def measure(data: Path, name: str, limit: int) -> dict[str, object]:
    """Figures of one set."""
    folder = Path(tempfile.mkdtemp(prefix="tunewise-bench-"))
    import_dataset(data / f"{name}.docs.jsonl", data / f"{name}.questions.jsonl", folder)
    started = time.perf_counter()
    ingested = ingest(folder / "documents", project=folder)
    seconds = time.perf_counter() - started
    questions = [q for q in load_questions(folder / "questions.jsonl") if q.split == "test" and q.gold][:limit]
    embedder = load_embedder("minilm")
    figures: dict[str, object] = {
        "documents": ingested.documents,
        "chunks": ingested.generation.chunks,
        "ingest_seconds": round(seconds, 1),
        "questions": len(questions),
        "dense_weight": ingested.generation.dense_weight,
    }
    clusters = [q.documents[0] for q in questions]
    with open_catalog(folder) as catalog:
        index = Index(catalog, indexes_folder(folder))
        for mode in ("dense", "lexical", "hybrid"):
            by: dict[str, list[float]] = {"recall@5": [], "ndcg@10": [], "mrr": [], "recall@5/1000 chars": []}
            for k in (5, 10):
                retrieve = make_retriever(index, embedder, Retrieval(mode=mode, k=k, budget=10**9))
                for question, hits in zip(questions, retrieve([q.question for q in questions]), strict=True):
                    scores = retrieval_scores(hits, question.gold)
                    if k == 5:
                        by["recall@5"].append(scores.get("recall", 0.0))
                        context = sum(len(hit.chunk.text) for hit in hits) / 1000
                        by["recall@5/1000 chars"].append(scores.get("recall", 0.0) / context if context else 0.0)
                    else:
                        by["ndcg@10"].append(scores.get("ndcg", 0.0))
                        by["mrr"].append(scores.get("mrr", 0.0))
            figures[mode] = {}
            for metric, values in by.items():
                estimate = bootstrap_mean(values, clusters, seed=0)
                figures[mode][metric] = [round(v, 3) for v in (estimate.mean, estimate.low, estimate.high)]  # type: ignore[index]
        retrieve = make_retriever(index, embedder, Retrieval(budget=10**9))
        whole, alone = [], []
        for question in questions[:100]:
            start = time.perf_counter()
            retrieve([question.question])
            whole.append(1000 * (time.perf_counter() - start))
            start = time.perf_counter()
            embedder.embed([question.question])
            alone.append(1000 * (time.perf_counter() - start))
        figures["search_ms_p50"] = round(statistics.median(whole), 1)
        figures["search_ms_p95"] = round(statistics.quantiles(whole, n=20)[-1], 1)
        figures["query_embedding_ms_p50"] = round(statistics.median(alone), 1)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--set", action="append", required=True)
    parser.add_argument("--limit", type=int, default=10**9)
    args = parser.parse_args()
    figures = {}
    for name in args.set:
        figures[name] = measure(args.data, name, args.limit)
        print(name)
        for key, value in figures[name].items():
            print(f"  {key:24} {value}")
    print(
        json.dumps(
            {
                "name": "retrieval",
                "figures": figures,
                "units": "shares, milliseconds, seconds",
                "runs": 1,
                "machine": machine(),
                "versions": versions(),
            }
        )
    )


if __name__ == "__main__":
    main()
