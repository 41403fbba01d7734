"""init, ingest, documents, search: from a folder of documents to passages that can be found."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tunewise.cli.flags import command
from tunewise.cli.messages import language as user_language
from tunewise.cli.messages import message
from tunewise.cli.terminal import following, manners, out, out_json, progress, say, tip, warn
from tunewise.errors import ConfigMistake, TunewiseError, UserMistake
from tunewise.project import DEFAULT_APPROACHES, FILE, Project, load_project

if TYPE_CHECKING:
    from tunewise.jobs.ages import Age
    from tunewise.jobs.documents import Listed
    from tunewise.jobs.ingest import IngestResult


def project_of(**flags: Any) -> Project:
    """The project of --config or of the working folder; `flags` by the last part of the setting's key."""
    keys = {
        "documents": "project.documents", "questions": "project.questions", "language": "project.language",
        "model": "project.model", "embedder": "project.embedder", "tokens": "chunks.tokens",
        "mode": "retrieval.mode", "k": "retrieval.k", "budget": "retrieval.budget",
        "seeds": "compare.seeds",
        "kind": "chunks.kind", "seconds_per_file": "reading.seconds_per_file",
    }
    return load_project(manners.config, flags={keys[name]: value for name, value in flags.items()})


def register(app: typer.Typer) -> None:
    """Add the verbs of this file."""
    command(app, "init", example="tunewise init handbook --language en")(init)
    command(app, "ingest", example="tunewise ingest\ntunewise ingest ~/policies --tokens 160\n"
            "tunewise ingest --watch\ntunewise ingest --url https://example.org/sitemap.xml")(ingest)
    documents = typer.Typer(help="The documents of the index.", rich_markup_mode=None)
    command(documents, "list", example="tunewise documents list\n"
                                       "tunewise documents list --public --json")(documents_list)
    app.add_typer(documents, name="documents")
    command(app, "search", example="tunewise search 'how long may I return an article?' --k 5")(search)


def init(
    folder: Annotated[Path, typer.Argument(help="Where the project is to live.")] = Path(),
    *,
    name: Annotated[str, typer.Option(envvar="TUNEWISE_NAME", help="Its name (default: the folder's).")] = "",
    language: Annotated[str, typer.Option(envvar="TUNEWISE_LANGUAGE", help="en or zh.")] = "",
    force: Annotated[bool, typer.Option("--force", "-f", envvar="TUNEWISE_FORCE", help="Replace the file.")] = False,
) -> None:
    """Write a tunewise.toml and a folder for documents."""
    from tunewise.cli.starter import starter
    from tunewise.store import write_text

    path = folder / FILE
    if path.exists() and not force:
        raise UserMistake(message("init_exists", path=path), tip=message("init_exists_tip"))
    language = language or user_language()
    if language not in ("en", "zh"):
        raise ConfigMistake(f"--language: {language!r} is none of en, zh", tip="tunewise init --help")
    (folder / "documents").mkdir(parents=True, exist_ok=True)
    write_text(path, starter(name or folder.resolve().name, language=language, approaches=list(DEFAULT_APPROACHES)))
    if manners.json:
        out_json({"file": path.resolve(), "documents": (folder / "documents").resolve()})
    else:
        out(message("init_done", path=path))
    following(message("init_next", folder=folder / "documents"))


def ingest(
    folder: Annotated[Path | None, typer.Argument(help="The documents (default: of tunewise.toml).")] = None,
    *,
    embedder: Annotated[str | None, typer.Option(help="minilm, a folder or a hub id [TUNEWISE_EMBEDDER].")] = None,
    tokens: Annotated[int | None, typer.Option(help="Tokens of a passage [TUNEWISE_TOKENS].")] = None,
    password: Annotated[list[str] | None, typer.Option(envvar="TUNEWISE_PASSWORD",
                                                       help="For encrypted files; may be repeated.")] = None,
    url: Annotated[list[str] | None, typer.Option(help="A web page or site map to save there first; may be repeated "
                                                       "[TUNEWISE_URL].", envvar="TUNEWISE_URL")] = None,
    allow_private: Annotated[bool, typer.Option("--allow-private", envvar="TUNEWISE_ALLOW_PRIVATE",
                                                help="Let --url reach your own network.")] = False,
    kind: Annotated[str | None, typer.Option(help="Passages: sections, pages or parents [TUNEWISE_KIND].")] = None,
    again: Annotated[bool, typer.Option("--again", envvar="TUNEWISE_AGAIN",
                                        help="Read every file again, also unchanged ones.")] = False,
    seconds_per_file: Annotated[float | None, typer.Option(help="What reading one file may take "
                                                                "[TUNEWISE_SECONDS_PER_FILE].")] = None,
    replace: Annotated[bool, typer.Option("--replace", envvar="TUNEWISE_REPLACE",
                                          help="Remove what is not in the folder, also if it is empty or another than "
                                               "last time.")] = False,
    watch: Annotated[bool, typer.Option("--watch", envvar="TUNEWISE_WATCH",
                                        help="Stay, and follow every change of the folder.")] = False,
) -> None:
    """Build the index from the documents.

    Files are read, cut into passages, embedded. Only what changed is done again.
    """
    from tunewise.jobs.ingest import ingest_project
    from tunewise.jobs.watch import watch as follow
    from tunewise.jobs.web import save_pages

    def load() -> Project:
        return project_of(
            documents=folder, embedder=embedder, tokens=tokens, kind=kind, seconds_per_file=seconds_per_file
        )

    project = load()
    settings = {"passwords": tuple(password or ()), "again": again, "replacing": replace}
    if url or again or replace or not watch:
        with progress() as report:
            saved = save_pages(project.documents, url, private=allow_private, progress=report) if url else None
            result = ingest_project(project, progress=report, **settings)
        for unread in saved.unread if saved else ():
            warn(message("unread", source=unread.source, reason=unread.reason))
        _ingested(result)
    if watch:
        # What was asked for once is done; what is followed is the folder.
        later = settings | {"again": False, "replacing": False}
        follow(load, settings=later, told=_ingested, trouble=_troubled)
        return
    following("tunewise search '…'")


