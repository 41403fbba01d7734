"""The same prompts through a model and through what was exported from it: whatever changed is a number, or a failure.

Both read the model's own greedy completions. Compared are the prompts' tokens (chat template, tokenizer, end token),
the next-token distributions (mean Kullback-Leibler divergence, in nats) and the tokens that each would choose.
"""

from __future__ import annotations

import importlib.util
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunewise.errors import GateFailed, need
from tunewise.models.local import LocalModel, prompt_tokens

NEW = 24
LIMITS: dict[str, tuple[float, float]] = {
    # what was written: (divergence at most, share of equal tokens at least)
    "safetensors": (1e-6, 1.0),
    "adapter": (0.02, 0.95),
    "F16": (1e-3, 0.98),
    "Q8_0": (0.02, 0.95),
    "Q4_1": (0.5, 0.75),
}
"""Beyond these an export is refused. Weights in 8 bits move little; 4 bits cost something, but not the language."""
LLAMA_CPP_LEAST = 0.1
PROMPTS = ("How long is a week?", "Name three colours.", "一周有几天？", "请说出三种颜色。")


@dataclass(frozen=True, slots=True)
class Drift:
    """How far an export is from its model, over `tokens` tokens of `prompts` prompts."""

    divergence: float
    agreement: float
    prompts: int
    tokens: int


def greedy(model: Any, ids: Sequence[int], *, ends: set[int], pad: int) -> list[int]:
    """The tokens that a transformers model adds to a prompt, one prompt at a time, up to and with the end token."""
    torch = need("torch", feature="a local model", extra="local")
    with torch.inference_mode():
        given = torch.tensor([list(ids)], device=model.device)
        out = model.generate(
            input_ids=given, attention_mask=torch.ones_like(given), max_new_tokens=NEW, do_sample=False,
            temperature=None, top_p=None, top_k=None, pad_token_id=pad, eos_token_id=sorted(ends),
        )[0, len(ids) :].tolist()
    end = next((place for place, token in enumerate(out) if token in ends), len(out))
    return out[: end + 1]


def same_prompts(tokenizer: Any, other: Any, prompts: Sequence[list[dict[str, str]]]) -> None:
    """`GateFailed` when the exported tokenizer reads a prompt in other tokens, or ends its turns otherwise."""
    for messages in prompts:
        if prompt_tokens(tokenizer, messages) != prompt_tokens(other, messages):
            raise GateFailed(f"the export reads this prompt in other tokens: {messages[-1]['content'][:80]!r}",
                             tip="its chat template or tokenizer did not survive: nothing was exported")
    if tokenizer.eos_token_id != other.eos_token_id:
        raise GateFailed(f"the export ends its turns with token {other.eos_token_id}, the model with "
                         f"{tokenizer.eos_token_id}", tip="nothing was exported")


def measure(reference: LocalModel, other: Any, prompts: Sequence[list[dict[str, str]]]) -> Drift:
    """The drift of `other` (a transformers model) from the reference, in the precision that each is in."""
    torch = need("torch", feature="a local model", extra="local")
    pad = reference.tokenizer.pad_token_id
    divergence, equal, count = 0.0, 0, 0
    for messages in prompts:
        prompt = prompt_tokens(reference.tokenizer, messages)
        said = greedy(reference.model, prompt, ends=reference.ends, pad=pad)
        ids = torch.tensor([[*prompt, *said[:-1]]], device=reference.model.device)
        with torch.inference_mode():
            one, two = (
                torch.log_softmax(model(input_ids=ids, logits_to_keep=len(said)).logits[0].float(), -1)
                for model in (reference.model, other)
            )
        divergence += torch.nn.functional.kl_div(two, one, log_target=True, reduction="sum").item()
        equal += int((one.argmax(-1) == two.argmax(-1)).sum())
        count += len(said)
    return Drift(max(0.0, divergence / count), equal / count, len(prompts), count)


def llama_cpp(
    reference: LocalModel, other: Any, gguf: Path, prompts: Sequence[list[dict[str, str]]]
) -> float | None:
    """The share of each answer's beginning that llama.cpp and `other` (the same file, read by transformers) have
    alike, as a mean; None where llama.cpp is not installed.

    It renders the chat template of the file itself and ends at the file's own end token. Greedy answers part at the
    first near tie, so only a mean near zero says that something is wrong: gibberish begins at once.
    """
    if importlib.util.find_spec("xllamacpp") is None:
        return None
    xllamacpp = need("xllamacpp", feature="llama.cpp", extra="llamacpp")
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(gguf)
    parameters.n_ctx, parameters.verbosity, parameters.warmup = 4096, -1, False
    # It opens a port on 127.0.0.1: nobody else gets in.
    parameters.api_keys = [secrets.token_urlsafe(32)]
    parameters.endpoint_slots = parameters.endpoint_props = parameters.endpoint_metrics = False
    server = xllamacpp.Server(parameters)
    shares = []
    for messages in prompts:
        ids = greedy(other, prompt_tokens(reference.tokenizer, messages), ends=reference.ends,
                     pad=reference.tokenizer.pad_token_id)
        wanted = reference.tokenizer.decode(ids, skip_special_tokens=True)
        reply = server.handle_chat_completions({"messages": messages, "temperature": 0, "max_tokens": NEW})
        reply = json.loads(reply) if isinstance(reply, str) else reply
        said = reply["choices"][0]["message"]["content"] or ""
        alike = next((i for i, (a, b) in enumerate(zip(wanted, said, strict=False)) if a != b),
                     min(len(wanted), len(said)))
        shares.append(alike / max(1, len(wanted), len(said)))
    return sum(shares) / len(shares)


def refuse(found: Drift, kind: str) -> Drift:
    """The drift, or `GateFailed` when it is beyond what this kind of file may cost."""
    most, least = LIMITS[kind]
    # `not <=` also refuses nan: a broken file can give it.
    if not found.divergence <= most or not found.agreement >= least:
        raise GateFailed(
            f"the export as {kind} drifts: divergence {found.divergence:.2g} nats a token (at most {most:g}), "
            f"{found.agreement:.0%} of {found.tokens} tokens equal (at least {least:.0%})",
            tip="nothing was exported; a larger format loses less: Q8_0, F16, safetensors",
        )
    return found
