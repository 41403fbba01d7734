"""llama.cpp on this machine's CPU, for serving: `gguf:smollm2` (the bundled file) or `gguf:PATH` of a GGUF file.

Several times quicker than transformers on a CPU, and another arithmetic (quantised weights): compare approaches on one
engine, and serve the winner with this one after a look at the same questions. It cannot be tuned and wears no adapter:
export the tuned model as a GGUF file and name that.

llama.cpp's bindings open a port on 127.0.0.1 by themselves; it is shut with a random key, and tells no slots.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunewise.errors import Failed, ModelMistake, need
from tunewise.models import Generated
from tunewise.models.bundled import gguf_path
from tunewise.nouns import Decoding
from tunewise.store import sha256

if TYPE_CHECKING:
    from tunewise.models.streaming import Listener

PREFIX = "gguf:"
CONTEXT = 4096
SLOTS = 2
"""Prompts that are worked on at a time, each with its own context."""


def _file(name: str) -> Path:
    wanted = name.removeprefix(PREFIX)
    path = gguf_path() if wanted == "smollm2" else Path(wanted).expanduser()
    if not path.is_file():
        raise ModelMistake(f"there is no GGUF file {path}", tip="gguf:smollm2, or gguf:PATH of a .gguf file")
    return path


def describe(name: str) -> dict[str, Any]:
    """What a GGUF model is, without loading it: name, hash, engine."""
    return {"model": name, "weights": sha256(_file(name)), "engine": "llama.cpp"}


class LlamaCpp:
    """A GGUF model in this process."""

    def __init__(self, name: str, *, threads: int | None = None) -> None:
        xllamacpp = need("xllamacpp", feature=f"the model {name}", extra="llamacpp")
        path = _file(name)
        self.name = name
        self.identity: dict[str, Any] = describe(name)
        cores = threads or len(os.sched_getaffinity(0))
        parameters = xllamacpp.CommonParams()
        parameters.model.path = str(path)
        parameters.n_ctx, parameters.n_parallel = CONTEXT * SLOTS, SLOTS
        parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = cores
        parameters.verbosity = 0
        self._key = secrets.token_urlsafe(32)
        parameters.api_keys = [self._key]
        parameters.endpoint_slots = parameters.endpoint_props = parameters.endpoint_metrics = False
        try:
            self._server = xllamacpp.Server(parameters)
        except RuntimeError as error:
            raise ModelMistake(f"llama.cpp cannot load {path}: {error}", tip="is it a whole GGUF file?") from error
        self._counting = threading.Lock()
        self._client: Any = None

    def count_tokens(self, text: str) -> int:
        """Tokens of a text without special tokens, by the model's own tokenizer."""
        import httpx

        with self._counting:
            if self._client is None:
                headers = {"Authorization": f"Bearer {self._key}"}
                self._client = httpx.Client(base_url=self._server.listening_address, headers=headers, trust_env=False)
            reply = self._client.post("/tokenize", json={"content": text, "add_special": False})
        return len(reply.raise_for_status().json()["tokens"])

    def generate(self, prompts: Sequence[list[dict[str, str]]], decoding: Decoding) -> list[Generated]:
        """One completion for each list of messages, in their order."""
        with ThreadPoolExecutor(SLOTS) as pool:
            return list(pool.map(lambda messages: self._one(messages, decoding, None), prompts))

    def stream(
        self, prompts: Sequence[list[dict[str, str]]], decoding: Decoding, listeners: Sequence[Listener]
    ) -> list[Generated]:
        """As `generate`, and each listener is told its text as it comes; one that stopped ends its completion."""
        with ThreadPoolExecutor(SLOTS) as pool:
            pairs = zip(prompts, listeners, strict=True)
            return list(pool.map(lambda pair: self._one(pair[0], decoding, pair[1]), pairs))

    def _one(self, messages: list[dict[str, str]], decoding: Decoding, listener: Listener | None) -> Generated:
        body = {
            "messages": messages, "max_tokens": decoding.max_new_tokens, "temperature": decoding.temperature,
            "seed": decoding.seed, "stream": True,
            # A beginning kept from an earlier question may be another reader's: how soon an answer begins would tell.
            "cache_prompt": False,
            "stream_options": {"include_usage": True},
        }
        start = time.perf_counter()
        parts: list[str] = []
        usage: dict[str, Any] = {}
        faults: list[Any] = []

        def event(value: Any) -> bool:
            for one in value if isinstance(value, list) else [value]:
                if "error" in one or "code" in one:
                    faults.append(one)
                    return True
                usage.update(one.get("usage") or {})
                for choice in one.get("choices") or ():
                    parts.append((choice.get("delta") or {}).get("content") or "")
            if listener is None:
                return False
            listener.tell("".join(parts))
            return listener.stopped()

        self._server.handle_chat_completions(body, event)
        if faults:
            raise Failed(f"llama.cpp could not answer: {str(faults[0])[:200]}")
        text = "".join(parts).strip()
        return Generated(
            text, int(usage.get("prompt_tokens", 0)), int(usage.get("completion_tokens") or self.count_tokens(text)),
            time.perf_counter() - start,
        )