def _troubled(error: TunewiseError) -> None:
    warn(error.message)
    tip(error.tip)


def _ingested(result: IngestResult) -> None:
    for unread in result.unread:
        warn(message("unread", source=unread.source, reason=unread.reason))
    for note in result.notes:
        say(note)
    if manners.json:
        out_json(result)
    else:
        out(message("ingest_done", documents=result.documents, added=result.added, changed=result.changed,
                    removed=result.removed, unchanged=result.unchanged, seconds=result.seconds))


def documents_list(
    *,
    group: Annotated[list[str] | None, typer.Option(envvar="TUNEWISE_GROUP",
                                                    help="List as a member of this group.")] = None,
    public: Annotated[bool, typer.Option("--public", envvar="TUNEWISE_PUBLIC",
                                         help="List as a member of none.")] = False,
) -> None:
    """List the documents: who may read them, which revision, how old, and how they were read."""
    from tunewise.jobs.documents import documents

    found = documents(project_of(), groups=(group or ()) if public else group or None)
    if manners.json:
        out_json(found)
    else:
        for one in found:
            about = [one.revision, one.modified or message("no_date"), one.read, *(f"[{name}]" for name in one.groups)]
            out(f"{one.id}  {one.title}  ({', '.join(about)}){stale_mark(one)}")
            for fault in one.faults:
                out(f"   {fault}")
        if not found:
            say(message("no_documents"))
    following("tunewise search '…'")


def search(
    query: Annotated[str, typer.Argument(help="What to look for.")],
    *,
    k: Annotated[int | None, typer.Option("--k", "--limit", help="How many passages [TUNEWISE_K].")] = None,
    mode: Annotated[str | None, typer.Option(help="hybrid, dense or lexical [TUNEWISE_MODE].")] = None,
    group: Annotated[list[str] | None, typer.Option(envvar="TUNEWISE_GROUP",
                                                    help="Search as a member of this group.")] = None,
    public: Annotated[bool, typer.Option("--public", envvar="TUNEWISE_PUBLIC",
                                         help="Search as a member of none.")] = False,
) -> None:
    """Show the passages that an answer would be given."""
    from tunewise.jobs.ages import ages
    from tunewise.jobs.fits import is_fitted, present_fit
    from tunewise.jobs.search import search as job
    from tunewise.nouns import to_json

    project = project_of(k=k, mode=mode)
    hits = job(project, query, groups=(group or ()) if public else group or None)
    known = ages(project, (hit.chunk.document for hit in hits))
    if is_fitted(project.retrieval):
        say_of_fit(present_fit(project)[1])
    if manners.json:
        out_json([to_json(hit) | {"age": known.get(hit.chunk.document)} for hit in hits])
    elif not hits:
        say(message("no_hits"))
    else:
        for hit in hits:
            chunk = hit.chunk
            page = ", " + message("page", page=chunk.page) if chunk.page else ""
            out(f"{hit.rank}. {chunk.document}{page} [{chunk.start}:{chunk.end}]  {hit.score:.3f}"
                f"{stale_mark(known.get(chunk.document))}")
            out("   " + " ".join(chunk.text.split()))
    following("tunewise ask '…'")


def say_of_fit(state: str) -> None:
    """Say that the fitted leg weights are not of the present index; nothing when they are, or there are none."""
    if state == "older":
        say(message("fit_older"))
    elif state == "other":
        say(message("fit_other"))


def stale_mark(age: Age | Listed | None) -> str:
    """What is said behind a source that is older than its rule; "" for any other."""
    if age is None or not age.stale:
        return ""
    if age.days is None:
        return "  " + message("stale_unknown", allowed=age.allowed)
    return "  " + message("stale", days=age.days, allowed=age.allowed)


def confirm(question: str, *, yes: bool) -> None:
    """Ask before something is replaced; without a terminal fail instead of waiting."""
    import sys

    if yes:
        return
    if not sys.stdin.isatty():
        raise UserMistake(message("use_yes"), tip=message("use_yes_tip"))
    if not typer.confirm(question, err=True):
        raise UserMistake(message("not_confirmed"), tip=message("use_yes_tip"))
