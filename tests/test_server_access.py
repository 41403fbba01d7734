"""Who sees what: canaries behind every door, keys, headers, the audit log (every route: test_server_routes.py)."""

from __future__ import annotations

import json
import sqlite3
import time
from dataclasses import replace

import httpx
import pytest

from sample_server import make_project, served, wait
from tunewise import answers, prompts
from tunewise.errors import ConfigMistake, DataMistake
from tunewise.jobs import answering as room
from tunewise.jobs import ask as asking
from tunewise.jobs.ingest import open_catalog
from tunewise.jobs.readers import examples_for
from tunewise.nouns import Gold, Question
from tunewise.project import load_project
from tunewise.server import Options, create_app, open_state
from tunewise.server.principals import COOKIE

CHAT = {"model": "tunewise/rag", "messages": [{"role": "user", "content": "How much water does the kettle hold?"}]}
THUMB = {"kind": "thumb", "answer": "x", "verdict": "wrong"}


# ------------------------------------------------------------------------------------------------ canaries


@pytest.fixture(scope="module")
def canaries(tmp_path_factory):
    project = make_project(tmp_path_factory.mktemp("canaries"))
    state = open_state(project)
    secrets = {"none": state.add_key("none")[1], "cook": state.add_key("cook", groups=["kitchen"])[1],
               "root": state.add_key("root", role="admin")[1]}
    state.close()
    with served(project, rate=100_000) as (address, app):
        yield address, app, secrets


def test_a_forbidden_document_and_an_absent_one_look_the_same(canaries):
    address, _, secrets = canaries
    headers = {"authorization": f"Bearer {secrets['none']}", "x-request-id": "same"}
    for method in ("GET", "DELETE"):
        one, other = (httpx.request(method, f"{address}/v1/documents/{id}", headers=headers)
                      for id in ("secret.md", "nosuch.md"))
        assert (one.status_code, one.content) == (other.status_code, other.content)
        assert {k: v for k, v in one.headers.items() if k != "date"} == {
            k: v for k, v in other.headers.items() if k != "date"}


def test_no_door_and_no_approach_tells_a_reader_what_is_not_theirs(canaries):
    address, _, secrets = canaries
    asked = ["How many spoons of saffron go in?", "What is in the secret recipe?", "secret recipe saffron 7 spoons",
             "On which day does the payroll close?", "payroll day 25", "工资哪天结算？"]
    for who, forbidden in (("none", ("saffron. ", "7 spoons of", "closes on day 25")), ("cook", ("closes on day 25",))):
        headers = {"authorization": f"Bearer {secrets[who]}"}
        n = 0
        for question in asked:
            for model in ("recommended", "rag", "zero-shot", "few-shot"):
                for stream in (False, True):
                    body = {"model": f"tunewise/{model}", "stream": stream,
                            "messages": [{"role": "user", "content": question}]}
                    said = httpx.post(f"{address}/v1/chat/completions", json=body, headers=headers).text
                    assert "secret.md" not in said or who == "cook"
                    assert "payroll.md" not in said and not any(word in said for word in forbidden), (who, model)
                    n += 1
            found = httpx.post(f"{address}/v1/search", json={"query": question, "k": 100}, headers=headers).json()
            allowed = {"kettle.md", "lamp.md", "tent.md", "stove.md"} | ({"secret.md"} if who == "cook" else set())
            assert {hit["document"] for hit in found["data"]} <= allowed
        listed = httpx.get(f"{address}/v1/documents", headers=headers).json()["data"]
        assert {one["id"] for one in listed} == allowed
        assert n == 48


def test_readers_in_one_batch_share_nothing(canaries, monkeypatch):
    """Questions of three readers that are answered together: each sees their own documents only."""
    from tunewise.jobs.answering import Asked

    answering = canaries[1].state.house.answering
    question = "How many spoons of saffron go in?"
    asked = [Asked(question, groups) for groups in ((), ("kitchen",), None, ("office",), ())]
    for name in ("rag", "few-shot"):
        answers = answering.answer(answering.project.approach(name), asked)
        if name == "rag":
            assert ["7 spoons" in answer.text for answer in answers] == [False, True, True, False, False]
    with pytest.raises(ValueError):
        Asked(question, ("\0owner",))


