"""Long jobs in processes of their own, each with a folder that outlives it: what was asked, its log, how it ended.

Whoever looks at the folder sees the job: a page that is refreshed, another browser, a restarted server. The process
holds a lock for as long as it lives, so that a killed one is known as such. `stop` is answered by the job itself, and
what it had finished is kept: the same job goes on from there.

    .tunewise/jobs/ID/  job.json (written first), log.jsonl (progress), output.txt, report.html, end.json (written last)
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunewise.errors import DataMistake, Failed, TunewiseError
from tunewise.nouns import Standing
from tunewise.store import append_jsonl, lock, project_folder, read_json, write_json, write_text

if TYPE_CHECKING:
    from tunewise.project import Project

KINDS = ("compare", "tune")
_BEAT = 0.25
"""Seconds between two lines of progress of one phase."""
_GRACE = 10.0
"""Seconds that a stopped job gets to end by itself."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What one approach showed, as soon as it was measured: quality with its 95 % interval, shares, seconds."""

    approach: str
    quality: float
    low: float
    high: float
    wrong: float | None
    seconds: float
    train_seconds: float


@dataclass(frozen=True, slots=True)
class Job:
    """A job as its folder tells it. `state`: running, done, failed, stopped, or lost (its process is gone)."""

    id: str
    kind: str
    arguments: Mapping[str, Any]
    command: str
    by: str
    started: str
    state: str
    phases: tuple[tuple[str, int, int], ...] = ()
    """(phase, done, total) in the order in which they began."""
    standings: tuple[Measured, ...] = ()
    seconds: float = 0.0
    message: str = ""
    tip: str = ""
    choice: str | None = None
    folder: Path = Path()

    @property
    def running(self) -> bool:
        """Whether it still works."""
        return self.state == "running"

    @property
    def report(self) -> Path | None:
        """The report's page, when it is written."""
        path = self.folder / "report.html"
        return path if path.is_file() else None


def jobs_folder(project: Project) -> Path:
    """Where the jobs of a project stand."""
    return project_folder(project.root) / "jobs"


def start(project: Project, kind: str, arguments: Mapping[str, Any], *, command: str, by: str) -> Job:
    """Begin a job in a process of its own; `DataMistake` while another one runs (they would share the processor)."""
    if kind not in KINDS:
        raise DataMistake(f"there is no job {kind!r}", tip=f"known: {', '.join(KINDS)}")
    # Two that begin at the same moment would both see that nothing runs.
    with ExitStack() as held:
        try:
            held.enter_context(lock(jobs_folder(project) / "start.lock"))
        except Failed as error:
            raise DataMistake("another job is just being started", tip="wait until it is done, or stop it") from error
        if busy := next((job for job in jobs(project) if job.running), None):
            raise DataMistake(f"a {busy.kind} is running already", tip="wait until it is done, or stop it")
        return _begin(project, kind, arguments, command=command, by=by)


def _begin(project: Project, kind: str, arguments: Mapping[str, Any], *, command: str, by: str) -> Job:
    now = datetime.now(UTC)
    id = f"{now:%Y%m%d-%H%M%S}-{kind}-{os.urandom(2).hex()}"
    folder = jobs_folder(project) / id
    folder.mkdir(parents=True)
    write_json(folder / "job.json", {
        "kind": kind, "arguments": dict(arguments), "command": command, "by": by,
        "started": now.isoformat(timespec="seconds"), "root": str(project.root), "file": str(project.file),
        # The server's own flags hold for what it starts: the same model, the same documents.
        "settings": {key: value for key, value in project.values().items() if value is not None},
    })
    with (folder / "output.txt").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "tunewise.jobs.background", str(folder)],
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        )
    write_json(folder / "process.json", {"pid": process.pid})
    _CHILDREN[id] = process
    return read(folder)


_CHILDREN: dict[str, subprocess.Popen[bytes]] = {}
"""Processes that this one began: they have to be waited for, or they stay as zombies."""


def jobs(project: Project) -> list[Job]:
    """All jobs of a project, newest first."""
    folder = jobs_folder(project)
    found = sorted(folder.glob("*/job.json"), reverse=True) if folder.is_dir() else []
    return [read(file.parent) for file in found]


def job(project: Project, id: str) -> Job | None:
    """One job by its id; None when there is none."""
    # The id is compared, never joined to a path: what a user sends does not reach the file system.
    return next((each for each in jobs(project) if each.id == id), None)


def unfinished(project: Project) -> dict[str, str]:
    """{id: who began it} of the jobs that are not known to have ended; cheap enough to be asked every second."""
    found = jobs_folder(project).glob("*/job.json")
    return {file.parent.name: read_json(file)["by"] for file in found if not (file.parent / "end.json").is_file()}


