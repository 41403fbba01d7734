"""What a training would do, worked out with the tokenizer and the shape of the model alone: no weights are loaded.

The figures are those that a run says before it starts, from the same functions; memory is what the weights would take
and what is free now.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tunewise.errors import need
from tunewise.models.local import attends_to_all, device, precision, resolve
from tunewise.training import estimate, frozen
from tunewise.training.encoding import IGNORED, encode
from tunewise.training.loop import smaller
from tunewise.training.methods import METHODS, init_text
from tunewise.training.opening import count_parameters
from tunewise.training.rows import TrainingRow
from tunewise.training.settings import TrainingSettings, settle
from tunewise.training.sft import _batch, _shared
from tunewise.training.shapes import layers_of, text_config, top_layers, untrained_below


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What a run would be like: tokens as rows have them, the batch and its accumulation, bounds of time and memory."""

    device: str
    precision: str
    settings: TrainingSettings
    tokens: int
    longest: int
    batch: tuple[int, int]
    steps: int
    trained: int
    parameters: int
    checkpointing: bool
    seconds: estimate.Bounds
    memory: estimate.Bounds
    free: int
    notes: tuple[str, ...]


def rehearse(model_name: str, rows: Sequence[TrainingRow], *, settings: TrainingSettings, recipe: str) -> Rehearsal:
    """The figures of a supervised run on these rows; `DataMistake` for rows that are longer than the model takes."""
    torch = need("torch", feature="training", extra="train")
    transformers = need("transformers", feature="training", extra="train")
    transformers.utils.logging.set_verbosity_error()
    base = resolve(model_name)
    tokenizer = transformers.AutoTokenizer.from_pretrained(base, trust_remote_code=False)
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(
            transformers.AutoConfig.from_pretrained(base, trust_remote_code=False)
        )
    model.config._name_or_path = str(base)
    config, method = text_config(model), METHODS[settings.method]
    settings, notes = settle(recipe, settings, width=config.hidden_size)
    if method.virtual and not settings.init_text:
        settings = settings.but({"init_text": init_text(recipe, rows)})
    dtype, why = precision()
    where, itemsize = device(), getattr(torch, dtype).itemsize
    worn = _worn(model, settings)
    trained, total = count_parameters(worn)
    virtual = worn.active_peft_config.num_virtual_tokens if method.virtual else 0
    said: list[str] = [f"device {where}, precision {dtype}: {why}", *notes]
    items: list[dict[str, Any]] = encode(
        rows, tokenizer, longest=config.max_position_embeddings - virtual, block=settings.block
    )
    lengths = [len(item["input_ids"]) for item in items]
    alone, longest = sum(lengths), max(lengths)
    labelled = [sum(label != IGNORED for label in item["labels"]) for item in items]
    if settings.share and config._attn_implementation == "sdpa" and attends_to_all(config):
        items = _shared(items, alone, said.append)
        lengths = [len(item["input_ids"]) for item in items]
        labelled = [sum(label != IGNORED for label in item["labels"]) for item in items]
    now, free = estimate.held_memory(where) + total * itemsize, estimate.free_memory(where)
    most = estimate.batch_tokens(config, device=where, free=free - total * itemsize, itemsize=itemsize)
    size, accumulation = _batch(items, settings.batch, tokens=most)
    steps = max(1, round(settings.epochs * -(-len(items) // (size * accumulation))))
    below = untrained_below(worn, model)
    top = config.num_hidden_layers - below
    cached = settings.freeze and frozen.worth_it(
        items, layers=below, epochs=settings.epochs, width=config.hidden_size, itemsize=itemsize
    )
    work = estimate.Work(
        rows=len(rows), tokens=sum(lengths), kept=sum(labelled), width=estimate.mean_width(lengths)
    )

    def needed(size: int, checkpointing: bool) -> estimate.Bounds:
        return estimate.memory_bounds(
            config, work, batch=size * max(lengths), now=now, trained=trained, top=top, itemsize=itemsize,
            cached=cached and where == "cpu", checkpointing=checkpointing, kept=size * max(labelled),
        )

    # The weights are not loaded yet, so they count as well.
    room = free + estimate.held_memory(where)
    while needed(size, False).high > room and (fewer := smaller(size, accumulation)):
        size, accumulation = fewer
    checkpointing = needed(size, False).high > room and not method.virtual
    rate = estimate.matrix_rate(getattr(torch, dtype), config.hidden_size, config.intermediate_size, device=where)
    flops = estimate.operations(
        config, work, trained=trained, top=top, cached=cached, weights=settings.method == "full",
        epochs=settings.epochs,
    )
    return Rehearsal(
        where, dtype, settings, alone, longest, (size, accumulation), steps, trained, total, checkpointing,
        estimate.time_bounds(flops, rate), needed(size, checkpointing), free, tuple(said),
    )


def _worn(model: Any, settings: TrainingSettings) -> Any:
    """The model without weights with what the method trains; beginnings that are computed from weights are left out."""
    method = METHODS[settings.method]
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    if method.config is None:
        model.requires_grad_(settings.layers >= 1)
        for number in top_layers(model, settings.layers) if settings.layers < 1 else ():
            layers_of(model).modules[number].requires_grad_(True)
        return model
    peft = need("peft", feature="training", extra="train")
    config = method.config(settings, model)
    for name, plain in (("init_lora_weights", True), ("prompt_tuning_init", "RANDOM")):
        if hasattr(config, name):
            setattr(config, name, plain)
    return peft.get_peft_model(model, config)
