"""transformers models on this machine, bare or wearing a PEFT adapter.

One forward path for all approaches: left-padded batches of similar length, greedy unless asked otherwise, safetensors
only, remote code never. What training left is put on by `chains`: merged where that exists, else kept beside the base.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from functools import cache as once
from pathlib import Path
from typing import Any

from tunewise.errors import ModelMistake, need
from tunewise.models import Generated, Marginal, chains
from tunewise.models.bundled import GGUF_SHA256, smollm2
from tunewise.models.gpu import in_batches
from tunewise.nouns import Decoding
from tunewise.store import fingerprint, sha256

BATCH_TOKENS = 12_288
"""Padded prompt tokens in one batch: beyond it a CPU gains nothing and memory grows."""
BATCH_ROWS = 32
SHARED = 64
"""A common beginning of a batch's prompts is computed once from this many tokens on. In bfloat16 greedy answers then
differ where two tokens are level within rounding, as they do between batches of other sizes."""


WEIGHTS_AND_TOKENIZER = ("*.safetensors", "*.json", "*.jinja", "*.txt", "*.model")
"""What is fetched of a model of the hub; pickled weights, other engines' files and pictures are not."""
NOT_FETCHED = ("consolidated*", "original/*", "onnx/*", "openvino/*", "coreml/*")
"""The same weights once more, in other layouts."""


def device() -> str:
    """Where this machine's local models compute: "cuda" or "cpu"."""
    torch = need("torch", feature="a local model", extra="local")
    return "cuda" if torch.cuda.is_available() else "cpu"


def precision() -> tuple[str, str]:
    """The dtype for this machine's local models and the reason for it."""
    torch = need("torch", feature="a local model", extra="local")
    if device() == "cuda":
        # A GPU that only emulates bfloat16 is many times slower in it than in float16.
        return (
            ("bfloat16", "the GPU computes in it")
            if torch.cuda.is_bf16_supported(including_emulation=False)
            else ("float16", "the GPU has no bfloat16")
        )
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="ignore")
    except OSError:
        flags = ""
    if "avx512_bf16" in flags or "amx_bf16" in flags:
        return "bfloat16", "this CPU multiplies matrices in it about twice as fast as in float32"
    return "float32", "this CPU has no bfloat16 instructions"


def resolve(name: str, *, cache: Path | None = None) -> Path:
    """The folder of a model by name; `ModelMistake` with the ways out when there is none."""
    if name == "smollm2":
        return smollm2(cache)
    folder = Path(name).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise ModelMistake(f"{folder} is no transformers model: it has no config.json")
        if not list(folder.glob("*.safetensors")):
            raise ModelMistake(
                f"{folder} has no .safetensors weights", tip="pickled weights are never read: convert them first"
            )
        return folder
    if name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise ModelMistake(f"there is no model {name!r}", tip="see: tunewise models list")
    hub = need("huggingface_hub", feature=f"the model {name}", extra="local")
    offline = bool(os.environ.get("TUNEWISE_OFFLINE") or os.environ.get("HF_HUB_OFFLINE"))
    try:
        return Path(
            hub.snapshot_download(
                name, local_files_only=offline, allow_patterns=[*WEIGHTS_AND_TOKENIZER], ignore_patterns=[*NOT_FETCHED]
            )
        )
    except Exception as error:  # the hub's client raises a dozen kinds for "not there" and "no network"
        raise ModelMistake(
            f"the model {name!r} cannot be had: {type(error).__name__}: {str(error).splitlines()[0][:160]}",
            tip="check the name, the network and HF_TOKEN, or give a folder; `smollm2` is bundled",
        ) from error


def identify(name: str, folder: Path) -> str:
    """Hash of what a model is: of the published file for the bundled one, else of config and weights."""
    if name == "smollm2":
        return GGUF_SHA256
    weights = (path for path in folder.glob("*.safetensors") if not path.name.startswith("consolidated"))
    return fingerprint({path.name: _hashed(path) for path in sorted([folder / "config.json", *weights])})


def _hashed(path: Path) -> str:
    """SHA-256 of a file, computed once in a process for as long as its size and its time stay the same."""
    about = path.stat()
    return _hash_of(path.resolve(), about.st_size, about.st_mtime_ns)


