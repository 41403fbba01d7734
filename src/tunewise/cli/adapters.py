"""forgetting, export: what an adapter took away, and how it leaves the house."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from tunewise.cli.documents import project_of
from tunewise.cli.flags import command
from tunewise.cli.messages import message
from tunewise.cli.terminal import following, manners, out, out_json, progress, say, warn
from tunewise.errors import ConfigMistake


def register(app: typer.Typer) -> None:
    """Add the verbs of this file."""
    command(app, "forgetting", example="tunewise forgetting\ntunewise forgetting raft --json")(forgetting)
    command(app, "export", example="tunewise export raft --format gguf --output raft-gguf\n"
            "tunewise export lora-sft --format ollama --quantisation Q4_1 --output handbook")(export)


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


def export(
    approach: Annotated[str, typer.Argument(help="Which approach's model.")],
    *,
    form: Annotated[Literal["safetensors", "gguf", "ollama", "adapter"],
                    typer.Option("--format", envvar="TUNEWISE_FORMAT", help="What to write.")] = "safetensors",
    quantisation: Annotated[Literal["F16", "Q8_0", "Q4_1"],
                            typer.Option(envvar="TUNEWISE_QUANTISATION", help="Of gguf and ollama.")] = "Q8_0",
    output: Annotated[Path, typer.Option("--output", "-o", envvar="TUNEWISE_OUTPUT", help="A new folder.")],
) -> None:
    """Write a tuned model for other programs, and ask both the same: an export that drifts is refused.

    export.json beside it names the access groups whose documents are in its weights: it is as restricted as they are.
    """
    from tunewise.jobs.export import export as job

    done = job(project_of(), approach, form=form, output=output, quantisation=quantisation)
    if manners.json:
        out_json(done)
    else:
        form_shown = f"{done.form} {done.quantisation}".strip()
        out(message("export_done", path=done.folder, size=done.bytes / 1e6, form=form_shown))
        out(message("export_drift", divergence=done.drift.divergence, agreement=done.drift.agreement,
                    tokens=done.drift.tokens, prompts=done.drift.prompts))
    if done.groups:
        warn(message("export_groups", groups=", ".join(done.groups), documents=done.documents))
    following({"ollama": f"cd {output} && ollama create {approach} -f Modelfile",
               "gguf": f"llama-server -m {output}/model.gguf --jinja",
               "adapter": f"vllm serve MODEL --enable-lora --lora-modules {approach}={output}",
               "safetensors": f"tunewise models pull {output}"}[form])


def _signed(change: object) -> str:
    from tunewise.nouns import Estimate

    assert isinstance(change, Estimate)
    return f"{100 * change.mean:+.1f} [{100 * change.low:+.1f}, {100 * change.high:+.1f}] (n {change.n})"
