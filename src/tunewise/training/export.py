"""A tuned model leaves the house: merged safetensors, GGUF, an Ollama folder, or PEFT's own layout.

Everything is written aside, read again, asked the same prompts as the model itself, and renamed only when it answers
alike: an export that drifts leaves nothing behind. The manifest says whose documents are in the weights.
"""

from __future__ import annotations

import contextlib
import io
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tunewise.errors import ConfigMistake, GateFailed, ModelMistake, need
from tunewise.models.chains import VIRTUAL, chain
from tunewise.models.local import LocalModel, resolve
from tunewise.store import disk_errors, sha256, write_json, write_text
from tunewise.training import drift
from tunewise.training.gguf_file import QUANTISATIONS, write_gguf
from tunewise.training.ollama import modelfile

FORMATS = ("safetensors", "gguf", "ollama", "adapter")
GGUF = "model.gguf"
MANIFEST = "export.json"


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written, how far it drifts, and which access groups' documents are in its weights."""

    folder: Path
    form: str
    quantisation: str
    drift: drift.Drift
    groups: tuple[str, ...]
    documents: int
    bytes: int


def export(
    model_name: str,
    adapter: Path | None,
    *,
    form: str,
    output: Path,
    prompts: Sequence[list[dict[str, str]]] = (),
    quantisation: str = "Q8_0",
    new_tokens: int = 256,
    cache: Path | None = None,
) -> Exported:
    """Export a model with an adapter (None: bare) into the new folder `output`.

    `prompts` are asked besides four of our own. `GateFailed` on drift; `ModelMistake` for what the format cannot hold;
    `ConfigMistake` for a folder that is there already.
    """
    if form not in FORMATS:
        raise ConfigMistake(f"there is no format {form!r}", tip=f"known: {', '.join(FORMATS)}")
    if quantisation not in QUANTISATIONS:
        raise ConfigMistake(f"there is no quantisation {quantisation!r}", tip=f"known: {', '.join(QUANTISATIONS)}")
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise ConfigMistake(f"{output} is there already", tip="choose a new folder with --output")
    links = chain(adapter) if adapter is not None else []
    _refuse(links, form)
    reference = LocalModel(model_name, adapter=adapter, cache=cache)
    asked = [*prompts, *([{"role": "user", "content": text}] for text in drift.PROMPTS)]
    groups = sorted({group for _, about in links for group in about.get("groups", ())})
    documents = sorted({name for _, about in links for name in about.get("documents", ())})
    about = {"name": f"{Path(model_name).name}{'-' + adapter.name if adapter else ''}", "groups": groups,
             "documents": documents}
    with disk_errors(output):
        output.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(dir=output.parent, prefix=f".{output.name}-"))
        try:
            if form == "safetensors":
                found = _safetensors(reference, aside, asked)
            elif form == "adapter":
                assert adapter is not None
                found = _adapter(reference, model_name, adapter, aside, asked, cache)
            else:
                found = _gguf(reference, aside, asked, quantisation, about)
                if form == "ollama":
                    ends = [reference.tokenizer.decode([end]) for end in sorted(reference.ends)]
                    write_text(aside / "Modelfile",
                               modelfile(reference.tokenizer, gguf=GGUF, ends=ends, new_tokens=new_tokens))
            files = sorted(file for file in aside.iterdir() if file.is_file())
            write_json(aside / MANIFEST, {
                "format": form, "quantisation": quantisation if form in ("gguf", "ollama") else None,
                "model": reference.identity, "name": about["name"],
                # As restricted as the documents that went in: who may not read one of them may not ask it.
                "groups": groups, "documents": documents,
                "recipes": [link.get("recipe") for _, link in links],
                "drift": asdict(found), "files": {file.name: sha256(file) for file in files},
            })
            size = sum(file.stat().st_size for file in aside.iterdir() if file.is_file())
            if output.exists():
                output.rmdir()
            aside.chmod(0o755)
            aside.rename(output)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    kept = quantisation if form in ("gguf", "ollama") else ""
    return Exported(output, form, kept, found, tuple(groups), len(documents), size)


def _refuse(links: Sequence[tuple[Path, dict[str, Any]]], form: str) -> None:
    methods = [about.get("method", "lora") for _, about in links]
    if form == "adapter":
        if not links:
            raise ConfigMistake("an approach without training has no adapter", tip="--format safetensors")
        if len(links) > 1 or methods[-1] == "full":
            what = "it was trained on top of another one" if len(links) > 1 else "its weights are a whole model"
            raise ModelMistake(f"this is no adapter that stands alone: {what}", tip="--format safetensors")
    elif methods and methods[-1] in VIRTUAL:
        raise ModelMistake(f"{methods[-1]} leaves virtual tokens, which cannot be merged into weights",
                           tip="--format adapter keeps PEFT's own layout")


