"""Messages in, text out: bundled, local and remote models behind one method, and an echo fake.

Knows nothing about documents, retrieval or training; an adapter is a folder that somebody left on the disk.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tunewise.errors import ModelMistake
from tunewise.nouns import Decoding


@dataclass(frozen=True, slots=True)
class Generated:
    """One completion. `seconds` is this prompt's share of its batch."""

    text: str
    tokens_in: int
    tokens_out: int
    seconds: float


class Model(Protocol):
    """The seam: one method that answers, one that counts, and what the model is."""

    name: str
    identity: dict[str, Any]

    def generate(self, prompts: Sequence[list[dict[str, str]]], decoding: Decoding) -> list[Generated]: ...

    def count_tokens(self, text: str) -> int: ...


@dataclass(frozen=True, slots=True)
class Marginal:
    """A completion that several prompts agreed on, and p(prompt | question, completion) of each of them."""

    generated: Generated
    posterior: tuple[float, ...]


class MarginalModel(Model, Protocol):
    """A model that also gives probabilities, so that completions can be summed over prompts (local models do)."""

    def marginal(
        self, groups: Sequence[Sequence[list[dict[str, str]]]], priors: Sequence[Sequence[float]], decoding: Decoding
    ) -> list[Marginal]: ...


class LikelihoodModel(Model, Protocol):
    """A model that says how likely it finds a text: mean log-probability of its tokens after each passage."""

    def likelihoods(
        self, text: str, passages: Sequence[str], messages: Callable[[str], list[dict[str, str]]]
    ) -> list[float]: ...


KNOWN = {
    "smollm2": "SmolLM2-135M-Instruct, bundled, 135M parameters, Apache-2.0; runs and can be tuned on a CPU",
    "echo": "a fake that answers with the passage sentence nearest to the question; "
    "no weights, for tests and first tries",
    "openai:MODEL": "any OpenAI-compatible endpoint (OPENAI_BASE_URL, OPENAI_API_KEY; OLLAMA_HOST for ollama:MODEL)",
    "gguf:smollm2": "the bundled model in llama.cpp (tunewise[llamacpp]), quick on a CPU, for serving; "
    "gguf:PATH for any GGUF file",
    "FOLDER or HUB/ID": "a transformers folder on the disk, "
    "or a model of the hub that is in its cache or can be fetched",
}


def load_model(
    name: str, *, adapter: Path | None = None, cache: Path | None = None, journal: Path | None = None
) -> Model:
    """A model by name (see `KNOWN`), wearing an adapter folder if one is given; `ModelMistake` when there is none.

    `journal`: a file that keeps the replies of an endpoint as they come, for a process that may be killed.
    """
    if not is_local(name):
        if adapter is not None:
            raise ModelMistake(
                f"{name} cannot wear the adapter {adapter}",
                tip="adapters need a local model, or a server that has it loaded under a name of its own",
            )
        if name == "echo":
            from tunewise.models.echo import Echo

            return Echo()
        if name.startswith("gguf:"):
            from tunewise.models.llamacpp import LlamaCpp

            return LlamaCpp(name)
        from tunewise.models.endpoint import Endpoint

        return Endpoint(name, journal=journal)
    from tunewise.models.local import LocalModel

    return LocalModel(name, adapter=adapter, cache=cache)


def load_models(name: str, adapters: Mapping[str, Path | None]) -> Mapping[str, Model]:
    """A model for each entry of `adapters` (None: bare), with one base in memory for all that can share it."""
    if is_local(name):
        from tunewise.models.adapters import share

        return share(name, adapters)
    bare = load_model(name)
    return {key: bare if folder is None else load_model(name, adapter=folder) for key, folder in adapters.items()}


def describe_model(name: str, *, adapter: Path | None = None, cache: Path | None = None) -> dict[str, Any]:
    """What `load_model` would give as `identity`, without loading weights."""
    if is_local(name):
        from tunewise.models.local import describe

        return describe(name, adapter=adapter, cache=cache)
    if name.startswith("gguf:") and adapter is None:
        from tunewise.models import llamacpp

        return llamacpp.describe(name)
    return load_model(name, adapter=adapter).identity


def token_counter(name: str, *, cache: Path | None = None) -> Callable[[str], int]:
    """Counts a text's tokens as the model of that name will, without loading weights."""
    if is_local(name):
        from tunewise.models import local

        return local.token_counter(name, cache=cache)
    return load_model(name).count_tokens


def renderer(name: str, *, cache: Path | None = None) -> Callable[[Sequence[dict[str, str]]], str]:
    """Shows chat messages as the model of that name reads them; by role where its template is not on this machine."""
    if is_local(name):
        from tunewise.models import local

        return local.renderer(name, cache=cache)
    return lambda messages: "\n".join(f"{one['role']}: {one['content']}" for one in messages)


def is_local(name: str) -> bool:
    """Whether a model's weights are on this machine, so that it can be tuned."""
    return name != "echo" and not name.startswith(("openai:", "ollama:", "gguf:"))


__all__ = [
    "Generated", "KNOWN", "LikelihoodModel", "Marginal", "MarginalModel", "Model", "describe_model", "is_local",
    "load_model", "load_models", "renderer", "token_counter",
]