def read(folder: Path) -> Job:
    """A job from its folder."""
    if (child := _CHILDREN.get(folder.name)) is not None and child.poll() is not None:
        _CHILDREN.pop(folder.name, None)  # another tab may have seen it first
    about = read_json(folder / "job.json")
    phases: dict[str, tuple[int, int]] = {}
    standings: dict[str, Measured] = {}
    for line in _log(folder / "log.jsonl"):
        if "phase" in line:
            phases[line["phase"]] = (line["done"], line["total"])
        elif "standing" in line:
            standings[line["standing"]["approach"]] = Measured(**line["standing"])
    end = read_json(folder / "end.json") if (folder / "end.json").is_file() else None
    began = datetime.fromisoformat(about["started"])
    state = end["state"] if end else "running" if _alive(folder, began) else "lost"
    until = datetime.fromisoformat(end["ended"]) if end else datetime.now(UTC) if state == "running" else began
    if end is None and (folder / "end.json").is_file():
        return read(folder)  # it ended between the two looks
    return Job(
        id=folder.name, kind=about["kind"], arguments=about["arguments"], command=about["command"], by=about["by"],
        started=about["started"], state=state, phases=tuple((name, *counts) for name, counts in phases.items()),
        standings=tuple(standings.values()), seconds=(until - began).total_seconds(),
        message=end["message"] if end else "", tip=end["tip"] if end else "", choice=end["choice"] if end else None,
        folder=folder,
    )


def stop(project: Project, id: str, *, grace: float = _GRACE) -> Job | None:
    """Ask a running job to end, and make it end when it does not (in `grace` seconds); None when there is none."""
    found = job(project, id)
    if found is None or not found.running:
        return found
    pid = int(read_json(found.folder / "process.json")["pid"])
    until = time.monotonic() + grace
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(pid, sign)
        except ProcessLookupError:
            break
        while _alive(found.folder, None) and time.monotonic() < until:
            time.sleep(0.05)
        if not _alive(found.folder, None):
            break
    if not (found.folder / "end.json").is_file():
        _end(found.folder, "stopped")
    return read(found.folder)


def _alive(folder: Path, began: datetime | None) -> bool:
    """Whether the job's process holds its lock; a process that was begun a moment ago counts as alive."""
    try:
        with lock(folder / "lock"):
            pass
    except Failed:
        return True
    if began is None or (folder / "alive.json").is_file():
        return False
    return (datetime.now(UTC) - began).total_seconds() < 60


def _log(path: Path) -> list[dict[str, Any]]:
    """Whole lines only; the last may be being written."""
    import json

    if not path.is_file():
        return []
    data = path.read_bytes()
    return [json.loads(line) for line in data[: data.rfind(b"\n") + 1].splitlines()]


def _end(folder: Path, state: str, *, message: str = "", tip: str = "", choice: str | None = None) -> None:
    write_json(folder / "end.json", {
        "state": state, "message": message, "tip": tip, "choice": choice,
        "ended": datetime.now(UTC).isoformat(timespec="seconds"),
    })


# ------------------------------------------------------------------------------------------------ in the process


def _work(folder: Path) -> None:
    """The job itself: its lock is held to the end, and how it ended is written whatever happens."""

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stopped)
    with _own(folder / "lock"):
        write_json(folder / "alive.json", {"pid": os.getpid()})
        try:
            choice = _run(folder, read_json(folder / "job.json"))
        except KeyboardInterrupt:
            _end(folder, "stopped")
        except TunewiseError as error:
            _end(folder, "failed", message=error.message, tip=error.tip)
        except Exception as error:
            import traceback

            append_jsonl(folder / "log.jsonl", {"traceback": traceback.format_exc()})
            _end(folder, "failed", message=f"{type(error).__name__}: {error}")
        else:
            _end(folder, "done", choice=choice)


@contextmanager
def _own(path: Path) -> Iterator[None]:
    """The job's lock; who looks whether the job lives holds it for a moment too."""
    until = time.monotonic() + 10
    while True:
        held = lock(path)
        try:
            held.__enter__()
            break
        except Failed:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)
    try:
        yield
    finally:
        held.__exit__(None, None, None)


def _run(folder: Path, about: Mapping[str, Any]) -> str | None:
    from tunewise import reports
    from tunewise.jobs.compare import compare
    from tunewise.jobs.tune import tune
    from tunewise.project import load_project

    project = load_project(Path(about.get("file", about["root"])), flags=about["settings"])
    told: dict[str, float] = {}

    def progress(phase: str, done: int, total: int) -> None:
        now = time.monotonic()
        if phase not in told or done >= total or now - told[phase] > _BEAT:
            told[phase] = now
            append_jsonl(folder / "log.jsonl", {"phase": phase, "done": done, "total": total}, sync=False)

    if about["kind"] == "tune":
        return tune(project, about["arguments"]["recipe"], progress=progress).name

    def standing(shown: Standing) -> None:
        append_jsonl(folder / "log.jsonl", {"standing": _standing(shown)})

    result = compare(
        project, approaches=about["arguments"].get("approaches") or None, limit=about["arguments"].get("limit"),
        progress=progress, on_standing=standing,
    )
    write_text(folder / "report.html", reports.html(
        result.comparison, result.recommendation, language=project.language, needs=project.needs,
        command=about["command"],
    ))
    return result.recommendation.choice


def _standing(shown: Standing) -> dict[str, Any]:
    quality, wrong = shown.metrics["quality"], shown.metrics.get("wrong")
    return {
        "approach": shown.approach.name, "quality": quality.mean, "low": quality.low, "high": quality.high,
        "wrong": wrong.mean if wrong else None, "seconds": shown.seconds_p50,
        "train_seconds": shown.cost.train_seconds,
    }


if __name__ == "__main__":
    _work(Path(sys.argv[1]))
