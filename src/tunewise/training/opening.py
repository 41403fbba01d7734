"""Opening a model for training, the arguments that every trainer is given, and the figures that every run keeps."""

from __future__ import annotations

import time
import warnings
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from tunewise.errors import ConfigMistake, need
from tunewise.machine import Meter, peak_memory
from tunewise.models.chains import load_worn, manifest
from tunewise.models.gpu import gpu_peak
from tunewise.models.local import device, precision, resolve
from tunewise.training import estimate
from tunewise.training.loop import Note, Outcome
from tunewise.training.methods import METHODS, refuse_without_gpu
from tunewise.training.settings import TrainingSettings, settle
from tunewise.training.shapes import text_config

LOOKS = 5
"""How often a run looks at the validation loss."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run: which model learns what into which folder, from which parent, with which index's passages."""

    model: str
    recipe: str
    folder: Path
    identity: str
    parent: Path | None = None
    index: str = ""
    started: float = field(default_factory=time.perf_counter)
    meter: Meter = field(default_factory=partial(Meter, watch=60.0))

    @property
    def place(self) -> Path:
        """Where this run keeps its checkpoints."""
        return self.folder / "checkpoints" / self.identity[:16]

    @property
    def begun(self) -> Path:
        """The adapter as it began, for methods whose beginning moves the base."""
        return self.place / "begun"


@dataclass(slots=True)
class Opened:
    """A model that is ready to be trained, and what was decided about it: `settings` have every derived value."""

    base: Path
    tokenizer: Any
    model: Any
    dtype: str
    settings: TrainingSettings
    notes: list[str]

    @property
    def torch_dtype(self) -> Any:
        """`dtype` as torch has it."""
        return getattr(need("torch", feature="training", extra="train"), self.dtype)

    def bare(self) -> Any:
        """The model without the adapter of a try that ran out of memory: the next trainer puts on its own."""
        return self.model.unload() if hasattr(self.model, "peft_config") else self.model


class Forecast(NamedTuple):
    """What a run was estimated to need before it began."""

    seconds: estimate.Bounds
    memory: estimate.Bounds
    operations: float
    matrix_rate: float

    def __str__(self) -> str:
        return (
            f"estimate: {self.seconds.low / 60:.1f} to {self.seconds.high / 60:.1f} minutes, "
            f"{self.memory.low / 1e9:.1f} to {self.memory.high / 1e9:.1f} GB"
        )


def open_model(run: Run, settings: TrainingSettings, *, cache: Path | None, note: Note) -> Opened:
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
    if run.parent is not None:
        _refuse_virtual(run.parent)
    base = resolve(run.model, cache=cache)
    dtype, why = precision()
    tokenizer = transformers.AutoTokenizer.from_pretrained(base, trust_remote_code=False)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    more: dict[str, Any] = {}
    if settings.method == "qlora":
        more["quantization_config"] = transformers.BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=getattr(torch, dtype)
        )
    model = load_worn(base, run.parent, dtype=getattr(torch, dtype), **more)
    model.config._name_or_path = str(base)
    if not more:
        model.to(device())
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    settings, derived = settle(run.recipe, settings, width=text_config(model).hidden_size)
    notes = [f"device {device()}, precision {dtype}: {why}"]
    if device() == "cuda" and (gpus := torch.cuda.device_count()) > 1:
        notes.append(f"one of {gpus} GPUs: a batch with few logits cannot be dealt out to several")
    for line in (*notes, *derived):
        note(line)
    return Opened(base, tokenizer, model, dtype, settings, notes)


def open_trl(feature: str) -> tuple[Any, Any]:
    """(trl, datasets), both quiet."""
    trl = need("trl", feature=feature, extra="train")
    datasets = need("datasets", feature=feature, extra="train")
    datasets.disable_progress_bars()
    return trl, datasets


def count_parameters(model: Any) -> tuple[int, int]:
    """(trained, all) parameters; weights in 4 bits count for what they are, not for the bytes that hold them."""

    def size(parameter: Any) -> int:
        packed = type(parameter).__name__ == "Params4bit"
        return int(parameter.numel()) * (2 * parameter.element_size() if packed else 1)

    sizes = [(size(p), p.requires_grad) for p in model.parameters()]
    return sum(size for size, trained in sizes if trained), sum(size for size, _ in sizes)