def _load(folder: Path, **how: Any) -> tuple[Any, Any]:
    """(model, tokenizer) as transformers reads them from what was written."""
    transformers = need("transformers", feature="exporting", extra="local")
    # transformers draws a bar for GGUF that no switch reaches.
    with contextlib.redirect_stderr(io.StringIO()):
        model = transformers.AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=False, **how)
        named = {"gguf_file": how["gguf_file"]} if "gguf_file" in how else {}
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=False, **named)
    return model.eval(), tokenizer


def _safetensors(reference: LocalModel, folder: Path, prompts: Sequence[list[dict[str, str]]]) -> drift.Drift:
    from tunewise.models.local import prompt_tokens

    reference.model.save_pretrained(folder, safe_serialization=True)
    reference.tokenizer.save_pretrained(folder)
    other, tokenizer = _load(folder, dtype=reference.model.dtype, use_safetensors=True)
    other.to(reference.model.device)
    drift.same_prompts(reference.tokenizer, tokenizer, prompts)
    for messages in prompts:
        ids = prompt_tokens(reference.tokenizer, messages)
        one, two = (drift.greedy(model, ids, ends=reference.ends, pad=reference.tokenizer.pad_token_id)
                    for model in (reference.model, other))
        if one != two:
            raise GateFailed(f"the merged model answers otherwise: {messages[-1]['content'][:80]!r}",
                             tip="nothing was exported")
    return drift.refuse(drift.measure(reference, other, prompts), "safetensors")


def _gguf(
    reference: LocalModel, folder: Path, prompts: Sequence[list[dict[str, str]]], quantisation: str,
    about: dict[str, Any],
) -> drift.Drift:
    torch = need("torch", feature="exporting", extra="local")
    write_gguf(reference.model, reference.tokenizer, folder / GGUF, quantisation=quantisation, ends=reference.ends,
               about=about)
    other, tokenizer = _load(folder, gguf_file=GGUF, dtype=torch.float32)
    drift.same_prompts(reference.tokenizer, tokenizer, prompts)
    # Both in float32: what is measured is the file, not the arithmetic.
    reference.model.float()
    other.to(reference.model.device)
    found = drift.refuse(drift.measure(reference, other, prompts), quantisation)
    alike = drift.llama_cpp(reference, other, folder / GGUF, prompts)
    if alike is not None and alike < drift.LLAMA_CPP_LEAST:
        raise GateFailed(f"llama.cpp answers otherwise: {alike:.0%} of the answers' beginnings are alike",
                         tip="nothing was exported")
    return found


def _adapter(
    reference: LocalModel, model_name: str, adapter: Path, folder: Path, prompts: Sequence[list[dict[str, str]]],
    cache: Path | None,
) -> drift.Drift:
    peft = need("peft", feature="an adapter", extra="train")
    for name in ("adapter_model.safetensors", "adapter_config.json", "README.md"):
        if (adapter / name).is_file():
            shutil.copyfile(adapter / name, folder / name)
    reference.tokenizer.save_pretrained(folder)
    base, _ = _load(resolve(model_name, cache=cache), dtype=reference.model.dtype, use_safetensors=True)
    other = peft.PeftModel.from_pretrained(base.to(reference.model.device), folder, is_trainable=False).eval()
    transformers = need("transformers", feature="exporting", extra="local")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    drift.same_prompts(reference.tokenizer, tokenizer, prompts)
    if isinstance(reference.model, peft.PeftModel):
        # Virtual tokens: both are PEFT's own; reading them again is what is checked.
        return drift.Drift(0.0, 1.0, len(prompts), 0) if _same_weights(reference.model, other) else drift.refuse(
            drift.Drift(float("inf"), 0.0, len(prompts), 0), "adapter")
    return drift.refuse(drift.measure(reference, other, prompts), "adapter")


def _same_weights(one: Any, two: Any) -> bool:
    torch = need("torch", feature="exporting", extra="local")
    peft = need("peft", feature="an adapter", extra="train")
    left, right = peft.get_peft_model_state_dict(one), peft.get_peft_model_state_dict(two)
    return left.keys() == right.keys() and all(torch.equal(left[key].cpu(), right[key].cpu()) for key in left)
