"""Tokens per second and peak memory of training: ours against TRL's SFTTrainer at its defaults, on the same RAFT rows.

    python bench/training_speed.py [--rows 96] [--steps 6] [--per-passage 5] [--arms trl,ours,…]
    python bench/training_speed.py --curves --steps 16

The rows are RAFT rows of the example handbook; with --per-passage N, every N questions that stand in one document get
the passages of the first of them. Each arm runs in a process of its own. Tokens are those of the rows (prompt and
completion, no padding); a token that is computed once for several rows counts for each of them. Tokens per CPU second
are for machines that others use at the same time. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
ARMS = {
    "trl": "TRL's SFTTrainer, LoRA r 16 on all linear layers, its own defaults",
    "all": "ours, the same LoRA on all layers, rows apart",
    "all-shared": "ours, the same LoRA on all layers, prompts shared",
    "ours": "ours at its defaults (LoRA on the top half, frozen layers once, prompts shared)",
    "ours-apart": "ours at its defaults but rows apart",
}
CURVES = ("trl", "all")
"""Arms that train the same weights: with --curves they see the same rows in the same order, step by step."""


def rows_of(folder: Path, count: int, per_passage: int, seed: int = 0) -> list[Any]:
    """RAFT rows of the handbook, in a scratch project."""
    from tunewise.jobs.ingest import ingest_project
    from tunewise.jobs.library import library
    from tunewise.models import token_counter
    from tunewise.project import load_project
    from tunewise.questions import load_questions
    from tunewise.training import raft_rows

    shutil.copytree(ROOT / "examples" / "handbook", folder / "handbook")
    project = load_project(folder / "handbook")
    ingest_project(project)
    questions = [q for q in load_questions(project.questions) if q.split == "train" and q.answerable and q.gold]
    with library(project) as books:
        retrieve = books.retriever(project.retrieval, token_counter(project.model))
        if per_passage > 1:
            questions.sort(key=lambda q: (q.documents, q.gold[0].start))
            shown: dict[str, Any] = {}
            kept = []
            for start in range(0, len(questions), per_passage):
                group = [q for q in questions[start : start + per_passage] if q.documents == questions[start].documents]
                if len(group) == per_passage:
                    kept += group
                    hits = retrieve([group[0].question])[0]
                    shown |= {q.question: hits for q in group}
            while len(kept) < count:
                # Too few whole groups: the same passages with other questions, never the same row twice.
                kept += [replace(q, question=f"{q.question} ({len(kept)})") for q in kept[:per_passage]]
                shown |= {q.question: shown[kept[0].question] for q in kept[-per_passage:]}
            return raft_rows(kept[:count], lambda queries: [shown[q] for q in queries], lambda q: [])[0]
        while len(questions) < count:
            again = questions[: count - len(questions)]
            questions += [replace(q, question=f"{q.question} ({len(questions)})") for q in again]
        return raft_rows(questions[:count], retrieve, books.oracle)[0]


def run_trl(rows: list[Any], steps: int, folder: Path, model: str, *, ordered: bool) -> dict[str, Any]:
    """SFTTrainer as its documentation shows it: nothing set but what has to be (and our order, if `ordered`)."""
    import datasets
    import peft
    import torch
    import transformers
    import trl

    from tunewise.machine import peak_memory, reset_peak
    from tunewise.models.gpu import gpu_peak
    from tunewise.models.local import resolve
    from tunewise.training.encoding import encode
    from tunewise.training.sft import _order

    base = resolve(model)
    tokenizer = transformers.AutoTokenizer.from_pretrained(base)
    items = encode(rows, tokenizer, longest=8192)
    lengths = [len(item["input_ids"]) for item in items]
    if ordered:
        places = {id(item): place for place, item in enumerate(items)}
        rows = [rows[places[id(item)]] for item in _order(items, batch=8, rows=8 * steps, seed=0)]
    data = datasets.Dataset.from_list(
        [{"prompt": row.chat(), "completion": [{"role": "assistant", "content": row.completion}]} for row in rows]
    )
    reset_peak()
    trainer = trl.SFTTrainer(
        model=str(base),
        args=trl.SFTConfig(
            output_dir=str(folder / "trl"),
            max_steps=steps,
            logging_steps=1,
            report_to="none",
            disable_tqdm=True,
            use_cpu=not torch.cuda.is_available(),
            save_strategy="no",
            learning_rate=1e-3,
            warmup_steps=1,
            **({"train_sampling_strategy": "sequential"} if ordered else {}),
        ),
        train_dataset=data,
        processing_class=tokenizer,
        peft_config=peft.LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM"),
    )
    started, cpu = time.perf_counter(), time.process_time()
    trainer.train()
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    seen = steps * trainer.args.per_device_train_batch_size * sum(lengths) / len(lengths)
    losses = [log["loss"] for log in trainer.state.log_history if "loss" in log]
    if ordered:
        # Its mean is also over what the chat template writes behind the end of the answer (a line break), which costs
        # next to nothing to predict: the same sum, over the tokens that ours counts.
        losses = [loss * _more(rows[8 * step : 8 * step + 8], tokenizer) for step, loss in enumerate(losses)]
    return {
        "tokens_per_second": seen / seconds,
        "peak_gb": (gpu_peak() or peak_memory()) / 1e9,
        "seconds": seconds,
        "tokens": seen,
        "tokens_per_cpu_second": seen / cpu,
        "losses": losses,
        "trained_parameters": sum(p.numel() for p in trainer.model.parameters() if p.requires_grad),
    }


def _more(rows: list[Any], tokenizer: Any) -> float:
    """How many times as many tokens TRL takes for completions as `encode` does."""
    from tunewise.training.encoding import IGNORED, encode

    own = sum(label != IGNORED for item in encode(rows, tokenizer, longest=8192) for label in item["labels"])
    theirs = 0
    for row in rows:
        asked = tokenizer.apply_chat_template(row.chat(), tokenize=False, add_generation_prompt=True)
        whole = tokenizer.apply_chat_template(
            [*row.chat(), {"role": "assistant", "content": row.completion}], tokenize=False
        )
        theirs += len(tokenizer(whole, add_special_tokens=False)["input_ids"])
        theirs -= len(tokenizer(asked, add_special_tokens=False)["input_ids"])
    return theirs / own


def run_ours(rows: list[Any], steps: int, folder: Path, model: str, **settings: Any) -> dict[str, Any]:
    """`sft.train`, with the epochs that make as many rows pass as in the other arms."""
    from tunewise.store import read_json
    from tunewise.training import RECIPES
    from tunewise.training.sft import train

    wanted = RECIPES["raft"].but(
        {"patience": 0, "epochs": steps * 8 / len(rows), "trainer": {"logging_steps": 1}, **settings}
    )
    cpu = time.process_time()
    out = train(
        model,
        rows,
        folder=folder / "ours",
        settings=wanted,
        recipe="raft",
        note=lambda text: print("   ", text, flush=True),
    )
    cpu = time.process_time() - cpu
    about = read_json(out / "tunewise.json")
    return {
        # Loading, encoding and the frozen layers are in here as well.
        "tokens_per_cpu_second": about["tokens"] / cpu,
        "tokens_per_second": about["tokens"] / about["train_seconds"],
        "peak_gb": about["peak_memory_bytes"] / 1e9,
        "seconds": about["train_seconds"],
        "tokens": about["tokens"],
        "losses": [h["loss"] for h in about["history"]],
        "trained_parameters": about["trained_parameters"],
        "utilisation": about["utilisation"],
        "matrix_gflops": about["matrix_rate"] / 1e9,
        "computed_tokens": about["computed_tokens"],
        "estimate": about["estimate"],
        "within": about["within"],
        "whole_seconds": about["seconds"],
    }


def cut(folder: Path, layers: int) -> str:
    """A random model of the bundled one's shape with fewer layers: per layer it computes the same."""
    import transformers

    from tunewise.models.local import resolve

    base = resolve("smollm2")
    config = transformers.AutoConfig.from_pretrained(base)
    config.num_hidden_layers = layers
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(base).save_pretrained(folder)
    return str(folder)


