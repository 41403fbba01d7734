"""Documents in and out: uploads are files under `documents/uploads/`, read by `jobs.ingest` in the background.

What a user names never becomes a path: of a file's name only its last part is kept, checked and cleaned, and a document
is found by the catalog's id. Which groups a document is for is on the disk before the document is. Files are parsed in
child processes (`reading`); this thread embeds and switches the index.
"""

from __future__ import annotations

import logging
import re
import secrets
import threading
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO

from tunewise.errors import ConfigMistake, DataMistake, DiskFull, Failed, TunewiseError, UserMistake
from tunewise.jobs.answering import Answering
from tunewise.jobs.erase import drop_empty_index, purge
from tunewise.jobs.files import files_of
from tunewise.jobs.groups import assign_groups
from tunewise.jobs.ingest import IngestResult, OtherFolder, ingest_project
from tunewise.jobs.watch import Outdated, as_it_says
from tunewise.project import load_project
from tunewise.reading import SUFFIXES
from tunewise.server.entries import Upload
from tunewise.server.principals import Principal
from tunewise.server.state import State, now
from tunewise.store import lock, project_folder, sha256, sync_folder, write_bytes

if TYPE_CHECKING:
    from tunewise.project import Project
    from tunewise.server.options import Options

_LOG = logging.getLogger("tunewise.server")
_FOLDER = "uploads"
_PATIENCE = 25.0
"""Seconds that a deletion waits for an ingest to end."""
_RETRY = 2.0
_BUSY = "files cannot be read just now; it is tried again"
_UNSETTLED = "the server's settings have to be mended first; it is tried again"
_OTHER_FOLDER = (
    "the server's documents folder is another one than before: its owner takes it up with tunewise ingest --replace, "
    "and this file with it"
)
_NAME = re.compile(r"[^\w.\-()\[\] +,&@']+")


class NotAllowed(UserMistake):
    """The asker may see this and not change it."""


class TooLarge(UserMistake):
    """A file is larger than what is let in."""


class WrongType(UserMistake):
    """A file is of a type that cannot be read."""


