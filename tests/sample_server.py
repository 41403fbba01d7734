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

from tunewise.jobs.ingest import ingest
from tunewise.nouns import Gold, Question
from tunewise.project import Project, load_project
from tunewise.questions import save_questions
from tunewise.server import Options, create_app
from tunewise.server.running import Patient

FACTS = {
    "kettle": ("The kettle holds 2 litres of water.", "2 litres", "How much water does the kettle hold?"),
    "lamp": ("The lamp glows for 9 hours after charging.", "9 hours", "How long does the lamp glow after charging?"),
    "tent": ("The tent sleeps 4 people in comfort.", "4 people", "How many people sleep in the tent?"),
    "stove": ("The stove burns 80 grams of gas an hour.", "80 grams", "How many grams of gas does the stove burn?"),
    "secret": ("The secret recipe takes 7 spoons of saffron.", "7 spoons", "How many spoons of saffron go in?"),
    "payroll": ("The payroll closes on day 25 of the month.", "day 25", "On which day does the payroll close?"),
}
TOML = """\
[project]
name = "shop"
model = "echo"
embedder = "hash"
[approaches.zero-shot]
prompt = "answer"
[approaches.rag]
index = true
[approaches.few-shot]
prompt = "answer"
examples = 2
[groups]
"secret.md" = ["kitchen"]
"payroll.md" = ["office"]
"""


def make_project(folder: Path) -> Project:
    """A shop's handbook of six pages, one for the kitchen only, one for the office only."""
    (folder / "documents").mkdir(parents=True)
    questions = []
    for number, (name, (fact, answer, asked)) in enumerate(FACTS.items()):
        text = f"# {name}\n\nThis page is about the {name}.\n\n{fact}\n\nAsk the shop for anything else.\n"
        (folder / "documents" / f"{name}.md").write_text(text, encoding="utf-8")
        start = text.strip().index(answer)
        gold = (Gold(f"{name}.md", start, start + len(answer)),)
        questions.append(Question(name, asked, (answer,), gold, split="train" if number % 2 else "test"))
    save_questions(folder / "questions.jsonl", questions)
    (folder / "tunewise.toml").write_text(TOML, encoding="utf-8")
    project = load_project(folder, environ={}, user=folder / "none.toml")
    ingest(project.documents, project=project.root, embedder="hash", tokens=project.tokens, groups=project.groups)
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


def wait(condition: Any, *, seconds: float = 10.0) -> Any:
    """The first true value of a condition; fails when it takes too long."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
    return value