SETTINGS = {
    "all": {"layers": 1.0, "share": False},
    "all-shared": {"layers": 1.0},
    "ours": {},
    "ours-apart": {"share": False},
}


def arm(name: str, rows: list[Any], steps: int, model: str, ordered: bool, pipe: Any) -> None:
    """One arm, in its own process."""
    with tempfile.TemporaryDirectory(prefix="tunewise-speed-") as scratch:
        place = Path(scratch)
        pipe.send(
            run_trl(rows, steps, place, model, ordered=ordered)
            if name == "trl"
            else run_ours(rows, steps, place, model, **SETTINGS[name])
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=96)
    parser.add_argument("--steps", type=int, default=6, help="steps of 8 rows of the TRL arm")
    parser.add_argument("--our-steps", type=int, default=24, help="steps of 8 rows of our arms")
    parser.add_argument("--per-passage", type=int, default=1)
    parser.add_argument("--layers", type=int, default=0, help="a random model of the bundled shape with so many layers")
    parser.add_argument("--arms", default=",".join(ARMS))
    parser.add_argument("--curves", action="store_true", help="compare losses step by step (arms trl and all)")
    args = parser.parse_args()
    if args.curves:
        args.arms, args.our_steps = ",".join(CURVES), args.steps
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    from tunewise.machine import machine, versions

    with tempfile.TemporaryDirectory(prefix="tunewise-speed-") as scratch:
        rows = rows_of(Path(scratch), args.rows, args.per_passage)
    shape = tempfile.mkdtemp(prefix="tunewise-shape-") if args.layers else ""
    model = cut(Path(shape), args.layers) if shape else "smollm2"
    figures: dict[str, dict[str, Any]] = {}
    context = multiprocessing.get_context("spawn")
    for name in args.arms.split(","):
        here, there = context.Pipe(duplex=False)
        steps = args.steps if name == "trl" else args.our_steps
        process = context.Process(target=arm, args=(name, rows, steps, model, args.curves, there))
        process.start()
        there.close()
        figures[name] = here.recv()
        process.join()
        one = figures[name]
        print(
            f"{name:11s} {one['tokens_per_second']:8.1f} tokens/s  "
            f"{one['tokens_per_cpu_second']:6.1f} tokens/CPU second  {one['peak_gb']:5.2f} GB  "
            f"{one.get('utilisation', 0):5.1%} of the matrix rate  "
            f"loss {one['losses'][0]:.3f} → {one['losses'][-1]:.3f}   {ARMS[name]}",
            flush=True,
        )
    if shape:
        shutil.rmtree(shape)
    if args.curves:
        pairs = list(zip(*(figures[name]["losses"] for name in CURVES), strict=True))
        apart = [abs(theirs - own) for theirs, own in pairs]
        print("loss of TRL / ours:", "  ".join(f"{theirs:.3f}/{own:.3f}" for theirs, own in pairs))
        print(f"mean distance {sum(apart) / len(apart):.4f}, largest {max(apart):.4f}")
    if "trl" in figures:
        for name, one in figures.items():
            if name != "trl":
                print(
                    f"{name}: {one['tokens_per_second'] / figures['trl']['tokens_per_second']:.2f} × TRL's tokens/s "
                    f"({one['tokens_per_cpu_second'] / figures['trl']['tokens_per_cpu_second']:.2f} × per CPU second), "
                    f"{one['peak_gb'] / figures['trl']['peak_gb']:.2f} × its memory"
                )
    print(
        json.dumps(
            {
                "name": "training speed",
                "rows": len(rows),
                "per_passage": args.per_passage,
                "figures": figures,
                "units": "tokens/s, GB",
                "runs": 1,
                "machine": machine(),
                "versions": versions(),
            }
        )
    )


if __name__ == "__main__":
    main()
