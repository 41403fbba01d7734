"""A folder → Documents, read by child processes that a hostile file may kill without harm.

Each thread of this process owns one child and hands it one file after the other; a child that dies, hangs or runs out
of memory costs one file and is replaced. Small plain texts are read here. Knows nothing about formats.
"""

from __future__ import annotations

import os
import queue
import stat
import threading
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from tunewise.errors import DataMistake, TunewiseError
from tunewise.nouns import Document, Heading, Page
from tunewise.reading import SUFFIXES, Unread, read_file, unknown_suffix
from tunewise.reading.child import Child
from tunewise.reading.formats import PLAIN
from tunewise.reading.web_sources import web_sources

Progress = Callable[[str, int, int], None]
_SMALL = 64 << 10
"""Bytes up to which a plain text is read in this process."""
_MORE_TIME = "split the file, or allow more time: --seconds-per-file, or seconds_per_file below [reading]"


def read_folder(
    folder: str | Path,
    *,
    passwords: Sequence[str] = (),
    processes: int = 0,
    seconds_per_file: float = 28,
    progress: Progress | None = None,
    skip: Callable[[str, Path], bool] = lambda name, path: False,
    arrived: Callable[[Document], None] = lambda document: None,
) -> tuple[list[Document], list[Unread]]:
    """All documents below `folder`, sorted by id, and what could not be read of it.

    `skip(id, path)` leaves files out that need not be read again. `seconds_per_file` counts anew for each page that has
    to be recognised (OCR); its default leaves two of half a minute for starting and ending a child. `processes` 0 means
    one for each core. Web pages saved in the folder have their address as source.
    `arrived` is given each document once it and those before it are read, in an order that depends on the files alone
    (its source may still become a web address). A file of which only some pages could be read is in both lists.
    Raises DataMistake when the folder is absent or holds no file that could be a document.
    """
    root = Path(folder)
    wanted, unread = _list(root)
    everything = len(wanted)
    wanted = [item for item in wanted if not skip(*item)]
    if not everything and not unread:
        raise DataMistake(f"{root}: the folder is empty", tip=f"put documents into it ({', '.join(sorted(SUFFIXES))})")
    # Starting a process takes longer than reading a few notes, and nothing in such a file can hurt the reader.
    near = [item for item in wanted if _is_harmless(item[1])]
    # The largest first: one big PDF at the end would leave the other children idle.
    far = sorted(set(wanted).difference(near), key=lambda item: (-_size(item[1]), item[0]))
    documents: list[Document] = []
    answered: dict[str, Document | None] = {}
    order = [name for name, _ in (*near, *far)]
    handed = 0

    def take(name: str, answer: dict) -> None:
        nonlocal handed
        answered[name] = answer.get("document")
        if "document" in answer:
            documents.append(answer["document"])
            unread.extend(Unread(name, note, partly=True) for note in answer["notes"])
        else:
            reason = answer["reason"].removeprefix(f"{root / name}: ")
            unread.append(Unread(name, f"{reason} ({answer['tip']})" if answer.get("tip") else reason))
        if progress:
            progress("read", len(answered), len(wanted))
        while handed < len(order) and order[handed] in answered:
            if document := answered[order[handed]]:
                arrived(document)
            handed += 1

    with _children(far, max(1, processes or os.cpu_count() or 1), seconds_per_file, list(passwords)) as answers:
        for name, path in near:
            take(name, _read_here(name, path))
        for name, answer in answers:
            take(name, answer | {"document": _document(answer["document"])} if "document" in answer else answer)
    addresses = web_sources(root)
    documents = [replace(one, source=addresses[one.id]) if one.id in addresses else one for one in documents]
    return sorted(documents, key=lambda document: document.id), sorted(
        unread, key=lambda item: (item.source, item.reason)
    )


@contextmanager
def _children(
    files: Sequence[tuple[str, Path]], workers: int, seconds: float, passwords: list[str]
) -> Iterator[Iterator[tuple[str, dict]]]:
    """Child processes that read the files, and their answers as they come: (id, answer)."""
    waiting: queue.SimpleQueue[tuple[str, Path]] = queue.SimpleQueue()
    for item in files:
        waiting.put(item)
    done: queue.SimpleQueue[tuple[str, dict] | BaseException] = queue.SimpleQueue()
    children = [Child(seconds, way_out=_MORE_TIME) for _ in range(min(workers, len(files)))]
    threads = [
        threading.Thread(target=_serve, args=(child, waiting, done, passwords), daemon=True) for child in children
    ]

    def answers() -> Iterator[tuple[str, dict]]:
        for _ in files:
            item = done.get()
            if isinstance(item, BaseException):
                raise item
            yield item

    for thread in threads:
        thread.start()
    try:
        yield answers()
    finally:
        for child in children:
            child.stop()
        for thread in threads:
            thread.join(5)


