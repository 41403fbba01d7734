"""The probes of the server at full size: python bench/probes/server.py [--questions 5000]. No weights are needed.

AC2-3: 500 documents with canaries, 20 groups, readers with and without groups; every approach and every door; no canary
of a foreign group may come out. RE2-3: 500 slow clients and 200 dropped streams; others are answered meanwhile, and
what was dropped stops within 2 s. XS1: 300 payloads in titles, names, passages, questions; no answer that a browser
would execute. PI2: forged citations, all flagged. Prints a table and, last, one JSON object; exit code 1 on a failure.
"""

from __future__ import annotations

import argparse
import json
import random
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

sys.path.insert(0, str(Path(__file__).parent.parent))
from serving import percentile, project_of, served  # noqa: E402

from tunewise.machine import machine, versions  # noqa: E402
from tunewise.models import Generated  # noqa: E402
from tunewise.models.echo import Echo  # noqa: E402
from tunewise.server import open_state  # noqa: E402
from tunewise.server.guard import POLICY  # noqa: E402

DOCUMENTS, GROUPS, SLOW, DROPPED, PAYLOADS = 500, 20, 500, 200, 300


def canary(number: int) -> str:
    """A word that stands in one document only."""
    return f"canary{number:04d}x"


def leaks(address: str, secrets: dict[str, str], questions: int) -> dict[str, Any]:
    """Asked through every door; what came out of a foreign group."""
    chance = random.Random(0)
    found, asked = 0, 0
    clients = {
        name: httpx.Client(base_url=address, headers={"authorization": f"Bearer {secret}"}, timeout=60)
        for name, secret in secrets.items()
    }
    for _ in range(questions):
        number = chance.randrange(DOCUMENTS)
        name = chance.choice(list(secrets))
        own = name == f"group{number % GROUPS}"
        question = f"What is the code word of the {number}th vault?"
        door = chance.choice(("rag", "rag-k1", "zero-shot", "recommended", "stream", "search", "document", "delete"))
        client = clients[name]
        if door == "search":
            said = client.post("/v1/search", json={"query": f"{question} {canary(number)}", "k": 100}).text
        elif door == "document":
            said = client.get(f"/v1/documents/vault-{number}.md").text
        elif door == "delete":
            if own:
                continue
            said = client.delete(f"/v1/documents/vault-{number}.md").text
        else:
            body = {"model": f"tunewise/{'rag' if door == 'stream' else door}", "stream": door == "stream",
                    "messages": [{"role": "user", "content": question}]}
            said = client.post("/v1/chat/completions", json=body).text
        asked += 1
        foreign = [n for n in range(DOCUMENTS) if canary(n) in said and name != f"group{n % GROUPS}"]
        # A question that holds the word itself gives it back in no field of the search.
        found += bool(foreign)
    reached = clients["group3"].post("/v1/search", json={"query": canary(3)}).text.count(canary(3))
    return {"asked": asked, "leaks": found, "own_is_found": bool(reached)}


def slow_and_dropped(address: str, app: Any) -> dict[str, Any]:
    """Others' seconds while 500 clients dawdle, and how soon 200 dropped streams are over."""
    host, port = address.removeprefix("http://").split(":")
    body = {"model": "tunewise/rag", "messages": [{"role": "user", "content": "What is public?"}]}

    def others() -> list[float]:
        seconds = []
        with httpx.Client(base_url=address, timeout=60) as client:
            for _ in range(50):
                start = time.perf_counter()
                client.post("/v1/chat/completions", json=body, headers=HEADERS).raise_for_status()
                seconds.append(time.perf_counter() - start)
        return seconds

    before = others()
    dawdlers = []
    for number in range(SLOW):
        one = socket.create_connection((host, int(port)))
        head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        one.sendall(head if number % 2 else head + b"Content-Length: 900\r\n\r\n{")
        dawdlers.append(one)
    during = others()
    plain = Echo.generate

    def endless(self: Echo, prompts: list, decoding: object) -> list[Generated]:
        time.sleep(0.2)
        return plain(self, prompts, decoding)

    Echo.generate = endless  # type: ignore[method-assign]
    for _ in range(DROPPED):
        with httpx.stream("POST", f"{address}/v1/chat/completions", json=body | {"stream": True}, headers=HEADERS) as r:
            next(r.iter_lines())
    start = time.perf_counter()
    while app.state.house.desk.inside and time.perf_counter() - start < 30:
        time.sleep(0.01)
    over = time.perf_counter() - start
    Echo.generate = plain  # type: ignore[method-assign]
    for one in dawdlers:
        one.close()
    return {"others_p95_ms": round(1000 * percentile(before, 0.95), 1),
            "others_p95_with_slow_clients_ms": round(1000 * percentile(during, 0.95), 1),
            "dropped_over_after_s": round(over, 2)}


