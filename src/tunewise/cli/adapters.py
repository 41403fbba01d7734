"""forgetting, export: what an adapter took away, and how it leaves the house."""

from __future__ import annotations

from typing import Annotated

import typer

from tunewise.cli.documents import project_of
from tunewise.cli.flags import command
from tunewise.cli.messages import message
from tunewise.cli.terminal import following, manners, out, out_json, progress, say
from tunewise.errors import ConfigMistake


def register(app: typer.Typer) -> None:
    """Add the verbs of this file."""
    command(app, "forgetting", example="tunewise forgetting\ntunewise forgetting raft --json")(forgetting)


def forgetting(
    approach: Annotated[list[str] | None, typer.Argument(help="Tuned ones (default: all that are trained).")] = None,
) -> None:
    """Measure general knowledge, general text and refusals before and after training, paired.

    [forgetting] in tunewise.toml names sets, texts, limit and asked; without it the small sets that ship are taken.
    """
    from tunewise.jobs.adapter import adapter_of
    from tunewise.jobs.forgetting import forgetting as job

    project = project_of()
    names = approach or [one.name for one in project.approaches if one.recipe]
    found = {}
    with progress() as report_progress:
        for name in names:
            try:
                used, folder = adapter_of(project, name)
            except ConfigMistake as mistake:
                if approach:
                    raise
                say(mistake.message)
                continue
            found[name] = job(project, folder, model=used.model, progress=report_progress)
    if manners.json:
        out_json({name: {"accuracy": one.accuracy, "by_set": dict(one.by_set), "nats": one.nats,
                         "perplexity": one.perplexity, "refusals": one.refusals} for name, one in found.items()})
    else:
        for name, one in found.items():
            out(name)
            for label, each in (
                (message("forgetting_accuracy"), one.accuracy),
                *((f"  {stem}", change) for stem, change in one.by_set),
                (message("forgetting_refusals"), one.refusals),
            ):
                out(f"  {label:<28} {each.before:6.1%} -> {each.after:6.1%}   {_signed(each.change)}")
            before, after = one.perplexity
            out(f"  {message('forgetting_perplexity'):<28} {before:6.1f} -> {after:6.1f}   "
                f"x {after / before:.3f}")
    following("tunewise compare")


def _signed(change: object) -> str:
    from tunewise.nouns import Estimate

    assert isinstance(change, Estimate)
    return f"{100 * change.mean:+.1f} [{100 * change.low:+.1f}, {100 * change.high:+.1f}] (n {change.n})"
