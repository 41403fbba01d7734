"""What measuring costs beside answering: overhead over pure generation, and the scoring of 10,000 answers.

    python bench/evaluation.py [--model smollm2] [--limit 48] [--answers 10000]

Overhead: `evaluate` (retrieval, prompts, citations, scores, rows with fsync) on the example handbook against the bare
`model.generate` on the very same prompts, in turn, several times. With `--model echo` only the absolute cost per answer
means anything. Prints a table and, last, one JSON object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

from tunewise.answers import make_ask
from tunewise.evaluation import evaluate
from tunewise.jobs.ingest import ingest_project
from tunewise.jobs.library import library
from tunewise.machine import machine, versions
from tunewise.models import Generated, load_model
from tunewise.nouns import Answer, Decoding
from tunewise.project import load_project
from tunewise.questions import load_questions
from tunewise.scorers import score
from tunewise.scorers.terminology import load_glossary

EXAMPLES = Path(__file__).parent.parent / "examples"


class Timed:
    """A model that notes how long its own `generate` took."""

    def __init__(self, model) -> None:
        self.model, self.name, self.identity = model, model.name, model.identity
        self.seconds = 0.0
        self.prompts: list[list[dict[str, str]]] = []

    def count_tokens(self, text: str) -> int:
        return self.model.count_tokens(text)

    def generate(self, prompts, decoding: Decoding) -> list[Generated]:
        start = time.perf_counter()
        try:
            return self.model.generate(prompts, decoding)
        finally:
            self.seconds += time.perf_counter() - start
            self.prompts += prompts


def overhead(example: str, model_name: str, limit: int, runs: int, scratch: Path) -> dict[str, float]:
    """Seconds of a whole evaluation and of the generation inside it (median over runs), and their ratio less one."""
    import shutil

    shutil.copytree(EXAMPLES / example, scratch / example, ignore=shutil.ignore_patterns(".tunewise"))
    project = load_project(scratch / example)
    embedder = "hash" if model_name == "echo" else project.embedder
    project = replace(project, embedder=embedder)
    ingest_project(project, embedder=embedder)
    questions = [q for q in load_questions(project.questions) if q.split == "test"][:limit]
    scored = partial(score, glossary=load_glossary(project.glossary) if project.glossary else ())
    approach = project.approach("rag")
    whole, inside = [], []
    with library(project) as books:
        model = Timed(load_model(model_name))
        retriever = books.retriever(approach.retrieval, model.count_tokens)
        ask = make_ask(replace(approach, index="x"), model=model, retriever=retriever)
        ask(questions[:2])
        for number in range(runs):
            model.seconds = 0.0
            start = time.perf_counter()
            evaluate(ask, questions, approach=approach, score=scored, folder=scratch / f"{example}-{number}",
                     identity={"run": number}, batch=32)
            whole.append(time.perf_counter() - start)
            inside.append(model.seconds)
    ratios = [all_ / pure - 1 for all_, pure in zip(whole, inside, strict=True)]
    return {"questions": len(questions), "seconds": statistics.median(whole), "generation": statistics.median(inside),
            "overhead": statistics.median(ratios), "overhead_least": min(ratios), "overhead_most": max(ratios),
            "milliseconds_per_answer": 1000 * statistics.median(a - b for a, b in zip(whole, inside, strict=True))
            / len(questions)}


def scoring(example: str, answers: int, scratch: Path) -> float:
    """Seconds of CPU to score so many answers of the example, with passages, glossary and citations."""
    project = load_project(scratch / example)
    glossary = load_glossary(project.glossary) if project.glossary else ()
    questions = load_questions(project.questions)
    project = replace(project, embedder="hash")
    ingest_project(project, embedder="hash")
    with library(project) as books:
        echo = load_model("echo")
        retriever = books.retriever(project.retrieval, echo.count_tokens)
        made: list[Answer] = make_ask(replace(project.approach("rag"), index="x"), model=echo, retriever=retriever)(
            questions
        )
    start = time.process_time()
    for number in range(answers):
        place = number % len(questions)
        score(questions[place], made[place], glossary=glossary)
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--limit", type=int, default=48)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--answers", type=int, default=10_000)
    args = parser.parse_args()
    figures = {}
    with tempfile.TemporaryDirectory(prefix="tunewise-bench-") as name:
        for example in ("handbook", "handbook-zh"):
            found = overhead(example, args.model, args.limit, args.runs, Path(name))
            found["scoring_seconds"] = scoring(example, args.answers, Path(name))
            figures[example] = {key: round(value, 4) for key, value in found.items()}
            print(f"{example}: {found['seconds']:.2f} s for {found['questions']} answers, {found['generation']:.2f} s "
                  f"of them generation: overhead {found['overhead']:.1%} "
                  f"({found['overhead_least']:.1%} to {found['overhead_most']:.1%}), "
                  f"{found['milliseconds_per_answer']:.1f} ms an answer; "
                  f"{args.answers} answers scored in {found['scoring_seconds']:.1f} s of CPU", flush=True)
    print(json.dumps({"name": "evaluation", "model": args.model, "figures": figures, "units": "seconds, shares",
                      "runs": args.runs, "machine": machine(), "versions": versions()}, ensure_ascii=False))


if __name__ == "__main__":
    main()
