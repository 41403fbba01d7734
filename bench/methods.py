"""Every method of fine-tuning on the example or on a public question set, all on the same held-out questions.

    python bench/methods.py [--folder SCRATCH] [--limit 60] [--approaches raft,dora,…] [--train 199] [--epochs 2]
                            [--forgetting mc_one.jsonl mc_two.jsonl] [--data FOLDER --set xquad_en]

Works in a copy of examples/handbook or of the set, goes on where it was stopped (same --folder), prints the table of
`compare` and, last, one JSON object: quality with its interval, trained parameters, tokens/s, peak memory, minutes.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path

import approaches
import public_sets

from tunewise import reports
from tunewise.jobs.compare import compare
from tunewise.jobs.ingest import ingest_project
from tunewise.machine import machine, versions
from tunewise.nouns import to_json
from tunewise.project import load_project
from tunewise.questions import load_questions, save_questions
from tunewise.store import read_json, write_text

ROOT = Path(__file__).parent.parent
DEFAULT = ("zero-shot", "rag", "raft", *(f"raft-{method}" for method in approaches.METHODS),
           "hybrid", "dap", "lora-sft", "dap-sft", "dpo")


def example(folder: Path, blocks: str, *, epochs: float, train: int | None) -> None:
    """A copy of the English example with these approaches and, when asked, only `train` of its training questions."""
    if not (folder / "tunewise.toml").is_file():
        shutil.copytree(ROOT / "examples" / "handbook", folder, dirs_exist_ok=True)
    write_text(
        folder / "tunewise.toml",
        '[project]\nname = "methods"\nglossary = "glossary.jsonl"\n[chunks]\ntokens = 80\n[retrieval]\nk = 3\n'
        f"[training.raft]\nepochs = {epochs}\n[training.hybrid]\nepochs = {epochs}\n{blocks}\n",
    )
    if train is not None:
        questions = load_questions(folder / "questions.jsonl")
        learned = [q for q in questions if q.split == "train"]
        step = max(1, len(learned) // train)
        kept = {q.id for q in learned[::step][:train]}
        save_questions(folder / "questions.jsonl", [q for q in questions if q.split != "train" or q.id in kept])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--limit", type=int, default=60)
    parser.add_argument("--train", type=int, default=None, help="only so many training questions")
    parser.add_argument("--epochs", type=float, default=2)
    parser.add_argument("--forgetting", type=Path, nargs="+", default=[], help="files mc_*.jsonl, 100 items each")
    parser.add_argument("--approaches", default=",".join(DEFAULT), help="of " + ", ".join(approaches.NAMES))
    parser.add_argument("--data", type=Path, default=None, help="where --set lies")
    parser.add_argument("--set", default=None, help="a public question set instead of the example: xquad_en …")
    args = parser.parse_args()
    folder = args.folder or Path(tempfile.mkdtemp(prefix="tunewise-methods-"))
    sets = [str(path.resolve()) for path in args.forgetting]
    general = f"[forgetting]\nsets = {sets}\nlimit = 100\n" if sets else ""
    wanted = general + approaches.blocks(args.approaches.split(","), max_new_tokens=32 if args.set else 28)
    if args.set:
        public_sets.prepare(args.data, args.set, folder, train=args.train or 320, limit=args.limit)
        public_sets.write_settings(folder, args.set, wanted, epochs=args.epochs)
    else:
        example(folder, wanted, epochs=args.epochs, train=args.train)
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
                "name": f"methods on {args.set or 'the example'}",
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
