"""What one person cannot do to the others: fill the queue, hold all threads, ask for too much, stay when revoked."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from sample_server import make_project, served, wait
from tunewise.errors import DataMistake, DiskFull, Failed
from tunewise.jobs import background
from tunewise.nouns import Answer, Approach
from tunewise.server import open_state
from tunewise.server.desk import Busy, Desk, Done
from tunewise.server.entries import Upload
from tunewise.server.principals import Principal
from tunewise.store import write_json

sys.path.append(str(Path(__file__).parent.parent / "bench" / "probes"))
import limits  # noqa: E402

CHAT = {"model": "tunewise/rag", "messages": [{"role": "user", "content": "How much water does the kettle hold?"}]}


@pytest.fixture(scope="module")
def keyed(tmp_path_factory):
    """(address, application, {name: headers}) of a server with keys."""
    project = make_project(tmp_path_factory.mktemp("limits"))
    state = open_state(project)
    made = {name: state.add_key(name, role=role)[1] for name, role in (
        ("root", "admin"), ("anna", "reader"), ("ben", "reader"), ("eve", "admin"), ("bob", "reader"))}
    state.close()
    with served(project, rate=1_000_000, at_once=3) as (address, app):
        yield address, app, {name: {"authorization": f"Bearer {secret}"} for name, secret in made.items()}


def test_everything_too_large_is_refused_at_once(keyed):
    address, app, headers = keyed
    with httpx.Client(base_url=address, headers=headers["root"], timeout=30) as client:
        found = limits.refused(client, app.openapi())
        assert found["failures"] == 0, found
        assert found["n"] > 100
        # The pages are not in the description.
        for path in ("/source?document=kettle.md&start={}", "/source?document=kettle.md&end={}",
                     "/source/page.png?document=kettle.md&revision=x&number={}"):
            for power in (12, 18, 300):
                assert client.get(path.format(10**power)).status_code == 404
        for data in ({"a": "rag", "b": "zero-shot", "count": 5_000}, {"a": "x" * 10**6, "b": "y"}):
            assert 400 <= client.post("/rate", data=data).status_code < 500
        assert 400 <= client.post("/compare", data={"limit": "9" * 5_000}).status_code < 500
        assert 400 <= client.post("/ask", data={"question": "x" * 40_000}).status_code < 500


# ------------------------------------------------------------------------------------------------ the queue


class Slow:
    """What the desk asks: one approach for everybody, answers when its gate is open."""

    def __init__(self) -> None:
        self.gate, self.batches = threading.Event(), []

    def choose(self, name, groups):
        return Approach(name or "rag", "echo")

    def answer(self, approach, asked):
        self.batches.append([one.question for one in asked])
        self.gate.wait(10)
        return [Answer(str(i), one.question, raw=one.question) for i, one in enumerate(asked)]


async def answered(desk, order):
    return [event async for event in desk.events(order) if isinstance(event, Done)]


def in_a_loop(run):
    """What an asynchronous function gives; in a thread, since a browser's driver keeps a loop in the main one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(run())).result()


def test_the_askers_are_served_by_turns_and_nobody_fills_the_queue_alone():
    slow = Slow()
    desk = Desk(slow, queue=12, batch=4, seconds=20)
    anna, ben, cleo = (Principal(name) for name in ("anna", "ben", "cleo"))

    async def run():
        first = await desk.submit(anna, "a0")
        await asyncio.to_thread(wait, lambda: slow.batches)
        flood = [await desk.submit(anna, f"a{n}") for n in range(1, 12)]
        with pytest.raises(Busy):
            await desk.submit(anna, "one more")
        # The queue is full of hers, and the others come in all the same: the reserve is for who has nothing in it.
        late = [await desk.submit(ben, "b1"), await desk.submit(cleo, "c1", approach="other")]
        with pytest.raises(Busy):
            await desk.submit(ben, "b2")
        slow.gate.set()
        return await asyncio.gather(*(answered(desk, order) for order in (first, *flood, *late)))

    done = in_a_loop(run)
    assert [len(one) for one in done] == [1] * 14 and desk.inside == 0
    # Hers are answered one at a time while the others are about, and theirs are not made to wait for hers in one batch.
    assert slow.batches[0] == ["a0"] and {("a1",), ("b1",), ("c1",)} <= set(map(tuple, slow.batches[1:4]))
    assert (desk.counts["done"], desk.counts["refused"]) == (14, 2)
    desk.close()


