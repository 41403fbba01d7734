"""Probe AC1: every route and page for eight kinds of principal, with an id that is theirs, another's, and nobody's.

The routes come from the application itself: one that is not in `ROUTES` fails the test, and so does one that takes an
id without the three cases. What is another's and what is nobody's must look the same, byte for byte.
"""

from __future__ import annotations

import inspect
import io
import re
import shutil
from pathlib import Path

import httpx
import pytest

from sample_server import make_project, served
from tunewise.errors import DataMistake
from tunewise.jobs import background, rating
from tunewise.jobs.answering import Answering, _Worn
from tunewise.jobs.ingest import ingest_project
from tunewise.project import load_project
from tunewise.server import open_state
from tunewise.store import write_json, write_text

KINDS = ("stranger", "wrong", "revoked", "reader", "cook", "clerk", "writer", "admin")
"""No key; a wrong one; a revoked one; a reader without groups; of the kitchen; an editor of the office; one without
groups; an administrator."""
IDS = {"id", "document", "model", "conversation", "c", "approach", "approaches", "recipe", "a", "b"}
"""Fields by which something is named that may be another's."""
WARRANTY = Path(__file__).parent.parent / "examples" / "handbook" / "documents" / "policies" / "warranty.pdf"
CLIENT = httpx.Client(timeout=30)
STRANGERS = ("stranger", "wrong", "revoked")


def all_of(status, out, **other):
    """The status by kind of principal: `out` for those without a key that holds."""
    return dict.fromkeys(KINDS, status) | dict.fromkeys(STRANGERS, out) | other


def api(status=200, **other):
    return all_of(status, 401, **other)


def page(status=200, **other):
    return all_of(status, 303, **other)


WRITERS = {"reader": 403, "cook": 403}
ADMINS = WRITERS | {"clerk": 403, "writer": 403}
COOKS = {"reader": 404, "clerk": 404, "writer": 404}
"""What belongs to the kitchen."""
CLERKS = {"reader": 404, "cook": 404, "writer": 404}


def chat(model):
    return {"json": {"model": model, "messages": [{"role": "user", "content": "How much water does the kettle hold?"}]}}


def ask(**more):
    return {"data": {"question": "How much water does the kettle hold?", **more}}


def one(status, path="", **how):
    """A route that takes no id."""
    return [("", path, status, how)]


def three(own, foreign, absent):
    """(path or request, expected) for an id of the asker's or their group's, for another's, for nobody's."""
    made = []
    for label, (asked, status) in zip(("own", "foreign", "absent"), (own, foreign, absent), strict=True):
        path, how = (asked, {}) if isinstance(asked, str) else ("", asked)
        made.append((label, path, status, how))
    return made


def document(address):
    """The three cases of a route that shows a document by its id; `{}` stands for it."""
    pages = not address.startswith("/v1")
    shape = page if pages else api
    return three((address.format("secret.md"), shape(**COOKS)), (address.format("payroll.md"), shape(**CLERKS)),
                 (address.format("absent.md"), shape(404)))