def test_an_adapter_is_for_those_who_may_read_all_it_learned_from(tmp_path, monkeypatch):
    project = make_project(tmp_path)
    answering = room.Answering(project)
    approach = project.approach("rag")
    made = {}
    monkeypatch.setattr(room.Answering, "_wear", lambda self, approach: made["worn"])
    for documents, groups, allowed in (
        ({"kettle.md"}, (), {"nobody", "kitchen", "office", "owner"}),
        ({"secret.md"}, (), {"kitchen", "owner"}),
        ({"secret.md", "payroll.md"}, (), {"owner"}),
        ({"kettle.md"}, ("office",), {"office", "owner"}),
        # It is gone from the catalog, and so are its groups: nobody but the owner.
        ({"removed.md"}, (), {"owner"}),
    ):
        made["worn"] = room._Worn(approach, tmp_path, frozenset(documents), frozenset(groups))
        readers = {"nobody": (), "kitchen": ("kitchen",), "office": ("office",), "owner": None}
        for name, reader in readers.items():
            offered = "rag" in {offer.name for offer in answering.approaches(reader)}
            assert offered == (name in allowed), (documents, groups, name)
            assert (answering.choose("rag", reader) is not None) == (name in allowed)
            if name not in allowed:
                with pytest.raises(ConfigMistake):
                    answering.answer(approach, [room.Asked("x?", reader)])
    answering.close()


@pytest.mark.parametrize(("documents", "groups", "readers"), [
    (("kettle.md",), (), {"nobody", "kitchen", "office", "owner"}),
    (("secret.md",), (), {"kitchen", "owner"}),
    (("kettle.md",), ("office",), {"office", "owner"}),
    (("removed.md",), (), {"owner"}),
    # Nobody knows what it rests on: for who may read all, or for the groups that it names.
    ((), (), {"owner"}),
    ((), ("office",), {"office", "owner"}),
])
def test_a_worked_example_is_shown_to_who_may_know_its_answer(tmp_path, documents, groups, readers):
    project = make_project(tmp_path)
    catalog = open_catalog(project.root)
    question = Question("q", "Who is the merger partner?", ("Zanzibar",), split="train", groups=groups,
                        gold=tuple(Gold(document, 0, 5) for document in documents))
    for name, reader in {"nobody": (), "kitchen": ("kitchen",), "office": ("office",), "owner": None}.items():
        assert examples_for([question], catalog.documents(), reader) == ([question] if name in readers else []), name
    catalog.close()


def test_no_prompt_shows_a_worked_example_of_unknown_origin_to_a_stranger(tmp_path, monkeypatch):
    project = make_project(tmp_path)
    line = {"id": "m", "question": "Who is the merger partner?", "answers": ["Zanzibar"], "split": "train"}
    with project.questions.open("a", encoding="utf-8") as file:
        file.write("\n" + json.dumps(line))
    project.file.write_text(project.file.read_text(encoding="utf-8").replace("examples = 2", "examples = 20"), "utf-8")
    shown = []
    real = prompts.render

    def render(*args, **more):
        shown.append(str(more["examples"]))
        return real(*args, **more)

    monkeypatch.setattr(answers, "render", render)
    project = load_project(project.root)
    answering = room.Answering(project)
    for reader, allowed in (((), False), (("kitchen",), False), (None, True)):
        shown.clear()
        asking.ask(project, "Who is the merger partner?", approach="few-shot", groups=reader)
        approach = project.approach("few-shot")
        answering.answer(approach, [room.Asked("Who is the merger partner?", reader)])
        assert len(shown) == 2 and all(("Zanzibar" in prompt) == allowed for prompt in shown), reader
    answering.close()


# ------------------------------------------------------------------------------------------------ keys and headers


def test_a_revoked_key_is_dead_after_a_second_also_in_its_session(canaries):
    address, app, _ = canaries
    project = app.state.house.project
    other = open_state(project)
    _, secret = other.add_key("leaver", groups=["kitchen"])
    headers = {"authorization": f"Bearer {secret}"}
    wait(lambda: httpx.get(f"{address}/v1/me", headers=headers).status_code == 200)
    cookie = httpx.post(f"{address}/v1/session", data={"key": secret}).cookies
    assert httpx.get(f"{address}/v1/me", cookies=cookie).json()["groups"] == ["kitchen"]
    other.revoke_key("leaver")
    start = time.monotonic()
    wait(lambda: httpx.get(f"{address}/v1/me", headers=headers).status_code == 401)
    wait(lambda: httpx.get(f"{address}/v1/me", cookies=cookie).status_code == 401)
    assert time.monotonic() - start < 15
    other.close()


def test_doubled_credentials_are_refused_and_nobody_is_chosen(canaries):
    address, _, secrets = canaries
    root, none = (f"Bearer {secrets[who]}" for who in ("root", "none"))
    for headers in ([("authorization", root), ("authorization", none)],
                    [("authorization", none), ("x-api-key", "tw-x")],
                    [("x-api-key", secrets["none"]), ("x-api-key", secrets["root"])]):
        assert httpx.get(f"{address}/v1/me", headers=headers).status_code == 400
    assert httpx.get(f"{address}/v1/me", headers={"x-api-key": secrets["none"]}).json()["name"] == "none"
    assert httpx.get(f"{address}/v1/me", headers={"authorization": "Basic abc"}).status_code == 401


