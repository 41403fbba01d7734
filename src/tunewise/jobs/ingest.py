"""A folder of documents → catalog → chunks → index: the way in, written down once.

Prints nothing and knows no terminal: it tells `progress(phase, done, total)`. A killed ingest is run again: what the
catalog holds is whole, what was embedded is not embedded twice. What closes a document holds before anything is read;
what removes more than a file or two at a glance (an empty folder, another folder) has to be asked for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunewise import __version__
from tunewise.catalog import Catalog, Generation, derived
from tunewise.embeddings import Embedder, load_embedder
from tunewise.errors import ConfigMistake, Damaged, DataMistake, DiskFull
from tunewise.index import Ahead, build, passage_text
from tunewise.index.place import erase_all_but, unreached
from tunewise.jobs import reserve
from tunewise.jobs.files import SeenFiles, keep_faults
from tunewise.jobs.globs import idle
from tunewise.jobs.groups import AccessRules, assigned_groups, read_rules
from tunewise.jobs.renames import Inheritance, some
from tunewise.jobs.watermark import leave
from tunewise.nouns import Chunk, Document
from tunewise.store import fingerprint, lock, project_folder, read_json, write_json

if TYPE_CHECKING:
    from tunewise.project import Project
    from tunewise.reading import Unread

Progress = Callable[[str, int, int], None]
_TRANSACTION = 64
"""Documents in one commit: few enough that a kill loses little, many enough that fsync does not rule."""


@dataclass(frozen=True, slots=True)
class IngestResult:
    """What an ingest did: counts of documents, those files that could not be read, and what the user should know.

    `generation` is None when no document is left. `access`: those of the notes that tell who may read what came.
    """

    generation: Generation | None
    documents: int
    added: int
    changed: int
    removed: int
    unchanged: int
    unread: tuple[Unread, ...]
    seconds: float
    notes: tuple[str, ...]
    access: tuple[str, ...] = ()


class OtherFolder(DataMistake):
    """The documents were read from another folder the last time."""


def open_catalog(project: Path) -> Catalog:
    """The catalog of a project's root folder."""
    return Catalog(f"sqlite:///{project_folder(project) / 'catalog.sqlite'}")


def indexes_folder(project: Path) -> Path:
    """Where the index generations of a project's root folder are."""
    return project_folder(project) / "indexes"


