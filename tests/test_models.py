"""Models without weights: the echo fake, and an OpenAI-compatible endpoint behind a real HTTP server on loopback."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tunewise.errors import ConfigMistake, Failed, ModelMistake
from tunewise.models import describe_model, load_model, token_counter
from tunewise.nouns import Chunk, Decoding, Hit
from tunewise.prompts import render


def hit(text, rank):
    return Hit(Chunk(f"c{rank}", "d", "r", 0, len(text), text), 1.0, rank)


HITS = [hit("The store opens at nine.", 1), hit("Meters may be returned within 30 days.", 2)]


def test_echo_answers_from_its_passages_and_refuses_without():
    model = load_model("echo")
    prompts = [
        render("grounded", "When may meters be returned?", language="en", hits=HITS),
        render("answer", "When?", language="en"),
        render("answer", "何时？", language="zh"),
    ]
    texts = [g.text for g in model.generate(prompts, Decoding())]
    assert texts == ["Meters may be returned within 30 days. [2]", "Not in the documents.", "文档中没有。"]


def test_models_without_weights_wear_no_adapter(tmp_path):
    with pytest.raises(ModelMistake, match="cannot wear"):
        load_model("echo", adapter=tmp_path)


class Server:
    """What an OpenAI-compatible server answers, one status after the other."""

    def __init__(self):
        self.statuses, self.seen = [], []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                outer.seen.append((self.path, self.headers.get("authorization"), body))
                status = outer.statuses.pop(0) if outer.statuses else 200
                reply = {
                    "choices": [
                        {"message": {"role": "assistant", "content": "re: " + body["messages"][-1]["content"]}}
                    ],
                    "usage": {"prompt_tokens": 11, "completion_tokens": 5},
                }
                data = json.dumps(reply if status == 200 else {"error": {"message": "no"}}).encode()
                self.send_response(status)
                if status == 429:
                    self.send_header("retry-after", "0")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.address = f"http://127.0.0.1:{self.http.server_port}/v1"


@pytest.fixture
def server(monkeypatch):
    made = Server()
    monkeypatch.setenv("OPENAI_BASE_URL", made.address)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    yield made
    made.http.shutdown()
    made.http.server_close()


def test_an_endpoint_answers_in_order_with_its_own_token_counts(server):
    model = load_model("openai:small")
    prompts = [render("answer", f"Question {n}?", language="en") for n in range(9)]
    said = model.generate(prompts, Decoding(max_new_tokens=7))
    assert [g.text for g in said] == [f"re: Question: Question {n}?" for n in range(9)]
    assert (said[0].tokens_in, said[0].tokens_out) == (11, 5) and said[0].seconds > 0
    path, key, body = server.seen[0]
    assert path == "/v1/chat/completions" and key == "Bearer sk-secret"
    assert body["model"] == "small" and body["max_tokens"] == 7 and body["temperature"] == 0.0


def test_what_passes_is_tried_again_and_what_does_not_is_an_error(server):
    prompt = [render("answer", "Q?", language="en")]
    server.statuses = [429, 503]
    assert load_model("openai:small").generate(prompt, Decoding())[0].text == "re: Question: Q?"
    assert len(server.seen) == 3
    for status, kind in ((401, ConfigMistake), (404, ModelMistake), (400, Failed)):
        server.statuses = [status]
        with pytest.raises(kind) as error:
            load_model("openai:small").generate(prompt, Decoding())
        assert "sk-secret" not in str(error.value) + error.value.tip
    server.statuses = [500] * 4
    with pytest.raises(Failed, match="4 times"):
        load_model("openai:small").generate(prompt, Decoding())


def test_an_endpoint_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with pytest.raises(Failed, match="127.0.0.1:9"):
        load_model("openai:small").generate([render("answer", "Q?", language="en")], Decoding())


def test_an_endpoint_needs_an_address_and_a_name(monkeypatch):
    with pytest.raises(ConfigMistake, match="address"):
        load_model("openai:small")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    with pytest.raises(ModelMistake):
        load_model("openai:")
    monkeypatch.setenv("TUNEWISE_OFFLINE", "1")
    monkeypatch.setenv("OPENAI_BASE_URL", "https://api.example.com/v1")
    with pytest.raises(ConfigMistake, match="offline"):
        load_model("openai:small")


def test_names_that_are_no_model(tmp_path):
    for name in ("nothing", "./nowhere", str(tmp_path)):
        with pytest.raises(ModelMistake) as error:
            token_counter(name)
        assert error.value.message
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(ModelMistake, match="safetensors"):
        token_counter(str(tmp_path))


def test_identity_without_loading():
    assert describe_model("echo")["model"] == "echo"
    assert token_counter("echo")("two words 三字") == 4
