"""How long until the first words: python bench/first_token.py [--model gguf:smollm2 --model smollm2]. Real weights.

The first example's documents, the embedder `hash`, the approach `rag` with 3 passages; each question through the
server's own way (queue, retrieval, prompt, stream), one at a time, nothing cached but the template's opening. Prints
a table and, last, one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import psutil
from serving import percentile

from tunewise.jobs.answering import Answering
from tunewise.jobs.ingest import ingest_project
from tunewise.machine import machine, versions
from tunewise.project import load_project
from tunewise.questions import load_questions
from tunewise.server.desk import Delta, Desk, Done
from tunewise.server.principals import OWNER

EXAMPLE = Path(__file__).parent.parent / "examples" / "handbook"


async def measure(desk: Desk, questions: list[str]) -> dict[str, float]:
    """Seconds to the first delta and to the end, and the prompt's tokens."""
    first, whole, tokens = [], [], []
    for number, question in enumerate(questions):
        start, seen = time.perf_counter(), 0.0
        async for event in desk.ask(OWNER, question, approach="rag"):
            if isinstance(event, Delta) and not seen:
                seen = time.perf_counter() - start
            elif isinstance(event, Done) and number:
                # The first question warms up.
                first.append(seen)
                whole.append(time.perf_counter() - start)
                tokens.append(event.answer.tokens_in)
    return {
        "first_p50_s": round(statistics.median(first), 3), "first_p95_s": round(percentile(first, 0.95), 3),
        "whole_p50_s": round(statistics.median(whole), 3), "prompt_tokens": statistics.median(tokens),
        "questions": len(first),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", action="append")
    parser.add_argument("--questions", type=int, default=12)
    args = parser.parse_args()
    figures: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "handbook"
        shutil.copytree(EXAMPLE, root)
        for model in args.model or ["gguf:smollm2", "smollm2"]:
            flags = {"project.model": model, "project.embedder": "hash"}
            project = load_project(root, flags=flags)
            ingest_project(project, embedder="hash")
            asked = [q.question for q in load_questions(project.questions) if q.split == "validation"]
            answering = Answering(project)
            desk = Desk(answering, queue=8, batch=1, seconds=600)
            before = os.times()
            figures[model] = asyncio.run(measure(desk, asked[: args.questions + 1]))
            after = os.times()
            figures[model] |= {"cpu_seconds": round(after.user + after.system - before.user - before.system, 1)}
            desk.close()
            answering.close()
            print(f"{model:16} {figures[model]}", flush=True)
    print(json.dumps({"name": "first token", "figures": figures, "machine": machine(),
                      "load_average": psutil.getloadavg(), "versions": versions()}))


if __name__ == "__main__":
    main()