def test_other_hosts_and_other_sites_are_kept_out(canaries):
    address, _, secrets = canaries
    headers = {"authorization": f"Bearer {secrets['root']}"}
    for host in ("evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.", ""):
        assert httpx.get(f"{address}/v1/me", headers=headers | {"host": host}).status_code in (400, 421), host
    for more in ({"origin": "https://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}):
        assert httpx.post(f"{address}/v1/ratings", json=THUMB, headers=headers | more).status_code == 403
    assert httpx.post(f"{address}/v1/ratings", json=THUMB, headers=headers | {"origin": address}).status_code == 201
    answer = httpx.options(f"{address}/v1/models", headers={"origin": "https://evil.example",
                                                            "access-control-request-method": "GET"})
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_guessing_is_slowed_down_and_good_keys_still_work(tmp_path):
    project = make_project(tmp_path)
    state = open_state(project)
    secret = state.add_key("anna")[1]
    state.close()
    with served(project) as (address, _):
        start = time.monotonic()
        codes = [httpx.get(f"{address}/v1/me", headers={"x-api-key": f"tw-{n}"}).status_code for n in range(60)]
        # Twenty, and one more for every three seconds that a slow machine takes.
        assert codes[:20] == [401] * 20 and set(codes) == {401, 429}
        assert codes.count(401) <= 21 + (time.monotonic() - start) / 3
        assert httpx.get(f"{address}/v1/me", headers={"x-api-key": secret}).status_code == 200
        assert httpx.post(f"{address}/v1/session", data={"key": "tw-61"}).status_code == 429
        assert httpx.post(f"{address}/v1/session", data={"key": secret}).status_code == 204


def test_cookies_are_secure_behind_an_encrypting_proxy_and_unknown_ones_cost_nothing(tmp_path):
    from tunewise.server.state import State

    project = make_project(tmp_path)
    state = open_state(project)
    secret = state.add_key("anna")[1]
    state.close()
    https = {"x-forwarded-proto": "https"}
    for proxies, headers, secure in ((("127.0.0.1",), https, True), (("127.0.0.1",), {}, False), ((), https, False)):
        with served(project, proxies=proxies) as (address, app):
            got = httpx.post(f"{address}/v1/session", data={"key": secret}, headers=headers)
            assert ("secure" in got.headers["set-cookie"].lower()) == secure
    with served(project) as (address, app), pytest.MonkeyPatch.context() as patch:
        closed = []
        real = State.close_session
        patch.setattr(State, "close_session", lambda self, token: closed.append(token) or real(self, token))
        token = httpx.post(f"{address}/v1/session", data={"key": secret}).cookies[COOKIE]
        for value in ("made-up", token):
            httpx.post(f"{address}/sign-out", headers={"cookie": f"{COOKIE}={value}"})
            httpx.delete(f"{address}/v1/session", headers={"cookie": f"{COOKIE}={value}"})
        assert closed == [token]
        assert httpx.get(f"{address}/v1/me", headers={"cookie": f"{COOKIE}={token}"}).status_code == 401


def test_one_principal_cannot_take_all_requests(tmp_path):
    project = make_project(tmp_path)
    with served(project, rate=30) as (address, _):
        replies = [httpx.get(f"{address}/v1/me") for _ in range(40)]
    assert [reply.status_code for reply in replies[:30]] == [200] * 30
    assert replies[-1].status_code == 429 and int(replies[-1].headers["retry-after"]) > 0


def test_without_keys_it_is_for_this_machine_only_and_the_first_key_shuts_it(tmp_path):
    project = make_project(tmp_path)
    with pytest.raises(ConfigMistake, match="no key yet"):
        create_app(project, options=replace(Options(), host="0.0.0.0"))
    with served(project) as (address, app):
        assert httpx.get(f"{address}/v1/me").json()["name"] == "owner"
        assert httpx.get(f"{address}/v1/me", headers={"x-api-key": "anything"}).json()["name"] == "owner"
        other = open_state(project)
        other.add_key("anna", role="admin")
        wait(lambda: httpx.get(f"{address}/v1/me").status_code == 401, seconds=5)
        other.revoke_key("anna")
        time.sleep(1.2)
        assert httpx.get(f"{address}/v1/me").status_code == 401, "a revoked last key must not open the door again"
        other.close()


def test_a_proxy_names_its_users_and_nobody_else_does(tmp_path):
    project = make_project(tmp_path)
    options = {"identity_header": "x-forwarded-user", "groups_header": "x-forwarded-groups", "admins": ("boss",)}
    with served(project, **options) as (address, _):
        assert httpx.get(f"{address}/v1/me").status_code == 401
        user = {"x-forwarded-user": "anna", "x-forwarded-groups": "kitchen, office"}
        assert httpx.get(f"{address}/v1/me", headers=user).json() == {
            "object": "principal", "name": "user:anna", "role": "reader", "groups": ["kitchen", "office"]}
        assert httpx.get(f"{address}/v1/me", headers={"x-forwarded-user": "boss"}).json()["groups"] is None
        doubled = [("x-forwarded-user", "anna"), ("x-forwarded-user", "boss")]
        assert httpx.get(f"{address}/v1/me", headers=doubled).status_code == 400
    with served(make_project(tmp_path / "two"), proxies=("10.0.0.1",), **options) as (address, _):
        assert httpx.get(f"{address}/v1/me", headers=user).status_code == 401


def test_keys_are_kept_as_hashes_and_names_are_checked(tmp_path):
    project = make_project(tmp_path)
    state = open_state(project)
    _, secret = state.add_key("anna", groups=["kitchen"])
    for name, role in (("anna", "reader"), ("", "reader"), ("owner", "reader"), ("user:anna", "reader"), ("x", "root")):
        with pytest.raises(DataMistake):
            state.add_key(name, role=role)
    state.close()
    raw = b"".join(path.read_bytes() for path in (tmp_path / ".tunewise").glob("server.sqlite*"))
    assert secret.encode() not in raw and secret[3:].encode() not in raw and b"anna" in raw


def test_an_altered_audit_log_is_found(tmp_path):
    project = make_project(tmp_path)
    state = open_state(project)
    for number in range(5):
        state.audit_line("anna", "ask", f"number {number}", {"n": number})
    assert state.audit_faults() == [] and [line.number for line in state.audit()] == [1, 2, 3, 4, 5]
    state.close()
    file = tmp_path / ".tunewise" / "server.sqlite"
    for change, found in (("UPDATE audit SET principal = 'eve' WHERE number = 2", "line 2 was altered"),
                          ("DELETE FROM audit WHERE number = 4", "line 4 is missing")):
        with sqlite3.connect(file) as connection:
            connection.execute(change)
        connection.close()
        state = open_state(project)
        assert any(fault.startswith(found) for fault in state.audit_faults())
        state.close()


def test_every_deed_has_its_audit_line(canaries):
    address, app, secrets = canaries
    headers = {"authorization": f"Bearer {secrets['root']}"}
    httpx.post(f"{address}/v1/chat/completions", json=CHAT, headers=headers)
    httpx.post(f"{address}/v1/ratings", json=THUMB, headers=headers)
    httpx.post(f"{address}/v1/documents", files={"files": ("new.md", b"# New\n\nA page.\n")}, headers=headers)
    reply = httpx.get(f"{address}/v1/audit", params={"limit": 1000}, headers=headers).json()
    mine = {line["action"] for line in reply["data"] if line["principal"] == "root"}
    assert mine >= {"ask", "rate", "upload"} and reply["faults"] == []
    assert "kettle hold" not in json.dumps(reply), "the log says who asked, not what"


def test_a_forbidden_document_is_not_even_read(tmp_path, monkeypatch):
    from tunewise.catalog import Catalog
    from tunewise.jobs.answering import Answering

    answering = Answering(make_project(tmp_path))
    assert answering.document("secret.md", ("kitchen",)).id == "secret.md"
    read = []
    monkeypatch.setattr(Catalog, "document", lambda self, id: read.append(id))
    assert answering.document("secret.md", ("office",)) is None and answering.document("none.md", ()) is None
    assert read == []
    answering.close()


def test_what_a_parent_learned_shuts_an_approach_for_one_question_too(tmp_path):
    from tunewise.jobs.ask import _learned_more
    from tunewise.jobs.library import library
    from tunewise.store import write_json

    project = make_project(tmp_path)

    def folder(name, **about):
        write_json(tmp_path / name / "tunewise.json", {"weights": name, "groups": [], **about})
        return tmp_path / name

    child = {"folder": "../parent", "weights": "parent"}
    with library(project) as books:
        public = folder("public", documents=["kettle.md"])
        assert not _learned_more(public, books, ())
        folder("parent", documents=["secret.md"])
        worn = folder("child", documents=["kettle.md"], parent=child)
        assert _learned_more(worn, books, ("office",)) and not _learned_more(worn, books, ("kitchen",))
        gone = folder("gone", documents=["kettle.md", "gone.md"])
        assert _learned_more(gone, books, ("kitchen",))
        closed = folder("closed", documents=["kettle.md"], groups=["kitchen"])
        assert _learned_more(closed, books, ()) and not _learned_more(closed, books, ("kitchen",))
