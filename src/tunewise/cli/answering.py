"""ask: one answer with its checked sources."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tunewise.cli.documents import project_of, stale_mark
from tunewise.cli.flags import command
from tunewise.cli.messages import language, message
from tunewise.cli.terminal import detail, following, manners, out, out_json, warn
from tunewise.errors import Failed, UserMistake
from tunewise.reports import why


def register(app: typer.Typer) -> None:
    """Add the verb of this file."""
    command(app, "ask", example="tunewise ask 'How long may I return an article?'\n"
                                "tunewise ask '退货期限是多久？' --approach rag --json")(ask)


def ask(
    question: Annotated[str, typer.Argument(help="The question.")],
    *,
    approach: Annotated[str | None, typer.Option("--approach", "-a", envvar="TUNEWISE_APPROACH",
                                                 help="Which approach answers (default: the recommended one).")] = None,
    model: Annotated[str | None, typer.Option("--model", "-m", help="Another model [TUNEWISE_MODEL].")] = None,
    k: Annotated[int | None, typer.Option("--k", help="How many passages [TUNEWISE_K].")] = None,
    group: Annotated[list[str] | None, typer.Option(envvar="TUNEWISE_GROUP",
                                                    help="Ask as a member of this group.")] = None,
    public: Annotated[bool, typer.Option("--public", envvar="TUNEWISE_PUBLIC",
                                         help="Ask as a member of none.")] = False,
    turn: Annotated[list[str] | None, typer.Option("--turn", envvar="TUNEWISE_TURN",
                                                   help="An earlier 'question => answer'; oldest first.")] = None,
) -> None:
    """Answer a question and show where the answer comes from."""
    from tunewise.jobs.ages import ages
    from tunewise.jobs.ask import ask as job
    from tunewise.jobs.ask import moved_on

    reader = (group or ()) if public else group or None
    project = project_of(model=model, k=k)
    answer, used = job(project, question, approach=approach, groups=reader, history=_turns(turn or []))
    named = {*(hit.chunk.document for hit in answer.hits), *(one.document for one in answer.citations)}
    known = ages(project, named) if named else {}
    if answer.error:
        raise Failed(answer.error, tip="tunewise doctor")
    if moved_on(Path(used.adapter) if used.adapter else None, used.index):
        warn(message("index_moved_on", name=used.name))
    if manners.json:
        out_json({"approach": used, "answer": answer, "ages": known,
                  "stale": sorted(name for name, age in known.items() if age.stale)})
    else:
        out(answer.text)
        out()
        out(message("sources") + ":" if answer.citations else message("no_sources"))
        for citation in answer.citations:
            page = ", " + message("page", page=citation.page) if citation.page else ""
            reason = why(citation.reason)[language() == "zh"]
            state = message("verified") if citation.verified else message("unverified", reason=reason)
            out(f"  {citation.marker} {citation.document}{page} [{citation.start}:{citation.end}] ({state})"
                f"{stale_mark(known.get(citation.document))}")
            out(f"      {' '.join(citation.quote.split())}")
    detail(f"{used.name}: {answer.seconds:.2f} s, {answer.tokens_in} + {answer.tokens_out} tokens")
    following("tunewise compare")


def _turns(turns: list[str]) -> list[tuple[str, str]]:
    split = [turn.partition("=>") for turn in turns]
    if any(not (mark and asked.strip()) for asked, mark, _ in split):
        raise UserMistake(message("bad_turn"), tip="--turn 'How long may I return an article? => 30 days'")
    return [(asked.strip(), answered.strip()) for asked, _, answered in split]
