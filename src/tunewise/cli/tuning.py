"""tune: train one adapter, by recipe and method."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tunewise.cli.documents import project_of
from tunewise.cli.flags import command
from tunewise.cli.messages import message
from tunewise.cli.terminal import following, manners, out, out_json, progress, say


def register(app: typer.Typer) -> None:
    """Add the verb of this file."""
    command(
        app,
        "tune",
        example="tunewise tune raft\ntunewise tune dora\ntunewise tune sft --method full --parent dap\n"
        "tunewise tune raft --sweep 6",
    )(tune)


def tune(
    name: Annotated[
        str,
        typer.Argument(
            help="A recipe (sft, raft, hybrid, dap, dpo, kto, grpo, rloo), a method (lora, dora, full, …) "
            "or an approach of tunewise.toml."
        ),
    ],
    *,
    method: Annotated[
        str | None, typer.Option(envvar="TUNEWISE_METHOD", help="Default: lora.")
    ] = None,
    parent: Annotated[
        str | None, typer.Option(envvar="TUNEWISE_PARENT", help="Start from a recipe's adapter or a folder.")
    ] = None,
    rate: Annotated[float | None, typer.Option(envvar="TUNEWISE_RATE", help="Peak learning rate.")] = None,
    epochs: Annotated[float | None, typer.Option(envvar="TUNEWISE_EPOCHS", help="Rounds over the rows.")] = None,
    rank: Annotated[int | None, typer.Option(envvar="TUNEWISE_RANK", help="LoRA's rank.")] = None,
    batch: Annotated[int | None, typer.Option(envvar="TUNEWISE_BATCH", help="Rows of one step.")] = None,
    seed: Annotated[int | None, typer.Option(envvar="TUNEWISE_SEED", help="Seed of rows and weights.")] = None,
    report_to: Annotated[
        str | None, typer.Option(envvar="TUNEWISE_REPORT_TO", help="tensorboard, mlflow, trackio, wandb (commas).")
    ] = None,
    sweep: Annotated[
        int,
        typer.Option(envvar="TUNEWISE_SWEEP", min=0, help="Try so many settings on validation first."),
    ] = 0,
    model: Annotated[str | None, typer.Option("--model", "-m", help="What to tune [TUNEWISE_MODEL].")] = None,
    questions: Annotated[Path | None, typer.Option(help="The question file [TUNEWISE_QUESTIONS].")] = None,
) -> None:
    """Train an adapter on the training questions.

    What is derived (device, batch, rate, time, memory) is said before it starts. A run that was stopped goes on; one
    that is finished is not trained again.
    """
    from tunewise.jobs.sweep import sweep as search
    from tunewise.jobs.tune import tune as job
    from tunewise.jobs.tune import wanted

    project = project_of(model=model, questions=questions)
    given: dict[str, Any] = {
        key: value
        for key, value in {
            "method": method,
            "parent": parent,
            "rate": rate,
            "epochs": epochs,
            "rank": rank,
            "batch": batch,
            "seed": seed,
            "report_to": report_to,
        }.items()
        if value is not None
    }
    tried: list[dict[str, Any]] = []
    with progress() as report_progress:
        if sweep:
            found = search(project, name, candidates=sweep, given=given, progress=report_progress, note=say)
            given, tried = dict(found.settings), [dict(trial) for trial in found.trials]
        folder = job(project, name, given=given, progress=report_progress, note=say)
    if manners.json:
        out_json({"recipe": name, "adapter": folder, "settings": given, "sweep": tried})
    else:
        out(message("tune_done", path=folder))
        # `compare`, `ask` and `serve` train and take what the file says, not what was said once here.
        kept = {key: value for key, value in given.items() if key not in ("method", "parent", "report_to")}
        if kept:
            table = wanted(project, name, method=method, parent=parent).recipe
            say(message("tune_keep", recipe=table, lines=", ".join(f"{key} = {value}" for key, value in kept.items())))
    following("tunewise compare")
