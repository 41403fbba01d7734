"""The main job on public question sets.

    python bench/compare.py --data FOLDER --set xquad_en [--limit 120] [--train 320] [--seeds 3]

Sets tried: xquad_en, xquad_zh, squad2_en, cmrc2018_zh, pubmedqa_en (yes / no / maybe), tatqa_en (tables and numbers). A
dry run in seconds, without weights: --model echo --embedder hash --approaches zero-shot,rag --limit 20.

FOLDER holds X.docs.jsonl and X.questions.jsonl (the schema of `tunewise questions import`). Works in a scratch folder,
prints the table, the recommendation and, last, one JSON object with figures, machine and versions.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from tunewise import reports
from tunewise.jobs.compare import compare
from tunewise.jobs.ingest import ingest_project
from tunewise.machine import machine, versions
from tunewise.project import load_project
from tunewise.questions import find_leaks, import_dataset, load_questions, save_questions
from tunewise.store import write_text

TOML = """\
[project]
name = "{name}"
model = "{model}"
embedder = "{embedder}"
[chunks]
tokens = {tokens}
[compare]
seeds = {seeds}
[retrieval]
k = {k}
[training]
epochs = {epochs}
[training.sft]
epochs = 2
{approaches}
"""
ASKED_WITH = {"pubmedqa_en": " Answer yes, no or maybe."}
"""What a set's questions leave unsaid: nobody can guess that a single word is wanted."""
TOKENS = {"tatqa_en": 240}
"""Passages of a length of their own: a table is of little use in pieces of three rows."""
APPROACHES = {
    "zero-shot": 'prompt = "answer"\nmax_new_tokens = 32',
    "rag": "index = true\nmax_new_tokens = 32",
    "lora-sft": 'recipe = "sft"\nmax_new_tokens = 32',
    "lora-sft-rag": 'index = true\nrecipe = "sft"\nmax_new_tokens = 32',
    "raft": 'index = true\nrecipe = "raft"\nmax_new_tokens = 32',
}


def prepare(data: Path, name: str, folder: Path, *, train: int, limit: int, seed: int = 0) -> dict[str, int]:
    """A project folder with `train` training questions that do not leak and `limit` test questions, drawn by `seed`."""
    import_dataset(data / f"{name}.docs.jsonl", data / f"{name}.questions.jsonl", folder)
    questions = load_questions(folder / "questions.jsonl")
    draw = random.Random(seed)
    test = [q for q in questions if q.split == "test"]
    test = draw.sample(test, min(limit, len(test)))
    learned = [q for q in questions if q.split == "train"]
    leaky = {a for a, _, _ in find_leaks(learned, test)}
    clean = [q for q in learned if q.id not in leaky]
    clean = draw.sample(clean, min(train, len(clean)))
    more = ASKED_WITH.get(name, "")
    save_questions(folder / "questions.jsonl", [replace(q, question=q.question + more) for q in (*clean, *test)])
    return {"train": len(clean), "test": len(test), "leaky_training_questions_left_out": len(leaky)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--set", required=True)
    parser.add_argument("--limit", type=int, default=120)
    parser.add_argument("--train", type=int, default=320)
    parser.add_argument("--epochs", type=float, default=1)
    parser.add_argument("--k", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--embedder", default="minilm")
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--approaches", default=",".join(APPROACHES))
    args = parser.parse_args()
    folder = args.folder or Path(tempfile.mkdtemp(prefix="tunewise-bench-"))
    counts = prepare(args.data, args.set, folder, train=args.train, limit=args.limit)
    wanted = "\n".join(f"[approaches.{name}]\n{APPROACHES[name]}" for name in args.approaches.split(","))
    toml = TOML.format(name=args.set, model=args.model, embedder=args.embedder, tokens=TOKENS.get(args.set, 120),
                       seeds=args.seeds, k=args.k, epochs=args.epochs, approaches=wanted)
    write_text(folder / "tunewise.toml", toml)
    project = load_project(folder)
    started = time.perf_counter()
    ingested = ingest_project(project)
    result = compare(project, on_standing=lambda standing: print(reports.row(standing), flush=True))
    print(reports.terminal(result.comparison, result.recommendation, needs=project.needs, wide=True))
    write_text(folder / "report.html", reports.html(result.comparison, result.recommendation, needs=project.needs))
    figures = {
        standing.approach.name: {
            **{name: [round(v, 4) for v in (e.mean, e.low, e.high)] for name, e in standing.metrics.items()},
            "seconds": standing.seconds_p50,
            "seed_sd": standing.seed_sd,
            "train_seconds": round(standing.cost.train_seconds, 1),
            "train_tokens_per_second": round(standing.cost.train_tokens / standing.cost.train_seconds, 1)
            if standing.cost.train_seconds
            else None,
            "train_memory_gb": round(standing.cost.train_memory_bytes / 1e9, 2),
        }
        for standing in result.comparison.standings
    }
    differences = {
        f"{d.a} - {d.b}": [round(d.mean, 4), round(d.low, 4), round(d.high, 4), d.verdict]
        for d in result.comparison.differences
        if d.metric == result.comparison.metric
    }
    print(
        json.dumps(
            {
                "name": f"compare {args.set}",
                "questions": counts,
                "chunks": ingested.generation.chunks,
                "figures": figures,
                "differences": differences,
                "choice": result.recommendation.choice,
                "support": result.recommendation.support,
                "minutes": round((time.perf_counter() - started) / 60, 1),
                "runs": args.seeds,
                "units": "shares and seconds",
                "machine": machine(),
                "versions": versions(),
            },
            ensure_ascii=False,
        )
    )


if __name__ == "__main__":
    main()
