"""kill -9 under load, again and again: was anything lost that had been acknowledged?

Ratings, uploads and questions go to `tunewise serve` from several clients at once until it is killed; then what was
acknowledged is looked for in what is on the disk. One project for all kills: what was acknowledged before the first
must be there after the last.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
from serving import begin

from tunewise.project import Project
from tunewise.server import open_state

CLIENTS = 2
"""Clients of each kind at a time."""


def _load(address: str, told: dict[str, list[Any]], stop: threading.Event, turn: int) -> list[threading.Thread]:
    """Clients that hand in until the server is gone; `told` is what was acknowledged."""

    def rate(client: httpx.Client, name: str) -> None:
        thumb = {"kind": "thumb", "answer": name, "verdict": "right"}
        told["ratings"].append((client.post("/v1/ratings", json=thumb).raise_for_status().json()["id"], name))

    def upload(client: httpx.Client, name: str) -> None:
        file = (f"{name}.md", f"# {name}\n\nThis is {name}.\n".encode())
        (made,) = client.post("/v1/documents", files={"files": file}).raise_for_status().json()["data"]
        told["uploads"].append((made["id"], made["document"], made["sha256"]))

    def ask(client: httpx.Client, name: str) -> None:
        body = {"model": "tunewise/rag", "messages": [{"role": "user", "content": f"What is {name}?"}]}
        told["answers"].append(client.post("/v1/chat/completions", json=body).raise_for_status().json()["id"])

    def work(do: Callable[[httpx.Client, str], None], number: int) -> None:
        with httpx.Client(base_url=address, timeout=30) as client:
            done = 0
            while not stop.is_set():
                done += 1
                try:
                    do(client, f"{do.__name__}-{turn}-{number}-{done}")
                except httpx.TransportError:
                    return
                except httpx.HTTPStatusError:
                    # A full queue is no acknowledgement.
                    continue

    threads = [
        threading.Thread(target=work, args=(do, number)) for do in (rate, upload, ask) for number in range(CLIENTS)
    ]
    for thread in threads:
        thread.start()
    return threads


def kill(project: Project, kills: int, *, most: float = 3.0) -> dict[str, Any]:
    """Figures of so many kills, each at a random moment of at most `most` seconds of load; `lost` must be 0."""
    chance = random.Random(0)
    told: dict[str, list[Any]] = {"ratings": [], "uploads": [], "answers": []}
    lost: list[str] = []
    for turn in range(kills):
        process, address = begin(project)
        # The first answer loads the index: without it a server would be killed before it can give any.
        first = {"model": "tunewise/rag", "messages": [{"role": "user", "content": "What is first?"}]}
        told["answers"].append(httpx.post(f"{address}/v1/chat/completions", json=first, timeout=60).json()["id"])
        stop = threading.Event()
        threads = _load(address, told, stop, turn)
        time.sleep(chance.uniform(0.2, most))
        process.kill()
        process.wait(30)
        stop.set()
        for thread in threads:
            thread.join(30)
        lost += _missing(project, told)
    return {"n": kills, **{f"acknowledged_{name}": len(found) for name, found in told.items()},
            "lost": len(set(lost)), "first_lost": lost[:3]}


def _missing(project: Project, told: dict[str, list[Any]]) -> list[str]:
    state = open_state(project)
    try:
        kept = {one.id: one.payload["answer"] for one in state.ratings()}
        handed = {one.id: one.sha256 for one in state.uploads()}
        lines = {(line.action, line.target) for line in state.audit()}
        asked = {line.details for line in state.audit() if line.action == "ask"}
        faults = [f"audit: {fault}" for fault in state.audit_faults()]
    finally:
        state.close()
    missing = [f"rating {id}" for id, name in told["ratings"] if kept.get(id) != name or ("rate", id) not in lines]
    for id, document, digest in told["uploads"]:
        whole = (project.documents / document).is_file()
        if handed.get(id) != digest or ("upload", document) not in lines or not whole:
            missing.append(f"upload {document}")
    missing += [
        f"audit line of {id}" for id in told["answers"] if f'{{"id": "{id.removeprefix("chatcmpl-")}"}}' not in asked
    ]
    return missing + faults
