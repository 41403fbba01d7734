"""The probes of the server at full size: python bench/probes/server.py [--only AC4]. No weights are needed.

AC2-3: 500 documents with canaries, 20 groups, readers with and without groups; every approach and every door; no canary
of a foreign group may come out. AC4: whether time tells a forbidden document from an absent one. AU: who is let in.
SS1: what can be reached from inside. XS1-2: 300 payloads in every place of the pages, in Chromium, and in what the API
answers. RE1: everything 10 to a million times too large. RE2: 500 slow clients. RE3: 200 dropped streams, and one
person's flood. KILL: kill -9 under load. PI2: forged citations, all flagged. (AC1 and AC10 are whole in the tests.)
Prints a line for each and, last, one JSON object; exit code 1 on a failure.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psutil

sys.path.insert(0, str(Path(__file__).parent.parent))
import entrances  # noqa: E402
import hostile_pages  # noqa: E402
import kills  # noqa: E402
import limits  # noqa: E402
import payloads  # noqa: E402
import timing  # noqa: E402
from serving import apart, percentile, project_of, served  # noqa: E402

from tunewise.machine import machine, versions  # noqa: E402
from tunewise.models import Generated  # noqa: E402
from tunewise.models.echo import Echo  # noqa: E402
from tunewise.project import Project  # noqa: E402
from tunewise.server import open_state  # noqa: E402
from tunewise.server.guard import POLICY  # noqa: E402

DOCUMENTS, GROUPS, SLOW, DROPPED, PAYLOADS, FLOOD = 500, 20, 500, 200, 300, 80


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


def others(address: str, n: int, headers: dict[str, str] | None = None) -> list[float]:
    """Seconds of one person's questions, one after the other on one connection."""
    seconds = []
    with httpx.Client(base_url=address, timeout=60, headers=headers or HEADERS) as client:
        for _ in range(n):
            start = time.perf_counter()
            client.post("/v1/chat/completions", json=PUBLIC).raise_for_status()
            seconds.append(time.perf_counter() - start)
    return seconds


def slow(address: str, questions: int) -> dict[str, Any]:
    """Others' seconds while 500 clients dawdle: some send no headers to the end, some a byte of a body now and then."""
    host, port = address.removeprefix("http://").split(":")
    others(address, 30)
    before = others(address, questions)
    dawdlers = []
    for number in range(SLOW):
        one = socket.create_connection((host, int(port)))
        head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        one.sendall(head if number % 2 else head + b"Content-Length: 900\r\n\r\n{")
        dawdlers.append(one)
    done = threading.Event()

    def drip() -> None:
        while not done.wait(1):
            for number, one in enumerate(dawdlers):
                try:
                    one.sendall(b"X" if number % 2 else b" ")
                except OSError:
                    continue

    thread = threading.Thread(target=drip)
    thread.start()
    during = others(address, questions)
    done.set()
    thread.join()
    for one in dawdlers:
        one.close()
    after = others(address, questions)
    # The machine's own unrest lies in both looks without them.
    alone = percentile([*before, *after], 0.95)
    return {
        "n": SLOW, "questions": questions, "others_p95_ms": round(1000 * alone, 1),
        "others_p95_with_them_ms": round(1000 * percentile(during, 0.95), 1),
        "ratio": round(percentile(during, 0.95) / alone, 2),
    }