class Intake:
    """The way in and out of a project's documents."""

    def __init__(self, answering: Answering, state: State, options: Options) -> None:
        self.answering, self.state, self.options = answering, state, options
        self.project = answering.project
        self._files = threading.Lock()
        self._ingesting = threading.Lock()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._progress: tuple[str, int, int] | None = None
        self._said: frozenset[str] = frozenset()
        self._thread = threading.Thread(target=self._work, name="intake", daemon=True)

    def start(self) -> None:
        """Begin to work, with what was left waiting by an earlier process."""
        if self.state.uploads(states=("waiting", "reading")):
            self._wake.set()
        self._thread.start()

    def close(self, *, seconds: float = 10.0) -> None:
        """Finish the ingest that runs (at most `seconds`) and begin no further one."""
        self._closing.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(seconds)

    def progress(self) -> tuple[str, int, int] | None:
        """(phase, done, total) of the ingest that runs; None when none does."""
        return self._progress

    # -------------------------------------------------------------------------------------------- in

    def upload(self, asker: Principal, name: str, file: BinaryIO, groups: Sequence[str] = ()) -> Upload:
        """Take a file in for these groups (default: the asker's own); it is on the disk when this returns.

        `NotAllowed` for groups that are not the asker's, `WrongType`, `TooLarge`, `DataMistake` for a bad name.
        """
        chosen = _for_whom(asker, groups)
        clean = _clean(name)
        data = file.read(self.options.upload_bytes + 1)
        if len(data) > self.options.upload_bytes:
            raise TooLarge(f"{clean} is larger than {self.options.upload_bytes:,} bytes", tip="split it")
        if not data:
            raise DataMistake(f"{clean} is empty")
        # One folder for each set of readers: a name that is taken elsewhere tells nobody anything.
        folder = PurePosixPath(_FOLDER, sha256("\n".join(chosen))[:8]) if chosen else PurePosixPath(_FOLDER)
        id = str(folder / clean)
        with self._files:
            if len(self.state.uploads(states=("waiting",))) >= self.options.upload_count:
                raise Failed("too many files are waiting to be read", tip="try again in a while")
            path = self._path(id)
            assign_groups(self.project.root, id, chosen)
            digest = write_bytes(path, data)
            for other in files_of(self.project.documents.resolve(), id):
                # The same name as another system wrote it is the version before.
                if not other.samefile(path):
                    other.unlink()
            made = Upload(
                id=secrets.token_hex(12), name=clean, document=id, state="waiting", reason="", groups=chosen,
                size=len(data), sha256=digest, principal=asker.name, created=now(),
            )
            self.state.add_upload(made)
        self._wake.set()
        return made

    def uploads(self, asker: Principal) -> list[Upload]:
        """What the asker handed in (administrators: everybody's), newest first."""
        return [one for one in self.state.uploads() if asker.is_admin or one.principal == asker.name]

    def upload_state(self, asker: Principal, id: str) -> Upload | None:
        """One upload of the asker's; None when there is none."""
        return next((one for one in self.uploads(asker) if one.id == id), None)

    def reread(self, asker: Principal) -> None:
        """Read the documents folder again in the background; `NotAllowed` for readers."""
        if not asker.may_write:
            raise NotAllowed("this needs the role editor")
        self.state.audit_line(asker.name, "reread", "")
        self._wake.set()

    # -------------------------------------------------------------------------------------------- out

    def remove(self, asker: Principal, id: str) -> bool:
        """Erase a document, its file, its passages and what showed them; False when there is none for this asker.

        Nobody finds it any more when this returns; its vectors go with the ingest that follows.
        `NotAllowed` when it is not theirs to change, `Failed` while a long
        ingest runs.
        """
        found = self.answering.document(id, asker.groups)
        if found is None:
            return False
        if not may_change(asker, found.groups):
            raise NotAllowed("this document is not yours to delete")
        # An ingest that had read the file already would put it back.
        if not self._ingesting.acquire(timeout=_PATIENCE):
            raise Failed("documents are being read just now", tip="try again when that is done")
        try:
            with self._files, lock(project_folder(self.project.root) / "ingest.lock"):
                # However the disk writes its name: each of them would bring the document back.
                paths = {self._path(id), *files_of(self.project.documents.resolve(), id)}
                for path in paths:
                    path.unlink(missing_ok=True)
                for folder in {path.parent for path in paths}:
                    if folder.is_dir():
                        # Before its groups are given up: a file that comes back after a power loss would be public.
                        sync_folder(folder)
                # What shows it goes first: a deletion that is killed here can be asked for again.
                runs = purge(self.project, id)
                talks = self.state.forget(id)
                self.answering.catalog.remove(id)
                # Somebody may have been answered from it in between.
                talks += self.state.forget(id)
                assign_groups(self.project.root, id, None)
                drop_empty_index(self.project, self.answering.catalog)
                self.answering.catalog.checkpoint()
                details = {"revision": found.revision, "runs": len(runs), "conversations": talks}
                self.state.audit_line(asker.name, "delete", id, details)
        finally:
            self._ingesting.release()
        self._wake.set()
        return True

    def _path(self, id: str) -> Path:
        """Where a document's file is; an id of ours cannot lead out of the folder, and a link in it is not followed."""
        root = self.project.documents.resolve()
        root.mkdir(parents=True, exist_ok=True)
        path = root.joinpath(*PurePosixPath(id).parts)
        if not path.parent.resolve().is_relative_to(root) or path.is_symlink() or path == root:
            raise DataMistake("this document's file is outside of the documents folder")
        return path

    # -------------------------------------------------------------------------------------------- the worker

    def _work(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            if self._closing.is_set():
                return
            with self._ingesting:
                again = self._ingest()
            if again and not self._closing.wait(_RETRY):
                self._wake.set()

    def _ingest(self) -> bool:
        """One ingest of the whole folder (only what changed is done); whether it is to be tried again."""
        waiting = self.state.uploads(states=("waiting", "reading"))
        try:
            project, unchanged = self._as_it_says()
        except ConfigMistake as error:
            # What was accepted stays so, and is read when it is known who may read it.
            self._warn([f"{error.message} ({error.tip})"])
            for upload in waiting:
                self.state.set_upload(upload.id, "waiting", _UNSETTLED)
            return bool(waiting)
        for upload in waiting:
            self.state.set_upload(upload.id, "reading")
        try:
            result = ingest_project(
                project, embedder=self.answering.embedder(), progress=self._tell, before_writing=unchanged
            )
        except Outdated:
            return True
        except Failed as error:
            # Another process ingests; the disk is full: neither is the file's fault.
            _LOG.warning("%s", error.message)
            reason = "no space is left on the server's disk" if isinstance(error, DiskFull) else _BUSY
            for upload in waiting:
                self.state.set_upload(upload.id, "waiting", reason)
            return bool(waiting)
        except TunewiseError as error:
            # The error's own words name folders of the server and other people's files.
            _LOG.warning("%s", "; ".join((error.message, *getattr(error, "faults", ()))))
            reasons = dict(fault.partition(": ")[::2] for fault in getattr(error, "faults", ()))
            why = _OTHER_FOLDER if isinstance(error, OtherFolder) else ""
            for upload in waiting:
                self._failed(upload, reasons.get(upload.document, why))
            return False
        except Exception as error:  # noqa: BLE001 - whatever a reader or an embedder raises, the uploads are told
            _LOG.exception("an ingest failed")
            for upload in waiting:
                self.state.set_upload(upload.id, "failed", f"something of ours went wrong: {type(error).__name__}")
            return False
        finally:
            self._progress = None
        self._noted(result)
        unread = {one.source: one.reason for one in result.unread}
        known = {record.id for record in self.answering.catalog.documents()}
        for upload in waiting:
            reason = unread.get(upload.document, "")
            if upload.document in known:
                self.state.set_upload(upload.id, "ready", self._told(upload, reason))
            else:
                self._failed(upload, reason or "the file is gone")
        return False

    def _as_it_says(self) -> tuple[Project, Callable[[], None]]:
        """The project by its file of now; its folder and embedder are those of the start, which the server uses."""
        project, unchanged = as_it_says(lambda: load_project(self.project.file), self.project.file)
        for name in ("documents", "embedder"):
            if (now := getattr(project, name)) != (served := getattr(self.project, name)):
                raise ConfigMistake(
                    f"{project.file} names {now} for {name}, and this server was started with {served}: nothing is "
                    "taken up", tip="start the server again",
                )
        return project, unchanged

    def _noted(self, result: IngestResult) -> None:
        """Tell those who run the server what an ingest remarked; who may read what came is kept for good."""
        derived = result.generation.notes if result.generation else ()
        self._warn([note for note in result.notes if note not in derived])
        for note in result.access:
            self.state.audit_line("server", "access", "", {"note": note})

    def _warn(self, notes: Sequence[str]) -> None:
        """Log what was not said the last time: files come often, and many remarks stay the same."""
        for note in notes:
            if note not in self._said:
                _LOG.warning("%s", note)
        self._said = frozenset(notes)

    def _failed(self, upload: Upload, reason: str) -> None:
        """Say that a file could not be read, and why, if its own fault is known."""
        told = self._told(upload, reason)
        self.state.set_upload(upload.id, "failed", f"it could not be read: {told}" if told else "it could not be read")

    def _told(self, upload: Upload, reason: str) -> str:
        """A reason without the server's folders: where a file lies is nobody's business."""
        documents = self.project.documents
        for path, shown in ((documents / upload.document, upload.name), (documents, ""), (self.project.root, "")):
            for where in (path, path.resolve()):
                reason = reason.replace(str(where), shown)
        return reason

    def _tell(self, phase: str, done: int, total: int) -> None:
        self._progress = (phase, done, total)


def may_change(asker: Principal, groups: Sequence[str]) -> bool:
    """Whether an editor may upload for, or delete from, these groups: all of them must be theirs."""
    if asker.is_admin:
        return True
    own = set(asker.groups or ())
    return asker.may_write and (own.issuperset(groups) if groups else not own)


def _for_whom(asker: Principal, groups: Sequence[str]) -> tuple[str, ...]:
    chosen = tuple(sorted({group.strip() for group in groups if group.strip()})) or tuple(asker.groups or ())
    if any(not group.isprintable() or "," in group or len(group) > 100 for group in chosen) or len(chosen) > 50:
        raise DataMistake("a group's name is printable, has no comma and at most 100 characters")
    if not may_change(asker, chosen):
        raise NotAllowed("a document can be uploaded for your own groups only")
    return chosen


def _clean(name: str) -> str:
    """The last part of a file's name in letters that every file system takes; `WrongType` by its suffix."""
    last = re.split(r"[/\\]", unicodedata.normalize("NFC", name.replace("\0", "")))[-1]
    clean = _NAME.sub("_", last).strip(" .")
    stem, dot, suffix = clean.rpartition(".")
    if not dot or not stem.strip(" ._") or f".{suffix.lower()}" not in SUFFIXES:
        raise WrongType(f"{clean or 'a file without a name'} is of no type that can be read",
                        tip=f"readable: {', '.join(sorted(SUFFIXES))}")
    return f"{stem.encode()[:120].decode(errors='ignore')}.{suffix.lower()}"