def executable(address: str) -> dict[str, Any]:
    """Answers of the API to payloads that a browser would execute."""
    shapes = ("<script>alert({})</script>", "<img src=x onerror=alert({})>", "\"><svg onload=alert({})>",
              "javascript:alert({})", "{{{{{}}}}}", "![x](https://evil.example/{})",
              "'-alert({})-'", "</title><script>{}")
    bad = 0
    with httpx.Client(base_url=address, headers=HEADERS, timeout=60) as client:
        for number in range(PAYLOADS):
            evil = shapes[number % len(shapes)].format(number)
            said = {"role": "user", "content": evil}
            for reply in (
                client.post("/v1/search", json={"query": evil}), client.get(f"/v1/models/{evil}"),
                client.post("/v1/chat/completions", json={"model": evil, "messages": [said]}),
                client.post("/v1/documents", files={"files": (f"{evil}.exe", b"x")}),
            ):
                json_only = reply.headers["content-type"].startswith("application/json")
                bad += not (json_only and reply.headers["content-security-policy"] == POLICY
                            and reply.headers["x-content-type-options"] == "nosniff")
    return {"payloads": PAYLOADS * 4, "executable": bad}


def forged(address: str) -> dict[str, Any]:
    """A model that obeys everything and forges citations: how many are flagged."""
    plain, flagged, n = Echo.generate, 0, 0
    for number in range(200):
        text = f"Vault {number} holds {number * 7 + 3} gold bars, see [{number % 9 + 1}]."
        Echo.generate = lambda self, prompts, decoding, text=text: [  # type: ignore[method-assign]
            Generated(text, 1, 1, 0.0) for _ in prompts]
        body = {"model": "tunewise/rag", "messages": [{"role": "user", "content": "What is public?"}]}
        reply = httpx.post(f"{address}/v1/chat/completions", json=body, headers=HEADERS)
        message = reply.raise_for_status().json()["choices"][0]["message"]
        n += len(message["tunewise"]["sources"])
        flagged += sum(not source["verified"] for source in message["tunewise"]["sources"])
        flagged -= len(message["annotations"])
    Echo.generate = plain  # type: ignore[method-assign]
    return {"forged": n, "flagged": flagged}


HEADERS: dict[str, str] = {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=5_000)
    args = parser.parse_args()
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        texts = {
            f"vault-{n}.md": f"# Vault {n}\n\nThe code word of the {n}th vault is {canary(n)}.\n"
            for n in range(DOCUMENTS)
        } | {"public.md": "# Public\n\nThe opening hours are public.\n"}
        groups = {f"vault-{n}.md": [f"group{n % GROUPS}"] for n in range(DOCUMENTS)}
        project = project_of(Path(folder) / "project", texts, groups)
        state = open_state(project)
        secrets = {"nobody": state.add_key("nobody")[1]}
        secrets |= {f"group{n}": state.add_key(f"group{n}", groups=[f"group{n}"])[1] for n in range(GROUPS)}
        HEADERS["authorization"] = f"Bearer {state.add_key('root', role='editor')[1]}"
        state.close()
        with served(project, queue=400, rate=10_000_000) as (address, app):
            steps: dict[str, Callable[[], dict[str, Any]]] = {
                "AC2-3": lambda: leaks(address, secrets, args.questions),
                "RE2-3": lambda: slow_and_dropped(address, app),
                "XS1 (API)": lambda: executable(address),
                "PI2": lambda: forged(address),
            }
            for name, step in steps.items():
                figures[name] = step()
                print(f"{name:12} {figures[name]}", flush=True)
    passed = (
        figures["AC2-3"]["leaks"] == 0 and figures["AC2-3"]["own_is_found"]
        and figures["RE2-3"]["dropped_over_after_s"] <= 2 and figures["XS1 (API)"]["executable"] == 0
        and figures["PI2"]["forged"] == figures["PI2"]["flagged"] > 0
    )
    print(json.dumps({"name": "probes/server", "figures": figures, "passed": passed, "machine": machine(),
                      "versions": versions()}, ensure_ascii=False))
    raise SystemExit(0 if passed else 1)


if __name__ == "__main__":
    main()
