"""Supervised fine-tuning of a LoRA adapter with transformers' own Trainer.

What makes it quick on a CPU is in the collator and in nothing else: rows of similar length share a batch, they are
padded on the left so that completions end together, and `logits_to_keep` makes the model compute logits only where
there is loss. Base weights are in bfloat16 where the CPU has it; the adapter's own weights stay in float32.
"""

from __future__ import annotations

import shutil
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tunewise.errors import DataMistake, need
from tunewise.machine import peak_memory
from tunewise.models.local import identify, precision, prompt_tokens, resolve
from tunewise.store import disk_errors, fingerprint, read_json, sha256, write_json, write_text
from tunewise.training.rows import TrainingRow
from tunewise.training.settings import TrainingSettings

Progress = Callable[[str, int, int], None]
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def encode(rows: Sequence[TrainingRow], tokenizer: Any, *, longest: int) -> list[dict[str, list[int]]]:
    """Token ids of each row: `prompt` as answering sends it, `completion` with the end token.

    Nothing is cut: a row longer than `longest` tokens is a `DataMistake` that names it.
    """
    encoded, faults = [], []
    for row in rows:
        prompt = prompt_tokens(tokenizer, row.chat())
        completion = tokenizer(row.completion, add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id]
        if len(prompt) + len(completion) > longest:
            faults.append(f"question {row.question}: {len(prompt) + len(completion)} tokens")
        encoded.append({"prompt": prompt, "completion": completion, "input_ids": prompt + completion[:-1]})
    if faults:
        raise DataMistake(
            f"{len(faults)} training row(s) are longer than the model's {longest} tokens",
            tip="lower [retrieval] budget or k in tunewise.toml",
            faults=tuple(faults),
        )
    return encoded


def collate(batch: Sequence[dict[str, list[int]]], *, pad: int) -> dict[str, Any]:
    """Left-padded tensors; logits are kept for the last n positions only, n the longest completion of the batch."""
    import torch

    width = max(len(row["input_ids"]) for row in batch)
    kept = max(len(row["completion"]) for row in batch)
    ids = torch.full((len(batch), width), pad)
    mask = torch.zeros((len(batch), width), dtype=torch.long)
    labels = torch.full((len(batch), kept), -100)
    for i, row in enumerate(batch):
        ids[i, width - len(row["input_ids"]) :] = torch.tensor(row["input_ids"])
        mask[i, width - len(row["input_ids"]) :] = 1
        labels[i, kept - len(row["completion"]) :] = torch.tensor(row["completion"])
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    return {
        "input_ids": ids,
        "attention_mask": mask,
        "position_ids": positions,
        # The last n positions predict exactly these tokens, so they are "shifted" already.
        "labels": labels,
        "shift_labels": labels,
        "logits_to_keep": kept,
    }


def adapter_identity(model: str, rows: Sequence[TrainingRow], settings: TrainingSettings) -> str:
    """What decides an adapter: the same identity gives the same folder, so nothing is trained twice."""
    return fingerprint([model, [[row.messages, row.completion] for row in rows], asdict(settings)])


def finished(
    folder: Path, model: str, rows: Sequence[TrainingRow], settings: TrainingSettings, *, cache: Path | None = None
) -> bool:
    """Whether the folder holds the whole adapter of exactly these rows and settings, for this base."""
    manifest, weights = folder / "tunewise.json", folder / "adapter_model.safetensors"
    if not (manifest.is_file() and weights.is_file()):
        return False
    about = read_json(manifest)
    return (
        about.get("identity") == adapter_identity(model, rows, settings)
        and about["base"] == identify(model, resolve(model, cache=cache))
        and about["weights"] == sha256(weights)
    )


