"""Tuning by reward with TRL's own trainers: GRPO (Shao et al. 2024, arXiv:2402.03300) and RLOO (Ahmadian et al. 2024,
arXiv:2402.14740), from a parent adapter.

The model answers each training prompt several times; a callable says how good each answer is. The callable is the
scorers' `quality` unless another is handed in: a judge behind an endpoint in a human's place (RLAIF) is one as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tunewise.models.local import prompt_tokens
from tunewise.training.leaving import finished, leave
from tunewise.training.loop import Note, Progress, fit, watch
from tunewise.training.methods import METHODS
from tunewise.training.opening import Run, arguments, one_gpu, open_model, open_trl, place_logs
from tunewise.training.preference import Score, preference_forecast, refuse_method
from tunewise.training.rows import TrainingRow
from tunewise.training.settings import TrainingSettings

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
    index: str = "",
    cache: Path | None = None,
    progress: Progress = lambda phase, done, total: None,
    note: Note = lambda text: None,
) -> Path:
    """Train `recipe` ("grpo" or "rloo") into `folder` from the `parent` adapter, rewarded by `score`."""
    if finished(folder, identity, model_name, parent=parent, cache=cache):
        return folder
    refuse_method(settings, recipe)
    run = Run(model_name, recipe, folder, identity, parent, index)
    trl, datasets = open_trl("tuning by reward")
    opened = open_model(run, settings, cache=cache, note=note)
    settings = opened.settings
    tokens = [len(prompt_tokens(opened.tokenizer, row.chat())) for row in rows]
    # A step holds whole groups of answers.
    size = ANSWERS * max(1, settings.batch // ANSWERS)
    steps = max(1, round(settings.epochs * len(rows) * ANSWERS / size))
    data = [{"prompt": row.chat(), "question": row.question, "refuse": row.refuses} for row in rows]
    rewards: list[float] = []

    def reward(completions: list[Any], question: list[str], refuse: list[bool], **_: Any) -> list[float]:
        texts = [c if isinstance(c, str) else c[-1]["content"] for c in completions]
        given = [score(q, text, refuse=no) for q, text, no in zip(question, texts, refuse, strict=True)]
        rewards.append(sum(given) / len(given))
        return given

    reward.__name__ = "quality"
    all_tokens = round(settings.epochs * ANSWERS * sum(tokens))
    lengths = [prompt + LONGEST_ANSWER for prompt in tokens]
    forecast = preference_forecast(opened, tokens=all_tokens, lengths=lengths, size=size, epochs=1.0)
    note(f"{len(rows)} prompts, {ANSWERS} answers each, {steps} steps; {forecast}, and writing the answers as well")
    callback = watch(
        label=f"train {recipe}",
        folder=run.place,
        patience=0,
        tokens_per_step=all_tokens / steps,
        progress=progress,
        note=note,
        whole=False,
        opened=run.started,
    )
    method = METHODS[settings.method]
    config = method.config(settings, opened.model) if method.config else None
    kind = (trl.GRPOTrainer, trl.GRPOConfig) if recipe == "grpo" else (trl.RLOOTrainer, trl.RLOOConfig)

    def make(size: int, accumulation: int, callback: Any) -> Any:
        given = arguments(run, opened, steps=steps, size=size, accumulation=accumulation, looks=False)
        own = {"num_generations": ANSWERS, "max_completion_length": LONGEST_ANSWER, "beta": settings.beta}
        trainer = kind[0](
            model=opened.bare(),
            reward_funcs=[reward],
            args=one_gpu(kind[1](**own | given)),
            train_dataset=datasets.Dataset.from_list(data),
            processing_class=opened.tokenizer,
            peft_config=config,
            callbacks=[callback],
        )
        opened.model = trainer.model
        place_logs(trainer, run)
        return trainer

    trainer, outcome = fit(make, folder=run.place, size=size, accumulation=1, note=note, callback=callback)
    quarter = max(1, len(rewards) // 4)
    first, last = sum(rewards[:quarter]) / quarter, sum(rewards[-quarter:]) / quarter
    note(f"mean reward: {first:.3f} in the first quarter of the steps, {last:.3f} in the last")
    leave(run, opened, trainer.model, outcome, forecast, rows=rows, tokens=all_tokens, more={"rewards": rewards})
    return folder
