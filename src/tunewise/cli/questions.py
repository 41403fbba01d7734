"""questions check, split, import, generate: the question file."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from tunewise.cli.documents import confirm, project_of
from tunewise.cli.flags import command
from tunewise.cli.messages import message
from tunewise.cli.terminal import detail, error, following, manners, out, out_json, progress, warn
from tunewise.errors import DataMistake, GateFailed, UserMistake


def register(app: typer.Typer) -> None:
    """Add the verbs of this file."""
    questions = typer.Typer(help="The question file: check it, split it, import one, make one.", rich_markup_mode=None)
    command(questions, "check", example="tunewise questions check")(check)
    command(questions, "split", example="tunewise questions split --seed 7 --output split.jsonl")(split)
    command(questions, "import", example="tunewise questions import xquad_en.questions.jsonl --output my-project")(
        import_questions)
    command(questions, "generate", example="tunewise questions generate\n"
            "tunewise questions generate --model openai:qwen3-4b --per-passage 3 --output more.jsonl")(generate)
    app.add_typer(questions, name="questions")


def check(
    path: Annotated[Path | None, typer.Argument(help="The file (default: of tunewise.toml).")] = None,
) -> None:
    """Find every fault: broken lines, gold that is not in the documents, answers learned in training."""
    from tunewise.jobs.search import document_texts
    from tunewise.questions import check_questions, load_questions, split_leaks

    project = project_of(questions=path)
    asked = load_questions(project.questions)
    faults = check_questions(asked, document_texts(project))
    leaks = split_leaks(asked)
    side = {question.id: question.split for question in asked}
    if manners.json:
        out_json({"questions": len(asked), "faults": faults,
                  "leaks": [{side[a]: a, side[b]: b, "why": why} for a, b, why in leaks]})
    if faults:
        raise DataMistake(message("questions_bad", count=len(faults), path=project.questions),
                          tip=message("questions_bad_tip"), faults=tuple(faults))
    if leaks:
        for a, b, why in leaks:
            error(message("leak", a=a, b=b, why=why, split_a=side[a], split_b=side[b]))
        raise GateFailed(message("questions_leak", count=len(leaks)), tip="tunewise questions split")
    if not manners.json:
        out(message("questions_good", count=len(asked)))
    following("tunewise compare")


def split(
    path: Annotated[Path | None, typer.Argument(help="The file (default: of tunewise.toml).")] = None,
    *,
    output: Annotated[Path | None, typer.Option("--output", "-o", envvar="TUNEWISE_OUTPUT",
                                                help="Where to write (default: the same file).")] = None,
    seed: Annotated[int, typer.Option(envvar="TUNEWISE_SEED", help="Another seed, another split.")] = 0,
    test: Annotated[float, typer.Option(envvar="TUNEWISE_TEST", min=0.0, max=1.0, help="Share of test.")] = 0.4,
    validation: Annotated[float, typer.Option(envvar="TUNEWISE_VALIDATION", min=0.0, max=1.0,
                                              help="Share of validation.")] = 0.15,
    yes: Annotated[bool, typer.Option("--yes", "-y", envvar="TUNEWISE_YES", help="Do not ask.")] = False,
) -> None:
    """Split by fact and document, so that no test question was as good as trained on."""
    from tunewise.questions import load_questions, save_questions, split_questions

    source = project_of(questions=path).questions
    target = output or source
    if target.exists():
        confirm(message("confirm_replace", path=target), yes=yes)
    done = split_questions(load_questions(source), seed=seed, test=test, validation=validation)
    save_questions(target, done)
    counts = Counter(question.split for question in done)
    counts.update(train=0, validation=0, test=0)
    if manners.json:
        out_json({"file": target, **counts})
    else:
        out(message("split_done", path=target, **counts))
    following("tunewise questions check")


def import_questions(
    path: Annotated[Path, typer.Argument(help="X.questions.jsonl, or a file or folder of any known format.")],
    *,
    docs: Annotated[Path | None, typer.Option(envvar="TUNEWISE_DOCS", help="Default: X.docs.jsonl beside it.")] = None,
    form: Annotated[str, typer.Option("--format", envvar="TUNEWISE_FORMAT", help="auto, messages, sharegpt, alpaca, "
                                      "prompt-completion, preference, kto, question-answer, text.")] = "auto",
    rows: Annotated[bool, typer.Option("--rows", envvar="TUNEWISE_ROWS",
                                       help="Write rows to train on, not questions.")] = False,
    model: Annotated[str | None, typer.Option("--model", "-m", help="Who counts the tokens [TUNEWISE_MODEL].")] = None,
    output: Annotated[Path, typer.Option("--output", "-o", envvar="TUNEWISE_OUTPUT",
                                         help="The project's folder.")] = Path(),
    yes: Annotated[bool, typer.Option("--yes", "-y", envvar="TUNEWISE_YES", help="Do not ask.")] = False,
) -> None:
    """Bring in questions or training rows of others: JSONL, JSON, CSV, Parquet, or X.questions.jsonl with X.docs.jsonl.

    What was taken for what is shown; every row that does not fit is named with its line, and the good ones are kept.
    """
    if docs is None and path.name.endswith(".questions.jsonl"):
        docs = path.with_name(path.name.removesuffix("questions.jsonl") + "docs.jsonl")
    for file in (path, docs):
        if file is not None and not file.exists():
            raise UserMistake(message("no_file", path=file), tip="tunewise questions import --help")
    target = output / ("rows.jsonl" if rows else "questions.jsonl")
    if target.exists():
        confirm(message("confirm_replace", path=target), yes=yes)
    if docs is not None:
        _import_set(path, docs, output)
    else:
        _import_file(path, form, output, rows, model)


def _import_set(path: Path, docs: Path, output: Path) -> None:
    from tunewise.questions import import_dataset

    documents, questions, blank = import_dataset(docs, path, output)
    if blank:
        warn(message("import_blank", count=len(blank), ids=", ".join(blank[:5])))
    if manners.json:
        out_json({"folder": output, "questions": questions, "documents": documents, "left_out": blank})
    else:
        out(message("import_done", questions=questions, documents=documents, folder=output))
    following(f"tunewise init {output} && tunewise ingest --config {output}/tunewise.toml")


def _import_file(path: Path, form: str, output: Path, rows: bool, model: str | None) -> None:
    from tunewise.jobs.imports import import_file

    # Tokens are counted as the model that is named counts them; by words and Chinese characters where none is.
    counter = model or os.environ.get("TUNEWISE_MODEL", "echo")
    done = import_file(path, form=form, folder=output, rows=rows, model=counter)
    for fault in done.faults:
        warn(fault)
    if manners.json:
        out_json(done)
    else:
        out(message("import_form", form=done.form, rows=done.rows, kept=done.kept, bad=done.rows - done.kept,
                    examples=done.examples, path=done.file))
        for number, text in enumerate(done.shown, 1):
            out(f"--- {number}")
            out(text if len(text) <= 600 else text[:600] + " …")
        out("---")
        widest = max(done.tokens.values())
        for name, count in done.tokens.items():
            out(f"{name:>15} {'#' * max(bool(count), round(40 * count / widest)):<40} {count}")
        out(message("import_longest", count=done.longest))
    following(f'[training] rows = "{done.file.name}"' if rows else "tunewise questions split")


def generate(
    *,
    output: Annotated[Path | None, typer.Option("--output", "-o", envvar="TUNEWISE_OUTPUT",
                                                help="Where to append (default: questions.generated.jsonl).")] = None,
    model: Annotated[str | None, typer.Option("--model", "-m", envvar="TUNEWISE_GENERATOR",
                                              help="Who writes them (default: forms of sentences and tables).")] = None,
    document: Annotated[list[str] | None, typer.Option(envvar="TUNEWISE_DOCUMENT",
                                                       help="Only ids that match; may be repeated.")] = None,
    limit: Annotated[int | None, typer.Option(envvar="TUNEWISE_LIMIT", min=1, help="At most so many passages.")] = None,
    per_passage: Annotated[int, typer.Option(envvar="TUNEWISE_PER_PASSAGE", min=1, max=20,
                                             help="How many a model is asked for.")] = 2,
    k: Annotated[int, typer.Option("--k", min=1, help="Its passage must be among so many retrieved ones.")] = 5,
) -> None:
    """Make questions with answers and evidence from the documents; filter them, and say what fell away.

    A run that was stopped goes on. The file is yours to edit: what you deleted is not written again.
    """
    from tunewise.jobs.generate import generate_questions as job

    project = project_of()
    target = output or project.root / "questions.generated.jsonl"
    with progress() as report_progress:
        report = job(project, output=target, model=model, documents=document or (), limit=limit, count=per_passage,
                     k=k, progress=report_progress)
    if manners.json:
        out_json({"file": target, "passages": report.passages, "written": report.written, "known": report.known,
                  "unread": report.unread, "steps": report.steps,
                  "rejected": [{"question": question, "reason": reason} for question, reason in report.rejected]})
    else:
        out(message("generate_passages", count=report.passages, questions=report.steps[0].before))
        if report.unread:
            out(message("generate_unread", count=report.unread))
        for step in report.steps:
            out(f"  {step.name}: {step.before} -> {step.after}")
        out(message("generate_done", count=report.written, known=report.known, path=target))
    if model and not report.written and not report.known:
        warn(message("generate_nothing", model=model))
    for reason, count in Counter(reason for _, reason in report.rejected).most_common():
        detail(f"{count} x {reason}")
    following(f"tunewise questions split {target}")
