"""Tuning by reward with TRL's own trainers: GRPO (Shao et al. 2024, arXiv:2402.03300) and RLOO (Ahmadian et al. 2024,
arXiv:2402.14740), from a parent adapter.

The model answers each training prompt several times; a callable says how good each answer is. The callable is the
scorers' `quality` unless another is handed in: a judge behind an endpoint in a human's place (RLAIF) is one as well.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tunewise.errors import need
from tunewise.models.local import prompt_tokens
from tunewise.training.leaving import finished, leave, save_weights
from tunewise.training.loop import Note, Progress, clear, fit, watch
from tunewise.training.methods import METHODS
from tunewise.training.opening import arguments, open_model, running_figures
from tunewise.training.preference import Score, preference_bounds, refuse_method
from tunewise.training.rows import TrainingRow
from tunewise.training.settings import TrainingSettings, settle

ANSWERS = 4
"""Answers to each prompt, which are compared with each other."""
LONGEST_ANSWER = 48


def train_rewarded(
    model_name: str,
    rows: Sequence[TrainingRow],
    *,
    folder: Path,
    settings: TrainingSettings,
    recipe: str,
    identity: str,
    parent: Path,
    score: Score,
    cache: Path | None = None,
    progress: Progress = lambda phase, done, total: None,
    note: Note = lambda text: None,
) -> Path:
    """Train `recipe` ("grpo" or "rloo") into `folder` from the `parent` adapter, rewarded by `score`."""
    if finished(folder, identity, model_name, parent=parent, cache=cache):
        return folder
    refuse_method(settings, recipe)
    started = time.perf_counter()
    place = folder / "checkpoints" / identity[:16]
    trl = need("trl", feature="tuning by reward", extra="train")
    datasets = need("datasets", feature="tuning by reward", extra="train")
    datasets.disable_progress_bars()
    opened = open_model(model_name, parent=parent, cache=cache, settings=settings)
    settings, derived = settle(recipe, settings, width=opened.model.config.hidden_size)
    for line in (*opened.notes, *derived):
        note(line)
    tokens = [len(prompt_tokens(opened.tokenizer, row.chat())) for row in rows]
    # A step holds whole groups of answers.
    size = ANSWERS * max(1, settings.batch // ANSWERS)
    steps = max(1, round(settings.epochs * len(rows) * ANSWERS / size))
    data = [{"prompt": row.chat(), "question": row.question} for row in rows]
    rewards: list[float] = []

    def reward(completions: list[Any], question: list[str], **_: Any) -> list[float]:
        texts = [c if isinstance(c, str) else c[-1]["content"] for c in completions]
        given = [score(q, text) for q, text in zip(question, texts, strict=True)]
        rewards.append(sum(given) / len(given))
        return given

    reward.__name__ = "quality"
    all_tokens = round(settings.epochs * ANSWERS * sum(tokens))
    bounds = preference_bounds(
        opened, settings, tokens=all_tokens, longest=max(tokens) + LONGEST_ANSWER, size=size, epochs=1.0
    )
    note(
        f"{len(rows)} prompts, {ANSWERS} answers each, {steps} steps; estimate: {bounds[0].low / 60:.1f} to "
        f"{bounds[0].high / 60 * 3:.1f} minutes (answers are written as well), "
        f"{bounds[1].low / 1e9:.1f} to {bounds[1].high / 1e9:.1f} GB"
    )
    callback = watch(
        label=f"train {recipe}",
        folder=place,
        patience=0,
        tokens_per_step=all_tokens / steps,
        progress=progress,
        note=note,
        whole=False,
    )
    method = METHODS[settings.method]
    config = method.config(settings, opened.model) if method.config else None
    kind = (trl.GRPOTrainer, trl.GRPOConfig) if recipe == "grpo" else (trl.RLOOTrainer, trl.RLOOConfig)

    def make(size: int, accumulation: int, callback: Any) -> Any:
        given = arguments(
            settings, folder=place, steps=steps, size=size, accumulation=accumulation, dtype=opened.dtype, looks=False
        )
        model = opened.model.unload() if hasattr(opened.model, "peft_config") else opened.model
        own = {"num_generations": ANSWERS, "max_completion_length": LONGEST_ANSWER, "beta": settings.beta}
        trainer = kind[0](
            model=model,
            reward_funcs=[reward],
            args=kind[1](**own | given),
            train_dataset=datasets.Dataset.from_list(data),
            processing_class=opened.tokenizer,
            peft_config=config,
            callbacks=[callback],
        )
        opened.model = trainer.model
        return trainer

    trainer, outcome = fit(make, folder=place, size=size, accumulation=1, note=note, callback=callback)
    torch = need("torch", feature="training", extra="train")
    trained = sum(p.numel() for p in trainer.model.parameters() if p.requires_grad)
    total = sum(p.numel() for p in trainer.model.parameters())
    save_weights(
        trainer.model,
        folder,
        settings,
        tokenizer=opened.tokenizer,
        dtype=getattr(torch, opened.dtype),
        begun=place / "begun",
    )
    quarter = max(1, len(rewards) // 4)
    first, last = sum(rewards[:quarter]) / quarter, sum(rewards[-quarter:]) / quarter
    note(f"mean reward: {first:.3f} in the first quarter of the steps, {last:.3f} in the last")
    figures = running_figures(
        outcome,
        trained=trained,
        total=total,
        tokens=all_tokens,
        dtype=opened.dtype,
        why=opened.notes,
        seconds=time.perf_counter() - started if not outcome.begun else outcome.seconds,
        seconds_bounds=bounds[0],
        memory_bounds=bounds[1],
        flops=bounds[2],
        rate=bounds[3],
    ) | {"rewards": rewards}
    leave(
        folder,
        identity=identity,
        model=model_name,
        base=opened.base,
        recipe=recipe,
        rows=rows,
        settings=settings,
        parent=parent,
        figures=figures,
    )
    clear(folder / "checkpoints")
    return folder
