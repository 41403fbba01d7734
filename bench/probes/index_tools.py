"""What the probes of catalog, index and access share: forked children, folders of documents, what is seen of them."""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tunewise.errors import Failed, TunewiseError
from tunewise.index import Index
from tunewise.jobs.ingest import indexes_folder, ingest, open_catalog
from tunewise.nouns import Chunk, Document
from tunewise.store import sha256

Outcome = dict[str, Any]


def begin(call: Callable[[], Any]) -> int:
    """The process id of a forked child that runs `call` and is not waited for."""
    child = os.fork()
    if child == 0:
        try:
            call()
        finally:
            os._exit(0)
    return child


def fork(call: Callable[[], Any], *, kill_after: float | None = None, gone: bool = False) -> Any:
    """What `call` returns in a forked child, or None when it was killed after so many seconds.

    `gone`: None too when it ended by itself without an answer.

    This process imports LanceDB (see `ready_to_fork`) and never calls it: only its children do.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(reading)
            value = call()
            with os.fdopen(writing, "wb") as pipe:
                pickle.dump(value, pipe)
            code = 0
        except BaseException as error:  # noqa: BLE001 - handed to the parent
            with os.fdopen(writing, "wb") as pipe:
                pickle.dump(error if isinstance(error, TunewiseError) else Failed(repr(error)), pipe)
        finally:
            os._exit(code)
    os.close(writing)
    timer = threading.Timer(kill_after or 0, lambda: kill(child))
    if kill_after is not None:
        timer.start()
    with os.fdopen(reading, "rb") as pipe:
        data = pipe.read()
    timer.cancel()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) or (gone and not data):
        return None
    value = pickle.loads(data)
    if isinstance(value, BaseException):
        raise value
    return value


def ready_to_fork() -> None:
    """Import LanceDB here, once, so that no child has to: two seconds each.

    It starts its one Python thread anew in a forked child; what runs in Rust was not started yet.
    """
    warnings.filterwarnings("ignore", message="lancedb fork support")
    import lancedb  # noqa: F401


def kill(child: int) -> None:
    try:
        os.kill(child, signal.SIGKILL)
    except ProcessLookupError:
        return


def text_of(number: int, version: int) -> str:
    words = " ".join(f"w{(number * 31 + n * 7 + version) % 997}" for n in range(40))
    return f"# Document {number}\n\nVersion {version} of number {number}. {words}.\n\nThe end of {number}.{version}.\n"


def fill(folder: Path, versions_of: dict[int, int]) -> None:
    """The folder as `versions_of` says: {number: version}."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*.md"):
        if int(path.stem) not in versions_of:
            path.unlink()
    for number, version in versions_of.items():
        path = folder / f"{number}.md"
        text = text_of(number, version)
        if not path.is_file() or path.read_text() != text:
            # A new file: the old one may have another name elsewhere (`copied`).
            path.unlink(missing_ok=True)
            path.write_text(text)
            os.utime(path, (1_600_000_000 + version, 1_600_000_000 + version))


def copied(root: Path, target: Path) -> None:
    """A project's copy; its documents are the same files, so that they are known as unchanged."""
    target.mkdir()
    shutil.copytree(root / "documents", target / "documents", copy_function=os.link)
    for path in root.iterdir():
        if path.name != "documents":
            (shutil.copytree if path.is_dir() else shutil.copy2)(path, target / path.name)


def bring(root: Path) -> list[str]:
    """Ingest, and the generations that are kept."""
    ingest(root / "documents", project=root, embedder="hash")
    with open_catalog(root) as catalog:
        return [one.id for one in catalog.generations()]


def seen(root: Path) -> dict[int, set[int]]:
    """{document: versions of it that catalog and index show}, after whole texts and single rows were checked."""
    with open_catalog(root) as catalog:
        found: dict[int, set[int]] = {}
        for record in catalog.documents():
            document = catalog.document(record.id)
            assert sha256(document.text) == document.revision, record.id
            chunks = list(catalog.chunks(record.id))
            assert all(document.text[c.start : c.end] == c.text for c in chunks), record.id
            assert "".join("".join(c.text for c in chunks).split()) == "".join(document.text.split()), record.id
            number, version = int(record.id[:-3]), int(document.text.split("Version ")[1].split()[0])
            assert f"The end of {number}.{version}." in document.text
            found.setdefault(number, set()).add(version)
        if catalog.current() is not None:
            held = Index(catalog, indexes_folder(root)).held()
            assert len(held) == len(set(held)), "a passage stands twice in the index"
            assert Index(catalog, indexes_folder(root)).search_lexical("version", 5), "the index finds nothing"
        return found


def piece(id: str, lines: list[str], *, groups: tuple[str, ...] = ()) -> tuple[Document, list[Chunk]]:
    """A document with one passage a line."""
    text = "\n".join(lines)
    document = Document(id=id, text=text, title=id, revision=sha256(text), language="en", groups=groups)
    chunks, start = [], 0
    for line in lines:
        end = start + len(line)
        chunks.append(Chunk(f"{id}@{document.revision[:8]}#{start}-{end}", id, document.revision, start, end, line,
                            title=id, language="en", groups=groups))
        start = end + 1
    return document, chunks
