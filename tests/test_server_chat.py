"""The OpenAI-compatible side, with the official client: models, answers, streams, citations, errors, a full queue."""

from __future__ import annotations

import json
import threading

import httpx
import openai
import pytest

from sample_server import make_project, served, wait

ASKED = "How much water does the kettle hold?"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return make_project(tmp_path_factory.mktemp("served"))


@pytest.fixture(scope="module")
def server(project):
    with served(project) as (address, app):
        yield address, app


@pytest.fixture(scope="module")
def client(server):
    return openai.OpenAI(base_url=f"{server[0]}/v1", api_key="none", max_retries=0)


def ask(client, text=ASKED, **more):
    return client.chat.completions.create(
        **{"model": "tunewise/rag", "messages": [{"role": "user", "content": text}]} | more
    )


def test_each_approach_is_a_model_and_the_winner_has_a_name_of_its_own(client):
    ids = [one.id for one in client.models.list()]
    assert ids == ["tunewise/recommended", "tunewise/zero-shot", "tunewise/rag", "tunewise/few-shot"]
    assert client.models.retrieve("tunewise/rag").id == "tunewise/rag"
    with pytest.raises(openai.NotFoundError) as error:
        client.models.retrieve("tunewise/raft")
    assert error.value.code == "model_not_found" and error.value.param == "model"


def test_an_answer_comes_with_checked_citations_in_every_form(client):
    answer = ask(client)
    message = answer.choices[0].message
    assert message.content == "The kettle holds 2 litres of water. [1]" and answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 10
    (cited,) = message.annotations
    assert message.content[cited.url_citation.start_index : cited.url_citation.end_index] == "[1]"
    assert cited.type == "url_citation" and cited.url_citation.url.startswith("tunewise:kettle.md#")
    own = message.tunewise
    (source,) = own["sources"]
    assert source["verified"] and source["document"] == "kettle.md" and source["quote"] in message.content
    assert own["text"] == "The kettle holds 2 litres of water." and own["approach"] == "rag"
    assert [p["cited"] for p in own["retrieved"]][0] is True and len(own["retrieved"]) == 3


def test_a_stream_adds_up_to_the_answer_and_ends_as_the_protocol_says(server):
    body = {"model": "tunewise/rag", "stream": True, "stream_options": {"include_usage": True}, "unknown": 1,
            "messages": [{"role": "user", "content": [{"type": "text", "text": ASKED}]}]}
    with httpx.stream("POST", f"{server[0]}/v1/chat/completions", json=body) as reply:
        assert reply.headers["content-type"].startswith("text/event-stream")
        assert reply.headers["x-accel-buffering"] == "no" and reply.headers["x-request-id"]
        lines = [line.removeprefix("data: ") for line in reply.iter_lines() if line.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    chunks = [json.loads(line) for line in lines[:-1]]
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks if chunk["choices"]]
    assert deltas[0] == {"role": "assistant", "content": ""}
    assert "".join(delta.get("content", "") for delta in deltas) == "The kettle holds 2 litres of water. [1]"
    assert deltas[-2]["annotations"][0]["url_citation"]["title"] and deltas[-2]["tunewise"]["sources"][0]["verified"]
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
    assert chunks[-1]["choices"] == [] and chunks[-1]["usage"]["total_tokens"] > 0


def test_the_official_client_reads_the_stream(client):
    with ask(client, stream=True) as stream:
        text = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
    assert text == "The kettle holds 2 litres of water. [1]"


def test_open_webui_gets_its_source_events_when_it_asks_for_them(server):
    body = {"model": "tunewise/rag", "stream": True, "tunewise": {"events": "open-webui"},
            "messages": [{"role": "user", "content": ASKED}]}
    lines = httpx.post(f"{server[0]}/v1/chat/completions", json=body).text.splitlines()
    events = [json.loads(line[6:])["event"] for line in lines if line.startswith('data: {"event"')]
    (event,) = events
    assert event["type"] == "source" and event["data"]["metadata"][0]["source"] == "kettle.md"
    assert "2 litres" in event["data"]["document"][0] and len(event["data"]["distances"]) == 1


