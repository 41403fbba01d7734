"""Ingest against embedding alone, and against other frameworks: python bench/ingest.py --data FOLDER [--set xquad_en] …

Everybody reads the same files, embeds with the same embedder (the bundled MiniLM of this package, handed to each
framework as its own kind of embedder) and cuts passages of about the same length; the characters that each embedded and
what each keeps when the clock stops stand in its line. `--peers PYTHON` names an interpreter that has llama-index-core,
langchain-core, haystack-ai or txtai; those that it lacks are left out by name. Imports and the loading of the model are
not counted for anybody. Prints a table and, last, one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from tunewise.embeddings import load_embedder
from tunewise.index import passage_text
from tunewise.jobs.ingest import ingest, open_catalog
from tunewise.machine import machine, versions
from tunewise.questions import import_dataset

KEEPS = {
    "tunewise": "disk, synced and hashed: documents, passages, vectors, full text",
    "embedding alone": "memory: vectors",
    "llama-index": "memory: passages, vectors",
    "langchain": "memory: passages, vectors",
    "haystack": "memory: passages, vectors",
    "txtai": "memory: vectors; a temporary SQLite file, not synced: passages",
}
"""What is there when the clock stops, and where."""


def ours(documents: Path, tokens: int) -> tuple[dict[str, float], list[str]]:
    """Seconds of one ingest from nothing, and the texts that were embedded."""
    embedder = load_embedder("minilm")
    embedder.embed(["warm"])
    with tempfile.TemporaryDirectory() as place:
        result = ingest(documents, project=Path(place), embedder=embedder, tokens=tokens)
        with open_catalog(Path(place)) as catalog:
            texts = [passage_text(chunk) for chunk in catalog.chunks()]
    return {"seconds": result.seconds, "passages": len(texts), "characters": sum(map(len, texts))}, texts


def alone(texts: list[str]) -> float:
    """Seconds of embedding those texts and doing nothing else, in portions as an ingest does."""
    embedder = load_embedder("minilm")
    embedder.embed(["warm"])
    order = sorted(texts, key=len)
    started = time.perf_counter()
    for start in range(0, len(order), 512):
        embedder.embed(order[start : start + 512])
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--set", default="xquad_en")
    parser.add_argument("--tokens", type=int, default=120)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--peers", type=Path, help="an interpreter that has the other frameworks")
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="tunewise-bench-"))
    import_dataset(args.data / f"{args.set}.docs.jsonl", args.data / f"{args.set}.questions.jsonl", folder)
    documents = folder / "documents"
    with tempfile.TemporaryDirectory() as place:
        # Once, so that imports are not counted.
        ingest(documents, project=Path(place), embedder="hash")
    rows: dict[str, list[float]] = {"tunewise": [], "embedding alone": []}
    about: dict[str, dict[str, float]] = {}
    names = ["llama-index", "langchain", "haystack", "txtai"] if args.peers else []
    for _ in range(args.runs):
        # Alternating, so that a busy machine is busy for all of them.
        figures, texts = ours(documents, args.tokens)
        rows["tunewise"].append(figures.pop("seconds"))
        about["tunewise"] = figures
        rows["embedding alone"].append(alone(texts))
        for name in list(rows)[:2]:
            print(f"run: {name} {rows[name][-1]:.2f} s", flush=True)
        for name in names:
            command = [str(args.peers), str(Path(__file__).parent / "peers.py"), name, str(documents), str(args.tokens)]
            done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ.copy())
            if done.returncode:
                print(f"{name}: left out: {done.stderr.strip().splitlines()[-1] if done.stderr else done.returncode}")
                continue
            found = json.loads(done.stdout.splitlines()[-1])
            rows.setdefault(name, []).append(found.pop("seconds"))
            about[name] = found
            print(f"run: {name} {rows[name][-1]:.2f} s", flush=True)
    ratios = [whole / bare for whole, bare in zip(rows["tunewise"], rows["embedding alone"], strict=True)]
    summary = {}
    for name, seconds in rows.items():
        kept = about.get(name, about["tunewise"])
        middle = statistics.median(seconds)
        summary[name] = {
            "seconds": round(middle, 2), "all": [round(one, 2) for one in seconds], **kept,
            "characters_per_second": round(kept["characters"] / middle), "keeps": KEEPS[name],
        }
        print(f"{name:16} {middle:7.2f} s {kept['passages']:6} passages {kept['characters']:8} characters "
              f"{summary[name]['characters_per_second']:6} characters/s  {KEEPS[name]}")
    print(f"tunewise / embedding alone: {statistics.median(ratios):.3f} (target 1.15), runs "
          f"{', '.join(f'{one:.3f}' for one in ratios)}")
    print(json.dumps({
        "name": "ingest", "set": args.set, "figures": summary, "ratio": round(statistics.median(ratios), 3),
        "ratios": [round(one, 3) for one in ratios], "units": "seconds", "runs": args.runs, "machine": machine(),
        "versions": versions(),
    }))


if __name__ == "__main__":
    main()
