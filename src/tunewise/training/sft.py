"""Supervised fine-tuning with transformers' own Trainer: instruction rows, RAFT rows, raw text; by every method.

What makes it quick is in what the trainer is given, not in a trainer of our own: rows of similar length share a batch,
logits are computed only where there is loss, prompts that rows have in common are computed once (`sharing`), and so are
frozen lower layers (`frozen`). Base weights are in bfloat16 where the machine has it; what is trained is in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tunewise.errors import need
from tunewise.models.chains import manifest
from tunewise.models.local import attends_to_all
from tunewise.training import estimate, frozen
from tunewise.training.encoding import IGNORED, collate, encode
from tunewise.training.leaving import adapter_identity, finished, leave
from tunewise.training.loop import Note, Progress, fit, smaller, watch
from tunewise.training.methods import METHODS, init_text, wear
from tunewise.training.opening import (
    Forecast,
    Opened,
    Run,
    arguments,
    count_parameters,
    one_gpu,
    open_model,
    place_logs,
)
from tunewise.training.rows import TrainingRow
from tunewise.training.settings import TrainingSettings
from tunewise.training.shapes import text_config, untrained_below
from tunewise.training.sharing import pack


def train(
    model_name: str,
    rows: Sequence[TrainingRow],
    *,
    folder: Path,
    settings: TrainingSettings,
    recipe: str,
    validation: Sequence[TrainingRow] = (),
    parent: Path | None = None,
    identity: str = "",
    index: str = "",
    cache: Path | None = None,
    progress: Progress = lambda phase, done, total: None,
    note: Note = lambda text: None,
) -> Path:
    """Train into `folder` (weights in safetensors, README.md, tunewise.json) and return it.

    `validation` rows end a run that no longer learns, and choose its weights. `parent` is an adapter folder to start
    from. A finished folder with the same identity is returned as it is; an interrupted run goes on.
    """
    validation = validation if settings.patience else ()
    identity = identity or adapter_identity(
        model_name,
        rows,
        settings,
        recipe=recipe,
        parent=manifest(parent)["identity"] if parent else "",
        validation=validation,
    )
    if finished(folder, identity, model_name, parent=parent, cache=cache):
        return folder
    run = Run(model_name, recipe, folder, identity, parent, index)
    opened = open_model(run, settings, cache=cache, note=note)
    model, tokenizer, config, settings = opened.model, opened.tokenizer, text_config(opened.model), opened.settings
    transformers = need("transformers", feature="training", extra="train")
    method = METHODS[settings.method]
    pad = tokenizer.pad_token_id
    if method.virtual and not settings.init_text:
        settings = opened.settings = settings.but({"init_text": init_text(recipe, rows)})
    worn = wear(model, settings, tokenizer=tokenizer) if method.virtual else None
    # What PEFT was told counts, however it was told.
    virtual = worn.active_peft_config.num_virtual_tokens if worn is not None else 0
    # PEFT puts virtual tokens before the embeddings (prompt, P-tuning) or into the cache (prefix).
    offset = virtual if settings.method != "prefix-tuning" else 0

    def batches(items: Sequence[dict[str, Any]]) -> dict[str, Any]:
        made = collate(items, pad=pad, left=not method.virtual, offset=offset)
        if method.virtual:
            made.pop("position_ids", None)
        return frozen.with_hidden(items, made) if "hidden" in items[0] else made

    longest = config.max_position_embeddings - virtual
    items: list[dict[str, Any]] = encode(rows, tokenizer, longest=longest, block=settings.block)
    looks: list[dict[str, Any]] = encode(validation, tokenizer, longest=longest, block=settings.block)
    alone = sum(len(item["input_ids"]) for item in items)
    labelled = sum(sum(label != IGNORED for label in item["labels"]) for item in items)
    # The mask of a pack is one of booleans over all that came before: eager attention would add it, and a layer with a
    # window would lose its window.
    if settings.share and config._attn_implementation == "sdpa" and attends_to_all(config):
        items = _shared(items, alone, note)
    looks = pack(looks) if looks and "segments" in items[0] else looks
    computed = sum(len(item["input_ids"]) for item in items)
    device, itemsize = str(model.device.type), opened.torch_dtype.itemsize
    now, free = estimate.held_memory(device), estimate.free_memory(device)
    most = estimate.batch_tokens(config, device=device, free=free, itemsize=itemsize)
    size, accumulation = _batch(items, settings.batch, tokens=most)
    steps = max(1, round(settings.epochs * -(-len(items) // (size * accumulation))))

    def first_batches() -> list[dict[str, Any]]:
        chosen = items[:: max(1, len(items) // 64)]
        return [
            {k: v.to(model.device) for k, v in batches(chosen[i : i + size]).items() if "labels" not in k}
            for i in range(0, len(chosen), size)
        ]

    worn = worn or wear(model, settings, tokenizer=tokenizer, batches=first_batches)
    trained, total = count_parameters(worn)
    note(f"{trained:,} of {total:,} parameters are trained ({trained / total:.2%}): {settings.method}, {method.about}")
    if method.moves_base:
        worn.save_pretrained(run.begun)
    below = untrained_below(worn, model)
    top = config.num_hidden_layers - below
    cached = settings.freeze and frozen.worth_it(
        [*items, *looks], layers=below, epochs=settings.epochs, width=config.hidden_size, itemsize=itemsize
    )
    rate = estimate.matrix_rate(opened.torch_dtype, config.hidden_size, config.intermediate_size, device=device)
    lengths = [len(item["input_ids"]) for item in items]
    width = max(lengths)
    labels = max(sum(label != IGNORED for label in i["labels"]) for i in items)
    work = estimate.Work(rows=len(rows), tokens=computed, kept=labelled, width=estimate.mean_width(lengths))
    flops = estimate.operations(
        config,
        work,
        trained=trained,
        top=top,
        cached=cached,
        weights=settings.method == "full",
        epochs=settings.epochs,
    )
    now = max(now, estimate.held_memory(device))

    def needed(size: int, checkpointing: bool) -> estimate.Bounds:
        return estimate.memory_bounds(
            config,
            work,
            batch=size * width,
            now=now,
            trained=trained,
            top=top,
            itemsize=itemsize,
            # What frozen layers gave lies in the machine's memory, not in its GPU's.
            cached=cached and device == "cpu",
            checkpointing=checkpointing,
            kept=size * labels,
        )

    # The order of rows depends on the step alone, so that it is the same whatever memory is free today.
    order = _order(items, batch=size * accumulation, rows=steps * size * accumulation, seed=settings.seed)
    while needed(size, False).high - now > free and (fewer := smaller(size, accumulation)):
        size, accumulation = fewer
    checkpointing = needed(size, False).high - now > free and not method.virtual
    forecast = Forecast(estimate.time_bounds(flops, rate), needed(size, checkpointing), flops, rate)
    note(
        f"{len(rows)} rows, {alone:,} tokens; batch {size} × {accumulation} accumulated "
        f"({settings.batch} rows a step, {most} tokens at once at most, {free / 1e9:.1f} GB free), "
        f"{steps} steps"
    )
    note(f"gradient checkpointing {'on: memory is short' if checkpointing else 'off: memory is enough'}")
    note(f"{forecast} (this machine multiplies {rate / 1e9:.0f} GFLOP/s in {opened.dtype})")
    if settings.method != "full":
        note(_against_full(forecast.memory, opened, work, batch=size * width, now=now, trained=trained, total=total,
                           kept=size * labels))
    lower = _freeze(model, items, looks, below, batches, progress, recipe, note, tokens=most) if cached else None
    callback = watch(
        label=f"train {recipe}",
        folder=run.place,
        patience=settings.patience,
        tokens_per_step=settings.epochs * alone / steps,
        progress=progress,
        note=note,
        whole=settings.method == "p-tuning",
        opened=run.started,
    )

    def make(size: int, accumulation: int, callback: Any) -> Any:
        given = arguments(
            run,
            opened,
            steps=steps,
            size=size,
            accumulation=accumulation,
            looks=bool(looks),
            checkpointing=checkpointing,
        )
        trainer = transformers.Trainer(
            model=worn,
            args=one_gpu(transformers.TrainingArguments(**{"train_sampling_strategy": "sequential"} | given)),
            train_dataset=order,
            eval_dataset=looks or None,
            processing_class=tokenizer,
            data_collator=batches,
            callbacks=[callback],
        )
        trainer.remove_callback(transformers.PrinterCallback)
        place_logs(trainer, run)
        return trainer

    _, outcome = fit(make, folder=run.place, size=size, accumulation=accumulation, note=note, callback=callback)
    if lower is not None:
        lower.restore()
    done = outcome.steps / steps
    figures = leave(
        run,
        opened,
        worn,
        outcome,
        forecast._replace(operations=flops * done),
        rows=rows,
        tokens=round(settings.epochs * alone * done),
        more={
            "computed_tokens": round(settings.epochs * computed * done),
            "shared_tokens": alone - computed,
            "cached_layers": below if cached else 0,
        },
    )
    note(
        f"measured: {figures['seconds'] / 60:.1f} minutes, {figures['peak_memory_bytes'] / 1e9:.1f} GB, "
        f"{figures['tokens'] / outcome.train_seconds:.0f} tokens/s, {figures['utilisation']:.0%} of the matrix rate"
    )
    return folder


def _order(items: Sequence[dict[str, Any]], *, batch: int, rows: int, seed: int) -> list[dict[str, Any]]:
    """The items of the whole run in their order: every epoch dealt anew, items of similar length side by side.

    The order is laid down beforehand because the library's own sampler by length cannot go on in the middle of an
    epoch: a run that was killed there would see other rows than one that was not.
    """
    torch = need("torch", feature="training", extra="train")
    from transformers.trainer_pt_utils import get_length_grouped_indices

    lengths = [len(item["input_ids"]) for item in items]
    generator = torch.Generator().manual_seed(seed)
    order: list[int] = []
    while len(order) < rows:
        order += get_length_grouped_indices(lengths, batch, generator=generator)
    return [items[i] for i in order[:rows]]


def _shared(items: list[dict[str, Any]], alone: int, note: Note) -> list[dict[str, Any]]:
    packs = pack(items)
    computed = sum(len(item["input_ids"]) for item in packs)
    saved = 1 - computed / alone
    if saved < 0.1:
        note(f"shared prompts: only {saved:.0%} of the tokens stand in common beginnings, so rows stay apart")
        return items
    note(
        f"shared prompts: {saved:.0%} of the tokens are computed once for several rows "
        f"({len(items)} rows in {len(packs)} packs)"
    )
    return packs


def _freeze(
    model: Any,
    items: list[dict[str, Any]],
    looks: list[dict[str, Any]],
    below: int,
    batches: Callable[[Sequence[dict[str, Any]]], dict[str, Any]],
    progress: Progress,
    recipe: str,
    note: Note,
    *,
    tokens: int,
) -> frozen.LowerLayers | None:
    """Take the frozen layers out, if a batch has the same loss without them."""
    torch = need("torch", feature="training", extra="train")
    lower = frozen.LowerLayers(model, below)
    probe = [dict(item) for item in items[:2]]

    # As in training: what is trained is in float32, the rest in the base's dtype.
    mixed = torch.autocast(model.device.type, dtype=model.dtype, enabled=model.dtype != torch.float32)

    def loss(some: Sequence[dict[str, Any]]) -> float:
        with torch.no_grad(), mixed:
            return float(model(**{k: v.to(model.device) for k, v in batches(some).items()}).loss)

    before = loss(probe)
    lower.compute(probe, batches, tokens=tokens, device=model.device, progress=lambda done, total: None)
    lower.put_aside()
    after = loss(probe)
    if abs(after - before) > 0.02 * max(1.0, abs(before)):
        lower.restore()
        note("the frozen layers are computed every time: this model does something else with its inputs")
        return None
    lower.restore()
    lower.compute(
        [*items, *looks],
        batches,
        tokens=tokens,
        device=model.device,
        progress=lambda done, total: progress(f"frozen layers {recipe}", done, total),
    )
    lower.put_aside()
    note(f"the lower {below} layers are not trained: they are computed once and not in every epoch")
    return lower


def _batch(items: Sequence[dict[str, Any]], rows: int, *, tokens: int) -> tuple[int, int]:
    """Items computed together (at most `tokens` padded tokens) and how many such batches make a step of about `rows`
    rows."""
    longest = max(len(item["input_ids"]) for item in items)
    wanted = max(1, round(rows * len(items) / sum(item.get("rows", 1) for item in items)))
    size = wanted
    while size > 1 and size * longest > estimate.BATCH_TOKENS:
        size = -(-size // 2)
    return estimate.widened(size, max(1, round(wanted / size)), longest=longest, tokens=tokens)


def _against_full(
    own: estimate.Bounds, opened: Opened, work: estimate.Work, *, batch: int, now: int, trained: int, total: int,
    kept: int,
) -> str:
    """What full fine-tuning of all layers would take for the same batch: its weights, gradients and moments in
    float32, the activations of every layer."""
    config = text_config(opened.model)
    itemsize = opened.torch_dtype.itemsize
    whole = estimate.memory_bounds(
        config, work, batch=batch, now=now + (total - trained) * (4 - itemsize), trained=total - trained,
        top=config.num_hidden_layers, itemsize=itemsize, cached=False, checkpointing=False, kept=kept,
    )
    return (
        f"memory: {own.low / 1e9:.1f} to {own.high / 1e9:.1f} GB; full fine-tuning of the same model would take "
        f"{whole.low / 1e9:.1f} to {whole.high / 1e9:.1f} GB ({(total - trained) / max(1, trained):.0f} times as many "
        "parameters)"
    )
