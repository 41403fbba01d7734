"""tune: train one adapter, by recipe and method."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tunewise.cli.documents import project_of
from tunewise.cli.flags import command
from tunewise.cli.messages import message
from tunewise.cli.terminal import following, manners, out, out_json, progress, say
from tunewise.errors import ConfigMistake

if TYPE_CHECKING:
    from tunewise.project import Project


def register(app: typer.Typer) -> None:
    """Add the verb of this file."""
    command(
        app,
        "tune",
        example="tunewise tune raft\ntunewise tune dora\ntunewise tune sft --method full --parent dap\n"
        "tunewise tune raft --sweep 6\ntunewise tune raft --dry-run --set layers=1.0",
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
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Any other training setting, as in tunewise.toml; may be "
                     "repeated: --set layers=1.0 --set peft.use_dora=true."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show rows, batch, rate, time and memory, and train nothing.")
    ] = False,
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
    given = settings_of(set_ or ()) | {
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
    if dry_run:
        _rehearse(project, name, given)
        return
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
        kept = {key: _toml(value) for key, value in given.items() if key not in ("method", "parent", "report_to")}
        if kept:
            table = wanted(project, name, method=method, parent=parent).recipe
            say(message("tune_keep", recipe=table, lines=", ".join(f"{key} = {value}" for key, value in kept.items())))
    following("tunewise compare")


def settings_of(said: Sequence[str]) -> dict[str, Any]:
    """Training settings of KEY=VALUE texts, values as in tunewise.toml; a text needs no quotation marks here."""
    found: dict[str, Any] = {}
    for one in said:
        key, equals, text = one.partition("=")
        key, text = key.strip(), text.strip()
        if not (key and equals and text):
            raise ConfigMistake(f"--set {one!r} is no KEY=VALUE", tip="--set layers=1.0")
        try:
            value: Any = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text
        table, dot, inner = key.partition(".")
        if not dot:
            found[key] = value
        elif isinstance(found.setdefault(table, {}), dict):
            found[table][inner] = value
        else:
            raise ConfigMistake(f"--set {one!r}: {table} was set to {found[table]!r} before", tip="one of the two")
    return found


def _toml(value: Any) -> str:
    """A setting as its line of tunewise.toml has it."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (str, bool, list)) else str(value)


def _rehearse(project: Project, name: str, given: dict[str, Any]) -> None:
    from tunewise.jobs.rehearsal import rehearsal

    done = rehearsal(project, name, given=given)
    made, figures = done.plan, done.figures
    if manners.json:
        out_json({
            "recipe": made.recipe, "method": made.settings.method, "adapter": made.folder, "rows": len(made.rows),
            "validation_rows": len(made.validation), "notes": made.report.notes, "shown": done.shown,
            "figures": figures,
        })
        return
    for note in made.report.notes:
        out(note)
    for number, row in enumerate(done.shown, 1):
        out(message("dry_row", number=number, count=len(done.shown)))
        out(row)
    if figures is None:
        out(message("dry_later", recipe=made.recipe))
    else:
        for note in figures.notes:
            out(note)
        size, accumulation = figures.batch
        seconds, memory = figures.seconds, figures.memory
        out(message("dry_rows", rows=len(made.rows), tokens=figures.tokens, longest=figures.longest))
        out(message("dry_steps", size=size, accumulation=accumulation, steps=figures.steps,
                    epochs=figures.settings.epochs, rate=figures.settings.rate))
        out(message("dry_parameters", trained=figures.trained, parameters=figures.parameters,
                    share=figures.trained / figures.parameters, method=made.settings.method))
        out(message("dry_estimate", low=seconds.low / 60, high=seconds.high / 60, least=memory.low / 1e9,
                    most=memory.high / 1e9, free=figures.free / 1e9))
    out(message("dry_done", path=made.folder))
    following(f"tunewise tune {name}")