@pytest.mark.parametrize(("question", "document"), [("And of the stove?", "stove.md"), ("那炉子呢？", "kettle.md")])
def test_a_follow_up_is_understood_from_the_conversation(client, question, document):
    turns = [{"role": "user", "content": "How many grams of gas are burnt by it?" if "stove" in question else ASKED},
             {"role": "assistant", "content": "80 grams"}, {"role": "user", "content": question}]
    own = ask(client, messages=turns).choices[0].message.tunewise
    assert own["question"].endswith(question) and len(own["question"]) > len(question)
    assert own["retrieved"][0]["document"] == document


def test_a_question_that_stands_alone_is_left_as_it_is(client):
    turns = [{"role": "user", "content": "How many people sleep in the tent?"}, {"role": "assistant", "content": "4"},
             {"role": "user", "content": ASKED}]
    assert ask(client, messages=turns).choices[0].message.tunewise["question"] == ASKED


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"model": "gpt-4"}, 404, "model_not_found"),
        ({"messages": []}, 400, "invalid_request"),
        ({"messages": [{"role": "user", "content": "  "}]}, 400, "invalid_request"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, 400, "invalid_request"),
        ({"messages": [{"role": "user", "content": "x" * 9000}]}, 400, "context_length_exceeded"),
        ({"messages": [{"role": "user", "content": "x"}] * 201}, 400, "context_length_exceeded"),
        ({"n": 10**6}, 400, "invalid_request"),
        ({"max_tokens": 10**9}, 400, "invalid_request"),
        ({"max_tokens": 0}, 400, "invalid_request"),
    ],
)
def test_every_error_is_in_openais_form(server, change, status, code):
    body = {"model": "tunewise/rag", "messages": [{"role": "user", "content": ASKED}]} | change
    reply = httpx.post(f"{server[0]}/v1/chat/completions", json=body, headers={"x-request-id": "mine-1"})
    assert reply.status_code == status and reply.headers["x-request-id"] == "mine-1"
    assert set(reply.json()) == {"error"} and set(reply.json()["error"]) == {"message", "type", "param", "code"}
    assert reply.json()["error"]["code"] == code


def test_what_is_no_json_and_what_is_no_route_are_errors_of_the_same_form(server):
    for reply in (
        httpx.post(f"{server[0]}/v1/chat/completions", content=b"{", headers={"content-type": "application/json"}),
        httpx.get(f"{server[0]}/v1/nothing"), httpx.put(f"{server[0]}/v1/models"),
    ):
        assert 400 <= reply.status_code < 500 and set(reply.json()) == {"error"}


def test_max_tokens_shortens_and_says_so(client):
    assert ask(client, max_tokens=2).choices[0].finish_reason == "length"


def test_embeddings_are_those_of_the_index(client):
    made = client.embeddings.create(model="tunewise/embedder", input=["kettle", "lamp"])
    plain = client.embeddings.create(model="tunewise/embedder", input="kettle", encoding_format="float")
    assert len(made.data) == 2 and made.data[0].embedding == pytest.approx(plain.data[0].embedding)
    assert sum(x * x for x in plain.data[0].embedding) == pytest.approx(1.0, abs=1e-3)
    with pytest.raises(openai.BadRequestError):
        client.embeddings.create(model="tunewise/embedder", input="kettle", dimensions=3)


# ------------------------------------------------------------------------------------------------ under load


class Slow:
    """A model that writes ten words, one for each turn of a gate, and counts what it wrote."""

    name = "echo"
    identity = {"model": "slow"}

    def __init__(self):
        self.gate, self.written, self.batches = threading.Event(), 0, []

    def count_tokens(self, text):
        return len(text.split())