def flood(address: str, secret: str, stop: Any, told: Any) -> None:
    """One person's questions from `FLOOD` clients at once until `stop`; the count of each status goes into `told`."""
    counts = Counter[int]()

    def client() -> None:
        with httpx.Client(base_url=address, timeout=60, headers={"authorization": f"Bearer {secret}"}) as one:
            while not stop.is_set():
                status = one.post("/v1/chat/completions", json=PUBLIC).status_code
                counts[status] += 1
                if status == 429:
                    stop.wait(1)

    threads = [threading.Thread(target=client) for _ in range(FLOOD)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(70)
    told.put(dict(counts))


def dropped_and_flood(address: str, app: Any, secrets: dict[str, str]) -> dict[str, Any]:
    """How soon 200 dropped streams are over; and one person's seconds while another fills the queue all the time."""
    plain = Echo.generate

    def endless(self: Echo, prompts: list, decoding: object) -> list[Generated]:
        time.sleep(0.2)
        return plain(self, prompts, decoding)

    desk = app.state.house.desk
    Echo.generate = endless  # type: ignore[method-assign]
    body = PUBLIC | {"stream": True}
    for _ in range(DROPPED):
        with httpx.stream("POST", f"{address}/v1/chat/completions", json=body, headers=HEADERS) as reply:
            next(reply.iter_lines())
    start = time.perf_counter()
    while desk.inside and time.perf_counter() - start < 30:
        time.sleep(0.01)
    over = time.perf_counter() - start
    mine = {"authorization": f"Bearer {secrets['group1']}"}
    alone = others(address, 20, mine)
    # The flood comes from outside: its clients' own work is not the server's.
    spawn = multiprocessing.get_context("spawn")
    stop, told = spawn.Event(), spawn.Queue()
    flooding = spawn.Process(target=flood, args=(address, secrets["group2"], stop, told), daemon=True)
    flooding.start()
    while not desk.inside:
        time.sleep(0.1)
    time.sleep(2)
    # A refusal would be raised: the other person is always let in.
    beside = others(address, 20, mine)
    full = desk.inside
    stop.set()
    answers = told.get(timeout=90)
    flooding.join(10)
    Echo.generate = plain  # type: ignore[method-assign]
    return {
        "dropped": DROPPED, "dropped_over_after_s": round(over, 2), "flood_clients": FLOOD, "flood_in_the_queue": full,
        "flood_answers": answers, "other_alone_p95_s": round(percentile(alone, 0.95), 2),
        "other_beside_p95_s": round(percentile(beside, 0.95), 2),
        "ratio": round(percentile(beside, 0.95) / percentile(alone, 0.95), 2),
    }


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
PUBLIC = {"model": "tunewise/rag", "messages": [{"role": "user", "content": "What is public?"}]}


def timing_of_doors(address: str, secret: str, requests: int) -> dict[str, Any]:
    """AC4 for every door, asked by an editor of another group."""
    # Names and canaries of the same length: what differs is only whether they are there.
    found: dict[str, Any] = {}
    headers = {"authorization": f"Bearer {secret}"}
    there, nowhere = (lambda n: 105 + n * GROUPS), (lambda n: 505 + n * GROUPS)
    doors = timing.doors(lambda n: f"vault-{there(n)}", lambda n: f"vault-{nowhere(n)}")
    words = timing.doors(lambda n: canary(there(n)), lambda n: canary(nowhere(n)))
    with httpx.Client(base_url=address, headers=headers, timeout=60) as client:
        for name in doors:
            door = words[name] if name == "search" else doors[name]
            found[name] = timing.tell_apart(client, door, requests)
    return found


def browsed(folder: Path) -> dict[str, Any]:
    """XS1-2 in a real browser."""
    from playwright.sync_api import sync_playwright

    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        raise SystemExit("no Chromium on this machine (apt install chromium)")
    texts = payloads.payloads()
    project = hostile_pages.hostile_project(folder, texts)
    with apart(project) as address, sync_playwright() as play:
        browser = play.chromium.launch(executable_path=program, args=["--no-sandbox"])
        found = hostile_pages.look(browser, address, texts)
        found["fire_where_nothing_is_escaped"] = hostile_pages.live(browser, texts)
        browser.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", help="names of probes, for example AC4; may be repeated")
    parser.add_argument("--questions", type=int, default=5_000)
    parser.add_argument("--requests", type=int, default=400, help="of each kind and door for AC4")
    parser.add_argument("--kills", type=int, default=25)
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
        secrets["root"] = state.add_key("root", role="admin")[1]
        editor = state.add_key("editor", role="editor", groups=["group7"])[1]
        HEADERS["authorization"] = f"Bearer {state.add_key('writer', role='editor')[1]}"
        state.close()
        small = {"a.md": "# A\n\nThe kettle holds 2 litres.\n"}

        def fresh(name: str) -> Project:
            return project_of(Path(folder) / name, small, {})

        def within(step: Callable[..., dict[str, Any]], *more: Any) -> dict[str, Any]:
            with served(project, queue=64, rate=10_000_000) as (address, app):
                return step(address, *(app if one is None else one for one in more))

        def beside(step: Callable[..., dict[str, Any]], *more: Any) -> dict[str, Any]:
            with apart(project) as address:
                return step(address, *more)

        def too_large(address: str, app: Any) -> dict[str, Any]:
            with httpx.Client(base_url=address, headers=root, timeout=60) as client:
                return limits.refused(client, app.openapi())

        readers = {name: secret for name, secret in secrets.items() if name != "root"}
        root = {"authorization": f"Bearer {secrets['root']}"}
        steps: dict[str, Callable[[], dict[str, Any]]] = {
            "AC2-3": lambda: within(leaks, readers, args.questions),
            "AC4": lambda: beside(timing_of_doors, editor, args.requests),
            "AU1 credentials": lambda: within(entrances.credentials, secrets),
            "AU1 sites": lambda: within(entrances.other_sites, root),
            "AU1 first key": lambda: entrances.first_key_twice(fresh("keys").root, 10),
            "AU2 guessing": lambda: within(entrances.guessing, secrets["root"], 2_000),
            "AU3 audit": lambda: entrances.altered(fresh("audit"), 100),
            "SS1": entrances.reached,
            "XS1 (API)": lambda: within(executable),
            "XS1-2": lambda: browsed(Path(folder) / "hostile"),
            "PI2": lambda: within(forged),
            "RE1": lambda: within(too_large, None),
            "RE2": lambda: beside(slow, 300),
            "RE3": lambda: within(dropped_and_flood, None, secrets),
            "KILL": lambda: kills.kill(fresh("kills"), args.kills),
        }
        if unknown := set(args.only or ()) - set(steps):
            raise SystemExit(f"there is no probe {', '.join(sorted(unknown))}; known: {', '.join(steps)}")
        for name, step in steps.items():
            if not args.only or name in args.only:
                figures[name] = step()
                figures[name]["passed"] = bool(PASSED[name](figures[name]))
                print(f"{name:16} {figures[name]}", flush=True)
    passed = all(found["passed"] for found in figures.values())
    print(json.dumps({"name": "probes/server", "figures": figures, "passed": passed, "machine": machine(),
                      "load_average": psutil.getloadavg(), "versions": versions()}, ensure_ascii=False))
    raise SystemExit(0 if passed else 1)


def _none(found: dict[str, Any]) -> bool:
    return found["failures"] == 0


PASSED: dict[str, Callable[[dict[str, Any]], bool]] = {
    "AC2-3": lambda f: f["leaks"] == 0 and f["own_is_found"],
    # A search for other words finds other passages of one's own: its answers differ, and may.
    "AC4": lambda f: all(one["auc"] <= 0.55 and (one["answers_look"] == 1 or n == "search") for n, one in f.items()),
    **dict.fromkeys(("AU1 credentials", "AU1 sites", "AU1 first key", "AU2 guessing", "AU3 audit"), _none),
    **dict.fromkeys(("SS1", "RE1"), _none),
    "XS1 (API)": lambda f: f["executable"] == 0,
    "XS1-2": lambda f: not (f["dialogs"] or f["console_lines"] or f["foreign_requests"] or f["strange_elements"]),
    "PI2": lambda f: f["forged"] == f["flagged"] > 0,
    "RE2": lambda f: f["ratio"] <= 2,
    "RE3": lambda f: f["dropped_over_after_s"] <= 2 and f["ratio"] <= 2,
    "KILL": lambda f: f["lost"] == 0 and f["acknowledged_ratings"] > 0,
}


if __name__ == "__main__":
    main()
