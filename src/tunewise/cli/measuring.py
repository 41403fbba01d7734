"""tune, compare, report: build the approaches, measure them, say which one to use."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tunewise.cli.documents import project_of
from tunewise.cli.flags import command
from tunewise.cli.messages import message
from tunewise.cli.terminal import following, manners, out, out_json, progress, say
from tunewise.errors import GateFailed

if TYPE_CHECKING:
    from tunewise.nouns import Standing

Form = Literal["terminal", "markdown", "html", "json"]
_SUFFIXES: dict[str, Form] = {".html": "html", ".htm": "html", ".md": "markdown", ".json": "json", ".txt": "terminal"}


def register(app: typer.Typer) -> None:
    """Add the verbs of this file."""
    command(app, "tune", example="tunewise tune sft\ntunewise tune raft --model ./my-model")(tune)
    command(app, "compare", example="tunewise compare\ntunewise compare --approach rag --approach raft --min 0.4")(
        compare
    )
    command(app, "report", example="tunewise report --output report.html\ntunewise report --language zh")(report)


def tune(
    recipe: Annotated[str, typer.Argument(help="sft (questions only) or raft (with retrieved passages).")],
    *,
    model: Annotated[str | None, typer.Option("--model", "-m", help="What to tune [TUNEWISE_MODEL].")] = None,
    questions: Annotated[Path | None, typer.Option(help="The question file [TUNEWISE_QUESTIONS].")] = None,
) -> None:
    """Train an adapter on the training questions.

    One that is finished already is not trained again.
    """
    from tunewise.jobs.tune import tune as job

    project = project_of(model=model, questions=questions)
    with progress() as report_progress:
        folder = job(project, recipe, progress=report_progress)
    if manners.json:
        out_json({"recipe": recipe, "adapter": folder})
    else:
        out(message("tune_done", path=folder))
    following("tunewise compare")


def compare(
    *,
    approach: Annotated[
        list[str] | None,
        typer.Option("--approach", "-a", envvar="TUNEWISE_APPROACH", help="Only this one; may be repeated."),
    ] = None,
    limit: Annotated[int | None, typer.Option(envvar="TUNEWISE_LIMIT", min=1, help="At most so many.")] = None,
    minimum: Annotated[
        float | None,
        typer.Option(
            "--min", envvar="TUNEWISE_MIN", min=0.0, max=1.0, help="Exit with 3 when the best quality is below this."
        ),
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="How often a trained approach is trained [TUNEWISE_SEEDS].")
    ] = None,
    entailment: Annotated[
        str | None,
        typer.Option(envvar="TUNEWISE_ENTAILMENT", metavar="MODEL",
                     help="A cross-encoder (hub id or folder) that says whether the passages entail the answers."),
    ] = None,
    model: Annotated[str | None, typer.Option("--model", "-m", help="The base model [TUNEWISE_MODEL].")] = None,
    questions: Annotated[Path | None, typer.Option(help="The question file [TUNEWISE_QUESTIONS].")] = None,
    language: Annotated[str | None, typer.Option(help="en or zh, also of the report [TUNEWISE_LANGUAGE].")] = None,
) -> None:
    """Measure all approaches; recommend one.

    All answer the same held-out questions. A comparison that was stopped goes on where it was.
    """
    from tunewise import reports
    from tunewise.jobs.compare import compare as job

    project = project_of(model=model, questions=questions, language=language, seeds=seeds)
    with progress() as report_progress:
        result = job(
            project, approaches=approach or None, limit=limit, entailment=entailment, progress=report_progress,
            on_start=_start, on_standing=_standing,
        )
    if manners.json:
        out_json(
            reports.as_json(result.comparison, result.recommendation, needs=project.needs)
            | {"folder": str(result.folder)}
        )
    else:
        out(reports.terminal(result.comparison, result.recommendation, language=project.language, needs=project.needs))
    say(message("compare_done", folder=result.folder))
    choice = result.recommendation.choice
    following(f"tunewise ask '…' --approach {choice}" if choice else "tunewise report --output report.html")
    best = max(s.metrics["quality"].mean for s in result.comparison.standings)
    if minimum is not None and best < minimum:
        raise GateFailed(message("gate_min", mean=best, minimum=minimum), tip="tunewise report --output report.html")


def _start(questions: int, detectable: float) -> None:
    say(message("expected", questions=questions, points=100 * detectable))


def _standing(standing: Standing) -> None:
    quality = standing.metrics["quality"]
    say(
        message(
            "standing",
            name=standing.approach.name,
            mean=quality.mean,
            low=quality.low,
            high=quality.high,
            seconds=standing.seconds_p50,
        )
    )


def report(
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", envvar="TUNEWISE_OUTPUT", help="A file; .html, .md, .json and .txt say the form."
        ),
    ] = None,
    form: Annotated[Form | None, typer.Option("--format", envvar="TUNEWISE_FORMAT", help="The form.")] = None,
    language: Annotated[str | None, typer.Option(help="en or zh [TUNEWISE_LANGUAGE].")] = None,
) -> None:
    """Show the last comparison, or write it.

    The HTML form is one self-contained page that opens by double click, without network.
    """
    import json

    from tunewise import reports
    from tunewise.jobs.compare import last
    from tunewise.store import write_text

    project = project_of(language=language)
    result = last(project)
    form = form or ("json" if manners.json else _SUFFIXES.get(output.suffix if output else "", "terminal"))
    if form == "json":
        value = reports.as_json(result.comparison, result.recommendation, needs=project.needs)
        text = json.dumps(value, ensure_ascii=False, indent=1)
    else:
        render = {"terminal": reports.terminal, "markdown": reports.markdown, "html": reports.html}[form]
        text = render(result.comparison, result.recommendation, language=project.language, needs=project.needs)
    if output is None:
        out(text)
    else:
        write_text(output, text if text.endswith("\n") else text + "\n")
        out(message("written", path=output))
    following("tunewise report --output report.html" if output is None else "tunewise ask '…'")
