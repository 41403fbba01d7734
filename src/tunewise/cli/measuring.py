"""compare, report: build the approaches, measure them, say which one to use."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tunewise.cli.documents import project_of
from tunewise.cli.flags import command
from tunewise.cli.gating import hold, measured_against, minimums, show
from tunewise.cli.messages import message
from tunewise.cli.terminal import detail, following, manners, out, out_json, progress, say

if TYPE_CHECKING:
    from tunewise.nouns import Standing
    from tunewise.project import Project

Form = Literal["terminal", "markdown", "html", "json"]
_SUFFIXES: dict[str, Form] = {".html": "html", ".htm": "html", ".md": "markdown", ".json": "json", ".txt": "terminal"}

_BASELINE = typer.Option(
    "--baseline",
    envvar="TUNEWISE_BASELINE",
    help="An earlier report (JSON) or run folder; exit with 3 when what is recommended became worse.",
)
_MARGIN = typer.Option(
    "--margin", envvar="TUNEWISE_MARGIN", min=0.0, max=1.0, help="What may be lost (default: the margin of [needs])."
)


def register(app: typer.Typer) -> None:
    """Add the verbs of this file."""
    command(app, "compare", example="tunewise compare\ntunewise compare --approach rag --min quality=0.4\n"
            "tunewise compare --baseline baseline.json --margin 0.02")(
        compare
    )
    command(app, "report", example="tunewise report --output report.html\ntunewise report --language zh")(report)


def compare(
    *,
    approach: Annotated[
        list[str] | None,
        typer.Option("--approach", "-a", envvar="TUNEWISE_APPROACH", help="Only this one; may be repeated."),
    ] = None,
    limit: Annotated[int | None, typer.Option(envvar="TUNEWISE_LIMIT", min=1, help="At most so many.")] = None,
    minimum: Annotated[
        list[str] | None,
        typer.Option(
            "--min",
            envvar="TUNEWISE_MIN",
            metavar="[METRIC=]VALUE",
            help="Exit with 3 when what is recommended is below this (quality, or the metric named); may be repeated.",
        ),
    ] = None,
    baseline: Annotated[Path | None, _BASELINE] = None,
    margin: Annotated[float | None, _MARGIN] = None,
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

    least = minimums(minimum or ())
    project = project_of(model=model, questions=questions, language=language, seeds=seeds)
    with progress() as report_progress:
        result = job(
            project, approaches=approach or None, limit=limit, entailment=entailment, progress=report_progress,
            note=detail, on_start=_start, on_standing=_standing,
        )
    found = measured_against(result, baseline, _margin(project, margin), project.needs) if baseline else None
    if manners.json:
        value = reports.as_json(result.comparison, result.recommendation, needs=project.needs)
        out_json(value | {"folder": str(result.folder)} | ({"baseline": found} if found else {}))
    else:
        out(reports.terminal(result.comparison, result.recommendation, language=project.language, needs=project.needs))
        if found:
            show(found)
    say(message("compare_done", folder=result.folder))
    choice = result.recommendation.choice
    following(f"tunewise ask '…' --approach {choice}" if choice else "tunewise report --output report.html")
    hold(result, least, found)


def _margin(project: Project, margin: float | None) -> float:
    return project.needs.margin if margin is None else margin


def expected(questions: int, detectable: float) -> str:
    """What so many questions can be expected to show, before they are asked; infinite: nothing."""
    if detectable < math.inf:
        return message("expected", questions=questions, points=100 * detectable)
    return message("expected_none", questions=questions)


def _start(questions: int, detectable: float) -> None:
    say(expected(questions, detectable))


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
    baseline: Annotated[Path | None, _BASELINE] = None,
    margin: Annotated[float | None, _MARGIN] = None,
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
    found = measured_against(result, baseline, _margin(project, margin), project.needs) if baseline else None
    form = form or ("json" if manners.json else _SUFFIXES.get(output.suffix if output else "", "terminal"))
    if form == "json":
        value = reports.as_json(result.comparison, result.recommendation, needs=project.needs)
        value |= {"baseline": reports.plain(found)} if found else {}
        text = json.dumps(value, ensure_ascii=False, indent=1)
    else:
        more = {"baseline": reports.plain(found)} if found and form == "html" else {}
        render = {"terminal": reports.terminal, "markdown": reports.markdown, "html": reports.html}[form]
        text = render(result.comparison, result.recommendation, language=project.language, needs=project.needs, **more)
    if output is None:
        out(text)
    else:
        write_text(output, text if text.endswith("\n") else text + "\n")
        out(message("written", path=output))
    if found and form == "terminal" and output is None:
        show(found)
    following("tunewise report --output report.html" if output is None else "tunewise ask '…'")
    hold(result, (), found)
