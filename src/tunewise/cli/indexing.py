"""index: the generations of the index, whether they are what was written, and what validation questions say of them."""

from __future__ import annotations

from typing import Annotated

import typer

from tunewise.cli.documents import confirm, project_of, say_of_fit
from tunewise.cli.flags import command
from tunewise.cli.messages import message
from tunewise.cli.terminal import following, manners, out, out_json, progress, say
from tunewise.errors import Failed


def register(app: typer.Typer) -> None:
    """Add the verbs of this file."""
    index = typer.Typer(help="The generations of the index.", rich_markup_mode=None)
    command(index, "list", example="tunewise index list --json")(index_list)
    command(index, "rollback", example="tunewise index rollback GENERATION --yes")(index_rollback)
    command(index, "check", example="tunewise index check --json")(index_check)
    command(index, "fit", example="tunewise index fit")(index_fit)
    app.add_typer(index, name="index")


def index_list() -> None:
    """List the generations of the index, the current one marked.

    It also says whether the leg weights of `index fit` were fitted on another state of the index.
    """
    from tunewise.jobs.fits import present_fit
    from tunewise.jobs.search import generations

    project = project_of()
    current, known = generations(project)
    fit, state = present_fit(project)
    if manners.json:
        out_json({"current": current, "generations": known, "fit": {"id": fit, "state": state} if fit else None})
        return
    if not known:
        say(message("no_index"))
    for generation in known:
        what = message("generation", documents=generation.documents, chunks=generation.chunks,
                       embedder=generation.embedder)
        out(f"{'*' if generation.id == current else ' '} {generation.id}  {generation.created}  {what}")
    say_of_fit(state)
    following("tunewise index rollback GENERATION" if len(known) > 1 else "tunewise ingest")


def index_rollback(
    generation: Annotated[str, typer.Argument(help="Its id, as `tunewise index list` shows it.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", envvar="TUNEWISE_YES", help="Do not ask.")] = False,
) -> None:
    """Make an earlier generation of the index the current one."""
    from tunewise.jobs.search import switch

    project = project_of()
    confirm(message("confirm_rollback", id=generation), yes=yes)
    switch(project, generation)
    if manners.json:
        out_json({"current": generation})
    else:
        out(message("rolled_back", id=generation))
    following("tunewise search '…'")


def index_check() -> None:
    """Check that documents, passages and index are what was written.

    Every checksum and count, the index against the catalog. Exit code 1 when something is damaged.
    """
    from tunewise.jobs.check import check

    result = check(project_of())
    if manners.json:
        out_json(result)
    else:
        for fault in result.faults:
            out(f"- {fault}")
        out(message("index_checked", documents=result.documents, passages=result.passages,
                    generations=result.generations, faults=len(result.faults), seconds=result.seconds))
    if result.faults:
        raise Failed(message("index_damaged", count=len(result.faults)), tip=message("index_damaged_tip"))
    following("tunewise search '…'")


def index_fit() -> None:
    """Fit retrieval to the validation questions.

    The weight of the dense leg by language, and the gate of rag-adaptive. Test questions are not read.
    """
    from tunewise.jobs.fits import fit_project

    project = project_of()
    with progress() as report:
        id, fit = fit_project(project, progress=report)
    if manners.json:
        out_json({"fit": id, "result": fit})
    else:
        for language, weight in fit.weights.items():
            out(message("fit_weight", language=language, weight=weight))
        for reason in fit.reasons:
            out(f"- {reason}")
    following("tunewise compare --approach rag --approach rag-adaptive")
