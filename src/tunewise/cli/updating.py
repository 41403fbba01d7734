"""erase, freshness: what becomes of a document that goes, and of a fact that changes."""

from __future__ import annotations

from contextlib import ExitStack, closing
from typing import Annotated

import typer

from tunewise.cli.documents import confirm, project_of
from tunewise.cli.flags import command
from tunewise.cli.messages import message
from tunewise.cli.serving import Database
from tunewise.cli.terminal import detail, following, manners, out, out_json, progress, warn
from tunewise.store import project_folder


def register(app: typer.Typer) -> None:
    """Add the verbs of this file."""
    command(app, "erase", example="tunewise erase hr/old-contract.md --yes")(erase)
    command(app, "freshness", example="tunewise freshness\n"
                                      "tunewise freshness --approach rag --facts 50 --json")(freshness)


def erase(
    document: Annotated[str, typer.Argument(help="Its id, as `tunewise documents list` shows it.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", envvar="TUNEWISE_YES", help="Do not ask.")] = False,
    database: Database = None,
) -> None:
    """Erase a document from everything that is kept of it.

    Catalog, all generations of the index, runs, ratings and the server's conversations that showed its passages.
    Its file must be gone already; that an ingest has removed it from the index does no harm. Adapters that
    were trained on it are named: what they learned cannot be taken out.
    """
    from tunewise.jobs.erase import erase as job

    project = project_of()
    confirm(message("confirm_erase", document=document), yes=yes)
    with ExitStack() as under:
        more = {}
        if database or (project_folder(project.root) / "server.sqlite").is_file():
            from tunewise.server import open_state

            more = {"forget": under.enter_context(closing(open_state(project, database))).forget}
        result = job(project, document, **more)
    if manners.json:
        out_json(result)
    else:
        out(message("erased", document=document, runs=len(result.runs)))
    for adapter in result.adapters:
        warn(message("learned_from", adapter=adapter, document=document))
    for place in result.left:
        warn(place)
    following("tunewise index check")


def freshness(
    *,
    approach: Annotated[list[str] | None, typer.Option("--approach", "-a", envvar="TUNEWISE_APPROACH",
                                                       help="Only this one; may be repeated.")] = None,
    facts: Annotated[int, typer.Option(envvar="TUNEWISE_FACTS", min=1, help="How many facts are changed.")] = 20,
    retrain: Annotated[bool, typer.Option("--retrain", envvar="TUNEWISE_RETRAIN",
                                          help="Train adapters again on the changed documents.")] = False,
    seed: Annotated[int, typer.Option(envvar="TUNEWISE_SEED", help="Which facts, and their new values.")] = 0,
    model: Annotated[str | None, typer.Option("--model", "-m", help="The base model [TUNEWISE_MODEL].")] = None,
) -> None:
    """Change facts in a copy of the documents, update each approach, and ask again.

    For each: seconds until the new answer came, how often the new value was given, how often the old one still.
    """
    from tunewise.jobs.freshness import freshness as job

    project = project_of(model=model)
    with progress() as report:
        result = job(project, approaches=approach or (), facts=facts, retrain=retrain, seed=seed, progress=report)
    if manners.json:
        out_json(result)
    else:
        out(message("fresh_head", facts=len(result.facts)))
        for one in result.approaches:
            wait = message("fresh_never") if one.seconds is None else message("fresh_after", seconds=one.seconds)
            out(message("fresh_row", name=one.approach, new=one.new.mean, old=one.old.mean, knew=one.knew.mean,
                        wait=wait, means=one.means))
    for reason in result.skipped:
        warn(reason)
    for reason in result.left:
        detail(reason)
    following("tunewise compare")
