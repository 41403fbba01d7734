"""What a process does to a folder on the disk, in order, as strace saw it.

Knows nothing about what a power loss leaves of it (disk_model).
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

_CALLS = ("open,openat,creat,write,pwrite64,writev,pwritev,pwritev2,lseek,fsync,fdatasync,sync_file_range,rename,"
          "renameat,renameat2,unlink,unlinkat,rmdir,mkdir,mkdirat,link,linkat,truncate,ftruncate,copy_file_range,sendfile,"
          "fallocate")
_LINE = re.compile(r"^(\d+) +(.*)$")
_FINISHED = re.compile(r"^(\w+)\((.*)\)\s+= (-?\d+|\?)(.*)$")
_FD = re.compile(r"^(-?\d+|AT_FDCWD)<(.*?)>(?:\(deleted\))?$")


SAID = b"said "
"""Begins a line that a traced process writes to tell how far it is; its children have other things to say."""


@dataclass(frozen=True, slots=True)
class Op:
    """One change: `path` (and `to`, for rename and link) relative to the folder, "" is the folder itself."""

    kind: Literal["create", "mkdir", "write", "truncate", "sync", "rename", "link", "unlink", "say"]
    path: str
    to: str = ""
    offset: int = 0
    data: bytes = b""


def available() -> bool:
    """Whether there is an strace here."""
    return shutil.which("strace") is not None


def record(arguments: Sequence[str], folder: Path, log: Path) -> list[Op]:
    """Run `python ARGUMENTS…` and give what it did below `folder`; lines that begin with `SAID` become ops "say"."""
    command = ["strace", "-f", "--seccomp-bpf", "-y", "-xx", "-s", "100000000", "-qq", "-e", "signal=none",
               "-e", f"trace={_CALLS}", "-o", str(log), sys.executable, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the traced process failed: {done.stderr[-2000:]}")
    return list(_ops(log, folder.resolve()))


def _whole_lines(log: Path) -> Iterator[str]:
    """The calls, those that were interrupted by another thread put together where they ended."""
    begun: dict[str, str] = {}
    with log.open(encoding="ascii") as file:
        for line in file:
            match = _LINE.match(line.rstrip("\n"))
            if match is None:
                continue
            thread, text = match.groups()
            if text.endswith("<unfinished ...>"):
                begun[thread] = text.removesuffix("<unfinished ...>").rstrip()
            elif text.startswith("<... ") and thread in begun:
                yield begun.pop(thread) + re.sub(r"^<\.\.\. \w+ resumed>", "", text)
            else:
                yield text


def _ops(log: Path, root: Path) -> Iterator[Op]:
    places: dict[int, int | None] = {}
    sizes: dict[str, int] = {}
    for line in _whole_lines(log):
        match = _FINISHED.match(line)
        if match is None or match[3] == "?" or int(match[3]) < 0:
            continue
        call, result = match[1], int(match[3])
        arguments = _split(match[2])
        yield from _op(call, arguments, result, root, places, sizes)


def _op(call: str, arguments: list[str], result: int, root: Path, places: dict[int, int | None],
        sizes: dict[str, int]) -> Iterator[Op]:
    def within(path: str | None) -> str | None:
        if path is None or not (path == str(root) or path.startswith(f"{root}/")):
            return None
        return path.removeprefix(str(root)).lstrip("/")

    def named(number: int, *, at: bool) -> str | None:
        """The path of an argument; with `at` the one before it is the folder that it is relative to."""
        path = _text(arguments[number]).decode(errors="surrogateescape")
        if not path.startswith("/"):
            match = _FD.match(arguments[number - 1]) if at else None
            path = f"{_plain(match[2])}/{path}" if match else path
        return within(path)

    if call in ("open", "openat", "creat"):
        at = call == "openat"
        path, flags = named(1 if at else 0, at=at), "O_CREAT|O_TRUNC|O_WRONLY" if call == "creat" else arguments[1 + at]
        if path is None or "O_DIRECTORY" in flags or not re.search("O_WRONLY|O_RDWR", flags):
            return
        assert "O_TMPFILE" not in flags, path
        places[result] = None if "O_APPEND" in flags else 0
        if "O_CREAT" in flags and path not in sizes:
            sizes[path] = 0
            yield Op("create", path)
        elif "O_TRUNC" in flags and sizes.get(path):
            sizes[path] = 0
            yield Op("truncate", path)
        return
    if call in ("rename", "renameat", "renameat2", "link", "linkat"):
        at = call not in ("rename", "link")
        old, new = named(1 if at else 0, at=at), named(3 if at else 1, at=at)
        if old is None or new is None:
            return
        moving = call.startswith("rename")
        for path in [path for path in sizes if path == old or path.startswith(f"{old}/")]:
            sizes[new + path.removeprefix(old)] = sizes.pop(path) if moving else sizes[path]
        yield Op("rename" if moving else "link", old, new)
        return
    if call in ("unlink", "unlinkat", "rmdir", "mkdir", "mkdirat"):
        at = call in ("unlinkat", "mkdirat")
        path = named(1 if at else 0, at=at)
        if path is not None:
            sizes.pop(path, None)
            yield Op("mkdir" if call.startswith("mkdir") else "unlink", path)
        return
    match = _FD.match(arguments[0])
    if match is None:
        if call == "truncate" and (path := named(0, at=False)) is not None:
            yield Op("truncate", path, offset=int(arguments[1]))
        return
    fd, path = int(match[1]), within(_plain(match[2]))
    if call == "write" and fd == 1 and (text := _text(arguments[1])).startswith(SAID):
        yield Op("say", "", data=text.removeprefix(SAID).strip())
    if path is None or match[0].endswith("(deleted)"):
        return
    if call in ("fsync", "fdatasync"):
        yield Op("sync", path)
    elif call == "lseek":
        if places.get(fd) is not None:
            places[fd] = result
    elif call == "ftruncate":
        sizes[path] = int(arguments[1])
        yield Op("truncate", path, offset=sizes[path])
    elif call in ("write", "pwrite64", "writev", "pwritev"):
        data = b"".join(map(_text, re.findall(r'"[^"]*"', arguments[1])))[:result]
        assert len(data) == result, (call, path)
        where = places.get(fd)
        offset = int(arguments[3]) if call.startswith("p") else (
            sizes.get(path, 0) if where is None else where)
        if not call.startswith("p") and where is not None:
            places[fd] = offset + result
        sizes[path] = max(sizes.get(path, 0), offset + result)
        yield Op("write", path, offset=offset, data=data)
    elif not path.endswith("-shm"):
        raise AssertionError(f"a call that is not replayed yet: {call} of {path}")


def _split(arguments: str) -> list[str]:
    """The arguments of a call; with -xx no string holds a comma, but lists ([{…}, …]) and decoded flags do."""
    found, depth, start = [], 0, 0
    for place, sign in enumerate(arguments):
        if sign in "[{":
            depth += 1
        elif sign in "]}":
            depth -= 1
        elif sign == "," and not depth:
            found.append(arguments[start:place].strip())
            start = place + 1
    return [*found, arguments[start:].strip()]


def _text(argument: str) -> bytes:
    return bytes.fromhex(argument.strip('"').replace("\\x", ""))


def _plain(path: str) -> str:
    """A descriptor's path as `-y` writes it."""
    return bytes.fromhex(path.replace("\\x", "")).decode(errors="surrogateescape") if path.startswith("\\x") else path
