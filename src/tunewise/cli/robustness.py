"""robustness: how approaches that read an index take bad passages."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tunewise.cli.documents import project_of
from tunewise.cli.flags import command
from tunewise.cli.messages import message
from tunewise.cli.terminal import following, manners, out, out_json, progress

if TYPE_CHECKING:
    from tunewise.jobs.robustness import Robustness
    from tunewise.nouns import Estimate


def register(app: typer.Typer) -> None:
    """Add the verb of this file."""
    command(app, "robustness", example="tunewise robustness --limit 30\ntunewise robustness --approach rag --k 5")(
        robustness
    )


def robustness(
    *,
    approach: Annotated[
        list[str] | None,
        typer.Option("--approach", "-a", envvar="TUNEWISE_APPROACH", help="Only this one; may be repeated."),
    ] = None,
    limit: Annotated[int | None, typer.Option(envvar="TUNEWISE_LIMIT", min=1, help="At most so many.")] = None,
    k: Annotated[int | None, typer.Option(min=2, help="Passages in a prompt [default: the approach's].")] = None,
    seed: Annotated[int, typer.Option(envvar="TUNEWISE_SEED", help="What the draws start from.")] = 0,
    model: Annotated[str | None, typer.Option("--model", "-m", help="The base model [TUNEWISE_MODEL].")] = None,
    questions: Annotated[Path | None, typer.Option(help="The question file [TUNEWISE_QUESTIONS].")] = None,
    language: Annotated[str | None, typer.Option(help="en or zh [TUNEWISE_LANGUAGE].")] = None,
) -> None:
    """Ask with passages that are noisy, false, missing or displaced.

    Only approaches that read an index. A job that was stopped goes on where it was.
    """
    from tunewise.jobs.robustness import robustness as job

    project = project_of(model=model, questions=questions, language=language)

    def shown(result: Robustness) -> None:
        if not manners.json:
            out(_table(result))

    with progress() as report_progress:
        results = job(project, approaches=approach or None, limit=limit, k=k, seed=seed, progress=report_progress,
                      on_result=shown)
    if manners.json:
        out_json({"robustness": results})
    following("tunewise compare")


def _share(estimate: Estimate | None) -> str:
    if estimate is None:
        return "–"
    return f"{100 * estimate.mean:.0f} % [{100 * estimate.low:.0f}, {100 * estimate.high:.0f}]"


def _points(estimate: Estimate | None) -> str:
    if estimate is None:
        return "–"
    return f"{100 * estimate.mean:+.0f} [{100 * estimate.low:+.0f}, {100 * estimate.high:+.0f}]"


def _table(result: Robustness) -> str:
    lines = [message("robust_head", name=result.approach, n=result.questions, k=result.k)]
    lines += [message("robust_noise", r=r, k=result.k, share=_share(one)) for r, one in result.noise.items()]
    lines.append(message("robust_noise_slope", points=_points(result.noise_slope)))
    lines += [message("robust_position", rank=rank, share=_share(one)) for rank, one in result.position.items()]
    lines.append(message("robust_position_slope", points=_points(result.position_slope)))
    lines.append(message("robust_follows", n=result.changed, share=_share(result.follows), keeps=_share(result.keeps)))
    lines.append(message("robust_rejects", share=_share(result.rejects), invents=_share(result.invents)))
    return "\n".join(lines)
