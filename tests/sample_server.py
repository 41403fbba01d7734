"""A small project behind a real server on a free port of this machine, for the tests of the server."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import uvicorn

from sample_shop import FACTS as SHOP
from sample_shop import TOML as SHOP_TOML
from sample_shop import write_pages
from tunewise.jobs.ingest import ingest_project
from tunewise.nouns import Question
from tunewise.project import Project, load_project
from tunewise.questions import save_questions
from tunewise.server import Options, create_app
from tunewise.server.running import Patient

FACTS = SHOP | {
    "secret": ("The secret recipe takes 7 spoons of saffron.", "7 spoons", "How many spoons of saffron go in?"),
    "payroll": ("The payroll closes on day 25 of the month.", "day 25", "On which day does the payroll close?"),
}
TOML = SHOP_TOML.replace("[project]\n", '[project]\nname = "shop"\n') + """\
[approaches.few-shot]
prompt = "answer"
examples = 2
[groups]
"secret.md" = ["kitchen"]
"payroll.md" = ["office"]
"""


def make_project(folder: Path) -> Project:
    """A shop's handbook of six pages, one for the kitchen only, one for the office only."""
    save_questions(folder / "questions.jsonl", [
        Question(name, asked, (answer,), (gold,), split="train" if number % 2 else "test")
        for number, (name, _, answer, asked, gold) in enumerate(write_pages(folder, FACTS))
    ])
    (folder / "tunewise.toml").write_text(TOML, encoding="utf-8")
    project = load_project(folder, environ={}, user=folder / "none.toml")
    ingest_project(project)
    return project


@contextmanager
def served(project: Project, **options: Any) -> Iterator[tuple[str, Any]]:
    """(address, application) of a running server."""
    app = create_app(project, options=replace(Options(), grace=5, **options))
    config = uvicorn.Config(app, port=0, log_level="warning", http=Patient, ws="none", timeout_graceful_shutdown=5,
                            proxy_headers=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started:
        assert thread.is_alive() and time.monotonic() < deadline, "the server did not start"
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}", app
    finally:
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()


def wait(condition: Any, *, seconds: float = 30.0) -> Any:
    """The first true value of a condition; fails when it takes too long."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
    return value
