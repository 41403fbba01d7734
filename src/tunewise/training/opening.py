"""Opening a model for training, the arguments that every trainer is given, and the figures that every run keeps."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tunewise.errors import ConfigMistake, need
from tunewise.machine import peak_memory
from tunewise.models.chains import load_worn, manifest
from tunewise.models.local import precision, resolve
from tunewise.training import estimate
from tunewise.training.loop import Outcome
from tunewise.training.methods import METHODS, refuse_without_gpu
from tunewise.training.settings import TrainingSettings

BATCH_TOKENS = 2400
"""Padded tokens in one batch of the bundled model (about 4 GB on a CPU, and no faster beyond)."""
LOOKS = 5
"""How often a run looks at the validation loss."""


@dataclass(slots=True)
class Opened:
    """A model that is ready to be trained, and what was decided about it."""

    base: Path
    tokenizer: Any
    model: Any
    dtype: str
    notes: list[str]


def open_model(model_name: str, *, parent: Path | None, cache: Path | None, settings: TrainingSettings) -> Opened:
    """The base, with its parent's training merged in, frozen, in this machine's precision."""
    torch = need("torch", feature="training", extra="train")
    transformers = need("transformers", feature="training", extra="train")
    need("peft", feature="training", extra="train")
    need("accelerate", feature="training", extra="train")
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    # peft 0.21 still asks transformers 5.23 by an old name: nothing that a user can mend.
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
    transformers.set_seed(settings.seed)
    refuse_without_gpu(settings.method)
    if parent is not None:
        _refuse_virtual(parent)
    base = resolve(model_name, cache=cache)
    dtype, why = precision()
    tokenizer = transformers.AutoTokenizer.from_pretrained(base, trust_remote_code=False)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    more: dict[str, Any] = {}
    if settings.method == "qlora":
        more["quantization_config"] = transformers.BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=getattr(torch, dtype)
        )
    model = load_worn(base, parent, dtype=getattr(torch, dtype), **more)
    model.config._name_or_path = str(base)
    if not more:
        model.to("cuda" if torch.cuda.is_available() else "cpu")
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return Opened(base, tokenizer, model, dtype, [f"device {device}, precision {dtype}: {why}"])


def arguments(
    settings: TrainingSettings, *, folder: Path, steps: int, size: int, accumulation: int, dtype: str, looks: bool
) -> dict[str, Any]:
    """What TrainingArguments and TRL's configs are given; the user's own `trainer` settings win."""
    torch = need("torch", feature="training", extra="train")
    every = max(1, -(-steps // (LOOKS if looks else 6)))
    given: dict[str, Any] = {
        "output_dir": str(folder),
        "max_steps": steps,
        "learning_rate": settings.rate,
        "lr_scheduler_type": "linear",
        "warmup_steps": max(1, round(settings.warmup * steps)),
        "per_device_train_batch_size": size,
        "per_device_eval_batch_size": size,
        "gradient_accumulation_steps": accumulation,
        "optim": "adamw_torch_fused",
        "weight_decay": 0.0,
        "max_grad_norm": 1.0,
        "seed": settings.seed,
        "remove_unused_columns": False,
        "logging_steps": max(1, steps // 40),
        "save_strategy": "steps",
        "save_steps": every,
        "save_total_limit": 2,
        "eval_strategy": "steps" if looks else "no",
        "report_to": "none" if settings.report_to == "none" else settings.report_to.split(","),
        "disable_tqdm": True,
        "use_cpu": not torch.cuda.is_available(),
        "bf16": dtype == "bfloat16",
        "fp16": dtype == "float16",
        "dataloader_pin_memory": torch.cuda.is_available(),
        "gradient_checkpointing": False,
    }
    if looks:
        given |= {"eval_steps": every, "prediction_loss_only": True}
    return given | dict(settings.trainer)


def running_figures(
    outcome: Outcome,
    *,
    trained: int,
    total: int,
    tokens: int,
    dtype: str,
    why: Sequence[str],
    seconds: float,
    seconds_bounds: estimate.Bounds,
    memory_bounds: estimate.Bounds,
    flops: float,
    rate: float,
) -> dict[str, Any]:
    """What a run cost, beside what was estimated, for the manifest."""
    peak = peak_memory()
    torch = need("torch", feature="training", extra="train")
    if torch.cuda.is_available():
        peak = max(torch.cuda.max_memory_allocated(), 1)
    return {
        "history": outcome.history,
        "validation": outcome.validation,
        "best_step": outcome.best_step,
        "steps": outcome.steps,
        "trained_parameters": trained,
        "parameters": total,
        "seconds": seconds,
        "train_seconds": outcome.seconds,
        "tokens": tokens,
        "peak_memory_bytes": peak,
        "precision": dtype,
        "why": list(why),
        "batch": [outcome.size, outcome.accumulation],
        "resumed": outcome.begun > 0,
        "estimate": {"seconds": asdict(seconds_bounds), "memory_bytes": asdict(memory_bounds)},
        "within": {"seconds": seconds_bounds.hold(seconds), "memory_bytes": memory_bounds.hold(peak)},
        "operations": flops,
        "matrix_rate": rate,
        "utilisation": flops / outcome.seconds / rate,
    }


def _refuse_virtual(parent: Path) -> None:
    if METHODS[manifest(parent).get("method", "lora")].virtual:
        raise ConfigMistake(
            f"{parent} holds virtual tokens, on which nothing else can be trained",
            tip="choose a parent that was trained with lora or full",
        )