def ingest(
    folder: Path,
    *,
    project: Path,
    embedder: str | Embedder = "minilm",
    tokens: int = 120,
    passwords: Sequence[str] = (),
    seconds_per_file: float = 28,
    groups: Mapping[str, Sequence[str]] | None = None,
    kind: str = "sections",
    index: str | None = None,
    again: bool = False,
    replacing: bool = False,
    before_writing: Callable[[], None] = lambda: None,
    progress: Progress | None = None,
) -> IngestResult:
    """Bring a project's catalog and index to what stands in a folder of documents.

    `tokens` is the size of a chunk in the embedder's tokens, `kind` one of `chunks.KINDS`. `groups` maps globs over
    document ids ("hr/*") to the access groups of what they match; the last match wins; None leaves the groups that the
    catalog has; `.groups.toml` files in the folders speak before them. `index`: a URI of object storage for the index,
    "" for the project's own folder, None for where it was. Files with the size and time of the last ingest
    are not read `again`. A file that cannot be read keeps its earlier version; a new document with the content of a
    restricted one is for the same readers where no rule speaks. `before_writing` is called when the files were read:
    what it raises stops the ingest. `DataMistake` for an empty folder, a broken `.groups.toml`, or another folder than
    that of the last ingest when documents would be removed; `replacing` removes all that is not in the folder all the
    same. `Failed` when another ingest runs.
    """
    from tunewise.chunks import chunk
    from tunewise.reading import Unread, ocr, read_folder

    started = time.monotonic()
    tell = progress or (lambda phase, done, total: None)
    home = project_folder(project)
    with lock(home / "ingest.lock"), open_catalog(project) as catalog, ExitStack() as under:
        model = load_embedder(embedder, cache=home / "cache") if isinstance(embedder, str) else embedder
        if model.max_tokens is not None and tokens > model.max_tokens:
            raise ConfigMistake(
                f"passages of {tokens} tokens, but the embedder {model.name!r} reads {model.max_tokens} of each",
                tip=f"tokens = {model.max_tokens} or less under [chunks], or an embedder that reads more",
            )
        reserve.keep(home)
        before = catalog.current()
        known = {record.id: record for record in catalog.documents()}
        held = {id: record.groups for id, record in known.items()}
        # The owner's own lines hold from now on, whatever becomes of this ingest.
        own_word = AccessRules(groups, assigned=assigned_groups(project))
        if _protect(catalog, held, own_word, home, known, again=again):
            leave(catalog, home)
        read_rules(Path(folder), groups)
        settings = fingerprint([__version__, tokens, kind, model.fingerprint])
        # A password, more time or an engine for scans may get more out of a file that was read in part.
        means = "" if passwords else fingerprint([ocr.available(), seconds_per_file])
        files = SeenFiles(home / "files.json", settings, known, means=means, again=again)
        cut: dict[str, list[Chunk]] = {}
        ahead = under.enter_context(Ahead(home / "cache", model))

        def arrived(document: Document) -> None:
            cut[document.id] = chunk(document, tokens=tokens, count=model.count_tokens, kind=kind)
            ahead.give(map(passage_text, cut[document.id]))

        def finish(changed: bool = False) -> None:
            # What a deletion, or an ingest that was killed, took out of the catalog still lies in the index.
            ahead.stop()
            if next(catalog.chunks(), None) is None:
                clear(project, catalog)
            elif changed or not all(catalog.is_whole(one.id) for one in catalog.generations()):
                bring()
            else:
                return
            leave(catalog, home)

        def bring() -> Generation:
            return build(
                catalog, indexes_folder(project), embedder=model, progress=progress, cache=home / "cache", uri=index
            )

        documents, unread, nothing = [], [], None
        try:
            documents, unread = read_folder(
                folder, passwords=passwords, seconds_per_file=seconds_per_file, progress=tell,
                skip=files.same, arrived=arrived,
            )
        except DataMistake as error:
            # That the folder is there, and can be opened, is known by its rules.
            nothing = error
        partly = [one for one in unread if one.partly]
        unread = sorted(
            [*unread, *(Unread(id, reason, partly=True) for id, reason in files.faults)],
            key=lambda one: (one.source, one.reason),
        )
        if not nothing and not documents and not files.skipped:
            nothing = DataMistake(
                f"none of the files in {folder} could be read",
                tip="the reasons are listed with each file", faults=tuple(f"{u.source}: {u.reason}" for u in unread),
            )
        before_writing()
        # Only now: an upload's groups, and a folder's rules, are written before the files that they are for.
        rules = replace(read_rules(Path(folder), groups), assigned=assigned_groups(project))
        gone = sorted(known.keys() - {document.id for document in documents} - set(files.skipped))
        kept = [id for id in gone if _stands_in(id, unread)]
        removed = [id for id in gone if id not in kept]
        here, last = _told(Path(folder), project), catalog.source() or ""
        if last not in ("", here) and removed and not replacing:
            finish()
            raise _other_folder(Path(folder), Path(project) / last, removed)
        if nothing and not (known and replacing):
            finish(changed=_protect(catalog, held, rules, home, known))
            raise _still_served(nothing, list(known)) if known else nothing
        notes = rules.idle([*files.skipped, *(document.id for document in documents)])
        counts = {"added": 0, "changed": 0, "unchanged": 0}
        waiting: list[tuple[Document, list[Chunk]]] = []
        # With what the folders close just now: that such a file was open before opens no other.
        heritage, opened = Inheritance(
            list(known.values()), {id: rules.of(id, (), groups) or groups for id, groups in held.items()}
        ), []
        try:
            if last != here:
                catalog.keep_source(here)
            for done, document in enumerate(documents, 1):
                record = known.get(document.id)
                own = held.get(document.id)
                if record is None and rules.named(document.id) is None:
                    own = heritage.groups(document.revision)
                    if own:
                        heritage.take(document.id, document.revision)
                    elif not document.groups:
                        opened.append(document.id)
                readers = rules.of(document.id, document.groups, own)
                document = replace(document, groups=readers)
                pieces = [replace(piece, groups=readers) for piece in cut[document.id]]
                settled = derived(document, pieces)
                what = "added" if record is None else "changed" if record.settings != settled else "unchanged"
                counts[what] += 1
                if record is None or (record.settings, record.modified) != (settled, document.modified):
                    waiting.append((document, pieces))
                if len(waiting) >= _TRANSACTION:
                    catalog.put_all(waiting)
                    waiting.clear()
                tell("chunk", done, len(documents))
            catalog.put_all(waiting)
            _protect(catalog, held, rules, home, [*files.skipped, *kept])
            for id in files.skipped:
                counts["unchanged" if held[id] == known[id].groups else "changed"] += 1
            notes += [f"{id} could not be read now: its earlier version is kept" for id in kept]
        except DiskFull:
            # What the user took away must be gone even where nothing new fits.
            reserve.release(home)
            for id in removed:
                catalog.remove(id)
            raise
        for id in removed:
            catalog.remove(id)
        access = heritage.notes(removed, opened)
        ahead.finish(progress)
        left = catalog.documents()
        generation = bring() if left else None
        if not left:
            clear(project, catalog)
        files.keep([document.id for document in documents], [(one.source, one.reason) for one in partly])
        keep_faults(home, unread)
        leave(catalog, home)
        notes += [*access, *(generation.notes if generation else ()), *unemptied(project)]
        seconds = time.monotonic() - started
        if generation and (before is None or before.id != generation.id):
            # What it costs to set this generation up; an ingest that changes little must not make it look free.
            file = home / "ingest.json"
            known_seconds = read_json(file) if file.is_file() else {}
            whole = known_seconds.get(before.id, 0.0) if before is not None else 0.0
            part = {"update": seconds} if before is not None and counts["unchanged"] else {}
            write_json(file, known_seconds | part | {generation.id: max(seconds, whole)})
        return IngestResult(
            generation=generation, documents=len(left), removed=len(removed), unread=tuple(unread),
            seconds=seconds, notes=tuple(notes), access=tuple(access), **counts,
        )