ROUTES = {
    # "METHOD path": [(whose id, path if it is another one, status by kind, how it is called)]
    "GET /v1/models": one(api()),
    "GET /v1/models/{model}": three(
        ("/v1/models/tunewise/rag", api()), ("/v1/models/tunewise/private", api(**COOKS)),
        ("/v1/models/nothing", api(404))),
    "POST /v1/chat/completions": three(
        (chat("tunewise/rag"), api()), (chat("tunewise/private"), api(**COOKS)), (chat("tunewise/absent"), api(404))),
    "POST /v1/embeddings": three(
        ({"json": {"input": "x", "model": "tunewise/embedder"}}, api()),
        ({"json": {"input": "x", "model": "tunewise/private"}}, api(404)),
        ({"json": {"input": "x", "model": "tunewise/absent"}}, api(404))),
    "POST /v1/search": one(api(), json={"query": "kettle"}),
    "GET /v1/documents": one(api()),
    "GET /v1/documents/{id}": document("/v1/documents/{}"),
    "POST /v1/documents": one(api(202, **WRITERS), files="api"),
    "POST /v1/documents:reread": one(api(202, **WRITERS)),
    "GET /v1/uploads": one(api()),
    "GET /v1/uploads/{id}": three(
        ("/v1/uploads/{clerk}", api(**CLERKS)), ("/v1/uploads/{admin}", api(404, admin=200)),
        ("/v1/uploads/absent", api(404))),
    "POST /v1/ratings": one(api(201), json={"kind": "thumb", "answer": "x", "verdict": "wrong"}),
    "GET /v1/ratings": one(api()),
    "GET /v1/runs": one(api(**ADMINS)),
    "GET /v1/runs/last": one(api(404, **ADMINS)),
    "GET /v1/runs/last/report": one(api(404, **ADMINS)),
    "GET /v1/audit": one(api(**ADMINS)),
    "GET /v1/me": one(api()),
    "POST /v1/session": one(dict.fromkeys(KINDS, 401), data={"key": "tw-no"}),
    "DELETE /v1/session": one(dict.fromkeys(KINDS, 204)),
    "GET /health": one(dict.fromkeys(KINDS, 200)),
    "GET /ready": one(dict.fromkeys(KINDS, 200)),
    "GET /metrics": one(api(**ADMINS)),
    "GET /docs": one(dict.fromkeys(KINDS, 200)),
    "GET /openapi.json": one(dict.fromkeys(KINDS, 200)),
    "GET /static": one(dict.fromkeys(KINDS, 200), "/static/app.css"),
    # The pages. A stranger is shown the way in.
    "GET /login": one(all_of(303, 303, stranger=200)),
    "POST /sign-out": one(dict.fromkeys(KINDS, 303)),
    "GET /": three(
        ("/?c={cook}", page(404, cook=200)), ("/?c={clerk}", page(404, clerk=200)), ("/?c=absent", page(404))),
    "POST /ask/stream": three(
        (ask(conversation="{cook}"), page(404, cook=200)), (ask(conversation="{clerk}"), page(404, clerk=200)),
        (ask(conversation="absent"), page(404))),
    "POST /ask": three(
        (ask(approach="rag"), page(303)), (ask(approach="private"), page(404, cook=303, admin=303)),
        (ask(approach="absent"), page(404))),
    # Which answers there are is not told: a judgement of any id is kept, with who gave it.
    "POST /answers/{id}/judge": [
        (label, f"/answers/{label}/judge", page(), {"data": {"verdict": "good"}})
        for label in ("own", "foreign", "absent")
    ],
    "GET /source": document("/source?document={}"),
    "GET /source/page.png": three(
        ("/source/page.png?document=warranty.pdf&number=1&revision={revision}", page(**COOKS)),
        ("/source/page.png?document=ledger.md&number=1&revision={revision}", page(404)),
        ("/source/page.png?document=absent.md&number=1&revision={revision}", page(404))),
    "GET /documents": one(page()),
    "GET /documents/list": one(page()),
    "POST /documents": one(page(303, **WRITERS), files="page"),
    "POST /documents/reread": one(page(303, **WRITERS)),
    "POST /example": one(page(400, **ADMINS)),
    "GET /compare": one(page(**ADMINS)),
    "GET /compare/{id}": three(*((f"/compare/{id}", page(status, **ADMINS)) for id, status in (
        ("admins", 200), ("others", 200), ("absent", 404)))),
    "GET /compare/{id}/live": three(*((f"/compare/{id}/live", page(status, **ADMINS)) for id, status in (
        ("admins", 200), ("others", 200), ("absent", 404)))),
    "GET /compare/{id}/report": three(*((f"/compare/{id}/report", page(status, **ADMINS)) for id, status in (
        ("admins", 200), ("others", 200), ("absent", 404)))),
    "POST /compare": three(*(({"data": {"approaches": name}}, page(status, **ADMINS)) for name, status in (
        ("rag", 400), ("private", 400), ("absent", 400)))),
    "POST /compare/{id}/stop": three(*((f"/compare/{id}/stop", page(status, **ADMINS)) for id, status in (
        ("admins", 303), ("others", 303), ("absent", 404)))),
    "GET /rate": one(page()),
    "POST /rate": three(*(({"data": {"a": name, "b": "zero-shot"}}, page(400, **ADMINS)) for name in (
        "rag", "private", "absent"))),
    "GET /rate/{id}": three(
        ("/rate/kitchens", page(**COOKS)), ("/rate/offices", page(**CLERKS)), ("/rate/absent", page(404))),
    "POST /rate/{id}": [
        (label, path, status, {"data": {"index": 0, "choice": "tie"}}) for label, path, status, _ in three(
            ("/rate/kitchens", page(303, **COOKS)), ("/rate/offices", page(303, **CLERKS)), ("/rate/absent", page(404)))
    ],
    "GET /runs": one(page(**ADMINS)),
    "POST /runs": three(*(({"data": {"recipe": name}}, page(status, **ADMINS)) for name, status in (
        ("raft", 400), ("dpo", 400), ("absent", 404)))),
    "POST /runs/{id}/stop": three(*((f"/runs/{id}/stop", page(status, **ADMINS)) for id, status in (
        ("admins", 303), ("others", 303), ("absent", 404)))),
    # What is deleted is gone for those who come behind: last.
    "DELETE /v1/documents/{id}": [
        *three(("/v1/documents/payroll.md", api(404, **WRITERS, clerk=200)),
               ("/v1/documents/secret.md", api(404, **WRITERS, admin=200)),
               ("/v1/documents/absent.md", api(404, **WRITERS))),
        # Seen and not theirs: an editor of a group cannot take a public page from everybody.
        ("public", "/v1/documents/lamp.md", api(404, **WRITERS, clerk=403, writer=200), {}),
    ],
    "POST /documents/delete": [
        *three(({"data": {"document": "ledger.md"}}, page(404, **WRITERS, clerk=303)),
               ({"data": {"document": "menu.md"}}, page(404, **WRITERS, admin=303)),
               ({"data": {"document": "absent.md"}}, page(404, **WRITERS))),
        ("public", "", page(404, **WRITERS, clerk=403, writer=303), {"data": {"document": "tent.md"}}),
    ],
}