def _is_harmless(path: Path) -> bool:
    """Whether a file is a small plain text in UTF-8: reading it starts no library and takes no time."""
    try:
        if path.suffix.lower() not in PLAIN or path.stat().st_size > _SMALL:
            return False
        path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return False
    return True


def _read_here(name: str, path: Path) -> dict:
    """What a child would answer."""
    notes: list[str] = []
    try:
        return {"document": read_file(path, id=name, notes=notes), "notes": notes}
    except TunewiseError as error:
        return {"reason": error.message, "tip": error.tip}
    except Exception as error:  # noqa: BLE001 - costs one file and is told in its own words, as in worker.py
        return {"reason": f"its reader failed: {type(error).__name__}: {str(error)[:200]}"}


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


# ------------------------------------------------------------------------------------------------ which files


def _list(root: Path) -> tuple[list[tuple[str, Path]], list[Unread]]:
    if not root.is_dir():
        raise DataMistake(f"{root}: there is no such folder", tip="check the path of the documents")
    home = root.resolve()
    wanted: list[tuple[str, Path]] = []
    unread: list[Unread] = []
    ids: set[str] = set()

    def failed(error: OSError) -> None:
        name = Path(error.filename or root)
        if name == root:
            raise DataMistake(f"{root}: {error.strerror}", tip="check who may read the folder") from error
        unread.append(Unread(_id(name, root), f"the folder cannot be opened: {error.strerror}"))

    for where, folders, files in os.walk(root, onerror=failed):
        for name in list(folders):
            path = Path(where, name)
            if name.startswith("."):
                folders.remove(name)
            elif path.is_symlink() and not _within(path, home):
                unread.append(Unread(_id(path, root), "it is a link that leaves the folder of documents"))
        folders.sort()
        for name in sorted(files):
            path = Path(where, name)
            if name.startswith((".", "~$")) or name == "tunewise.toml":
                continue
            if reason := _refused(path, home):
                unread.append(Unread(_id(path, root), reason))
            elif (id := _id(path, root)) in ids:
                unread.append(Unread(id, "another file has this name too, its accents written in another way"))
            else:
                ids.add(id)
                wanted.append((id, path))
    return wanted, unread


def _id(path: Path, root: Path) -> str:
    name = path.relative_to(root).as_posix()
    return unicodedata.normalize("NFC", name.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))


def _within(path: Path, home: Path) -> bool:
    try:
        return path.resolve(strict=True).is_relative_to(home)
    except (OSError, RuntimeError):
        return False


def _refused(path: Path, home: Path) -> str:
    """Why this file is not read; "" when it is to be read."""
    try:
        path.name.encode()
    except UnicodeEncodeError:
        return "its name is not valid UTF-8: rename it"
    if path.suffix.lower() not in SUFFIXES:
        return unknown_suffix(path)
    if path.is_symlink():
        if not path.exists():
            return "it is a link to nothing"
        if not _within(path, home):
            return "it is a link that leaves the folder of documents"
    try:
        kind = path.stat().st_mode
    except OSError as error:
        return error.strerror or str(error)
    return "" if stat.S_ISREG(kind) else "it is not a regular file"


def _serve(child: Child, waiting: queue.SimpleQueue, done: queue.SimpleQueue, passwords: list[str]) -> None:
    while True:
        try:
            name, path = waiting.get_nowait()
        except queue.Empty:
            child.bury()
            return
        try:
            done.put((name, child.ask({"do": "read", "path": str(path), "id": name, "passwords": passwords})))
        except BaseException as error:  # noqa: BLE001 - handed to the thread that waits, which raises it
            done.put(error)
            return


def _document(value: dict) -> Document:
    return Document(
        **{
            **value,
            "pages": tuple(Page(**page) for page in value["pages"]),
            "headings": tuple(Heading(**heading) for heading in value["headings"]),
            "groups": tuple(value["groups"]),
        }
    )