def train(
    model_name: str,
    rows: Sequence[TrainingRow],
    *,
    folder: Path,
    settings: TrainingSettings,
    recipe: str,
    cache: Path | None = None,
    progress: Progress = lambda phase, done, total: None,
) -> Path:
    """Train a LoRA adapter into `folder` (adapter_model.safetensors, adapter_config.json, README.md, tunewise.json).

    A finished folder with the same identity is returned as it is; an interrupted one goes on from its last checkpoint.
    """
    if finished(folder, model_name, rows, settings, cache=cache):
        return folder
    identity = adapter_identity(model_name, rows, settings)
    manifest = folder / "tunewise.json"
    started = time.perf_counter()
    torch = need("torch", feature="training", extra="train")
    transformers = need("transformers", feature="training", extra="train")
    peft = need("peft", feature="training", extra="train")
    need("accelerate", feature="training", extra="train")
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    transformers.set_seed(settings.seed)

    base = resolve(model_name, cache=cache)
    dtype, why = precision()
    tokenizer = transformers.AutoTokenizer.from_pretrained(base)
    model = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=getattr(torch, dtype), use_safetensors=True)
    count = model.config.num_hidden_layers
    top = max(1, round(settings.layers * count))
    # peft 0.21 still asks transformers 5.23 by an old name: nothing that a user can mend.
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
    worn = peft.get_peft_model(
        model,
        peft.LoraConfig(
            r=settings.rank,
            lora_alpha=settings.alpha,
            lora_dropout=settings.dropout,
            target_modules=TARGETS,
            layers_to_transform=list(range(count - top, count)),
            layers_pattern="layers",
            task_type="CAUSAL_LM",
        ),
        # In float32 every input of every LoRA layer would be converted, which costs a fifth of the time.
        autocast_adapter_dtype=False,
    )
    # The last positions are a slice of the hidden states; multiplied as it is, torch copies the whole vocabulary
    # matrix once for each row of the batch.
    model.lm_head.register_forward_pre_hook(lambda module, given: (given[0].contiguous(),))
    encoded = encode(rows, tokenizer, longest=model.config.max_position_embeddings)
    checkpoints = folder / "checkpoints" / identity[:16]
    size, accumulation = _batch(encoded, settings.batch)
    steps = max(1, round(settings.epochs * -(-len(rows) // (size * accumulation))))

    class Watch(transformers.TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            progress(f"train {recipe}", state.global_step, state.max_steps)

    arguments = transformers.TrainingArguments(
        output_dir=str(checkpoints),
        max_steps=steps,
        learning_rate=settings.rate,
        lr_scheduler_type="linear",
        warmup_steps=max(1, round(settings.warmup * steps)),
        per_device_train_batch_size=size,
        gradient_accumulation_steps=accumulation,
        optim="adamw_torch",
        weight_decay=0.0,
        max_grad_norm=1.0,
        seed=settings.seed,
        train_sampling_strategy="group_by_length",
        remove_unused_columns=False,
        logging_steps=max(1, steps // 40),
        save_strategy="steps",
        save_steps=max(1, -(-steps // 6)),
        save_total_limit=2,
        report_to="none",
        disable_tqdm=True,
        use_cpu=not torch.cuda.is_available(),
        bf16=False,
        fp16=False,
        dataloader_pin_memory=torch.cuda.is_available(),
    )
    trainer = transformers.Trainer(
        model=worn,
        args=arguments,
        train_dataset=encoded,
        processing_class=tokenizer,
        data_collator=lambda batch: collate(batch, pad=tokenizer.pad_token_id),
        callbacks=[Watch()],
    )
    trainer.remove_callback(transformers.PrinterCallback)
    last, begun = _last_checkpoint(checkpoints)
    with disk_errors(folder):
        trainer.train(resume_from_checkpoint=last)
        folder.mkdir(parents=True, exist_ok=True)
        worn.save_pretrained(folder, safe_serialization=True)
        tokens = int(settings.epochs * sum(len(row["input_ids"]) for row in encoded))
        # A resumed run counts what the steps before it took, at the pace of those after.
        seconds = (time.perf_counter() - started) * steps / max(1, steps - begun)
        trained = sum(p.numel() for p in worn.parameters() if p.requires_grad)
        write_text(folder / "README.md", _card(model_name, recipe, rows, settings, trained, seconds))
        write_json(
            manifest,
            {
                "identity": identity,
                "model": model_name,
                "base": identify(model_name, base),
                "recipe": recipe,
                "weights": sha256(folder / "adapter_model.safetensors"),
                "settings": asdict(settings),
                "rows": len(rows),
                "questions": sorted({row.question for row in rows}),
                "groups": sorted({group for row in rows for group in row.groups}),
                "documents": sorted({document for row in rows for document in row.documents}),
                "history": [
                    {"step": log["step"], "loss": log["loss"]} for log in trainer.state.log_history if "loss" in log
                ],
                "trained_parameters": trained,
                "seconds": seconds,
                "tokens": tokens,
                "peak_memory_bytes": peak_memory(),
                "precision": dtype,
                "why_precision": why,
                "resumed": last is not None,
                "versions": {lib.__name__: lib.__version__ for lib in (torch, transformers, peft)},
            },
        )
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    return folder


def _last_checkpoint(folder: Path) -> tuple[str | None, int]:
    """The newest whole checkpoint and its step: trainer_state.json is written last, so without it one is torn."""
    whole = sorted(folder.glob("checkpoint-*/trainer_state.json"), key=lambda file: int(file.parent.name.split("-")[1]))
    return (str(whole[-1].parent), int(read_json(whole[-1])["global_step"])) if whole else (None, 0)


def _batch(encoded: Sequence[dict[str, list[int]]], rows: int) -> tuple[int, int]:
    """Rows computed together and how many such batches make a step.

    One batch stays under about 2,400 tokens (4 GB for the bundled model).
    """
    longest = max(len(row["input_ids"]) for row in encoded)
    size = rows
    while size > 1 and size * longest > 2400:
        size //= 2
    return size, max(1, rows // size)


def _card(
    model: str, recipe: str, rows: Sequence[TrainingRow], settings: TrainingSettings, trained: int, seconds: float
) -> str:
    lines = "\n".join(f"- {name}: {value}" for name, value in asdict(settings).items())
    return (
        f"---\nbase_model: {model}\nlibrary_name: peft\ntags: [lora, {recipe}, tunewise]\n---\n\n"
        f"# {recipe} adapter of {model}\n\nTrained by Tunewise on {len(rows)} rows; "
        f"{trained:,} trained parameters; {seconds:.0f} s.\n"
        "The questions and documents that went in, the hashes and the loss are in tunewise.json.\n\n"
        f"## Settings\n\n{lines}\n"
    )
