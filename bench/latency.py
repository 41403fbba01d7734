"""What a user waits for: python bench/latency.py [--project FOLDER]. Needs an ingested project with the bundled models.

`tunewise --help` as a whole process against a bare `python -c pass` of the same interpreter; a warm search; a warm
answer of the approach `rag`. Medians of several runs; prints a table and, last, one JSON object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tunewise.embeddings import load_embedder
from tunewise.jobs.ask import ask
from tunewise.jobs.library import library
from tunewise.machine import machine, versions
from tunewise.project import load_project
from tunewise.questions import load_questions


def timed(function: Callable[[], object], runs: int) -> dict[str, float]:
    """Seconds of `runs` calls: median and largest."""
    found = []
    for _ in range(runs):
        start = time.perf_counter()
        function()
        found.append(time.perf_counter() - start)
    return {"median": round(statistics.median(found), 4), "max": round(max(found), 4), "runs": runs}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--project", type=Path, default=Path("build/demo"))
    args = parser.parse_args()
    project = load_project(args.project)
    questions = [q.question for q in load_questions(project.questions) if q.split == "validation"]
    python = sys.executable
    figures: dict[str, object] = {
        "python -c pass": timed(lambda: subprocess.run([python, "-c", "pass"], check=True), 9),
        "tunewise --help": timed(
            lambda: subprocess.run([python, "-m", "tunewise", "--help"], check=True, capture_output=True), 9
        ),
    }
    embedder = load_embedder(project.embedder)
    with library(project) as books:
        retrieve = books.retriever(project.retrieval, lambda text: len(text) // 4)
        retrieve(questions[:1])
        asked = iter(questions * 10)
        figures["search, warm"] = timed(lambda: retrieve([next(asked)]), 40)
        figures["embedding of the query alone"] = timed(lambda: embedder.embed([next(asked)]), 40)
    ask(project, questions[0], approach="rag")
    asked_again = iter(questions)
    figures["ask with rag, warm"] = timed(lambda: ask(project, next(asked_again), approach="rag"), 12)
    for name, figure in figures.items():
        print(f"{name:32} {figure}")
    print(
        json.dumps(
            {"name": "latency", "figures": figures, "units": "seconds", "machine": machine(), "versions": versions()}
        )
    )


if __name__ == "__main__":
    main()
