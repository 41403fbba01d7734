"""Text as it comes: what is told is what is answered, in every kind of model, and nobody writes for nobody."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from test_training import tiny  # noqa: F401 - a fixture: a random two-layer model in a folder
from tunewise.errors import Failed
from tunewise.models import load_model
from tunewise.models.streaming import Listener, Streaming
from tunewise.nouns import Decoding
from tunewise.retrieval.followups import leans, understood

PROMPT = [{"role": "user", "content": "Question: Q?"}]


def listener(got, stop_after=10**9):
    return Listener(got.append, lambda: len(got) >= stop_after)


def test_white_space_at_the_ends_and_half_characters_are_held_back():
    got: list[str] = []
    one = listener(got)
    for text in (" ", " The", " The ", " The kettle\n", " The kettle\nholds �", " The kettle\nholds 水"):
        one.tell(text)
    one.tell(" The kettle\nholds 水 ")
    assert got == ["The", " kettle", "\nholds 水"] and one.told == "The kettle\nholds 水"


def test_a_model_that_cannot_stream_tells_its_text_at_once():
    got: list[str] = []
    (made,) = Streaming(load_model("echo"), [listener(got)]).generate([PROMPT], Decoding())
    assert got == [made.text]


@pytest.fixture
def endpoint(monkeypatch):
    """An endpoint that streams "one two three four"; `mode` says how it goes wrong."""
    state = {"mode": "good", "sent": 0, "closed": threading.Event()}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            assert body["stream"] is True
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            try:
                for word in ("one", " two", " three", " four") * (10_000 if state["mode"] == "endless" else 1):
                    if state["mode"] == "breaks" and word == " three":
                        return
                    if state["mode"] == "error" and word == " three":
                        self.wfile.write(b'data: {"error": {"message": "out of memory"}}\n\n')
                        return
                    chunk = {"choices": [{"delta": {"content": word}, "finish_reason": None}]}
                    self.wfile.write(f"data: {json.dumps(chunk)}\n\n: keep-alive\n\n".encode())
                    self.wfile.flush()
                    state["sent"] += 1
                last = {"choices": [{"delta": {}, "finish_reason": "stop"}],
                        "usage": {"prompt_tokens": 7, "completion_tokens": 4}}
                self.wfile.write(f"data: {json.dumps(last)}\n\ndata: [DONE]\n\n".encode())
            except OSError:
                state["closed"].set()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{server.server_port}/v1")
    yield state
    server.shutdown()
    server.server_close()


def test_an_endpoint_streams_through(endpoint):
    got: list[str] = []
    (made,) = Streaming(load_model("openai:m"), [listener(got)]).generate([PROMPT], Decoding())
    assert got == ["one", " two", " three", " four"] and made.text == "one two three four"
    assert (made.tokens_in, made.tokens_out) == (7, 4)


def test_an_endpoint_is_hung_up_on_when_nobody_listens(endpoint):
    endpoint["mode"] = "endless"
    got: list[str] = []
    (made,) = Streaming(load_model("openai:m"), [listener(got, 3)]).generate([PROMPT], Decoding())
    assert made.text.startswith("one two three") and endpoint["closed"].wait(10) and endpoint["sent"] < 40_000


@pytest.mark.parametrize(("mode", "words"), [("breaks", "middle of an answer"), ("error", "out of memory")])
def test_half_an_answer_is_an_error_and_no_answer(endpoint, mode, words):
    endpoint["mode"] = mode
    with pytest.raises(Failed, match=words):
        Streaming(load_model("openai:m"), [listener([])]).generate([PROMPT], Decoding())


@pytest.mark.slow
@pytest.mark.parametrize("shared", [False, True])
def test_a_local_model_streams_a_batch_and_stops_single_rows(tiny, shared):  # noqa: F811
    """A model of its own, and one of a base that adapters share (the server's)."""
    from tunewise.models import load_models

    model = load_models(str(tiny), {"": None})[""] if shared else load_model(str(tiny))
    prompts = [[{"role": "user", "content": text}] for text in ("a", "a longer question", "b")]
    plain = model.generate(prompts, Decoding(max_new_tokens=24))
    told: list[list[str]] = [[], [], []]
    streamed = Streaming(model, [listener(got) for got in told]).generate(prompts, Decoding(max_new_tokens=24))
    assert [one.text for one in streamed] == [one.text for one in plain]
    for got, one in zip(told, plain, strict=True):
        # A random model ends in broken bytes, which are held back for the whole character that never comes.
        assert one.text.startswith("".join(got)) and not one.text[len("".join(got)) :].strip("�")
    assert max(map(len, told)) > 3
    told = [[], [], []]
    stops = [listener(told[0]), listener(told[1], 2), listener(told[2])]
    stopped = Streaming(model, stops).generate(prompts, Decoding(max_new_tokens=24))
    assert stopped[0].text == plain[0].text and stopped[2].text == plain[2].text
    assert len(told[1]) <= 2


@pytest.mark.slow
def test_llama_cpp_streams_stops_and_keeps_its_port_shut():
    pytest.importorskip("xllamacpp", reason="xllamacpp is not installed (tunewise[llamacpp])")
    import httpx

    model = load_model("gguf:smollm2")
    got: list[str] = []
    prompt = [{"role": "user", "content": "Write a long story about a fox."}]
    (made,) = Streaming(model, [listener(got)]).generate([prompt], Decoding(max_new_tokens=12))
    assert made.text == "".join(got) and made.tokens_out == 12 and len(got) > 3
    got.clear()
    (made,) = Streaming(model, [listener(got, 3)]).generate([prompt], Decoding(max_new_tokens=200))
    assert made.tokens_out < 10
    assert model.count_tokens("How long?") == 3
    for path in ("/slots", "/props", "/v1/models", "/completion"):
        assert httpx.get(model._server.listening_address + path).status_code in (401, 404, 405)


# ------------------------------------------------------------------------------------------------ follow-up questions


@pytest.mark.parametrize(("question", "expected"), [
    ("And for sale items?", True), ("What about the lamp?", True), ("Why?", True), ("Can it be returned opened?", True),
    ("那灯呢？", True), ("它多少钱？", True), ("还有别的要求吗？", True),
    ("How much water does the kettle hold when it is filled to the upper mark on its side?", False),
    # "There" that asks whether one exists, "that" with what it points to before it, 应该.
    ("Is there a fee for express delivery?", False), ("How high is the deposit that I pay for a bike?", False),
    ("我应该在几天内退货？", False), ("Does that apply to staff as well?", True), ("How do I get there?", True),
    ("该产品的保修期是多久？", True),
    ("How long does the lamp glow after charging?", False), ("退货需要在多少天之内完成办理手续？", False),
])
def test_which_questions_lean_on_the_one_before(question, expected):
    assert leans(question) == expected


def test_a_chain_of_follow_ups_goes_back_to_the_question_that_stands_alone():
    before = ["How much water does the kettle hold?", "And the lamp?", "Why?"]
    assert understood("Is it safe?", before) == "How much water does the kettle hold? And the lamp? Why? Is it safe?"
    assert understood("Is it safe?", []) == "Is it safe?"
    turns = ["年假多少天？", "病假怎么请？", "报销流程？", "加班费怎么算？"]
    assert understood("礼品卡能退吗？", turns) == "年假多少天？ 报销流程？ 加班费怎么算？ 礼品卡能退吗？"
    alone = "How long does the lamp glow after charging?"
    assert understood(alone, before) == alone
