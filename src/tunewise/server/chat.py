"""The OpenAI-compatible routes: models, chat completions (streamed or whole) and embeddings.

Each approach is a model, `tunewise/NAME`, and `tunewise/recommended` is the winner. An approach answers as it was
measured: temperature, top_p, seed, stop and tools are taken and left aside; `max_tokens` can only shorten.
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response, StreamingResponse

from tunewise.errors import DataMistake
from tunewise.jobs.answering import Offer
from tunewise.nouns import Approach
from tunewise.server import sources
from tunewise.server.access import Asker, TheHouse
from tunewise.server.desk import Delta, Done, Order
from tunewise.server.faults import Fault, told
from tunewise.server.house import House
from tunewise.server.principals import Principal

PREFIX = "tunewise/"
RECOMMENDED = PREFIX + "recommended"
TICK = 1.0
"""Seconds between two looks at whether the client is still there and its key still holds."""
KEEP_ALIVE = 10
"""Ticks of silence after which a comment is sent, so that no proxy in between closes the stream."""
_STREAM_HEADERS = {"X-Accel-Buffering": "no", "Cache-Control": "no-store"}

router = APIRouter(prefix="/v1", tags=["OpenAI-compatible"])


class TextPart(BaseModel):
    """A part of a message; parts that are no text are left aside."""

    type: str = Field(max_length=64)
    text: str = Field("", max_length=1_000_000)


class Message(BaseModel):
    """A turn of the conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | Annotated[list[TextPart], Field(max_length=100)] | None = None

    def text(self) -> str:
        """Its text, parts joined."""
        if self.content is None or isinstance(self.content, str):
            return self.content or ""
        return "\n".join(part.text for part in self.content if part.type in ("text", "input_text"))


class StreamOptions(BaseModel):
    """What a stream is to carry besides the text."""

    include_usage: bool = False


class Extras(BaseModel):
    """Tunewise's own wishes inside an OpenAI request (`extra_body={"tunewise": …}`)."""

    events: Literal["none", "open-webui"] = "none"


class ChatRequest(BaseModel):
    """A chat completion; fields that are not listed here are left aside."""

    model: str = Field(max_length=200, examples=[RECOMMENDED])
    messages: list[Message] = Field(min_length=1, max_length=1_000)
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(None, ge=1, le=1_000_000)
    max_completion_tokens: int | None = Field(None, ge=1, le=1_000_000)
    n: int | None = Field(None, ge=1, le=1, description="Only one answer is given.")
    tunewise: Extras = Extras()


class EmbeddingRequest(BaseModel):
    """Texts to turn into vectors with the project's embedder."""

    input: (
        Annotated[str, Field(max_length=20_000)]
        | Annotated[list[Annotated[str, Field(max_length=20_000)]], Field(min_length=1, max_length=256)]
    )
    model: str = Field("tunewise/embedder", max_length=200)
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = Field(None, ge=1, le=100_000)


def _model(offer: Offer) -> dict[str, Any]:
    return {
        "id": PREFIX + offer.name, "object": "model", "created": 0, "owned_by": "tunewise",
        "tunewise": {
            "approach": offer.name, "model": offer.approach.model, "reads_documents": bool(offer.approach.index),
            "tuned": bool(offer.approach.recipe), "recommended": offer.recommended, "ready": offer.ready,
            "reason": offer.reason, "index_moved_on": offer.moved_on,
        },
    }


def _models(house: House, asker: Principal) -> list[dict[str, Any]]:
    offers = house.answering.approaches(asker.groups)
    found = [_model(offer) for offer in offers]
    chosen = house.answering.choose(None, asker.groups)
    best = [one for one in found if chosen and one["id"] == PREFIX + chosen.name]
    return [*({**one, "id": RECOMMENDED} for one in best), *found]


@router.get("/models")
def list_models(house: TheHouse, asker: Asker) -> dict[str, Any]:
    """The approaches that this reader may ask, as models; the first is the recommended one."""
    return {"object": "list", "data": _models(house, asker)}


@router.get("/models/{model:path}")
def get_model(model: str, house: TheHouse, asker: Asker) -> dict[str, Any]:
    """One approach as a model."""
    for one in _models(house, asker):
        if one["id"] == model:
            return one
    raise _no_model(model)


def _no_model(model: str) -> Fault:
    text = f"the model {model!r} does not exist"
    return Fault(404, text, code="model_not_found", param="model", tip="see /v1/models")


def _approach_name(model: str) -> str | None:
    """The approach behind a model id; None for the recommended one."""
    name = model.removeprefix(PREFIX)
    return None if name == "recommended" else name


def _conversation(house: House, messages: list[Message]) -> tuple[str, list[tuple[str, str]]]:
    """(the question, the earlier turns)."""
    if len(messages) > house.options.messages:
        raise Fault(
            400, f"more than {house.options.messages} messages", code="context_length_exceeded", param="messages"
        )
    places = [i for i, message in enumerate(messages) if message.role == "user"]
    if not places:
        raise Fault(400, "there is no user message", code="invalid_request", param="messages")
    question = messages[places[-1]].text()
    if not question.strip():
        raise Fault(400, "the last user message has no text", code="invalid_request", param="messages")
    if len(question) > house.options.question_characters:
        raise Fault(
            400, f"the question is longer than {house.options.question_characters} characters",
            code="context_length_exceeded", param="messages",
        )
    return question, [(message.role, message.text()) for message in messages[: places[-1]]]


