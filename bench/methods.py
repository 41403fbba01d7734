"""Every method of fine-tuning on the example, measured on the same held-out questions.

    python bench/methods.py [--folder SCRATCH] [--limit 60] [--approaches raft,dora,…] [--train 199] [--epochs 2]
                            [--forgetting mc_one.jsonl mc_two.jsonl]

Works in a copy of examples/handbook, goes on where it was stopped (same --folder), prints the table of `compare`
and, last, one JSON object: quality with its interval, trained parameters, tokens/s, peak memory, minutes.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path

from tunewise import reports
from tunewise.jobs.compare import compare
from tunewise.jobs.ingest import ingest_project
from tunewise.machine import machine, versions
from tunewise.nouns import to_json
from tunewise.project import load_project
from tunewise.questions import load_questions, save_questions
from tunewise.store import read_json, write_text

ROOT = Path(__file__).parent.parent
APPROACHES = {
    "zero-shot": 'prompt = "answer"',
    "rag": "index = true",
    "raft": 'index = true\nrecipe = "raft"',
    "raft-full": 'index = true\nrecipe = "raft"\nmethod = "full"',
    "raft-rslora": 'index = true\nrecipe = "raft"\nmethod = "rslora"',
    "raft-dora": 'index = true\nrecipe = "raft"\nmethod = "dora"',
    "raft-pissa": 'index = true\nrecipe = "raft"\nmethod = "pissa"',
    "raft-olora": 'index = true\nrecipe = "raft"\nmethod = "olora"',
    "raft-eva": 'index = true\nrecipe = "raft"\nmethod = "eva"',
    "raft-ia3": 'index = true\nrecipe = "raft"\nmethod = "ia3"',
    "raft-prompt": 'index = true\nrecipe = "raft"\nmethod = "prompt-tuning"',
    "raft-prefix": 'index = true\nrecipe = "raft"\nmethod = "prefix-tuning"',
    "raft-p-tuning": 'index = true\nrecipe = "raft"\nmethod = "p-tuning"',
    "hybrid": 'index = true\nrecipe = "hybrid"',
    "dap": 'prompt = "answer"\nrecipe = "dap"',
    "lora-sft": 'recipe = "sft"',
    "dap-sft": 'recipe = "sft"\nparent = "dap"',
    "dpo": 'index = true\nrecipe = "dpo"\nparent = "raft"',
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--limit", type=int, default=60)
    parser.add_argument("--train", type=int, default=None, help="only so many training questions")
    parser.add_argument("--epochs", type=float, default=2)
    parser.add_argument("--forgetting", type=Path, nargs="+", default=[], help="files mc_*.jsonl, 100 items each")
    parser.add_argument("--approaches", default=",".join(APPROACHES))
    args = parser.parse_args()
    folder = args.folder or Path(tempfile.mkdtemp(prefix="tunewise-methods-"))
    if not (folder / "tunewise.toml").is_file():
        shutil.copytree(ROOT / "examples" / "handbook", folder, dirs_exist_ok=True)
    names = args.approaches.split(",")
    sets = [str(path.resolve()) for path in args.forgetting]
    general = f"[forgetting]\nsets = {sets}\nlimit = 100\n" if sets else ""
    wanted = general + "\n".join(f"[approaches.{name}]\n{APPROACHES[name]}\nmax_new_tokens = 28" for name in names)
    write_text(
        folder / "tunewise.toml",
        '[project]\nname = "methods"\nglossary = "glossary.jsonl"\n[chunks]\ntokens = 80\n[retrieval]\nk = 3\n'
        f"[training.raft]\nepochs = {args.epochs}\n[training.hybrid]\nepochs = {args.epochs}\n{wanted}\n",
    )
    if args.train is not None:
        questions = load_questions(folder / "questions.jsonl")
        learned = [q for q in questions if q.split == "train"]
        step = max(1, len(learned) // args.train)
        kept = {q.id for q in learned[::step][: args.train]}
        save_questions(folder / "questions.jsonl", [q for q in questions if q.split != "train" or q.id in kept])
    project = load_project(folder)
    ingest_project(project)
    result = compare(
        project,
        limit=args.limit,
        note=lambda text: print("   ", text, flush=True),
        on_standing=lambda standing: print(reports.row(standing), flush=True),
    )
    print(reports.terminal(result.comparison, result.recommendation, needs=project.needs, wide=True))
    figures = {}
    for standing in result.comparison.standings:
        one = {name: [round(v, 4) for v in (e.mean, e.low, e.high)] for name, e in standing.metrics.items()}
        if standing.approach.adapter:
            about = read_json(folder / ".tunewise" / "adapters" / standing.approach.adapter / "tunewise.json")
            one |= {
                "trained_parameters": about["trained_parameters"],
                "tokens_per_second": round(about["tokens"] / about["train_seconds"], 1),
                "peak_gb": round(about["peak_memory_bytes"] / 1e9, 2),
                "minutes": round(about["seconds"] / 60, 1),
                "utilisation": round(about["utilisation"], 3),
                "within_estimate": about["within"],
            }
        if standing.forgetting:
            one["forgetting"] = to_json(standing.forgetting)
        figures[standing.approach.name] = one
    print(
        json.dumps(
            {
                "name": "methods on the handbook",
                "questions": len(result.comparison.questions),
                "figures": figures,
                "units": "shares, tokens/s, GB, minutes",
                "runs": 1,
                "machine": machine(),
                "versions": versions(),
            },
            ensure_ascii=False,
        )
    )


if __name__ == "__main__":
    main()
