"""A project of numbered articles with the echo model, and a server on it, for the benchmarks of the server."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from tunewise.jobs.ingest import ingest_project
from tunewise.nouns import Question
from tunewise.project import Project, load_project
from tunewise.questions import save_questions
from tunewise.server import Options, create_app
from tunewise.server.running import Patient

TOML = """\
[project]
model = "echo"
embedder = "hash"
[approaches.rag]
index = true
[approaches.rag-k1]
index = true
retrieval = { k = 1 }
[approaches.zero-shot]
prompt = "answer"
"""


def project_of(folder: Path, texts: Mapping[str, str], groups: Mapping[str, Sequence[str]]) -> Project:
    """An ingested project of these documents; `groups` by document id."""
    (folder / "documents").mkdir(parents=True)
    for name, text in texts.items():
        (folder / "documents" / name).write_text(text, encoding="utf-8")
    save_questions(folder / "questions.jsonl", [Question("q", "What weighs most?", ("nothing",))])
    (folder / "tunewise.toml").write_text(TOML, encoding="utf-8")
    project = load_project(folder, environ={}, user=folder / "none.toml")
    ingest_project(project, embedder="hash", groups=groups or None)
    return project


@contextmanager
def served(project: Project, **options: Any) -> Iterator[tuple[str, Any]]:
    """(address, application) of a running server, in a thread of this process."""
    app = create_app(project, options=replace(Options(), grace=5, **options))
    config = uvicorn.Config(
        app, port=0, log_level="warning", http=Patient, ws="none", timeout_graceful_shutdown=5, backlog=1024
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        if not thread.is_alive():
            raise SystemExit("the server did not start")
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}", app
    finally:
        server.should_exit = True
        thread.join(20)


_SERVE = "import sys; from tunewise.cli import main; sys.argv = ['tunewise', *sys.argv[1:]]; sys.exit(main())"


def begin(project: Project, *flags: str) -> tuple[subprocess.Popen[bytes], str]:
    """(process, address) of `tunewise serve` in a process of its own, when it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    asked = ["serve", "--port", str(port), "--rate", "100000000", *flags]
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVE, *asked, "--config", str(project.root / "tunewise.toml")],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=project.root,
    )
    address = f"http://127.0.0.1:{port}"
    until = time.monotonic() + 120
    while True:
        if process.poll() is not None or time.monotonic() > until:
            process.kill()
            raise SystemExit("the server did not start")
        try:
            if httpx.get(f"{address}/health", timeout=1).status_code == 200:
                return process, address
        except httpx.TransportError:
            time.sleep(0.05)


@contextmanager
def apart(project: Project, *flags: str) -> Iterator[str]:
    """The address of a server in a process of its own: who measures it does not share a lock with it."""
    process, address = begin(project, *flags)
    try:
        yield address
    finally:
        process.terminate()
        process.wait(60)


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which this share of the values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
