"""Retrieval on public question sets: python bench/retrieval.py --data FOLDER --set xquad_zh [--set cmrc2018_zh …]

Dense, lexical and hybrid with default settings on the test questions, then hybrid with leg weights fitted on the
validation questions, with diversity, with parents (small passages searched, large ones read): recall@5, nDCG@10 and MRR
with 95 % intervals clustered by document, and recall@5 per 1,000 characters of context. Paired: hybrid minus the better
leg. With `--reranker NAME` ("likelihood:smollm2", or a cross-encoder) the hybrid's best 20 are reranked, on
`--rerank-limit N` of the questions taken evenly since it is slow, beside the hybrid on the same ones. The gate of
rag-adaptive: how many passages it gives, and recall, beside the fixed k. Then the milliseconds of a search against the
embedding of its query alone. `--quick` leaves out what is neither a leg, the hybrid nor reranked. Prints tables and,
last, one JSON object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tunewise.embeddings import Embedder, load_embedder
from tunewise.index import Index
from tunewise.jobs.fits import load_fit, make_fit
from tunewise.jobs.ingest import indexes_folder, ingest, open_catalog
from tunewise.jobs.library import Library
from tunewise.jobs.reranking import likelihood_reranker, scoring_model
from tunewise.machine import machine, versions
from tunewise.nouns import Question, Retrieval
from tunewise.questions import import_dataset, load_questions
from tunewise.retrieval import Fit, Reranker, load_reranker, make_retriever
from tunewise.scorers.retrieval import retrieval_scores
from tunewise.statistics import bootstrap_mean, paired
from tunewise.store import project_folder


def evenly(questions: Sequence[Question], limit: int) -> list[Question]:
    """At most `limit` of the questions, from the whole of the file: neighbours ask about one document."""
    return [questions[n * len(questions) // limit] for n in range(limit)] if limit < len(questions) else [*questions]


def named_reranker(name: str) -> Reranker:
    """The reranker, asked once for each question and passage however often it is measured."""
    model = scoring_model(name)
    inner = likelihood_reranker(model) if model else load_reranker(name)
    known: dict[tuple[str, str], float] = {}

    def rerank(question: str, passages: Sequence[str]) -> list[float]:
        new = [passage for passage in passages if (question, passage) not in known]
        known.update(zip([(question, passage) for passage in new], inner(question, new), strict=True))
        return [known[question, passage] for passage in passages]

    return rerank


def measure(data: Path, name: str, args: argparse.Namespace) -> dict[str, object]:
    """Figures of one set."""
    limit = args.limit
    folder = Path(tempfile.mkdtemp(prefix="tunewise-bench-"))
    import_dataset(data / f"{name}.docs.jsonl", data / f"{name}.questions.jsonl", folder)
    started = time.perf_counter()
    ingested = ingest(folder / "documents", project=folder)
    seconds = time.perf_counter() - started
    questions = [q for q in load_questions(folder / "questions.jsonl") if q.split == "test" and q.gold]
    questions = evenly(questions, limit)
    embedder = load_embedder("minilm")
    figures: dict[str, object] = {
        "documents": ingested.documents,
        "chunks": ingested.generation.chunks,
        "ingest_seconds": round(seconds, 1),
        "questions": len(questions),
        "dense_weight": ingested.generation.dense_weight,
    }
    clusters = [q.documents[0] for q in questions]
    known = [q for q in load_questions(folder / "questions.jsonl") if q.split != "test"]
    plain = Retrieval(budget=10**9)
    arms: dict[str, Retrieval] = {
        "dense": replace(plain, mode="dense"), "lexical": replace(plain, mode="lexical"), "hybrid": plain,
    }
    if not args.quick:
        arms |= {"hybrid, fitted": plain, "hybrid, diverse .3": replace(plain, diversity=0.3)}
    with open_catalog(folder) as catalog:
        index = Index(catalog, indexes_folder(folder))
        books = Library(catalog, index, embedder, project_folder(folder))
        fit = None
        if not args.quick:
            fit = load_fit(books.home, make_fit(books, plain, known))
            figures["fit"] = {"weights": fit.weights, "skip": fit.skip, "widen": fit.widen, "reasons": fit.reasons}
        values = {}
        for name, settings in arms.items():
            used = fit if name == "hybrid, fitted" else None
            figures[name], values[name] = quality(index, embedder, settings, questions, clusters, fit=used)
        better = max(("dense", "lexical"), key=lambda leg: sum(values[leg]))
        figures["hybrid minus better leg, nDCG@10"] = [better, gap(values["hybrid"], values[better], clusters)]
        if args.reranker:
            some = evenly(questions, min(args.rerank_limit, len(questions)))
            own = [q.documents[0] for q in some]
            figures["reranked questions"] = len(some)
            figures["hybrid, the same questions"], before = quality(index, embedder, plain, some, own)
            ordered = replace(plain, reranker=args.reranker)
            rerank = named_reranker(args.reranker)
            started = time.perf_counter()
            figures["hybrid, reranked"], after = quality(index, embedder, ordered, some, own, reranker=rerank)
            figures["reranking seconds a question"] = round((time.perf_counter() - started) / len(some), 2)
            figures["reranked minus hybrid, nDCG@10"] = gap(after, before, own)
        if args.quick:
            return figures
        everything = load_questions(folder / "questions.jsonl")
        asked = [q for q in everything if q.split == "test" and (q.gold or not q.answerable)][: 2 * limit]
        figures["gate"] = gate(books, asked, known)
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
    figures["hybrid, parents"] = parents(folder, embedder, questions, clusters)
    return figures


def quality(
    index: Index, embedder: Embedder, settings: Retrieval, questions: Sequence[Question], clusters: Sequence[str],
    *, fit: Fit | None = None, reranker: Reranker | None = None,
) -> tuple[dict[str, list[float]], list[float]]:
    """({metric: [mean, low, high]}, nDCG@10 of each question) of one way to search."""
    by: dict[str, list[float]] = {"recall@5": [], "ndcg@10": [], "mrr": [], "recall@5/1000 chars": []}
    for k in (5, 10):
        retrieve = make_retriever(index, embedder, replace(settings, k=k), fit=fit, reranker=reranker)
        for question, hits in zip(questions, retrieve([q.question for q in questions]), strict=True):
            scores = retrieval_scores(hits, question.gold)
            if k == 5:
                by["recall@5"].append(scores.get("recall", 0.0))
                by["recall@5/1000 chars"].append(scores.get("recall_per_1000_chars", 0.0))
            else:
                by["ndcg@10"].append(scores.get("ndcg", 0.0))
                by["mrr"].append(scores.get("mrr", 0.0))
    found = {}
    for metric, values in by.items():
        estimate = bootstrap_mean(values, clusters, seed=0)
        found[metric] = [round(v, 3) for v in (estimate.mean, estimate.low, estimate.high)]
    return found, by["ndcg@10"]


def gap(one: Sequence[float], two: Sequence[float], clusters: Sequence[str]) -> list[float] | str:
    """[mean, low, high] of the difference, question by question."""
    if list(one) == list(two):
        return "the same on every question"
    found = paired(one, two, clusters, seed=0)
    return [round(value, 3) for value in (found.mean, found.low, found.high)]


def gate(books: Library, asked: Sequence[Question], known: Sequence[Question]) -> dict[str, object]:
    """The adaptive gate on test questions with evidence and without, beside its fixed k of 3 and twice that."""
    settings = Retrieval(budget=10**9, gate="adaptive")
    settings = replace(settings, fit=make_fit(books, settings, known))
    fit = load_fit(books.home, settings.fit or "")
    found: dict[str, object] = {}
    for name, one in (("k 3", replace(settings, gate="always")), ("k 6", replace(settings, gate="always", k=6)),
                      ("adaptive", settings)):
        hits = make_retriever(books.index, books.embedder, one, fit=fit)([q.question for q in asked])
        gold = [(h, q) for h, q in zip(hits, asked, strict=True) if q.gold]
        none = [h for h, q in zip(hits, asked, strict=True) if not q.gold]
        found[name] = {
            "recall": round(statistics.mean(retrieval_scores(h, q.gold).get("recall", 0.0) for h, q in gold), 3),
            "characters": round(statistics.mean(sum(len(hit.chunk.text) for hit in h) for h in hits)),
            "skipped with evidence": sum(not h for h, _ in gold), "with evidence": len(gold),
            "skipped without evidence": sum(not h for h in none), "without evidence": len(none),
        }
    return found


def parents(folder: Path, embedder: Embedder, questions: Sequence[Question], clusters: Sequence[str]) -> object:
    """Children of 40 tokens searched, parents of 160 read."""
    with tempfile.TemporaryDirectory() as place:
        ingest(folder / "documents", project=Path(place), embedder=embedder, kind="parents", tokens=40)
        with open_catalog(Path(place)) as catalog:
            index = Index(catalog, indexes_folder(Path(place)))
            return quality(index, embedder, Retrieval(budget=10**9), questions, clusters)[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--set", action="append", required=True)
    parser.add_argument("--limit", type=int, default=10**9)
    parser.add_argument("--reranker", help="likelihood:smollm2, or a cross-encoder by folder or hub id")
    parser.add_argument("--rerank-limit", type=int, default=10**9)
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    figures = {}
    for name in args.set:
        figures[name] = measure(args.data, name, args)
        print(name)
        for key, value in figures[name].items():
            print(f"  {key:34} {value}")
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
