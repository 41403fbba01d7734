"""What the server remembers: on SQLite and on a real PostgreSQL, through migrations, and after kill -9 under load."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from sample_server import make_project
from tunewise.errors import DataMistake, Failed
from tunewise.server import open_state, tables
from tunewise.server.entries import Upload
from tunewise.server.principals import Principal
from tunewise.server.state import State, now

ANNA, EVE = Principal("anna", "reader", ("kitchen",)), Principal("eve")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def postgres():
    """The URL of a PostgreSQL server of our own."""
    pytest.importorskip("psycopg", reason="psycopg is not installed (tunewise[postgres])")
    found = shutil.which("postgres")
    if found is None:
        pytest.skip("no PostgreSQL on this machine (apt install postgresql)")
    programs = Path(found).resolve().parent
    # PostgreSQL refuses to run as root.
    user: dict[str, object] = {}
    if os.getuid() == 0:
        try:
            entry = pwd.getpwnam("postgres")
        except KeyError:
            pytest.skip("we are root, and there is no user named postgres")
        user = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    with tempfile.TemporaryDirectory(prefix="tunewise-pg-", dir="/tmp") as folder:
        if user:
            os.chown(folder, user["user"], user["group"])
        data, port = Path(folder) / "data", free_port()
        subprocess.run([programs / "initdb", "-D", data, "-U", "tunewise", "-A", "trust", "-E", "UTF8", "--locale=C"],
                       check=True, capture_output=True, cwd=folder, **user)
        server = subprocess.Popen(
            [programs / "postgres", "-D", data, "-p", str(port), "-h", "127.0.0.1", "-k", folder],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder, **user)
        try:
            for _ in range(200):
                ready = subprocess.run([programs / "pg_isready", "-h", "127.0.0.1", "-p", str(port)],
                                       capture_output=True)
                if ready.returncode == 0:
                    break
                time.sleep(0.05)
            yield f"postgresql+psycopg://tunewise@127.0.0.1:{port}/postgres"
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(20)


@pytest.fixture(params=["sqlite", "postgres"])
def url(request, tmp_path):
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'state.sqlite'}"
    address = request.getfixturevalue("postgres")
    engine = sa.create_engine(address)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP SCHEMA public CASCADE")
        connection.exec_driver_sql("CREATE SCHEMA public")
    engine.dispose()
    return address


def upload(number: int, who: str = "anna") -> Upload:
    name = f"{number}.md"
    return Upload(f"u{number}", name, f"uploads/{name}", "waiting", "", ("kitchen",), 9, "f" * 64, who, now())


def test_everything_is_there_after_opening_again(url):
    state = State(url)
    key, secret = state.add_key("anna", role="editor", groups=["kitchen", "厨房"])
    token = state.open_session(secret)
    rating = state.rate(ANNA, "thumb", {"answer": "a", "verdict": "wrong", "note": "它错了"})
    talk = state.remember(ANNA, None, "Q1?", {"text": "A1"})
    assert state.remember(ANNA, talk, "Q2?", {"text": "A2"}) == talk
    state.add_upload(upload(1))
    state.set_upload("u1", "failed", "it is damaged")
    state.close()
    state = State(url)
    assert state.principal(secret) == Principal("anna", "editor", ("kitchen", "厨房"), key.id)
    assert state.session(token) == state.principal(secret) and state.session("other") is None
    assert [(one.id, one.payload["note"]) for one in state.ratings(kind="thumb")] == [(rating, "它错了")]
    assert [turn.question for turn in state.conversation(ANNA, talk)] == ["Q1?", "Q2?"]
    assert state.conversations(ANNA)[0][:2] == (talk, "Q1?") and state.conversations(EVE) == []
    (kept,) = state.uploads()
    assert (kept.state, kept.reason, kept.groups) == ("failed", "it is damaged", ("kitchen",))
    assert [line.action for line in state.audit()] == ["key.add", "rate", "upload"] and state.audit_faults() == []
    state.revoke_key("anna")
    assert state.principal(secret) is None and state.session(token) is None and state.has_keys()
    state.close()


def test_a_used_name_is_not_given_again(url):
    state = State(url)
    state.add_key("anna")
    talk = state.remember(ANNA, None, "Q?", {})
    state.revoke_key("anna")
    with pytest.raises(DataMistake, match="or was"):
        state.add_key("anna", role="admin")
    (kept,) = state.keys()
    assert kept.name == "anna" and state.conversation(ANNA, talk)
    state.close()


def test_a_conversation_is_its_owners_alone(url):
    state = State(url)
    talk = state.remember(ANNA, None, "Q?", {})
    assert state.conversation(EVE, talk) is None and state.conversation(EVE, "absent") is None
    with pytest.raises(DataMistake):
        state.remember(EVE, talk, "Q?", {})
    state.close()


def test_many_writers_keep_one_chain(url):
    """Eight threads on two engines (as of two processes): no line is lost, doubled or out of order."""
    states = [State(url), State(url)]

    def write(number):
        for turn in range(10):
            states[number % 2].audit_line(f"w{number}", "ask", str(turn))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = states[0].audit()
    assert [line.number for line in lines] == list(range(1, 81)) and states[1].audit_faults() == []
    assert {(line.principal, line.target) for line in lines} == {(f"w{n}", str(t)) for n in range(8) for t in range(10)}
    for state in states:
        state.close()


def test_a_migration_is_whole_or_absent_and_runs_once(url, monkeypatch):
    State(url).close()
    ran = []

    def second(connection):
        ran.append(1)
        connection.exec_driver_sql("ALTER TABLE ratings ADD COLUMN weight INTEGER")
        if len(ran) == 1:
            raise sa.exc.OperationalError("ALTER", {}, Exception("the disk went away"))

    monkeypatch.setattr(tables, "MIGRATIONS", (*tables.MIGRATIONS, second))
    with pytest.raises(Failed):
        State(url)
    State(url).close()
    State(url).close()
    assert len(ran) == 2
    monkeypatch.setattr(tables, "MIGRATIONS", tables.MIGRATIONS[:-1])
    with pytest.raises(Failed, match="newer"):
        State(url)


# ------------------------------------------------------------------------------------------------ kill -9

_SERVE = "import sys; from tunewise.cli import main; sys.argv = ['tunewise', *sys.argv[1:]]; sys.exit(main())"


def start(project, port):
    server = subprocess.Popen(
        [sys.executable, "-c", _SERVE, "serve", "--port", str(port), "--rate", "1000000",
         "--config", str(project.root / "tunewise.toml")],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=project.root)
    deadline = time.monotonic() + 60
    while True:
        assert server.poll() is None and time.monotonic() < deadline
        try:
            if httpx.get(f"http://127.0.0.1:{port}/health", timeout=1).status_code == 200:
                return server
        except httpx.TransportError:
            time.sleep(0.05)


def test_what_was_acknowledged_survives_kill_9_and_a_stop_is_clean(tmp_path):
    project = make_project(tmp_path)
    port = free_port()
    server = start(project, port)
    base = f"http://127.0.0.1:{port}"
    rated, uploaded, stop = [], [], threading.Event()

    def rate(number):
        with httpx.Client(base_url=base, timeout=10) as client:
            turn = 0
            while not stop.is_set():
                turn += 1
                try:
                    body = {"kind": "thumb", "answer": f"{number}-{turn}", "verdict": "right"}
                    reply = client.post("/v1/ratings", json=body)
                except httpx.TransportError:
                    return
                if reply.status_code == 201:
                    rated.append((reply.json()["id"], f"{number}-{turn}"))

    def hand_in(number):
        with httpx.Client(base_url=base, timeout=10) as client:
            turn = 0
            while not stop.is_set():
                turn += 1
                name = f"note-{number}-{turn}.md"
                content = f"# {name}\n\nText {turn}.\n".encode()
                try:
                    reply = client.post("/v1/documents", files={"files": (name, content)})
                except httpx.TransportError:
                    return
                if reply.status_code == 202:
                    uploaded.append(reply.json()["data"][0])

    threads = [threading.Thread(target=work, args=(n,)) for n, work in enumerate((rate, rate, rate, hand_in, hand_in))]
    for thread in threads:
        thread.start()
    time.sleep(1.5)
    server.kill()
    server.wait(10)
    stop.set()
    for thread in threads:
        thread.join(20)
    assert len(rated) > 10 and len(uploaded) > 3
    state = open_state(project)
    kept = {one.id: one.payload["answer"] for one in state.ratings()}
    assert [id for id, answer in rated if kept.get(id) != answer] == []
    handed = {one.id: one for one in state.uploads()}
    for one in uploaded:
        assert handed[one["id"]].sha256 == one["sha256"]
        assert (project.documents / one["document"]).read_bytes().startswith(f"# {one['name']}".encode())
    lines = {(line.action, line.target) for line in state.audit()}
    assert {("rate", id) for id, _ in rated} | {("upload", one["document"]) for one in uploaded} <= lines
    assert state.audit_faults() == []
    state.close()
    # It starts again, reads what was left waiting, and ends cleanly when asked to.
    server = start(project, port)
    with httpx.Client(base_url=base, timeout=10) as client:
        deadline = time.monotonic() + 60
        while {one["state"] for one in client.get("/v1/uploads").json()["data"]} != {"ready"}:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        found = {one["id"] for one in client.get("/v1/documents").json()["data"]}
        assert {one["document"] for one in uploaded} <= found
    server.terminate()
    assert server.wait(20) == 0
