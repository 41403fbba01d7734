"""Any OpenAI-compatible endpoint as a model: `openai:MODEL` or `ollama:MODEL`.

Address and key come from OPENAI_BASE_URL and OPENAI_API_KEY (OLLAMA_HOST), and the key is never printed. A call is
retried on 429, 5xx and broken connections, a bounded number of times; then it is an error on record. With a journal,
every reply is on the disk before it is handed on, so that a killed process pays for no answer twice.
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tunewise.errors import ConfigMistake, Failed, ModelMistake
from tunewise.models import Generated
from tunewise.nouns import Decoding
from tunewise.store import append_jsonl, fingerprint, recover_jsonl

if TYPE_CHECKING:
    from tunewise.models.streaming import Listener

_TRIES = 4
_PARALLEL = 4


class Endpoint:
    """A chat model behind HTTP; up to four requests at a time."""

    def __init__(self, name: str, *, seconds: float = 120.0, journal: Path | None = None) -> None:
        kind, _, model = name.partition(":")
        if kind == "ollama":
            base = os.environ.get("OLLAMA_HOST", "http://127.0.0.1:11434").rstrip("/")
            base = (base if "://" in base else f"http://{base}") + "/v1"
        else:
            base = os.environ.get("OPENAI_BASE_URL", "").rstrip("/")
            if not base:
                raise ConfigMistake(f"{name} needs an address", tip="export OPENAI_BASE_URL=http://127.0.0.1:8000/v1")
        if not model:
            raise ModelMistake(f"{name!r} names no model", tip=f"write {kind}:MODEL, for example openai:qwen3-4b")
        if os.environ.get("TUNEWISE_OFFLINE") and urlsplit(base).hostname not in ("127.0.0.1", "localhost", "::1"):
            raise ConfigMistake(
                f"--offline is set, and {base} is not this machine", tip="drop --offline or use a local model"
            )
        self.name = name
        self._base, self._model, self._seconds = base, model, seconds
        # A password inside the address is nobody's business: not in a report, not in a message.
        self._shown = re.sub(r"//[^/@]*@", "//***@", base)
        self.identity: dict[str, Any] = {"model": name, "address": self._shown}
        self._client: Any = None
        self._journal, self._writing = journal, threading.Lock()
        self._known = {
            value["asked"]: Generated(**value["reply"]) for value in (recover_jsonl(journal) if journal else ())
        }

    def count_tokens(self, text: str) -> int:
        """An upper estimate without the endpoint's tokenizer: UTF-8 bytes over 3, at least the number of words."""
        return max(len(text.split()), -(-len(text.encode()) // 3))

    def generate(self, prompts: Sequence[list[dict[str, str]]], decoding: Decoding) -> list[Generated]:
        """One completion for each list of messages, in their order."""
        self._connect()
        with ThreadPoolExecutor(_PARALLEL) as pool:
            return list(pool.map(lambda messages: self._kept(messages, decoding), prompts))

    def stream(
        self, prompts: Sequence[list[dict[str, str]]], decoding: Decoding, listeners: Sequence[Listener]
    ) -> list[Generated]:
        """As `generate`, and each listener is told its text as it arrives; its connection is closed when it stops."""
        self._connect()
        with ThreadPoolExecutor(_PARALLEL) as pool:
            pairs = zip(prompts, listeners, strict=True)
            return list(pool.map(lambda pair: self._streamed(pair[0], decoding, pair[1]), pairs))

    def _connect(self) -> None:
        import httpx

        if self._client is None:
            key = os.environ.get("OPENAI_API_KEY", "")
            self._client = httpx.Client(
                timeout=self._seconds, headers={"Authorization": f"Bearer {key}"} if key else {}, follow_redirects=False
            )

    def _kept(self, messages: list[dict[str, str]], decoding: Decoding) -> Generated:
        if self._journal is None:
            return self._one(messages, decoding)
        asked = fingerprint([self._shown, self._model, messages, asdict(decoding)])
        if asked not in self._known:
            reply = self._one(messages, decoding)
            with self._writing:
                append_jsonl(self._journal, {"asked": asked, "reply": asdict(reply)})
                self._known[asked] = reply
        return self._known[asked]

    def _streamed(self, messages: list[dict[str, str]], decoding: Decoding, listener: Listener) -> Generated:
        import httpx

        start = time.perf_counter()
        body = self._body(messages, decoding) | {"stream": True, "stream_options": {"include_usage": True}}
        text, usage, ended = "", {}, False
        try:
            with self._client.stream("POST", f"{self._base}/chat/completions", json=body) as reply:
                if reply.status_code != 200:
                    # Nothing was told yet: the patient way retries, and says what is wrong.
                    return self._one(messages, decoding)
                for line in reply.iter_lines():
                    if listener.stopped():
                        break
                    data = line.removeprefix("data:").strip()
                    if not line.startswith("data:") or not data:
                        continue
                    if data == "[DONE]":
                        ended = True
                        break
                    event = json.loads(data)
                    if event.get("error"):
                        raise Failed(f"{self._shown} broke off: {str(event['error'])[:200]}")
                    usage = event.get("usage") or usage
                    for choice in event.get("choices") or ():
                        text += (choice.get("delta") or {}).get("content") or ""
                        ended = ended or choice.get("finish_reason") is not None
                    listener.tell(text)
        except httpx.TransportError as error:
            raise Failed(f"{self._shown} broke off: {type(error).__name__}", tip="is the server running?") from error
        except (ValueError, AttributeError, TypeError) as error:
            raise Failed(f"{self._shown} streamed something that is no chat completion") from error
        if not ended and not listener.stopped():
            raise Failed(f"{self._shown} broke off in the middle of an answer", tip="ask again")
        counted = sum(self.count_tokens(message["content"]) for message in messages)
        return Generated(
            text.strip(), int(usage.get("prompt_tokens") or counted),
            int(usage.get("completion_tokens") or self.count_tokens(text)), time.perf_counter() - start,
        )

    def _body(self, messages: list[dict[str, str]], decoding: Decoding) -> dict[str, Any]:
        return {
            "model": self._model,
            "messages": messages,
            "max_tokens": decoding.max_new_tokens,
            "temperature": decoding.temperature,
            "seed": decoding.seed,
            "stream": False,
        }

    def _one(self, messages: list[dict[str, str]], decoding: Decoding) -> Generated:
        import httpx

        body = self._body(messages, decoding)
        start = time.perf_counter()
        for attempt in range(_TRIES):
            last = attempt == _TRIES - 1
            try:
                reply = self._client.post(f"{self._base}/chat/completions", json=body)
            except httpx.TransportError as error:
                if last:
                    raise Failed(
                        f"{self._shown} does not answer: {type(error).__name__}",
                        tip="is the server running, and OPENAI_BASE_URL right?",
                    ) from error
                time.sleep(0.2 * 2**attempt)
                continue
            if reply.status_code in (401, 403):
                raise ConfigMistake(f"{self._shown} refused the key ({reply.status_code})", tip="set OPENAI_API_KEY")
            if reply.status_code == 404:
                raise ModelMistake(f"{self._shown} has no model {self._model!r}", tip="see its /v1/models")
            if reply.status_code == 429 or reply.status_code >= 500:
                if last:
                    raise Failed(f"{self._shown} answered {reply.status_code} {_TRIES} times")
                wait = reply.headers.get("retry-after", "")
                time.sleep(min(float(wait), 30.0) if wait.replace(".", "", 1).isdigit() else 0.2 * 2**attempt)
                continue
            if reply.status_code != 200:
                raise Failed(f"{self._shown} answered {reply.status_code}: {reply.text[:200]}")
            return self._read(reply, messages, time.perf_counter() - start)
        raise AssertionError("unreachable: the last try returns or raises")

    def _read(self, reply: Any, messages: list[dict[str, str]], seconds: float) -> Generated:
        try:
            value = reply.json()
            text = value["choices"][0]["message"]["content"] or ""
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise Failed(
                f"{self._shown} answered with something that is no chat completion: {reply.text[:200]}"
            ) from error
        usage = value.get("usage") or {}
        counted = sum(self.count_tokens(message["content"]) for message in messages)
        return Generated(
            text,
            int(usage.get("prompt_tokens") or counted),
            int(usage.get("completion_tokens") or self.count_tokens(text)),
            seconds,
        )
