"""Jobs in processes of their own: their log, their end, and what is seen when they are stopped or killed."""

from __future__ import annotations

import os
import signal
import time

import pytest

pytest.importorskip("fastapi")
from sample_server import make_project, wait  # noqa: E402
from tunewise.errors import DataMistake  # noqa: E402
from tunewise.jobs import background  # noqa: E402
from tunewise.project import load_project  # noqa: E402
from tunewise.store import lock, read_json, write_json  # noqa: E402


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return make_project(tmp_path_factory.mktemp("jobs"))


def begin(project, **arguments):
    return background.start(project, "compare", arguments, command="tunewise compare", by="owner")


def test_a_comparison_runs_to_its_report(project) -> None:
    made = begin(project, approaches=["zero-shot", "rag"])
    assert made.running and made.report is None
    with pytest.raises(DataMistake, match="running already"):
        begin(project, approaches=["rag"])
    wait(lambda: not background.job(project, made.id).running, seconds=60)
    done = background.job(project, made.id)
    assert done.state == "done", done.message
    assert {each.approach for each in done.standings} == {"zero-shot", "rag"}
    assert done.choice in ("zero-shot", "rag", None)
    assert any(phase.startswith("answer") and done == total for phase, done, total in done.phases)
    assert "<html" in done.report.read_text("utf-8")[:200]
    assert background.job(project, "../" + made.id) is None


def test_a_job_goes_by_the_settings_file_that_its_server_was_given(project) -> None:
    other = project.root / "other.toml"
    other.write_text('[project]\nmodel = "echo"\nembedder = "hash"\n[approaches.only-here]\nprompt = "answer"\n')
    given = load_project(other, environ={}, user=project.root / "none.toml")
    made = background.start(given, "compare", {"approaches": ["only-here"], "limit": 20}, command="c", by="owner")
    ended = wait(lambda: (job := background.read(made.folder)).state != "running" and job, seconds=60)
    assert ended.state == "done", ended


def test_a_users_mistake_is_said_with_its_way_out(project) -> None:
    made = begin(project, approaches=["nothing"])
    wait(lambda: not background.job(project, made.id).running, seconds=60)
    failed = background.job(project, made.id)
    assert failed.state == "failed" and "nothing" in failed.message and "known:" in failed.tip


def test_stopped_and_killed_are_told_apart(project) -> None:
    made = begin(project, approaches=["rag"], limit=2)
    stopped = background.stop(project, made.id)
    assert stopped is not None and stopped.state == "stopped" and background.stop(project, "absent") is None
    killed = begin(project, approaches=["rag"], limit=1)
    wait((killed.folder / "alive.json").is_file, seconds=60)
    os.killpg(read_json(killed.folder / "process.json")["pid"], signal.SIGKILL)
    wait(lambda: background.read(killed.folder).state == "lost")


def test_a_job_is_seen_by_another_process_through_its_lock(project) -> None:
    folder = background.jobs_folder(project) / "20200101-000000-compare-abcd"
    folder.mkdir(parents=True)
    write_json(folder / "job.json", {
        "kind": "compare", "arguments": {}, "command": "c", "by": "b", "started": "2020-01-01T00:00:00+00:00",
        "root": str(project.root), "settings": {},
    })
    (folder / "log.jsonl").write_text('{"phase": "answer rag", "done": 1, "total": 3}\n{"phase": "answer r')
    assert background.read(folder).state == "lost"
    with lock(folder / "lock"):
        seen = background.read(folder)
        assert seen.running and seen.phases == (("answer rag", 1, 3),), "a line that is being written is left out"
    started = time.monotonic()
    assert not background.read(folder).running and time.monotonic() - started < 5


def test_two_tabs_that_look_at_once_and_two_that_begin_at_once(project, monkeypatch) -> None:
    folder = background.jobs_folder(project) / "20260101-000000-compare-ffff"
    write_json(folder / "job.json", {
        "kind": "compare", "arguments": {}, "command": "", "by": "owner", "started": "2026-01-01T00:00:00+00:00",
    })

    class Ended:
        def poll(self) -> int:
            background._CHILDREN.pop(folder.name, None)
            return 0

    monkeypatch.setitem(background._CHILDREN, folder.name, Ended())
    assert background.read(folder).state == "lost"
    with lock(background.jobs_folder(project) / "start.lock"), pytest.raises(DataMistake, match="just being started"):
        begin(project, approaches=["rag"])
