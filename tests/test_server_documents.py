"""Documents in and out of the server, hostile names and texts, sizes, slow and vanishing clients, forged citations."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from pathlib import Path

import httpx
import pytest

from sample_server import make_project, served, wait
from tunewise.nouns import Answer, to_json
from tunewise.server import open_state, sources
from tunewise.server.guard import POLICY
from tunewise.server.principals import Principal

EVE = Principal("eve")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    project = make_project(tmp_path_factory.mktemp("documents"))
    with served(project, upload_bytes=20_000, body_bytes=100_000, rate=1_000_000) as (address, app):
        yield address, app


def send(address, name, content=b"# Page\n\nThe gadget weighs 12 stone.\n", **more):
    return httpx.post(f"{address}/v1/documents", files=[("files", (name, content))], timeout=30, **more)


def settled(address, id):
    def look():
        found = httpx.get(f"{address}/v1/uploads/{id}").json()
        return found if found["state"] in ("ready", "failed") else None

    return wait(look, seconds=30)


def test_an_upload_is_read_found_answered_from_and_erased(server):
    address, app = server
    made = send(address, "gadget.md", data={"groups": "kitchen"})
    assert made.status_code == 202
    upload = made.json()["data"][0]
    assert upload["state"] == "waiting" and upload["groups"] == ["kitchen"]
    assert settled(address, upload["id"])["state"] == "ready"
    answering = app.state.house.answering
    asked = "How many stone does the gadget weigh?"
    assert [hit.chunk.document for hit in answering.search(asked, groups=("kitchen",))][0] == upload["document"]
    assert upload["document"] not in [hit.chunk.document for hit in answering.search(asked, groups=("office",))]
    # A later ingest by the rules of tunewise.toml does not open it.
    httpx.post(f"{address}/v1/documents:reread")
    wait(lambda: app.state.house.intake.progress() is None, seconds=30)
    assert answering.document(upload["document"], ()) is None
    again = send(address, "gadget.md", b"# Page\n\nThe gadget weighs 99 stone.\n", data={"groups": "kitchen"}).json()
    assert settled(address, again["data"][0]["id"])["state"] == "ready"
    assert "99 stone" in answering.document(upload["document"], None).text
    assert httpx.delete(f"{address}/v1/documents/{upload['document']}", timeout=40).status_code == 200
    assert answering.search(asked, groups=None)[0].chunk.document != upload["document"]
    assert not (app.state.house.project.documents / upload["document"]).exists()
    assert httpx.get(f"{address}/v1/documents/{upload['document']}").status_code == 404


def test_a_file_that_cannot_be_read_says_why(server):
    address, _ = server
    upload = send(address, "broken.pdf", b"%PDF-1.4 nothing of the sort").json()["data"][0]
    failed = settled(address, upload["id"])
    assert failed["state"] == "failed" and len(failed["reason"]) > 10


@pytest.mark.parametrize(("name", "data", "status"), [
    ("huge.md", b"x" * 20_001, 413), ("enormous.md", b"x" * 2_000_000, 413), ("program.exe", b"MZ", 415),
    ("noname", b"x", 415), (".md", b"x", 415), ("empty.md", b"", 400),
])
def test_sizes_and_types_are_limited(server, name, data, status):
    reply = send(server[0], name, data)
    assert reply.status_code == status and set(reply.json()) == {"error"}


def named(root: Path, part: str) -> set[Path]:
    """Every path under `root` with `part` in its name, while the server makes and drops folders there."""
    walk = os.walk(root)  # unlike Path.rglob it steps over a folder that goes away under it
    return {Path(folder, name) for folder, folders, files in walk for name in folders + files if part in name}


@pytest.mark.parametrize("name", [
    "../../../escape.md", "..\\..\\escape.md", "/etc/escape.md", "a/../../escape.md", "nul\x00byte.md",
    "C:\\Windows\\escape.md", "....//escape.md", "%2e%2e%2fescape.md", ".." + "/" * 40 + "escape.md", "x" * 500 + ".md",
    "\u202egnp.md", "con\nrol.md", "~root.md", "-rf.md", "$(touch pwned).md", "‥／escape.md",
])
def test_no_name_leads_out_of_the_uploads(server, name, tmp_path):
    address, app = server
    root = app.state.house.project.root
    before = named(root.parent, "escape")
    reply = send(address, name)
    assert reply.status_code in (202, 400, 415), reply.text
    documents = root / "documents"
    outside = named(root.parent, "escape") - before
    assert all(path.resolve().parent == documents / "uploads" for path in outside)
    if reply.status_code == 202:
        made = documents / reply.json()["data"][0]["document"]
        assert made.parent == documents / "uploads" and made.is_file() and len(made.name.encode()) < 255


@pytest.mark.parametrize(
    "id", ["../tunewise.toml", "..%2f..%2ftunewise.toml", "/etc/passwd", "uploads/../../x", "\x00"]
)
def test_no_id_reads_or_deletes_a_file(server, id):
    address, app = server
    for method in ("GET", "DELETE"):
        reply = httpx.request(method, f"{address}/v1/documents/" + id.replace("\x00", "%00"), timeout=40)
        assert reply.status_code == 404, reply.text
    assert (app.state.house.project.root / "tunewise.toml").is_file()


def test_a_link_in_the_uploads_is_not_followed(tmp_path):
    project = make_project(tmp_path / "project")
    target = tmp_path / "target"
    target.mkdir()
    (project.documents / "uploads").symlink_to(target)
    with served(project) as (address, _):
        assert send(address, "note.md").status_code == 400
    assert list(target.iterdir()) == []


def test_nothing_that_is_said_can_be_executed(server):
    address, _ = server
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)>"
    for reply in (
        httpx.get(f"{address}/v1/documents/{evil}"), httpx.get(f"{address}/docs"), httpx.get(f"{address}/{evil}"),
        httpx.post(f"{address}/v1/chat/completions", json={"model": evil, "messages": []}),
        send(address, f"{evil}.md", f"# {evil}\n\n{evil}\n".encode()),
    ):
        assert reply.headers["content-security-policy"] == POLICY and "unsafe" not in POLICY
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["content-type"].startswith("application/json") or "<script>alert" not in reply.text


# ------------------------------------------------------------------------------------------------ too much, too slow

LARGE = [10**6, 10**9, 10**18, 10**30, -1, "9" * 10_000]


@pytest.mark.parametrize("value", LARGE)
def test_numbers_that_are_too_large_are_refused_quickly(server, value):
    address, _ = server
    start = time.monotonic()
    chat = {"model": "tunewise/rag", "messages": [{"role": "user", "content": "x"}]}
    replies = [
        httpx.post(f"{address}/v1/search", json={"query": "kettle", "k": value}),
        httpx.post(f"{address}/v1/chat/completions", json=chat | {"n": value}),
        httpx.post(f"{address}/v1/embeddings", json={"input": "x", "dimensions": value}),
        httpx.get(f"{address}/v1/audit", params={"limit": value}),
        httpx.get(f"{address}/v1/audit", params={"after": -5, "limit": value}),
    ]
    assert all(400 <= reply.status_code < 500 for reply in replies), [reply.text for reply in replies]
    assert time.monotonic() - start < 15


def test_bodies_that_are_too_large_or_too_deep_are_refused(server):
    address, _ = server
    url = f"{address}/v1/chat/completions"

    def endless():
        for _ in range(300):
            yield b"x" * 1_000

    odd = (b"[" * 50_000, b'{"a":' * 20_000, b"1" * 90_000, b'"\\ud800"', b"\xff\xfe", b"null", b"[]", b"1e999")
    for content in odd:
        reply = httpx.post(url, content=content, headers={"content-type": "application/json"})
        assert 400 <= reply.status_code < 500, content[:20]
    assert httpx.post(url, content=b"x" * 100_001, headers={"content-type": "application/json"}).status_code == 413
    # No length is said: it is counted.
    assert httpx.post(url, content=endless(), headers={"content-type": "application/json"}).status_code == 413


def test_slow_clients_and_dropped_connections_hold_nobody_up(server):
    address, app = server
    host, port = address.removeprefix("http://").split(":")
    slow = []
    for number in range(100):
        one = socket.create_connection((host, int(port)))
        head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        one.sendall(head if number % 2 else head + b"Content-Length: 500\r\nContent-Type: application/json\r\n\r\n{")
        slow.append(one)
    body = {"model": "tunewise/rag", "stream": True, "messages": [{"role": "user", "content": "kettle water?"}]}
    for _ in range(30):
        with httpx.stream("POST", f"{address}/v1/chat/completions", json=body) as reply:
            next(reply.iter_lines())
    start = time.monotonic()
    assert httpx.post(f"{address}/v1/chat/completions", json=body | {"stream": False}).status_code == 200
    assert time.monotonic() - start < 10
    wait(lambda: app.state.house.desk.inside == 0)
    for one in slow:
        one.close()


def test_an_answer_that_takes_too_long_is_given_up(tmp_path, monkeypatch):
    from tunewise.models.echo import Echo

    gate = threading.Event()
    generate = Echo.generate

    def slow(self, prompts, decoding):
        gate.wait(10)
        return generate(self, prompts, decoding)

    project = make_project(tmp_path)
    monkeypatch.setattr(Echo, "generate", slow)
    body = {"model": "tunewise/rag", "messages": [{"role": "user", "content": "kettle water?"}]}
    with served(project, seconds=1) as (address, _):
        reply = httpx.post(f"{address}/v1/chat/completions", json=body, timeout=10)
        assert reply.status_code == 504 and reply.json()["error"]["code"] == "timeout"
        streamed = httpx.post(f"{address}/v1/chat/completions", json=body | {"stream": True}, timeout=10).text
        assert json.loads(streamed.splitlines()[2].removeprefix("data: "))["error"]["code"] == "timeout"
        gate.set()


# ------------------------------------------------------------------------------------------------ forged citations


def test_every_forged_citation_is_flagged_and_none_becomes_an_annotation(server, monkeypatch):
    from tunewise.models import Generated
    from tunewise.models.echo import Echo

    forged = [
        "The kettle holds 500 litres of water. [1]", "It is free of charge for staff. [2]", "Anything goes. [9]",
        "Refunds take 90 days. [1][2][3]", "The CEO is Eve. [1, 7]", "水壶容量为500升。[1]", "Totally made up. 【2】",
    ]
    for text in forged:
        monkeypatch.setattr(Echo, "generate", lambda self, prompts, decoding, text=text: [
            Generated(text, 1, 1, 0.0) for _ in prompts])
        body = {"model": "tunewise/rag", "messages": [{"role": "user", "content": "How much does the kettle hold?"}]}
        message = httpx.post(f"{server[0]}/v1/chat/completions", json=body).json()["choices"][0]["message"]
        own = message["tunewise"]["sources"]
        assert own and not any(source["verified"] for source in own) and all(source["reason"] for source in own)
        assert message["annotations"] == []
        lines = httpx.post(f"{server[0]}/v1/chat/completions",
                           json=body | {"stream": True, "tunewise": {"events": "open-webui"}}).text
        assert '"type":"source"' not in lines


def test_a_marker_that_names_no_passage_is_no_source():
    from tunewise.nouns import Approach, Citation
    from tunewise.server.desk import Done

    lost = Citation("[9]", "", "", 0, 0, "", reason="there is no passage 9")
    done = Done("id", Answer("q", "x", citations=(lost,)), Approach("rag", "echo"), "q", "x [9]")
    assert sources.annotations(done) == [] and list(sources.webui_events(done)) == []
    assert sources.records(done)["sources"][0]["reason"]


# ------------------------------------------------------------------------------------------------ erasure


def shown(project, state, document):
    """A run, a rating session and a conversation that show a document, and of each one that does not."""
    from tunewise.store import append_jsonl, write_json

    home = project.root / ".tunewise"
    for name in (document, "kettle.md"):
        chunk, cited = {"document": name}, {"document": name}
        append_jsonl(home / f"runs/{name}/rows.jsonl", {"chunks": [chunk], "answer": {"citations": [cited]}})
        write_json(home / f"rating/{name}.json", {"pairs": [{"documents": [name]}]})
        state.remember(EVE, None, f"about {name}", {"answer": {"hits": [{"chunk": chunk}], "citations": [cited]}})
    write_json(home / "freshness.json", {"facts": [["old", document, "new"]]})


def left(project, state):
    home = project.root / ".tunewise"
    return [
        sorted(path.parent.name for path in home.glob("runs/*/rows.jsonl")),
        sorted(path.name for path in home.glob("rating/*.json")),
        [asked for _, asked, _ in state.conversations(EVE)], (home / "freshness.json").exists(),
    ]


ELSE = [["kettle.md"], ["kettle.md.json"], ["about kettle.md"], False]


def test_a_deletion_takes_along_what_showed_the_document(tmp_path):
    project = make_project(tmp_path)
    with served(project) as (address, app):
        state = app.state.house.state
        shown(project, state, "secret.md")
        assert httpx.delete(f"{address}/v1/documents/secret.md", timeout=40).status_code == 200
        assert left(project, state) == ELSE
        # The last document of all: nothing is built that would replace the index.
        for one in app.state.house.answering.documents(None):
            assert httpx.delete(f"{address}/v1/documents/{one.id}", timeout=40).status_code == 200
        assert not [path for path in (tmp_path / ".tunewise/indexes").glob("*") if path.is_dir()]
        found = httpx.post(f"{address}/v1/search", json={"query": "spoons of saffron"}, timeout=20)
        assert "saffron" not in found.text and found.status_code != 500, found.text
        upload = send(address, "gadget.md").json()["data"][0]
        assert settled(address, upload["id"])["state"] == "ready"
        found = httpx.post(f"{address}/v1/search", json={"query": "gadget stone"}, timeout=20)
        assert found.status_code == 200 and "12 stone" in found.text


def test_erase_takes_along_what_showed_the_document(tmp_path, monkeypatch, capsys):
    from tunewise.cli.app import run
    from tunewise.server import open_state

    project = make_project(tmp_path)
    state = open_state(project)
    shown(project, state, "secret.md")
    monkeypatch.chdir(tmp_path)
    assert run(["erase", "secrets.md", "--yes"]) == 2
    (project.documents / "secret.md").unlink()
    assert run(["erase", "secret.md", "--yes"]) == 0
    assert left(project, state) == ELSE
    state.close()


def test_a_second_server_on_a_project_is_refused(tmp_path):
    from tunewise.errors import ConfigMistake, Failed
    from tunewise.server import Options, create_app

    project = make_project(tmp_path)
    # One that was never begun lets go again.
    with pytest.raises(ConfigMistake):
        create_app(project, options=Options(host="0.0.0.0"))
    for _ in range(2):
        with served(project), pytest.raises(Failed, match="in use by process"):
            create_app(project)


def test_groups_are_assigned_by_one_process_at_a_time(tmp_path):
    from tunewise.jobs.groups import assign_groups, assigned_groups
    from tunewise.store import lock

    (tmp_path / ".tunewise").mkdir()
    second = threading.Thread(target=assign_groups, args=(tmp_path, "b.md", ["office"]))
    with lock(tmp_path / ".tunewise/groups.lock"):
        second.start()
        second.join(0.2)
        assert second.is_alive() and assigned_groups(tmp_path) == {}
    second.join(10)
    assign_groups(tmp_path, "a.md", ["kitchen"])
    assert assigned_groups(tmp_path) == {"a.md": ("kitchen",), "b.md": ("office",)}
    assign_groups(tmp_path, "b.md", None)
    assert assigned_groups(tmp_path) == {"a.md": ("kitchen",)}


def test_a_deleted_file_is_gone_from_the_disk_before_its_groups_are(tmp_path, monkeypatch):
    from tunewise.server import intake

    order = []
    for name in ("sync_folder", "assign_groups"):
        real = getattr(intake, name)
        monkeypatch.setattr(intake, name, lambda *a, name=name, real=real: (order.append((name, *a[1:])), real(*a)))
    with served(make_project(tmp_path)) as (address, _):
        assert httpx.delete(f"{address}/v1/documents/lamp.md", timeout=40).status_code == 200
    assert order == [("sync_folder",), ("assign_groups", "lamp.md", None)]


def test_a_forged_citation_among_true_ones_of_the_same_number_is_never_shown_as_verified():
    from tunewise.citations import verify
    from tunewise.nouns import Approach, Chunk, Hit
    from tunewise.server.desk import Done
    from tunewise.server.pages.ask import _pieces

    text = "Returns are free for members. Returns are taken for 30 days."
    chunk = Chunk("c", "returns.md", "r", 0, len(text), text)
    for raw, true in (
        ("90 days [1]. 60 days [1]. free for members [1].", {"free for members"}),
        ("free for members [1]. 60 days [1].", {"free for members"}),
        ("free for members [1]. 60 days [1]. free for members [1].", {"free for members"}),
    ):
        hits = (Hit(chunk, 1.0, 1),)
        plain, citations = verify(raw, hits)
        done = Done("id", Answer("q", plain, hits=hits, citations=citations), Approach("rag", "echo"), "q", raw)
        shown = _pieces(raw, [to_json(one) for one in citations])
        verified = {one["text"].strip(" .") for one in shown if any(chip["verified"] for chip in one["chips"])}
        assert verified <= true
        # The words before an annotation's marker are those that it speaks for.
        for one in sources.annotations(done):
            start = one["url_citation"]["start_index"]
            assert raw[:start].rpartition(". ")[2].strip() in true
        assert list(sources.webui_events(done)) == []


def test_strangers_send_no_large_bodies_and_no_body_takes_for_ever(tmp_path, monkeypatch):
    from tunewise.server import guard

    project = make_project(tmp_path)
    state = open_state(project)
    keys = {name: state.add_key(name, role=name)[1] for name in ("reader", "editor")}
    state.close()
    files = [("files", ("big.md", b"# Big\n\n" + b"word " * 40_000))]
    with served(project, body_bytes=20_000, upload_bytes=300_000) as (address, _):
        for path in ("/v1/documents", "/documents"):
            for key, status in (("tw-none", 413), (keys["reader"], 413), (None, 413)):
                headers = {"authorization": f"Bearer {key}"} if key else {}
                assert httpx.post(address + path, files=files, headers=headers).status_code == status, (path, key)
            editor = {"authorization": f"Bearer {keys['editor']}"}
            assert httpx.post(address + path, files=files, headers=editor).status_code in (202, 303)
        assert httpx.post(f"{address}/x/documents", files=files, headers=editor).status_code == 413
        monkeypatch.setattr(guard, "_BODY_TOTAL", 0.5)
        host, port = address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=10) as slow:
            slow.sendall(b"POST /v1/ratings HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5000\r\n\r\n")

            def drip():
                try:
                    for _ in range(300):
                        slow.sendall(b" ")
                        time.sleep(0.1)
                except OSError:
                    return

            start = time.monotonic()
            thread = threading.Thread(target=drip)
            thread.start()
            assert b" 408 " in slow.recv(1000)
            assert time.monotonic() - start < 15
            thread.join()