@once
def _hash_of(path: Path, size: int, changed: int) -> str:
    return sha256(path)


def describe(name: str, *, adapter: Path | None = None, cache: Path | None = None) -> dict[str, Any]:
    """What a local model is, without loading it: name, hashes, dtype, device.

    `ModelMistake` when the adapter belongs to another base, is unfinished or is damaged.
    """
    folder = resolve(name, cache=cache)
    base = identify(name, folder)
    identity: dict[str, Any] = {"model": name, "weights": base, "dtype": precision()[0], "device": device()}
    if adapter is None:
        return identity
    links = chains.check(adapter, base)
    worn = {"adapter": links[-1][1]["weights"]}
    if len(links) > 1:
        worn["parents"] = [about["weights"] for _, about in links[:-1]]
    return identity | worn


def token_counter(name: str, *, cache: Path | None = None) -> Callable[[str], int]:
    """Counts a text's tokens as the model will, without loading the model (its tokenizer alone)."""
    folder = resolve(name, cache=cache)
    tokenizers = need("tokenizers", feature="a local model's tokenizer", extra="local")
    if not (folder / "tokenizer.json").is_file():
        raise ModelMistake(f"{folder} has no tokenizer.json", tip="save it once with transformers' fast tokenizer")
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)


def renderer(name: str, *, cache: Path | None = None) -> Callable[[Sequence[dict[str, str]]], str]:
    """Chat messages as the model's own chat template writes them, without loading the model."""
    transformers = need("transformers", feature="a local model's chat template", extra="local")
    tokenizer = transformers.AutoTokenizer.from_pretrained(resolve(name, cache=cache), trust_remote_code=False)
    return lambda messages: str(tokenizer.apply_chat_template(list(messages), tokenize=False))


def prompt_tokens(tokenizer: Any, messages: list[dict[str, str]]) -> list[int]:
    """The token ids of chat messages with the generation prompt: for answering and for training rows alike."""
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def common_prefix(rows: Sequence[list[int]]) -> int:
    """How many tokens all rows begin with, at most one less than the shortest (which has something left to read)."""
    first, last = min(rows), max(rows)
    most = min(map(len, rows)) - 1
    return next((i for i in range(most) if first[i] != last[i]), most)


def attends_to_all(config: Any) -> bool:
    """Whether every layer looks at all tokens before: no sliding window, no recurrent state."""
    from transformers import DynamicCache
    from transformers.cache_utils import DynamicLayer

    layers = DynamicCache(config=config.get_text_config(decoder=True)).layers
    return bool(layers) and all(type(layer) is DynamicLayer for layer in layers)


