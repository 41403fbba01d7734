"""Files that are whole or absent: atomic writes, append-only logs, fingerprints, one-writer locks.

Knows nothing about what is in the files. A write is acknowledged after fsync of the file and of its folder.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tunewise.errors import Damaged, DataMistake, DiskFull, Failed

_BLOCK = 1 << 20
_CANONICAL = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def sha256(data: bytes | str | Path) -> str:
    """Hexadecimal SHA-256 of bytes, of a string's UTF-8, or of a file's content (streamed)."""
    if isinstance(data, Path):
        digest = hashlib.sha256()
        with data.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
        return digest.hexdigest()
    return hashlib.sha256(data.encode() if isinstance(data, str) else data).hexdigest()


def fingerprint(value: Any) -> str:
    """SHA-256 of a value's canonical JSON: the identity of settings."""
    return sha256(_CANONICAL.encode(value))


_FULL = ("No space left on device", "os error 28", "Disk quota exceeded", "os error 122")
_WRITER = ("inline_container", "iostream error", "PytorchStreamWriter")
"""What torch's own writer calls a file that did not take what was written to it, whatever the reason."""
_NEXT_TO_NOTHING = 1 << 20


def disk_full(error: BaseException, path: Path | None = None) -> bool:
    """Whether an error says that the disk, or its owner's quota, is full.

    Libraries in Rust and C++ (safetensors, lancedb, torch) raise exceptions of their own, which tell it in words only.
    torch's writer does not even do that: the disk that holds `path` is asked then.
    """
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    if any(words in str(error) for words in _FULL):
        return True
    return path is not None and any(words in str(error) for words in _WRITER) and _free(path) < _NEXT_TO_NOTHING


def _free(path: Path) -> int:
    """Bytes that are left for us on the disk that holds a path, which need not be there yet."""
    place = next(one for one in (path, *path.absolute().parents) if one.exists())
    about = os.statvfs(place)
    return about.f_bavail * about.f_frsize


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn whatever says that the disk is full into `DiskFull` with the path; other errors pass."""
    try:
        yield
    except Exception as error:
        if disk_full(error, path) and not isinstance(error, DiskFull):
            raise DiskFull(
                f"no space left on the disk that holds {path}",
                tip="free some space and run the same command again: it goes on where it stopped",
            ) from error
        raise


def make_folder(folder: Path) -> None:
    """Make a folder and what is missing above it; after a power loss it is still there."""
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for one in reversed(missing):
        one.mkdir(exist_ok=True)
        sync_folder(one.parent)


def sync_folder(folder: Path) -> None:
    """Bring a folder's names to the disk: what was written to it, or taken out of it, is so after a power loss."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_file(path: Path) -> None:
    """Bring a file's content to the disk, as it is."""
    with Path(path).open("rb") as file:
        os.fsync(file.fileno())


def write_bytes(path: Path, data: bytes) -> str:
    """Write a file whole or not at all, and return its SHA-256; `DiskFull` leaves the old content."""
    path = Path(path)
    with disk_errors(path):
        make_folder(path.parent)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        aside = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            aside.chmod(0o644)
            aside.replace(path)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)
    return sha256(data)


def write_text(path: Path, text: str) -> str:
    """`write_bytes` of the text's UTF-8."""
    return write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> str:
    """`write_text` of readable JSON with sorted keys."""
    return write_text(path, json.dumps(value, ensure_ascii=False, sort_keys=True, indent=1) + "\n")


def read_json(path: Path) -> Any:
    """The JSON value of a file of ours; `Damaged` when it is none."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise Damaged(f"{path} is not whole: {error}", tip="delete it and run the command again") from error


def read_jsonl(path: Path) -> Iterator[tuple[int, Any]]:
    """(line number, value) of every line of a user's file; all broken lines are raised together, at the end."""
    faults = []
    with Path(path).open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                value = json.loads(line)
            except ValueError as error:
                faults.append(f"{path}:{number}: not JSON: {error}")
                continue
            yield number, value
    if faults:
        raise DataMistake(
            f"{len(faults)} line(s) of {path} are not JSON", tip="one JSON object on each line", faults=tuple(faults)
        )


def append_jsonl(path: Path, value: Any, *, sync: bool = True) -> None:
    """Append one line to a log of ours; with `sync` it is on the disk when this returns."""
    path = Path(path)
    line = (json.dumps(value, ensure_ascii=False, sort_keys=True) + "\n").encode()
    with disk_errors(path):
        make_folder(path.parent)
        new = not path.exists()
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            start = os.fstat(handle).st_size
            try:
                written = 0
                while written < len(line):
                    written += os.write(handle, line[written:])
                if sync:
                    os.fsync(handle)
            except OSError:
                # A torn line would swallow the next one.
                os.ftruncate(handle, start)
                raise
        finally:
            os.close(handle)
        if new and sync:
            sync_folder(path.parent)


def recover_jsonl(path: Path) -> list[Any]:
    """All whole lines of a log of ours; a torn last line (power loss, kill) is cut off the file."""
    path = Path(path)
    if not path.exists():
        return []
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    values = []
    for number, line in enumerate(data[:whole].splitlines(), 1):
        try:
            values.append(json.loads(line))
        except ValueError as error:
            raise Damaged(f"{path}:{number}: not JSON: {error}", tip="delete the file to start again") from error
    if whole < len(data):
        with path.open("r+b") as file:
            file.truncate(whole)
            os.fsync(file.fileno())
    return values


def project_folder(root: Path) -> Path:
    """Where a project keeps what can be made again: catalog, indexes, adapters, runs, cache."""
    return Path(root) / ".tunewise"


@contextmanager
def lock(path: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold a file as the only writer; a second gets `Failed` with the holder's process id. Dies with its process.

    `wait`: a second waits until the first is done, for what takes a moment only.
    """
    path = Path(path)
    make_folder(path.parent)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(handle, 32, 0).decode(errors="replace").strip() or "unknown"
            raise Failed(
                f"{path.parent} is in use by process {holder}", tip="wait until it is done, or stop it"
            ) from error
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(handle)
