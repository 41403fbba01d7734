"""A comparison against an answering HTTP stub, killed with SIGKILL at random moments, until it is done (probe RP2).

The stub counts what it is asked. The comparison runs in a process of its own whose clock and memory gauge stand still,
so that the whole table, seconds included, has to come out byte by byte as without kills.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import select
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tunewise.nouns import Gold, Question
from tunewise.questions import save_questions

# Imports cost a hundred times what a small comparison does: one process imports, and forks one for each attempt.
NURSERY = """
import os, sys, time, traceback
time.perf_counter = lambda: 0.0
from pathlib import Path
from tunewise import reports
from tunewise.jobs import compare as job
from tunewise.models import endpoint
from tunewise.project import load_project
import httpx, numpy, scipy.special, sacrebleu
job.peak_memory = lambda: 0
for line in sys.stdin:
    folder, table, port = line.split()
    child = os.fork()
    if not child:
        try:
            os.environ |= {"OPENAI_BASE_URL": f"http://127.0.0.1:{port}/v1", "OPENAI_API_KEY": "x"}
            project = load_project(Path(folder), environ={}, user=Path("none"))
            result = job.compare(project)
            text = reports.terminal(result.comparison, result.recommendation, needs=project.needs, wide=True)
            text += reports.markdown(result.comparison, result.recommendation)
            Path(table).write_text(text, encoding="utf-8")
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    print(child, flush=True)
    print(os.waitpid(child, 0)[1], flush=True)
"""
TOML = """\
[project]
model = "openai:stub"
embedder = "hash"
[approaches.zero-shot]
prompt = "answer"
[approaches.few-shot]
prompt = "answer"
examples = 2
[approaches.chain-of-thought]
prompt = "chain-of-thought"
{more}
"""


class Stub(ThreadingHTTPServer):
    """An OpenAI-compatible endpoint that answers each prompt always alike, after `seconds`, and counts."""

    daemon_threads = True

    def __init__(self, seconds: float) -> None:
        super().__init__(("127.0.0.1", 0), _Reply)
        self.seconds, self.asked, self.lock = seconds, Counter[str](), threading.Lock()
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    @property
    def total(self) -> int:
        with self.lock:
            return self.asked.total()

    def handle_error(self, request: object, address: object) -> None:
        """A client that was killed is no news."""


class _Reply(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        key = hashlib.sha256(body).hexdigest()
        with self.server.lock:
            self.server.asked[key] += 1
        time.sleep(self.server.seconds)
        number = int(key[:6], 16) % 40
        text = f"{number} litres" if number % 3 else "Not in the documents."
        reply = json.dumps({"choices": [{"message": {"content": text}}]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@dataclass
class Outcome:
    """What a killed comparison came to. `lost`: for each kill, the requests that were on their way, of which nothing
    stood on the disk yet. The requests of a killed comparison are those of a whole one and these, or an answer that was
    recorded was asked for again. `kills`: attempts that were still running when they were killed."""

    table: bytes = b""
    requests: int = 0
    kills: int = 0
    lost: list[int] = field(default_factory=list)


def make_project(folder: Path, questions: int, *, more: str = "") -> Path:
    """A project with this many test questions; `more` is added to its settings."""
    made = [Question(f"t{i}", f"Which {word} is first?", (word,), split="train")
            for i, word in enumerate(("colour", "sound", "weight"))]
    made += [Question(f"q{i}", f"How much does vessel {i} hold?", (f"{i % 40} litres",), (Gold("vessels.md"),),
                      answerable=True) if i % 4 else Question(f"q{i}", f"Who built vessel {i}?", answerable=False)
             for i in range(questions)]
    (folder / "documents").mkdir(parents=True)
    lines = "\n\n".join(f"Vessel {i} holds {i % 40} litres." for i in range(questions))
    (folder / "documents" / "vessels.md").write_text(f"# Vessels\n\n{lines}\n", encoding="utf-8")
    save_questions(folder / "questions.jsonl", made)
    (folder / "tunewise.toml").write_text(TOML.format(more=more), encoding="utf-8")
    return folder


class Nursery:
    """The process that forks a comparison for each attempt."""

    def __init__(self) -> None:
        environ = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent / "src"), "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen([sys.executable, "-c", NURSERY], env=environ, text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self) -> Nursery:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()

    def start(self, folder: Path, table: Path, stub: Stub) -> int:
        """The process id of a comparison that has begun."""
        self.process.stdin.write(f"{folder} {table} {stub.server_port}\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def ended(self) -> bool:
        """Whether the comparison is over, killed or not (its status is to be read)."""
        return bool(select.select([self.process.stdout], [], [], 0)[0])

    def status(self) -> int:
        """What the comparison ended with; waits for it."""
        return int(self.process.stdout.readline())


def _recorded(folder: Path) -> int:
    """How many replies stand on the disk: whole lines of journals, or of rows where a run is finished."""
    count = 0
    for run in (folder / ".tunewise" / "runs").glob("*/identity.json"):
        journal, rows = run.parent / "replies.jsonl", run.parent / "rows.jsonl"
        file = journal if journal.exists() else rows
        count += file.read_bytes().count(b"\n") if file.exists() else 0
    return count


def killed(
    nursery: Nursery, folder: Path, *, kills: int, total: int, seconds: float = 0.002, seed: int = 0
) -> Outcome:
    """Run the comparison in `folder`, killing it `kills` times: after a random number of requests (of `total` in all)
    and a random while more; then let it end."""
    draw = random.Random(seed)
    stub, table, outcome = Stub(seconds), folder / "table.txt", Outcome()
    asked, recorded = 0, 0
    try:
        for point in sorted(draw.randrange(total) for _ in range(kills)):
            process = nursery.start(folder, table, stub)
            while stub.total < point and not nursery.ended():
                time.sleep(0.0005)
            # Beyond the requests lie the writing of rows and manifests, and the decision.
            time.sleep(draw.choice((1, 4, 40)) * draw.random() * seconds)
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
            if nursery.status() == signal.SIGKILL:
                outcome.kills += 1
            time.sleep(0.03 + 2 * seconds)  # what the stub had in its hands is counted, too
            outcome.lost.append((stub.total - asked) - (_recorded(folder) - recorded))
            asked, recorded = stub.total, _recorded(folder)
        nursery.start(folder, table, stub)
        if nursery.status():
            raise RuntimeError("the comparison did not end well")
        outcome.requests, outcome.table = stub.total, table.read_bytes()
    finally:
        stub.shutdown()
        stub.server_close()
    return outcome
