"""What the server adds, and what it holds: python bench/server.py [--requests 400]. No weights are needed (echo model).

Overhead: the same question by HTTP and by the callable behind it, in turn, on one connection; the difference of each
pair. Load: 50 streams at once, each about an article of its own, and 200 requests more while the queue is full. Prints
a table and, last, one JSON object.
"""

from __future__ import annotations

import argparse
import http.client
import json
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path

import httpx
import psutil
from serving import percentile, project_of, served

from tunewise.jobs.answering import Asked, content
from tunewise.machine import machine, versions
from tunewise.models.echo import Echo

STREAMS, MORE = 50, 200


def overhead(address: str, app: object, requests: int) -> dict[str, float]:
    """Milliseconds that HTTP, queue, audit log and citations add to the callable."""
    answering = app.state.house.answering  # type: ignore[attr-defined]
    approach = answering.project.approach("rag")
    direct, whole, added = [], [], []
    # The library's plain client: what a richer one spends on a request is not the server's.
    with closing(http.client.HTTPConnection(address.removeprefix("http://"), timeout=60)) as client:
        for number in range(requests + 20):
            question = f"How many grams weighs article {number % 60}?"
            start = time.perf_counter()
            answering.answer(approach, [Asked(question, None)])
            middle = time.perf_counter()
            body = {"model": "tunewise/rag", "messages": [{"role": "user", "content": question}]}
            client.request("POST", "/v1/chat/completions", json.dumps(body), {"content-type": "application/json"})
            reply = client.getresponse()
            if reply.status != 200 or not json.loads(reply.read())["choices"]:
                raise SystemExit(f"the server answered {reply.status}")
            end = time.perf_counter()
            if number >= 20:
                direct.append(middle - start)
                whole.append(end - middle)
                added.append(end - middle - (middle - start))
    figures = {"callable": direct, "served": whole, "overhead": added}
    return {
        f"{name}_p{round(share * 100)}_ms": round(1000 * percentile(values, share), 2)
        for name, values in figures.items() for share in (0.5, 0.95)
    }


def _question(number: int) -> str:
    return f"How many grams weighs article {number}?"


def load(address: str, app: object) -> dict[str, object]:
    """50 streams at once, and 200 requests while they fill the queue."""
    gate = threading.Event()
    plain = Echo.generate
    answering = app.state.house.answering  # type: ignore[attr-defined]
    approach = answering.project.approach("rag-k1")
    # What each would be told alone: the fake's retrieval need not be right, the answers must not be mixed up.
    alone = {
        n: content(approach, answering.answer(approach, [Asked(_question(n), None)])[0], _question(n))
        for n in range(STREAMS)
    }

    def slow(self: Echo, prompts: list, decoding: object) -> list:
        gate.wait(60)
        time.sleep(0.02)
        return plain(self, prompts, decoding)

    Echo.generate = slow  # type: ignore[method-assign]
    process = psutil.Process()
    before = process.memory_info().rss
    said: dict[int, str] = {}

    def one(number: int) -> None:
        body = {"model": "tunewise/rag-k1", "stream": True,
                "messages": [{"role": "user", "content": _question(number)}]}
        text = httpx.post(f"{address}/v1/chat/completions", json=body, timeout=120).text
        chunks = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
        said[number] = "".join(c["choices"][0]["delta"].get("content", "") for c in chunks if c.get("choices"))

    threads = [threading.Thread(target=one, args=(number,)) for number in range(STREAMS)]
    for thread in threads:
        thread.start()
    while app.state.house.desk.inside < STREAMS:  # type: ignore[attr-defined]
        time.sleep(0.01)
    codes: dict[int, int] = {}
    with httpx.Client(base_url=address, timeout=60) as client:
        body = {"model": "tunewise/rag-k1", "messages": [{"role": "user", "content": "What weighs 1 gram?"}]}
        start = time.perf_counter()
        for _ in range(MORE):
            code = client.post("/v1/chat/completions", json=body).status_code
            codes[code] = codes.get(code, 0) + 1
        refusing = time.perf_counter() - start
    peak = process.memory_info().rss
    gate.set()
    for thread in threads:
        thread.join(120)
    Echo.generate = plain  # type: ignore[method-assign]
    right = sum(text == alone[n] for n, text in said.items())
    return {
        "streams": STREAMS, "streams_right": right, "different_answers": len(set(alone.values())),
        "more": MORE, "more_status": codes,
        "refusal_ms": round(1000 * refusing / MORE, 2), "memory_grown_mb": round((peak - before) / 1e6, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=400)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        texts = {f"article-{n}.md": f"# Article {n}\n\nArticle {n} weighs {1000 + n} grams.\n" for n in range(60)}
        project = project_of(Path(folder) / "project", texts, {})
        with served(project, queue=STREAMS, rate=1_000_000) as (address, app):
            figures: dict[str, object] = {**overhead(address, app, args.requests), **load(address, app)}
    for name, value in figures.items():
        print(f"{name:24} {value}")
    print(json.dumps({"name": "server", "figures": figures, "runs": args.requests, "machine": machine(),
                      "load_average": psutil.getloadavg(), "versions": versions()}, ensure_ascii=False))


if __name__ == "__main__":
    main()