def test_one_question_overtakes_the_many_of_another():
    class Held(Slow):
        def answer(self, approach, asked):
            self.batches.append([one.question for one in asked])
            if asked[0].question.startswith("a"):
                assert turns.acquire(timeout=10)
            return [Answer(str(i), one.question, raw=one.question) for i, one in enumerate(asked)]

    turns, slow = threading.Semaphore(0), Held()
    desk = Desk(slow, queue=12, batch=4, seconds=20)

    async def run():
        many = [await desk.submit(Principal("anna"), "a0")]
        await asyncio.to_thread(wait, lambda: slow.batches)
        many += [await desk.submit(Principal("anna"), f"a{n}") for n in range(1, 8)]
        turns.release()
        await asyncio.to_thread(wait, lambda: len(slow.batches) == 2)
        one = await answered(desk, await desk.submit(Principal("ben"), "b1"))
        assert slow.batches == [["a0"], ["a1", "a2", "a3", "a4"], ["b1"]] and one[0].answer.raw == "b1"
        # While he is about, hers come one at a time.
        turns.release()
        await asyncio.to_thread(wait, lambda: len(slow.batches) == 4)
        assert slow.batches[3] == ["a5"]
        for _ in range(3):
            turns.release()
        return await asyncio.gather(*(answered(desk, order) for order in many))

    assert [len(one) for one in in_a_loop(run)] == [1] * 8 and desk.inside == 0
    desk.close()


def test_who_leaves_gives_the_place_back():
    slow = Slow()
    desk = Desk(slow, queue=4, batch=1, seconds=20)

    async def run():
        for turn in range(3):
            orders = [await desk.submit(Principal("anna"), f"a{turn}{n}") for n in range(4)]
            await asyncio.to_thread(wait, lambda seen=turn: len(slow.batches) > seen)
            for order in orders:
                desk.leave(order)
            assert desk.inside == 1
            slow.gate.set()
            await asyncio.to_thread(wait, lambda: desk.inside == 0)
            slow.gate.clear()

    in_a_loop(run)
    assert desk._held == {} and desk._lanes["echo"].lines == {}
    desk.close()


def test_one_person_has_so_many_requests_at_a_time(keyed, monkeypatch):
    from tunewise.jobs.answering import Answering

    address, app, headers = keyed
    gate, inside = threading.Event(), []
    search = Answering.search

    def slow(self, query, **more):
        inside.append(query)
        gate.wait(10)
        return search(self, query, **more)

    monkeypatch.setattr(Answering, "search", slow)
    told = []

    def ask():
        told.append(httpx.post(f"{address}/v1/search", json={"query": "x"}, headers=headers["anna"], timeout=20))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    wait(lambda: len(inside) == 3)
    refused = httpx.get(f"{address}/v1/me", headers=headers["anna"])
    assert refused.status_code == 429 and refused.headers["retry-after"]
    assert httpx.get(f"{address}/v1/me", headers=headers["ben"]).status_code == 200
    gate.set()
    for thread in threads:
        thread.join(20)
    assert [one.status_code for one in told] == [200] * 3
    wait(lambda: not app.state.present._inside)
    assert httpx.get(f"{address}/v1/me", headers=headers["anna"]).status_code == 200


# ------------------------------------------------------------------------------------------------ revoked


def test_a_revoked_key_ends_its_stream_its_answer_its_links_and_its_job(keyed, monkeypatch):
    """Probe AC10: within 5 s on a machine of one's own; other tests run beside this one, so three times that."""
    from tunewise.models import Generated, streaming

    address, app, headers = keyed
    project, gate = app.state.house.project, threading.Event()

    def endless(self, prompts, decoding):
        while not gate.wait(0.05) and not all(listener.stopped() for listener in self._listeners):
            for listener in self._listeners:
                listener.tell(listener.told + "w ")
        return [Generated("late", 1, 1, 0.0) for _ in prompts]

    monkeypatch.setattr(streaming.Streaming, "generate", endless)
    # A process that works for ever and holds its lock, as a job does; and one of somebody else's.
    running = {}
    for name in ("eve", "root"):
        folder = background.jobs_folder(project) / f"job-of-{name}"
        folder.mkdir(parents=True)
        write_json(folder / "job.json", {"kind": "tune", "arguments": {}, "command": "", "by": name,
                                         "started": "2026-01-01T00:00:00+00:00"})
        running[name] = subprocess.Popen([sys.executable, "-c", _JOB, str(folder)], start_new_session=True)
        write_json(folder / "process.json", {"pid": running[name].pid})
    for name in running:
        wait(lambda name=name: background.job(project, f"job-of-{name}").running)
    cookies = httpx.post(f"{address}/v1/session",
                         data={"key": headers["eve"]["authorization"].removeprefix("Bearer ")}).cookies
    links = ("/source?document=kettle.md", "/documents", "/compare/job-of-eve/report", "/runs")
    assert httpx.get(address + links[0], cookies=cookies).status_code == 200
    told, ended = {}, {}

    def ask(name, **more):
        told[name] = httpx.post(f"{address}/v1/chat/completions", json=CHAT | more, headers=headers["eve"], timeout=20)
        ended[name] = time.monotonic()

    threads = [threading.Thread(target=ask, args=("stream",), kwargs={"stream": True}),
               threading.Thread(target=ask, args=("whole",))]
    for thread in threads:
        thread.start()
    wait(lambda: app.state.house.desk.inside == 2)
    other = open_state(project)
    start = time.monotonic()
    other.revoke_key("eve")
    other.close()
    for thread in threads:
        thread.join(15)
    wait(lambda: all(httpx.get(address + link, cookies=cookies).status_code == 303 for link in links), seconds=15)
    wait(lambda: background.job(project, "job-of-eve").state == "stopped", seconds=15)
    assert running["eve"].wait(15) is not None
    wait(lambda: app.state.house.desk.inside == 0, seconds=15)
    assert time.monotonic() - start < 15 and max(ended.values()) - start < 15
    assert told["whole"].status_code == 401
    assert "this key was revoked" in told["stream"].text and "late" not in told["stream"].text
    assert background.job(project, "job-of-root").running, "nobody else's is stopped"
    stopped = [line for line in app.state.house.state.audit() if line.action == "tune.stop"]
    assert [(line.target, json.loads(line.details)) for line in stopped] == [("job-of-eve", {"revoked": "eve"})]
    background.stop(project, "job-of-root")
    running["root"].wait(10)
    gate.set()