def more_of(project):
    """The project with a few documents, jobs and rating sessions more, some for the kitchen, some for the office."""
    shutil.copy(WARRANTY, project.documents / "warranty.pdf")
    for name in ("menu", "ledger"):
        (project.documents / f"{name}.md").write_text(f"# {name}\n\nThis is the {name}.\n", encoding="utf-8")
    toml = (project.root / "tunewise.toml").read_text("utf-8")
    toml += '"menu.md" = ["kitchen"]\n"warranty.pdf" = ["kitchen"]\n"ledger.md" = ["office"]\n'
    toml = toml.replace("[groups]", "[approaches.private]\nindex = true\n[groups]")
    (project.root / "tunewise.toml").write_text(toml, encoding="utf-8")
    project = load_project(project.root, environ={}, user=project.root / "none.toml")
    ingest_project(project)
    for id, by in (("admins", "admin"), ("others", "somebody")):
        folder = background.jobs_folder(project) / id
        folder.mkdir(parents=True)
        write_json(folder / "job.json", {"kind": "compare", "arguments": {}, "command": "tunewise compare", "by": by,
                                         "started": "2026-01-01T00:00:00+00:00"})
        write_json(folder / "end.json", {"state": "done", "message": "", "tip": "", "choice": None,
                                         "ended": "2026-01-01T00:00:01+00:00"})
        write_text(folder / "report.html", "<!doctype html><title>A report</title>")
    for id, name in (("kitchens", "secret.md"), ("offices", "payroll.md")):
        pair = rating.Pair("q", "What?", "this", "this", "that", False, (1.0, 0.0), (name,))
        session = rating.Session(id, "rag", "zero-shot", "admin", "2026-01-01T00:00:00+00:00", (pair,), 0)
        write_json(rating._folder(project) / f"{id}.json", rating._plain(session))
    return project


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """(address, application, {kind: headers}) of a server with keys; one approach learned from the kitchen's page."""
    project = more_of(make_project(tmp_path_factory.mktemp("routes")))
    keys = {"stranger": None, "wrong": "tw-wrong"}
    state = open_state(project)
    for name, role, groups in (("revoked", "admin", ()), ("reader", "reader", ()), ("cook", "reader", ("kitchen",)),
                               ("clerk", "editor", ("office",)), ("writer", "editor", ()), ("admin", "admin", ())):
        keys[name] = state.add_key(name, role=role, groups=groups)[1]
    state.revoke_key("revoked")
    state.close()
    wear, model = Answering._wear, Answering.model

    def worn(self, approach):
        if approach.name == "private":
            return _Worn(approach, project.root, frozenset(("secret.md",)))
        return wear(self, approach)

    def busy(*_, **__):
        raise DataMistake("a compare is running already")

    with pytest.MonkeyPatch.context() as patch, served(project, rate=100_000) as (address, app):
        patch.setattr(Answering, "_wear", worn)
        patch.setattr(Answering, "_sharing", lambda self, name: {})
        patch.setattr(Answering, "model", lambda self, name, adapter=None: model(self, name))
        patch.setattr(background, "start", busy)
        # The test guesses wrongly more often than anybody may.
        app.state.guesses.rate = 100_000
        app.state.guesses._left.clear()
        yield address, app, {kind: {"authorization": f"Bearer {key}"} if key else {} for kind, key in keys.items()}


