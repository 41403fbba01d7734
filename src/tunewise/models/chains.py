"""Folders that training left, put on a base: LoRA and IA3 merged, full weights in the base's place, virtual tokens kept
beside it. A folder names its parent, so a chain of trainings is worn in its order.

Every folder is checked before it is worn: finished, of this base, undamaged, and so is every parent.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from tunewise.errors import ModelMistake, need
from tunewise.store import read_json, sha256

WEIGHTS = {"full": "model.safetensors"}
"""Which file holds a method's weights, where it is not PEFT's own."""
VIRTUAL = ("prompt-tuning", "prefix-tuning", "p-tuning")
"""Methods whose weights are virtual tokens: there is nothing to merge."""


def manifest(adapter: Path) -> dict[str, Any]:
    """What a finished adapter folder says about itself; `ModelMistake` when it is not finished."""
    if not (adapter / "tunewise.json").is_file():
        raise ModelMistake(f"{adapter} is no finished adapter folder: it has no tunewise.json", tip="tunewise tune")
    return read_json(adapter / "tunewise.json")


def weights_file(adapter: Path, about: dict[str, Any]) -> Path:
    """The file that holds an adapter's weights."""
    return adapter / WEIGHTS.get(about.get("method", "lora"), "adapter_model.safetensors")


def parent_of(adapter: Path, about: dict[str, Any]) -> Path | None:
    """The folder that an adapter was trained on top of."""
    named = about.get("parent")
    return (adapter / named["folder"]).resolve() if named else None


def chain(adapter: Path) -> list[tuple[Path, dict[str, Any]]]:
    """The adapter and all its parents with their manifests, first trained first; `ModelMistake` if one is missing."""
    found: list[tuple[Path, dict[str, Any]]] = []
    place: Path | None = adapter
    while place is not None:
        if len(found) > 20:
            raise ModelMistake(f"{adapter} names itself among its parents", tip="train it again")
        about = manifest(place)
        if found and found[-1][1]["parent"]["weights"] != about["weights"]:
            raise ModelMistake(
                f"{found[-1][0]} was trained on another state of its parent {place}", tip="train it again"
            )
        found.append((place, about))
        place = parent_of(place, about)
    return found[::-1]


def learned_index(adapter: Path) -> str:
    """The fingerprint of the index whose passages an adapter, or else the nearest of its parents, was shown; or ""."""
    return next((about["index"] for _, about in reversed(chain(adapter)) if about.get("index")), "")


def check(adapter: Path, base: str) -> list[tuple[Path, dict[str, Any]]]:
    """The chain of an adapter, every link of it of this base and whole; else `ModelMistake`."""
    links = chain(adapter)
    for place, about in links:
        if about["base"] != base:
            raise ModelMistake(
                f"the adapter {place} was trained on another base ({about['model']})",
                tip="train it again on this model",
            )
        file = weights_file(place, about)
        if not file.is_file() or sha256(file) != about["weights"]:
            raise ModelMistake(f"{file} is damaged: its SHA-256 is not that of its manifest", tip="train it again")
    return links


def load_worn(base: Path, adapter: Path | None, *, dtype: Any, **more: Any) -> Any:
    """The base's weights with an adapter and its parents on them; one with virtual tokens comes as a PeftModel.

    `more` goes to transformers' `from_pretrained`. With a `quantization_config` in it the adapters are merged first,
    and the sum is quantised: few bits would swallow most of what is added to them, and answering merges unquantised.
    """
    transformers = need("transformers", feature="a local model", extra="local")
    links = chain(adapter) if adapter is not None else []
    whole = [place for place, about in links if about.get("method", "lora") == "full"]
    if "quantization_config" in more and links and links[-1][0] not in whole:
        with tempfile.TemporaryDirectory(prefix="tunewise-merged-") as scratch:
            load_worn(base, adapter, dtype=dtype).save_pretrained(scratch)
            return transformers.AutoModelForCausalLM.from_pretrained(
                scratch, dtype=dtype, trust_remote_code=False, use_safetensors=True, **more
            )
    model = transformers.AutoModelForCausalLM.from_pretrained(
        whole[-1] if whole else base, dtype=dtype, trust_remote_code=False, use_safetensors=True, **more
    )
    # Full weights hold everything that came before them.
    after = [place for place, _ in links].index(whole[-1]) + 1 if whole else 0
    for place, about in links[after:]:
        peft = need("peft", feature="an adapter", extra="train")
        if about.get("method", "lora") in VIRTUAL:
            if place != adapter:
                raise ModelMistake(f"{place} holds virtual tokens, on which nothing else can be trained")
            return peft.PeftModel.from_pretrained(model, place, is_trainable=False)
        model = peft.PeftModel.from_pretrained(model, place, is_trainable=False).merge_and_unload()
    return model


def virtual_inputs(model: Any, ids: Any, mask: Any) -> dict[str, Any]:
    """What `model.get_base_model().generate` takes so that virtual tokens stand right before each row's text.

    PEFT's own `generate` puts them before the padding, so that an answer would depend on its neighbours in the batch.
    """
    import torch

    rows = ids.shape[0]
    count = model.active_peft_config.num_virtual_tokens
    seen = torch.ones((rows, count), dtype=mask.dtype, device=mask.device)
    if model.active_peft_config.peft_type == "PREFIX_TUNING":
        # Keys and values without a position of their own: before the padding is as good as after it. The ids stand
        # for what the cache holds already and are never looked at.
        return {
            "input_ids": torch.cat([torch.zeros_like(ids[:, :1]).expand(rows, count), ids], 1),
            "attention_mask": torch.cat([seen, mask], 1),
            "past_key_values": model.get_prompt(batch_size=rows),
        }
    virtual = model.get_prompt(batch_size=rows)
    embedded = model.word_embeddings(ids)
    width = ids.shape[1]
    inputs = torch.empty((rows, count + width, embedded.shape[2]), dtype=embedded.dtype, device=ids.device)
    around = torch.zeros((rows, count + width), dtype=mask.dtype, device=mask.device)
    for i in range(rows):
        padding = width - int(mask[i].sum())
        inputs[i, :padding] = embedded[i, :padding]
        inputs[i, padding : padding + count] = virtual[i].to(embedded.dtype)
        inputs[i, padding + count :] = embedded[i, padding:]
        around[i, padding:] = 1
    return {"inputs_embeds": inputs, "attention_mask": around}