class LocalModel:
    """A causal language model and its tokenizer on this machine's CPU or GPU."""

    def __init__(self, name: str, *, adapter: Path | None = None, cache: Path | None = None) -> None:
        torch = need("torch", feature="a local model", extra="local")
        transformers = need("transformers", feature="a local model", extra="local")
        transformers.utils.logging.disable_progress_bar()
        transformers.utils.logging.set_verbosity_error()
        self.name = name
        self.identity = describe(name, adapter=adapter, cache=cache)
        folder = resolve(name, cache=cache)
        self._torch = torch
        self._device = self.identity["device"]
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        if not self.tokenizer.chat_template:
            raise ModelMistake(f"{name} has no chat template", tip="use an instruction-tuned model")
        if self.tokenizer.pad_token_id is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        self.tokenizer.padding_side = "left"
        self.model = chains.load_worn(folder, adapter, dtype=getattr(torch, self.identity["dtype"])).to(self._device)
        self.model.eval()
        # Some models end their turns with a token that only their generation settings name.
        own = self.model.generation_config.eos_token_id
        self.ends = {*(own if isinstance(own, list) else [own]), self.tokenizer.eos_token_id} - {None}

    def count_tokens(self, text: str) -> int:
        """Tokens of a text without special tokens."""
        return len(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def generate(
        self,
        prompts: Sequence[list[dict[str, str]]],
        decoding: Decoding,
        *,
        watch: Callable[[Sequence[int]], Any] | None = None,
    ) -> list[Generated]:
        """One completion for each list of messages, in their order; batched by length, halved when memory is short.

        `watch` gives the StoppingCriteria of a batch for the places of its prompts (see models/streaming.py).
        """
        encoded = [prompt_tokens(self.tokenizer, messages) for messages in prompts]
        done: list[Generated | None] = [None] * len(encoded)
        waiting = sorted(range(len(encoded)), key=lambda i: -len(encoded[i]))

        def size(left: Sequence[int], limit: int) -> int:
            widest = len(encoded[left[0]]) + decoding.max_new_tokens
            return max(1, min(limit, len(left), BATCH_TOKENS // widest))

        def compute(batch: Sequence[int]) -> None:
            criteria = [] if watch is None else [watch(batch)]
            made = self._batch([encoded[i] for i in batch], decoding, criteria)
            for index, generated in zip(batch, made, strict=True):
                done[index] = generated

        in_batches(waiting, size, compute, most=BATCH_ROWS)
        return [generated for generated in done if generated is not None]

    def marginal(
        self, groups: Sequence[Sequence[list[dict[str, str]]]], priors: Sequence[Sequence[float]], decoding: Decoding
    ) -> list[Marginal]:
        """One completion for each group of prompts (a passage each, with p(z|x) in `priors`): models/marginal.py."""
        from tunewise.models.marginal import decode

        return decode(self, groups, priors, decoding)

    def likelihoods(
        self, text: str, passages: Sequence[str], messages: Callable[[str], list[dict[str, str]]]
    ) -> list[float]:
        """Mean log-probability of a text's tokens after each passage: see models/likelihood.py."""
        from tunewise.models.likelihood import likelihoods

        return likelihoods(self, text, passages, messages)

    def _attends_to_all(self) -> bool:
        """Whether padding between beginning and rest changes nothing: no sliding window, no recurrent state, no
        virtual tokens."""
        if hasattr(self.model, "prompt_encoder") or getattr(self.model, "_is_stateful", False):
            return False
        return attends_to_all(self.model.config)

    def _batch(self, rows: list[list[int]], decoding: Decoding, criteria: Sequence[Any] = ()) -> list[Generated]:
        torch = self._torch
        start = time.perf_counter()
        width = max(map(len, rows))
        pad = self.tokenizer.pad_token_id
        shared = common_prefix(rows) if len(rows) > 1 and self._attends_to_all() else 0
        shared = shared if shared >= SHARED else 0
        # The common beginning stands first, the padding behind it: positions count what the mask lets through.
        ids = torch.tensor(
            [row[:shared] + [pad] * (width - len(row)) + row[shared:] for row in rows], device=self._device
        )
        mask = torch.tensor(
            [[1] * shared + [0] * (width - len(row)) + [1] * (len(row) - shared) for row in rows], device=self._device
        )
        sampling: dict[str, Any] = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
        if decoding.temperature > 0:
            torch.manual_seed(decoding.seed)
            sampling = {"do_sample": True, "temperature": decoding.temperature}
        inputs = {"input_ids": ids, "attention_mask": mask}
        model = self.model
        with torch.inference_mode():
            if hasattr(model, "prompt_encoder"):
                inputs, model = chains.virtual_inputs(model, ids, mask), model.get_base_model()
            elif shared:
                cache = model(input_ids=ids[:1, :shared], use_cache=True).past_key_values
                cache.batch_repeat_interleave(len(rows))
                sampling["past_key_values"] = cache
            out = model.generate(
                **inputs,
                max_new_tokens=decoding.max_new_tokens,
                pad_token_id=pad,
                eos_token_id=sorted(self.ends),
                **({"stopping_criteria": list(criteria)} if criteria else {}),
                **sampling,
            )
        seconds = (time.perf_counter() - start) / len(rows)
        results = []
        # Given embeddings, generate returns the new tokens alone.
        given = inputs["input_ids"].shape[1] if "input_ids" in inputs else 0
        for row, produced in zip(rows, out[:, given:].tolist(), strict=True):
            end = next((place for place, token in enumerate(produced) if token in self.ends), len(produced))
            text = self.tokenizer.decode(produced[:end], skip_special_tokens=True)
            results.append(Generated(text.strip(), len(row), end, seconds))
        return results