def ingest_project(project: Project, **more: Any) -> IngestResult:
    """`ingest` with the settings of a project's tunewise.toml; `more` goes over them."""
    settings = {
        "project": project.root, "embedder": project.embedder, "tokens": project.tokens, "kind": project.chunks,
        "groups": project.groups, "index": project.index or "", "seconds_per_file": project.seconds_per_file,
    }
    result = ingest(project.documents, **(settings | more))
    with open_catalog(project.root) as catalog:
        unused = idle(project.max_age, [record.id for record in catalog.documents()])
    remarks = (f"the rule {rule!r} of [max_age_days] matches no document: check its spelling" for rule in unused)
    return replace(result, notes=(*result.notes, *remarks))


def clear(project: Path, catalog: Catalog) -> None:
    """Erase the index of a project without passages, for nothing is built then that would replace it."""
    # First, so that no generation is offered whose files are gone.
    catalog.clear_generations()
    for suffix in ("", "-wal", "-shm"):
        (project_folder(project) / "cache" / f"embeddings.sqlite{suffix}").unlink(missing_ok=True)
    if indexes_folder(project).is_dir():
        # Also what lies in object storage; where that is, is kept for the next ingest.
        erase_all_but(indexes_folder(project), ())


def unemptied(project: Path) -> list[str]:
    """What to say of places of the index that an earlier setting named and that could not be emptied."""
    return [
        f"the index of before could not be erased under {uri}: it is tried again with every ingest; what was erased "
        "since may still lie there" for uri in unreached(indexes_folder(project))
    ]


def _protect(
    catalog: Catalog, held: dict[str, tuple[str, ...]], rules: AccessRules, home: Path, ids: Iterable[str],
    *, again: bool = False,
) -> bool:
    """Let the rules hold for versions that were not read now, and keep `held` up; whether that changed any groups."""
    changed = {id: rules.of(id, (), held[id]) for id in ids if rules.of(id, (), held[id]) != held[id]}
    for id, groups in changed.items():
        try:
            pair = replace(catalog.document(id), groups=groups), list(catalog.chunks(id))
        except Damaged:
            if again:
                # Its file is about to be read again, and is not let in without its groups.
                continue
            raise
        try:
            catalog.put(*pair)
        except DiskFull:
            reserve.release(home)
            catalog.put(*pair)
        held[id] = groups
    return bool(changed)


def _told(folder: Path, project: Path) -> str:
    """How a folder is remembered: one inside the project goes where the project goes."""
    folder, root = folder.resolve(), project.resolve()
    return folder.relative_to(root).as_posix() if folder.is_relative_to(root) else str(folder)


def _other_folder(folder: Path, last: Path, removed: Sequence[str]) -> OtherFolder:
    return OtherFolder(
        f"the documents were read from {last} the last time, and {len(removed)} of them are not in {folder}: "
        f"{some(removed)}",
        tip=f"tunewise ingest {folder} --replace takes up this folder, now and from now on, and removes what is not in "
            f"it; to go on with the other, tunewise ingest {last}, and documents = \"…\" under [project] names it",
    )


def _still_served(nothing: DataMistake, known: Sequence[str]) -> DataMistake:
    """An empty folder is more often one that is not there just now than one that was emptied on purpose."""
    return DataMistake(
        f"{nothing.message}; {len(known)} document(s) of earlier ingests are still served: {some(known)}",
        tip=f"{nothing.tip}; tunewise erase ID erases one of them, tunewise ingest --replace removes all that are not "
            "in the folder", faults=nothing.faults,
    )


def _stands_in(id: str, unread: Sequence[Unread]) -> bool:
    """Whether a file, or a folder above it, is among what could not be read."""
    return any(id == one.source or id.startswith(f"{one.source}/") for one in unread)