def call(place, kind, method, path, *, files="", **more):
    address, _, headers = place
    if files:
        more["files"] = [("files", (f"{files} {kind}.md", io.BytesIO(f"# {kind}\n\nOf {files}.\n".encode())))]
    CLIENT.cookies.clear()
    return CLIENT.request(method, address + path, headers=headers[kind] | {"x-request-id": "same"}, **more)


def walk(routes):
    for route in routes:
        inner = getattr(route, "original_router", None)
        if inner is not None:
            yield from walk(inner.routes)
        else:
            yield route


def entries(app):
    """{"METHOD path": route} of everything that the application answers to."""
    found = {}
    for route in walk(app.routes):
        for method in getattr(route, "methods", None) or {"GET"}:
            if method != "HEAD":
                found[f"{method} {route.path.replace(':path}', '}')}"] = route
    return found


def fields(route):
    """The names of what a route takes: in its path, its query, its form or its body."""
    taken = getattr(route, "dependant", None)
    if taken is None:
        return set()
    names = {field.name for field in (*taken.path_params, *taken.query_params, *taken.body_params)}
    for field in taken.body_params:
        kind = field.field_info.annotation
        if inspect.isclass(kind) and hasattr(kind, "model_fields"):
            names |= set(kind.model_fields)
    return names


def test_every_route_has_an_entry_and_every_id_its_three_cases(place):
    routes = entries(place[1])
    described = {f"{verb.upper()} {path}" for path, verbs in place[1].openapi()["paths"].items() for verb in verbs}
    assert described <= set(routes) == set(ROUTES)
    for entry, route in routes.items():
        assert ("{" in entry) <= bool(fields(route) & IDS), entry
        if fields(route) & IDS:
            assert {label for label, *_ in ROUTES[entry]} >= {"own", "foreign", "absent"}, entry


def prepared(place):
    """What {cook}, {clerk} … stand for: an upload of theirs, or a conversation, and the revision of the PDF."""
    found = {"v1": {}, "talk": {}}
    for kind in ("clerk", "admin"):
        found["v1"][kind] = call(place, kind, "POST", "/v1/documents", files="first").json()["data"][0]["id"]
    for kind in ("cook", "clerk"):
        talk = call(place, kind, "POST", "/ask", data={"question": "How much water does the kettle hold?"})
        assert talk.status_code == 303, re.sub("<[^>]*>|\\s+", " ", talk.text)
        found["talk"][kind] = talk.headers["location"].partition("=")[2]
    revision = place[1].state.house.answering.document("warranty.pdf", None).revision
    return found["v1"] | {"revision": revision}, found["talk"] | {"revision": revision}


def filled(value, names):
    for name, id in names.items():
        value = value.replace("{" + name + "}", id)
    return value


def test_every_route_for_every_kind_of_principal_and_every_id(place):
    uploads, talks = prepared(place)
    faults, n = [], 0
    for entry, cases in ROUTES.items():
        method, _, path = entry.partition(" ")
        names = uploads if path.startswith("/v1") else talks
        said: dict = {}
        for label, other, expected, how in cases:
            if "data" in how:
                how = {"data": {key: filled(str(value), names) for key, value in how["data"].items()}}
            reached = filled(other or path, names)
            # Administrators last: what they may delete is gone for the others.
            for kind in KINDS:
                got = call(place, kind, method, reached, **how)
                n += 1
                if got.status_code != expected[kind]:
                    faults.append(f"{entry} {label} {reached} as {kind}: {got.status_code}, not {expected[kind]}")
                if path.startswith("/v1") and got.status_code >= 400:
                    assert set(got.json()) == {"error"}, (entry, kind)
                if got.status_code == 303 and expected is not None and kind in STRANGERS and entry != "POST /sign-out":
                    assert got.headers["location"].startswith("/login"), (entry, kind)
                said[label, kind] = looks(got)
        for kind in KINDS:
            pair = said.get(("foreign", kind)), said.get(("absent", kind))
            if None not in pair and pair[0][0] == pair[1][0] == 404 and pair[0] != pair[1]:
                faults.append(f"{entry} tells a {kind} that another's is there: {pair}")
    assert not faults, "\n".join(faults)
    assert n == 8 * sum(len(cases) for cases in ROUTES.values()) > 500


def looks(got):
    """What can be seen of an answer, without what differs by the question itself."""
    text = got.text
    for id in ("tunewise/private", "tunewise/absent", "nothing", "private", "absent"):
        text = text.replace(id, "…")
    headers = {name: value for name, value in got.headers.items() if name not in ("date", "content-length")}
    return got.status_code, headers, text
