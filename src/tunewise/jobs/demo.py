"""The main job on the handbook of a fictional company, from its documents to a recommendation and a report.

The example is copied into a folder of the user's, so that it can be changed and run again.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from tunewise import reports
from tunewise.errors import Failed
from tunewise.jobs.ask import ask, forget
from tunewise.jobs.compare import CompareResult, compare
from tunewise.jobs.ingest import ingest_project
from tunewise.nouns import Standing
from tunewise.project import load_project
from tunewise.store import write_text

Progress = Callable[[str, int, int], None]
FILES = ("tunewise.toml", "questions.jsonl", "glossary.jsonl")


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What the demo left behind."""

    choice: str | None
    report: Path
    comparison: CompareResult


def example(name: str = "handbook") -> Path:
    """The folder of an example that ships: inside the installed package, or in a source checkout."""
    packaged = Path(str(resources.files("tunewise"))) / "examples" / name
    checkout = Path(__file__).resolve().parents[3] / "examples" / name
    for folder in (packaged, checkout):
        if (folder / "questions.jsonl").is_file():
            return folder
    raise Failed(f"the example {name!r} is not in this installation", tip="install tunewise again")


def copy_example(source: Path, folder: Path) -> None:
    """Copy an example's project into a folder; what the user changed there stays as it is."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "documents").is_dir():
        aside = folder / ".documents"
        shutil.rmtree(aside, ignore_errors=True)
        shutil.copytree(source / "documents", aside)
        aside.rename(folder / "documents")
    for name in FILES:
        if not (folder / name).exists():
            write_text(folder / name, (source / name).read_text(encoding="utf-8"))


def demo(
    folder: Path,
    *,
    progress: Progress = lambda phase, done, total: None,
    say: Callable[[str], None] = lambda line: None,
    on_start: Callable[[int, float], None] = lambda questions, detectable: None,
) -> DemoResult:
    """Ingest, ask, tune, compare, recommend and report on the example in `folder`; what is there already is reused."""
    copy_example(example(), folder)
    project = load_project(folder)
    result = ingest_project(project, progress=progress)
    say(f"{result.documents} documents, {result.generation.chunks} passages, index ready after {result.seconds:.0f} s")
    question = "What is the monthly limit of the company card?"
    answer, approach = ask(project, question, approach="rag")
    say(f"first answer ({approach.name}, not tuned yet): {question}")
    say(f"  {answer.text}")
    for citation in answer.citations:
        state = "checked" if citation.verified else f"not supported: {citation.reason}"
        say(f"  source: {citation.document} [{citation.start}:{citation.end}] ({state})")
    if not answer.citations and answer.hits:
        first = answer.hits[0].chunk
        say(
            "  it named no source that can be checked; the first passage it was given: "
            f"{first.document} [{first.start}:{first.end}]"
        )
    say("")

    def row(standing: Standing) -> None:
        say(reports.row(standing, language=project.language))

    # The comparison measures memory: the model of the first answer must not be in its figures.
    forget()
    compared = compare(project, progress=progress, on_start=on_start, on_standing=row)
    say("")
    shown = {"language": project.language, "needs": project.needs}
    say(reports.terminal(compared.comparison, compared.recommendation, **shown))
    page = folder / "report.html"
    write_text(page, reports.html(compared.comparison, compared.recommendation, **shown, command="tunewise compare"))
    say(f"report: {page.resolve()}")
    return DemoResult(compared.recommendation.choice, page, compared)
