"""Somebody else's system in our table: a file of answers, and an OpenAI-compatible address on a loopback server."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from test_jobs import TOML, project  # noqa: F401 - a fixture
from tunewise.errors import ConfigMistake, DataMistake
from tunewise.jobs.ask import ask
from tunewise.jobs.compare import compare, last
from tunewise.nouns import Approach, Chunk, Question
from tunewise.project import load_project
from tunewise.systems import Library, answers_file, endpoint

TEXT = "The lamp glows for 9 hours after charging."
ASKED = Question("lamp", "How long does the lamp glow?", ("9 hours",))
LIBRARY = Library(
    ("shop/lamp.md", "shop/tent.md"),
    {
        "shop/lamp.md": [
            Chunk("a", "shop/lamp.md", "r1", 0, 20, "x" * 20),
            Chunk("b", "shop/lamp.md", "r1", 20, 20 + len(TEXT), TEXT),
        ]
    }.get,
)


def lines(path, *values):
    path.write_text("".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values), encoding="utf-8")
    return path


def one(tmp_path, **line):
    return answers_file(lines(tmp_path / "a.jsonl", {"id": "lamp", **line}), LIBRARY)([ASKED])[0]


def test_names_addresses_and_paths_find_their_document():
    for name in ("shop/lamp.md", "lamp.md", "https://x.example/docs/shop/lamp.md#p2", "file:///srv/shop/lamp.md"):
        assert LIBRARY.document(name) == "shop/lamp.md"
    assert LIBRARY.document("https://x.example/") == LIBRARY.document("rope.md") == LIBRARY.document("") == ""
    assert Library(("a/x.md", "b/x.md")).document("x.md") == "", "two are no answer"


def test_markers_are_checked_against_the_passages_that_came_along(tmp_path):
    answer = one(
        tmp_path, answer="It glows for 9 hours [1].", passages=[{"text": TEXT, "document": "lamp.md"}], seconds=2
    )
    assert answer.text == "It glows for 9 hours." and answer.seconds == 2 and not answer.refused
    (citation,) = answer.citations
    assert citation.verified and (citation.document, citation.start) == ("shop/lamp.md", 20)
    assert answer.hits[0].chunk.revision == "r1", "the passage was found in the documents, with its true place"
    wrong = one(tmp_path, answer="7 hours", passages=[TEXT], citations=[1]).citations[0]
    assert not wrong.verified and "7" in wrong.reason


def test_passages_of_their_own_are_told_apart(tmp_path):
    asked = [Question(name, "What?", ("x",)) for name in ("a", "b", "c")]
    ask = answers_file(lines(tmp_path / "a.jsonl", *(
        {"id": q.id, "answer": "x", "passages": [f"only for {q.id}" if q.id != "c" else "only for a"]} for q in asked
    )), LIBRARY)
    first, second, third = (answer.hits[0].chunk.id for answer in ask(asked))
    assert first == third != second
    with pytest.raises(DataMistake) as error:
        one(tmp_path, answer="x", refused="false")
    assert "true or false" in error.value.faults[0]


def test_documents_quotes_and_spans_are_looked_up(tmp_path):
    for cited in (
        "https://x.example/shop/lamp.md",
        {"document": "lamp.md", "quote": "glows for 9  hours"},
        {"document": "shop/lamp.md", "start": 39, "end": 46},
    ):
        answer = one(tmp_path, answer="9 hours", citations=[cited])
        assert answer.citations[0].verified and answer.hits[0].chunk.id == "b", cited
    for cited, why in (
        ("rope.md", "none of the documents"),
        ({"document": "lamp.md", "quote": "all night"}, "quote"),
        ({"document": "lamp.md", "start": 900, "end": 950}, "outside"),
    ):
        (citation,) = one(tmp_path, answer="9 hours", citations=[cited]).citations
        assert not citation.verified and why in citation.reason


def test_refusals_errors_and_questions_without_a_line(tmp_path):
    assert one(tmp_path, answer="文档中没有。").refused and one(tmp_path, answer="Ask Bob", refused=True).refused
    assert one(tmp_path, error="timed out", answer="").error == "timed out"
    missing = answers_file(lines(tmp_path / "b.jsonl", {"id": "x", "answer": "y"}))([ASKED])[0]
    assert "no answer to this question" in missing.error and missing.text == ""


def test_all_faults_of_a_file_at_once(tmp_path):
    path = lines(
        tmp_path / "c.jsonl",
        {"id": "a", "answer": "x"},
        {"id": "a", "answer": "y"},
        {"answer": "z"},
        ["no"],
        {"id": "b", "answer": 3},
        {"id": "c", "answer": "x", "score": 1},
        {"id": "d", "answer": "x", "seconds": -1},
        {"id": "e", "answer": "x", "citations": [True]},
    )
    with pytest.raises(DataMistake) as error:
        answers_file(path)
    assert len(error.value.faults) == 7 and all(f"{path}:{n}" in f for n, f in enumerate(error.value.faults, 2))
    with pytest.raises(DataMistake, match="does not exist"):
        answers_file(tmp_path / "none.jsonl")


@pytest.fixture
def server():
    """A system that answers with citations; `reply` makes the message of a question."""
    seen = []

    class Handler(BaseHTTPRequestHandler):
        reply = staticmethod(lambda asked: {"content": f"re: {asked}"})

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            seen.append((self.path, self.headers.get("authorization"), body))
            message = type(self).reply(body["messages"][-1]["content"])
            data = json.dumps(
                {"choices": [{"message": message}], "usage": {"prompt_tokens": 70, "completion_tokens": 9}}
            )
            self.send_response(200)
            self.send_header("content-length", str(len(data.encode())))
            self.end_headers()
            self.wfile.write(data.encode())

        def log_message(self, *_):
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    http.address, http.seen, http.handler = f"http://127.0.0.1:{http.server_port}/v1", seen, Handler
    yield http
    http.shutdown()
    http.server_close()


def annotated(text, *places):
    return {
        "content": text,
        "annotations": [
            {"type": "url_citation", "url_citation": {"url": url, "title": "t", "start_index": start, "end_index": end}}
            for url, start, end in places
        ],
    }


def test_an_address_is_asked_the_bare_question_and_its_annotations_are_checked(server, monkeypatch):
    monkeypatch.setenv("OUR_KEY", "k-1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-another-address")
    text = "It glows for 9 hours.[a] It sleeps 5 people.[b]"
    server.handler.reply = staticmethod(
        lambda asked: annotated(
            text, ("https://x/shop/lamp.md", 21, 24), ("https://x/shop/lamp.md", text.index("[b]"), len(text))
        )
    )
    (answer,) = endpoint(Approach("s", "m", endpoint=server.address, key_env="OUR_KEY"), LIBRARY)([ASKED])
    path, key, body = server.seen[0]
    assert (path, key, body["model"]) == ("/v1/chat/completions", "Bearer k-1", "m")
    assert body["messages"] == [{"role": "user", "content": ASKED.question}], "no prompt of ours"
    assert [c.verified for c in answer.citations] == [True, False] and "5" in answer.citations[1].reason
    assert (answer.tokens_in, answer.tokens_out) == (70, 9) and answer.seconds > 0 and len(answer.hits) == 1
    endpoint(Approach("s", "m", endpoint=server.address), LIBRARY)([ASKED])
    assert server.seen[1][1] is None, "a key goes to its own address only"


def test_our_own_servers_sources_are_read_too(server):
    server.handler.reply = staticmethod(
        lambda asked: {
            "content": "9 hours",
            "tunewise": {"sources": [{"document": "shop/lamp.md", "span": [20, 60], "revision": "r1"}]},
        }
    )
    (answer,) = endpoint(Approach("s", "m", endpoint=server.address), LIBRARY)([ASKED])
    assert answer.citations[0].verified and answer.hits[0].chunk.id == "b"
    server.handler.reply = staticmethod(lambda asked: {"content": "I don't know."})
    assert endpoint(Approach("s", "m", endpoint=server.address))([ASKED])[0].refused


def test_an_address_that_is_none_and_a_key_that_is_missing():
    with pytest.raises(ConfigMistake, match="is no address"):
        endpoint(Approach("s", "m", endpoint="127.0.0.1:80"))
    with pytest.raises(ConfigMistake, match="NO_SUCH_KEY"):
        endpoint(Approach("s", "m", endpoint="http://127.0.0.1:9/v1", key_env="NO_SUCH_KEY"))


def test_all_stand_in_one_table(project, server):  # noqa: F811
    gold = {"kettle": "2 litres", "lamp": "9 hours", "tent": "4 people", "stove": "80 grams"}
    lines(
        project.root / "vendor.jsonl",
        *({"id": id, "answer": text, "citations": [f"{id}.md"]} for id, text in gold.items()),
        *({"id": f"u{n}", "answer": "No answer."} for n in range(18)),
    )
    server.handler.reply = staticmethod(
        lambda asked: (
            annotated("80 grams", ("http://intranet/stove.md", 8, 8))
            if "stove" in asked
            else {"content": "I do not know."}
        )
    )
    (project.root / "tunewise.toml").write_text(
        TOML + f'[approaches.vendor]\nanswers = "vendor.jsonl"\nprice = 0.001\n[approaches.live]\nendpoint = '
        f'"{server.address}"\nmodel = "x"\n',
        encoding="utf-8",
    )
    made = load_project(project.root, environ={}, user=project.root / "none")
    result = compare(made)
    rows = result.comparison.rows
    assert rows["lamp"]["vendor"].scores["correct"] == rows["stove"]["live"].scores["correct"] == 1
    assert rows["lamp"]["vendor"].scores["recall"] == 1 and rows["stove"]["live"].answer.citations[0].verified
    assert rows["rope"]["vendor"].answer.error and len(server.seen) == 23
    assert result.recommendation.total_cost["vendor"] == pytest.approx(120)
    assert "vendor.jsonl" not in json.dumps([str(result.comparison.identity["runs"]["vendor"]["model"]["sha256"])])
    assert all(str(project.root) not in str(s.approach) for s in result.comparison.standings)
    memory = {s.approach.name: s.cost.peak_memory_bytes for s in result.comparison.standings}
    assert memory["vendor"] == memory["live"] == 0 < memory["zero-shot"], "ours says nothing of theirs"
    assert last(made).recommendation == result.recommendation
    assert result.comparison.null.b == "zero-shot", "the self-test asks nobody else's system twice"
    alone = compare(made, approaches=["vendor"])
    assert alone.comparison.null.verdict == "not distinguishable"
    compare(made)
    assert len(server.seen) == 23, "what was answered is not asked again"
    with pytest.raises(ConfigMistake, match="file of answers"):
        ask(made, "How long does the lamp glow?", approach="vendor")
    assert ask(made, "What does the stove burn?", approach="live")[0].text == "80 grams"
    with pytest.raises(ConfigMistake, match="who may read"):
        ask(made, "What does the stove burn?", approach="live", groups=())


def test_what_may_not_leave_is_not_asked_at_all(project):  # noqa: F811
    (project.root / "tunewise.toml").write_text(
        TOML
        + '[approaches.cloud]\nendpoint = "https://api.example.com/v1"\nmodel = "x"\n[needs]\ndata_may_leave = false\n',
        encoding="utf-8",
    )
    made = load_project(project.root, environ={}, user=project.root / "none")
    result = compare(made)
    assert "cloud" not in {s.approach.name for s in result.comparison.standings}
    assert "api.example.com" in result.recommendation.rejected["cloud"].text
    assert last(made).recommendation == result.recommendation
    with pytest.raises(ConfigMistake, match="leaves no approach"):
        compare(made, approaches=["cloud"])
    with pytest.raises(ConfigMistake, match="data_may_leave"):
        ask(made, "Q?", approach="cloud")


def test_a_password_in_an_address_is_kept_nowhere(project):  # noqa: F811
    (project.root / "tunewise.toml").write_text(
        TOML + '[approaches.live]\nendpoint = "http://me:hunter2@127.0.0.1:9/v1"\nmodel = "x"\n', encoding="utf-8"
    )
    made = load_project(project.root, environ={}, user=project.root / "none")
    result = compare(made, approaches=["zero-shot", "live"], limit=2)
    assert result.comparison.identity["runs"]["live"]["model"]["address"] == "http://***@127.0.0.1:9/v1"
    kept = [path for path in (project.root / ".tunewise").rglob("*.json*") if "hunter2" in path.read_text("utf-8")]
    assert kept == []


def test_settings_of_foreign_systems_are_checked(tmp_path):
    (tmp_path / "tunewise.toml").write_text(
        '[approaches.a]\nanswers = "x.jsonl"\nendpoint = "http://h/v1"\n[approaches.b]\n'
        'answers = "x.jsonl"\nindex = true\n'
        '[approaches.c]\nkey_env = "K"\n',
        encoding="utf-8",
    )
    with pytest.raises(ConfigMistake) as error:
        load_project(tmp_path, environ={}, user=tmp_path / "none")
    assert all(
        part in error.value.message for part in ("take one", "index means nothing", "key_env belongs", ":3", ":6", ":8")
    )