@router.post("/chat/completions", response_model=None)
async def chat_completions(wanted: ChatRequest, request: Request, house: TheHouse, asker: Asker) -> Response:
    """Answer the last question of a conversation, from the documents and with checked citations.

    Citations come as `annotations` of type `url_citation` and, whole, in `message.tunewise` (streamed: in the last
    deltas). 404 `model_not_found`, 429 when the queue is full, 504 when it took too long.
    """
    question, history = _conversation(house, wanted.messages)
    limits = [limit for limit in (wanted.max_tokens, wanted.max_completion_tokens) if limit is not None]
    order = await house.desk.submit(
        asker, question, approach=_approach_name(wanted.model), history=history,
        max_new_tokens=min(limits) if limits else None, whole=not wanted.stream,
    )
    try:
        # Beside the generation, not after it: the line is on the disk before the answer is out.
        line = asyncio.create_task(
            asyncio.to_thread(house.state.audit_line, asker.name, "ask", order.approach.name, {"id": order.id})
        )
        if wanted.stream:
            events = _stream(house, asker, wanted, order, line, request)
            return StreamingResponse(events, media_type="text/event-stream", headers=_STREAM_HEADERS)
        done = await _whole(house, asker, order, request)
        await line
    except BaseException:
        house.desk.leave(order)
        raise
    message = {
        "role": "assistant", "content": done.content, "refusal": None, "annotations": sources.annotations(done),
        "tunewise": sources.records(done),
    }
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _reason(done)}
    return JSONResponse(_envelope(wanted, order, "chat.completion") | {"choices": [choice], "usage": _usage(done)})


async def _whole(house: House, asker: Principal, order: Order, request: Request) -> Done:
    """The answer, unless its client went away or its key was revoked meanwhile."""
    checked = time.monotonic()
    async for event in house.desk.events(order, tick=TICK):
        if isinstance(event, Done):
            return event
        # By the clock: a model that writes all the time is never silent.
        if time.monotonic() - checked >= TICK:
            checked = time.monotonic()
            if await request.is_disconnected():
                raise Fault(499, "the client went away", code="client_gone")
            await _still(house, asker)
    raise AssertionError("events end with Done")


async def _still(house: House, asker: Principal) -> None:
    if not await asyncio.to_thread(house.state.alive, asker):
        raise Fault(401, "this key was revoked", code="invalid_api_key")


async def _stream(
    house: House, asker: Principal, wanted: ChatRequest, order: Order, line: asyncio.Task[int],
    request: Request,
) -> AsyncIterator[str]:
    head = _envelope(wanted, order, "chat.completion.chunk")
    usage = bool(wanted.stream_options and wanted.stream_options.include_usage)

    def chunk(delta: dict[str, Any], reason: str | None = None) -> str:
        value = head | {"choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}]}
        return _data(value | ({"usage": None} if usage else {}))

    silent, checked = 0, time.monotonic()
    try:
        yield chunk({"role": "assistant", "content": ""})
        async for event in house.desk.events(order, tick=TICK):
            if time.monotonic() - checked >= TICK:
                checked = time.monotonic()
                await _still(house, asker)
            silent = silent + 1 if event is None else 0
            if isinstance(event, Delta):
                yield chunk({"content": event.text})
            elif isinstance(event, Done):
                await line
                if wanted.tunewise.events == "open-webui":
                    for one in sources.webui_events(event):
                        yield _data(one)
                yield chunk({"annotations": sources.annotations(event), "tunewise": sources.records(event)})
                yield chunk({}, _reason(event))
                if usage:
                    yield _data(head | {"choices": [], "usage": _usage(event)})
            elif silent % KEEP_ALIVE == 0:
                yield ": still working\n\n"
    except Exception as error:  # noqa: BLE001 - the status line is out: all that is left is to say it in the stream
        yield _data(told(error, request).body())
    finally:
        house.desk.leave(order)
    yield "data: [DONE]\n\n"


def _data(value: dict[str, Any]) -> str:
    return f"data: {json.dumps(value, ensure_ascii=False, separators=(',', ':'))}\n\n"


def _envelope(wanted: ChatRequest, order: Order, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{order.id}", "object": kind, "created": int(time.time()), "model": wanted.model,
        "system_fingerprint": _fingerprint(order.approach),
    }


def _fingerprint(approach: Approach) -> str:
    return f"tunewise-{approach.name}"


def _reason(done: Done) -> str:
    return "length" if done.answer.tokens_out >= done.approach.decoding.max_new_tokens else "stop"


def _usage(done: Done) -> dict[str, Any]:
    asked, said = done.answer.tokens_in, done.answer.tokens_out
    return {"prompt_tokens": asked, "completion_tokens": said, "total_tokens": asked + said}


@router.post("/embeddings")
def embeddings(wanted: EmbeddingRequest, house: TheHouse, asker: Asker) -> dict[str, Any]:
    """Vectors of texts, normalised, by the embedder that the project's index was built with."""
    texts = [wanted.input] if isinstance(wanted.input, str) else wanted.input
    if wanted.model not in ("tunewise/embedder", house.project.embedder):
        raise _no_model(wanted.model)
    if not all(text.strip() for text in texts):
        raise DataMistake("an empty text has no embedding")
    if sum(map(len, texts)) > 500_000:
        raise Fault(400, "more than 500,000 characters at a time", code="context_length_exceeded", param="input")
    embedder = house.answering.embedder()
    if wanted.dimensions not in (None, embedder.dimension):
        raise Fault(
            400, f"the embedder has {embedder.dimension} dimensions", code="invalid_request", param="dimensions"
        )
    vectors = np.asarray(embedder.embed(texts), dtype="<f4")
    tokens = sum(embedder.count_tokens(text) for text in texts)
    coded = [
        base64.b64encode(vector.tobytes()).decode() if wanted.encoding_format == "base64" else vector.tolist()
        for vector in vectors
    ]
    return {
        "object": "list", "model": wanted.model,
        "data": [{"object": "embedding", "index": i, "embedding": one} for i, one in enumerate(coded)],
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
