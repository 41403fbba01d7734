"""One base model in memory, many adapters on it, switched per request.

LoRA adapters lie side by side in the base's layers and are switched (they are not merged, so the base stays whole);
prompt-, prefix- and P-tuned ones put virtual tokens in front of the same base. What cannot share a base is loaded on
its own: whole tuned weights, adapters with a parent, IA3 (PEFT keeps one kind of tuner in a model), and LoRA variants
that change the base's own weights when they are loaded (PiSSA, OLoRA, CorDA, LoftQ) or bring modules of their own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tunewise.errors import need
from tunewise.models import Generated, Marginal, Model, chains, load_model
from tunewise.models.local import LocalModel, describe
from tunewise.nouns import Decoding
from tunewise.store import read_json

PROMPT_LEARNING = ("PROMPT_TUNING", "PREFIX_TUNING", "P_TUNING")
_KEEPS_THE_BASE = (True, False, "gaussian", "eva", "orthogonal")
"""Values of LoRA's `init_lora_weights` that leave the base's weights as they are."""


def _kind(folder: Path) -> str:
    """How an adapter can be worn beside others: "lora", "prompt", or "own" for a copy of the base of its own."""
    file = folder / "adapter_config.json"
    config = read_json(file) if file.is_file() else {}
    if chains.manifest(folder).get("parent"):
        # Its parents' weights lie below it.
        return "own"
    if config.get("peft_type") in PROMPT_LEARNING:
        return "prompt"
    fits = config.get("init_lora_weights", True) in _KEEPS_THE_BASE and not config.get("modules_to_save")
    return "lora" if config.get("peft_type") == "LORA" and fits else "own"


def can_share(folder: Path) -> bool:
    """Whether an adapter can lie beside others on one base, so that it costs no copy of it."""
    return _kind(folder) != "own"


class SharedBase:
    """A base model and the adapters that share it; one request at a time computes."""

    def __init__(self, name: str, folders: Mapping[str, Path], *, cache: Path | None = None) -> None:
        self.local = LocalModel(name, cache=cache)
        self._lock = threading.Lock()
        self._bare = self.local.model
        self._prompts: dict[str, Any] = {}
        self._lora: Any = None
        self._names: dict[str, str] = {}
        if not folders:
            return
        peft = need("peft", feature="an adapter", extra="train")
        kinds = {key: _kind(folder) for key, folder in folders.items()}
        # Prompt learning first: it wants a base without a tuner in it.
        for key in (key for key, kind in kinds.items() if kind == "prompt"):
            self._prompts[key] = peft.PeftModel.from_pretrained(self._bare, folders[key], is_trainable=False).eval()
        for number, key in enumerate(key for key, kind in kinds.items() if kind == "lora"):
            # A plain name: PEFT refuses names that look like parts of its parameters' names.
            self._names[key] = f"adapter{number}"
            if self._lora is None:
                self._lora = peft.PeftModel.from_pretrained(
                    self._bare, folders[key], adapter_name=self._names[key], is_trainable=False
                )
            else:
                self._lora.load_adapter(folders[key], adapter_name=self._names[key], is_trainable=False)
        if self._lora is not None:
            self._lora.eval()

    @contextmanager
    def wearing(self, key: str | None) -> Iterator[LocalModel]:
        """The local model with an adapter on (None: bare), for one request; others wait."""
        with self._lock:
            if self._lora is not None:
                if key in self._names:
                    self._lora.base_model.enable_adapter_layers()
                    self._lora.set_adapter(self._names[key])
                else:
                    self._lora.base_model.disable_adapter_layers()
            self.local.model = self._prompts.get(key, self._bare) if key is not None else self._bare
            try:
                yield self.local
            finally:
                self.local.model = self._bare


class Worn:
    """One adapter of a shared base (or the bare base), as a model."""

    def __init__(self, shared: SharedBase, key: str | None, identity: dict[str, Any]) -> None:
        self.name = shared.local.name
        self.identity = identity
        self._shared, self._key = shared, key

    def count_tokens(self, text: str) -> int:
        """Tokens of a text without special tokens."""
        return self._shared.local.count_tokens(text)

    @property
    def local(self) -> LocalModel:
        """The local model below, for its tokenizer; its weights are `wearing`'s to give."""
        return self._shared.local

    def generate(
        self,
        prompts: Sequence[list[dict[str, str]]],
        decoding: Decoding,
        *,
        watch: Callable[[Sequence[int]], Any] | None = None,
    ) -> list[Generated]:
        """One completion for each list of messages, in their order; `watch` as in models/local.py."""
        with self._shared.wearing(self._key) as model:
            return model.generate(prompts, decoding, watch=watch)

    def marginal(
        self, groups: Sequence[Sequence[list[dict[str, str]]]], priors: Sequence[Sequence[float]], decoding: Decoding
    ) -> list[Marginal]:
        """One completion for each group of prompts: see models/marginal.py."""
        with self._shared.wearing(self._key) as model:
            return model.marginal(groups, priors, decoding)

    def likelihoods(
        self, text: str, passages: Sequence[str], messages: Callable[[str], list[dict[str, str]]]
    ) -> list[float]:
        """Mean log-probability of a text's tokens after each passage: see models/likelihood.py."""
        with self._shared.wearing(self._key) as model:
            return model.likelihoods(text, passages, messages)


def share(name: str, adapters: Mapping[str, Path | None], *, cache: Path | None = None) -> dict[str, Model]:
    """A model for each entry, all of one base where they can be; every adapter is checked before weights are loaded."""
    identities = {key: describe(name, adapter=folder, cache=cache) for key, folder in adapters.items()}
    own = {key for key, folder in adapters.items() if folder is not None and _kind(folder) == "own"}
    models: dict[str, Model] = {}
    if set(adapters) - own:
        sharing = {key: folder for key, folder in adapters.items() if folder is not None and key not in own}
        shared = SharedBase(name, sharing, cache=cache)
        for key in adapters:
            if key not in own:
                models[key] = Worn(shared, key if key in sharing else None, identities[key])
    for key in sorted(own):
        models[key] = load_model(name, adapter=adapters[key], cache=cache)
    return {key: models[key] for key in adapters}
