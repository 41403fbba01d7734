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
import tempfile
import time
from pathlib import Path

import approaches
import public_sets

from tunewise import reports
from tunewise.jobs.compare import compare
from tunewise.jobs.ingest import ingest_project
from tunewise.machine import machine, versions
from tunewise.project import load_project
from tunewise.store import write_text

DEFAULT = "zero-shot,rag,lora-sft,lora-sft-rag,raft"


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
    parser.add_argument("--approaches", default=DEFAULT, help="of " + ", ".join(approaches.NAMES))
    args = parser.parse_args()
    folder = args.folder or Path(tempfile.mkdtemp(prefix="tunewise-bench-"))
    counts = public_sets.prepare(args.data, args.set, folder, train=args.train, limit=args.limit)
    public_sets.write_settings(folder, args.set, approaches.blocks(args.approaches.split(","), max_new_tokens=32),
                               model=args.model, embedder=args.embedder, seeds=args.seeds, k=args.k, epochs=args.epochs)
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