def arguments(
    run: Run, opened: Opened, *, steps: int, size: int, accumulation: int, looks: bool, checkpointing: bool = False
) -> dict[str, Any]:
    """What TrainingArguments and TRL's configs are given; the user's own `trainer` settings win."""
    settings, dtype, on_gpu = opened.settings, opened.dtype, device() == "cuda"
    every = max(1, -(-steps // (LOOKS if looks else 6)))
    given: dict[str, Any] = {
        "output_dir": str(run.place),
        "max_steps": steps,
        "learning_rate": settings.rate,
        "lr_scheduler_type": "linear",
        "warmup_steps": round(settings.warmup * steps),
        "per_device_train_batch_size": size,
        "per_device_eval_batch_size": size,
        "gradient_accumulation_steps": accumulation,
        "optim": "adamw_torch_fused",
        "weight_decay": 0.0,
        "max_grad_norm": 1.0,
        "seed": settings.seed,
        "remove_unused_columns": False,
        "logging_steps": max(1, steps // 40),
        # A loss that is no number ends the run (see `loop.watch`); left out of the mean it would not be seen.
        "logging_nan_inf_filter": False,
        "save_strategy": "steps",
        "save_steps": every,
        "save_total_limit": 2,
        "eval_strategy": "steps" if looks else "no",
        "report_to": "none" if settings.report_to == "none" else settings.report_to.split(","),
        "disable_tqdm": True,
        "use_cpu": not on_gpu,
        "bf16": dtype == "bfloat16",
        "fp16": dtype == "float16",
        "dataloader_pin_memory": on_gpu,
        "gradient_checkpointing": checkpointing,
    }
    if checkpointing:
        given["gradient_checkpointing_kwargs"] = {"use_reentrant": False}
    if looks:
        given |= {"eval_steps": every, "prediction_loss_only": True}
    return given | dict(settings.trainer)


def one_gpu(args: Any) -> Any:
    """The arguments, for one GPU where there are several: the library would deal every batch out to all of them, and
    with it the list of positions that get logits, which belongs to all rows."""
    if args.n_gpu > 1:
        args._n_gpu = 1
    return args


def place_logs(trainer: Any, run: Run) -> None:
    """Let tensorboard write into the adapter's folder: its default is that of the checkpoints, which a finished run
    clears. TENSORBOARD_LOGGING_DIR still says otherwise."""
    integrations = need("transformers.integrations", feature="training", extra="train")
    for callback in trainer.callback_handler.callbacks:
        if isinstance(callback, integrations.TensorBoardCallback) and callback.logging_dir is None:
            callback.logging_dir = str(run.folder / "runs")


def running_figures(
    run: Run, opened: Opened, outcome: Outcome, forecast: Forecast, *, sizes: tuple[int, int], tokens: int
) -> dict[str, Any]:
    """What a run cost, beside what was estimated, for the manifest. `sizes` are (trained, all) parameters."""
    peak = gpu_peak() or peak_memory()
    seconds = time.perf_counter() - run.started + outcome.earlier
    return {
        "history": outcome.history,
        "validation": outcome.validation,
        "best_step": outcome.best_step,
        "steps": outcome.steps,
        "trained_parameters": sizes[0],
        "parameters": sizes[1],
        "seconds": seconds,
        "train_seconds": outcome.train_seconds,
        "tokens": tokens,
        "peak_memory_bytes": peak,
        # What a run took before it was stopped, nobody has read.
        "joules": None if outcome.begun else run.meter.read(),
        "joules_of": run.meter.parts,
        "precision": opened.dtype,
        "why": list(opened.notes),
        "batch": [outcome.size, outcome.accumulation],
        "resumed": outcome.begun > 0,
        "estimate": {"seconds": asdict(forecast.seconds), "memory_bytes": asdict(forecast.memory)},
        "within": {"seconds": forecast.seconds.hold(seconds), "memory_bytes": forecast.memory.hold(peak)},
        "operations": forecast.operations,
        "matrix_rate": forecast.matrix_rate,
        "utilisation": forecast.operations / outcome.train_seconds / forecast.matrix_rate,
    }


def _refuse_virtual(parent: Path) -> None:
    if METHODS[manifest(parent).get("method", "lora")].virtual:
        raise ConfigMistake(
            f"{parent} holds virtual tokens, on which nothing else can be trained",
            tip="choose a parent that was trained with lora or full",
        )