@pytest.fixture
def slow(tmp_path, monkeypatch):
    """A server whose model waits for a gate, and tells its listeners word by word."""
    from tunewise.models import Generated, streaming

    model = Slow()

    def generate(self, prompts, decoding):
        model.batches.append(len(prompts))
        model.gate.wait(10)
        for _ in range(200):
            if all(listener.stopped() for listener in self._listeners):
                break
            for listener in self._listeners:
                listener.tell(f"{listener.told} w")
                model.written += 1
            model.gate.wait(0.01)
            if model.written > 2_000 or not model.hold:
                break
        texts = [f"{p[-1]['content'].rpartition(' ')[2]}" for p in prompts]
        for listener, text in zip(self._listeners, texts, strict=True):
            if not listener.told:
                listener.tell(text)
        return [Generated(listener.told, 1, 1, 0.0) for listener in self._listeners]

    model.hold = False
    monkeypatch.setattr(streaming.Streaming, "generate", generate)
    # A project of its own: a second server on the other one is refused.
    with served(make_project(tmp_path), queue=50, batch=8, seconds=20) as (address, app):
        yield address, app, model


def test_fifty_streams_are_answered_each_its_own_and_the_rest_are_told_to_wait(slow, monkeypatch):
    from tunewise.models import Generated, streaming

    address, app, model = slow

    def generate(self, prompts, decoding):
        model.batches.append(len(prompts))
        model.gate.wait(20)
        said = []
        for prompt, listener in zip(prompts, self._listeners, strict=True):
            text = f"answer to {prompt[-1]['content'].rpartition('number ')[2]}"
            listener.tell(text)
            said.append(Generated(text, 1, 1, 0.0))
        return said

    monkeypatch.setattr(streaming.Streaming, "generate", generate)
    results: dict[int, str] = {}

    def one(number):
        body = {"model": "tunewise/zero-shot", "stream": True,
                "messages": [{"role": "user", "content": f"What is said about number {number}"}]}
        reply = httpx.post(f"{address}/v1/chat/completions", json=body, timeout=30)
        lines = [json.loads(line[6:]) for line in reply.text.splitlines() if line.startswith("data: {")]
        results[number] = "".join(c["choices"][0]["delta"].get("content", "") for c in lines if c.get("choices"))

    threads = [threading.Thread(target=one, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    desk = app.state.house.desk
    wait(lambda: desk.inside == 50)
    refused = [
        httpx.post(f"{address}/v1/chat/completions",
                   json={"model": "tunewise/zero-shot", "messages": [{"role": "user", "content": "one more"}]})
        for _ in range(20)
    ]
    assert {reply.status_code for reply in refused} == {429}
    assert all(int(reply.headers["retry-after"]) > 0 for reply in refused)
    assert refused[0].json()["error"]["code"] == "queue_full"
    model.gate.set()
    for thread in threads:
        thread.join(30)
    assert {number: text.rstrip("?") for number, text in results.items()} == {n: f"answer to {n}" for n in range(50)}
    assert max(model.batches) == 8
    wait(lambda: desk.inside == 0)


def test_a_client_that_goes_away_stops_its_generation(slow):
    address, app, model = slow
    model.hold = True
    model.gate.set()
    body = {"model": "tunewise/rag", "stream": True, "messages": [{"role": "user", "content": ASKED}]}
    with httpx.stream("POST", f"{address}/v1/chat/completions", json=body) as reply:
        next(reply.iter_lines())
    wait(lambda: app.state.house.desk.inside == 0, seconds=3)
    assert app.state.house.desk.counts["stopped"] == 1


def test_earlier_turns_get_no_more_room_than_a_question(server, monkeypatch):
    address, app = server
    seen = []
    desk = app.state.house.desk
    answer = desk.answering.answer
    monkeypatch.setattr(desk.answering, "answer", lambda approach, asked: seen.extend(asked) or answer(approach, asked))
    limit = app.state.house.options.question_characters

    def said(earlier, question):
        messages = [{"role": "user", "content": earlier}, {"role": "user", "content": question}]
        return httpx.post(f"{address}/v1/chat/completions", json={"model": "tunewise/rag", "messages": messages})

    refused = said("kettle " * (limit // 3), "And it?")
    assert refused.status_code == 400 and "longer than" in refused.json()["error"]["message"] and not seen
    assert said("kettle " * 10, "And how much water does it hold?").status_code == 200
    assert len(seen) == 1 and len(seen[0].question) <= limit
    wait(lambda: desk.inside == 0)