_JOB = """
import sys, time
from pathlib import Path
from tunewise.jobs.background import _own
from tunewise.store import write_json
folder = Path(sys.argv[1])
with _own(folder / "lock"):
    write_json(folder / "alive.json", {})
    time.sleep(60)
"""


# ------------------------------------------------------------------------------------------------ what is told


def test_an_upload_tells_its_own_fault_and_no_folder_of_the_server(keyed, monkeypatch):
    from tunewise.jobs.ingest import IngestResult
    from tunewise.reading import Unread
    from tunewise.server import intake as room

    _, app, _ = keyed
    house = app.state.house
    intake, state, documents = house.intake, house.state, house.project.documents
    for name in ("own.pdf", "other.pdf"):
        state.add_upload(Upload(name, name, f"uploads/{name}", "waiting", "", (), 1, "0" * 64, "anna", "2026"))

    def told(error, *, unread=()):
        def ingest(*_, **__):
            if error is not None:
                raise error
            return IngestResult(None, 0, 0, 0, 0, 0, unread, 0.0, ())

        monkeypatch.setattr(room, "ingest_project", ingest)
        for name in ("own.pdf", "other.pdf"):
            state.set_upload(name, "waiting")
        intake._ingest()
        reasons = {one.id: (one.state, one.reason) for one in state.uploads()}
        assert not any(str(documents) in reason or str(house.project.root) in reason for _, reason in reasons.values())
        return reasons["own.pdf"], reasons["other.pdf"]

    faults = ("payroll.md: day 25 is damaged", "uploads/own.pdf: it needs a password")
    own, other = told(DataMistake(f"none of the files in {documents} could be read", faults=faults))
    assert own == ("failed", "it could not be read: it needs a password")
    assert other == ("failed", "it could not be read")
    busy = ("waiting", room._BUSY)
    assert told(Failed(f"{documents}/.tunewise/ingest.lock is in use by process 7")) == (busy, busy)
    assert told(DiskFull(f"no space left for {documents}/payroll.md"))[0] == (
        "waiting", "no space is left on the server's disk")
    assert told(KeyError("payroll.md"))[1] == ("failed", "something of ours went wrong: KeyError")
    own, other = told(None, unread=(
        Unread("uploads/own.pdf", f"{documents}/uploads/own.pdf is no PDF, see {documents}/x"),
        Unread("payroll.md", "it is damaged"),
    ))
    assert own == ("failed", "it could not be read: own.pdf is no PDF, see /x")
    assert other == ("failed", "it could not be read: the file is gone")


def test_an_error_names_no_folder_of_the_server(keyed, monkeypatch):
    from tunewise.errors import ConfigMistake
    from tunewise.jobs.answering import Answering

    address, app, headers = keyed
    root = str(app.state.house.project.root)

    def fail(self, *_, **__):
        raise ConfigMistake(f"{root}/adapters/x is no finished adapter folder", tip=f"look into {root}")

    monkeypatch.setattr(Answering, "answer", fail)
    monkeypatch.setattr(Answering, "search", fail)
    question = {"question": "How much water does the kettle hold?"}
    for path, more in (("/v1/search", {"json": {"query": "x"}}), ("/v1/chat/completions", {"json": CHAT}),
                       ("/v1/chat/completions", {"json": CHAT | {"stream": True}}), ("/ask", {"data": question}),
                       ("/ask/stream", {"data": question})):
        said = httpx.post(address + path, headers=headers["bob"], timeout=20, **more).text
        assert "no finished adapter folder" in said and root not in said, (path, said)


def test_a_hash_that_was_kept_tells_that_lines_were_cut_off(tmp_path, monkeypatch, capsys):
    from tunewise.cli.app import run

    project = make_project(tmp_path)
    state = open_state(project)
    for number in range(4):
        state.audit_line("anna", "ask", str(number))
    lines = state.audit()
    with state._write() as connection:
        connection.exec_driver_sql("DELETE FROM audit WHERE number = 4")
    assert state.audit_faults() == [] and state.audit_faults(kept=lines[2].hash) == []
    assert state.audit_faults(kept=lines[3].hash) == ["the line of the hash that was kept is not there"]
    state.close()
    monkeypatch.chdir(project.root)
    assert run(["audit", "check", "--kept", lines[2].hash]) == 0
    assert run(["audit", "check", "--kept", lines[3].hash]) == 1
    assert "is not there" in capsys.readouterr().err
