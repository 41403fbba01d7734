"""The manners of the command line: what goes to which stream, colours, progress, the socket guard of --offline.

Knows nothing about documents or models. Answers and data go to stdout, everything else to stderr.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TextIO

from tunewise.cli.messages import message
from tunewise.errors import ConfigMistake

_RED, _CYAN, _YELLOW, _BOLD = "31", "36", "33", "1"
_PLAIN_EVERY = 10.0
"""Seconds between two progress lines where no terminal is."""


@dataclass(slots=True)
class Manners:
    """How this call of the program is to behave: its global flags."""

    json: bool = False
    quiet: bool = False
    verbose: bool = False
    color: str = "auto"
    no_progress: bool = False
    offline: bool = False
    debug: bool = False
    config: str | None = None


manners = Manners()
"""The one of this process; `reset` gives every call of `run` its own."""


def reset() -> None:
    """Back to the defaults, and the socket guard off."""
    for name, value in ((f, getattr(Manners(), f)) for f in Manners.__dataclass_fields__):
        setattr(manners, name, value)


def is_terminal(stream: TextIO, environ: Mapping[str, str] | None = None) -> bool:
    """Whether a person watches the stream and control codes do what they should."""
    environ = os.environ if environ is None else environ
    return stream.isatty() and environ.get("TERM") != "dumb" and not environ.get("CI")


def colours(stream: TextIO, environ: Mapping[str, str] | None = None) -> bool:
    """--color, then NO_COLOR, then FORCE_COLOR, then whether it is a terminal."""
    environ = os.environ if environ is None else environ
    if manners.color != "auto":
        return manners.color == "always"
    if environ.get("NO_COLOR"):
        return False
    return bool(environ.get("FORCE_COLOR")) or is_terminal(stream, environ)


def _paint(text: str, code: str, stream: TextIO) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if colours(stream) else text


def out(text: str = "") -> None:
    """The command's result, to stdout."""
    print(text)


def out_json(value: Any) -> None:
    """The command's result as one JSON value, to stdout; numbers that JSON does not know become null."""
    from tunewise.nouns import to_json

    print(json.dumps(_finite(to_json(value)), ensure_ascii=False, indent=1, default=str))


def _finite(value: Any) -> Any:
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return value


def _err(prefix: str, colour: str, text: str) -> None:
    print(_paint(message(prefix), colour, sys.stderr) + text, file=sys.stderr, flush=True)


def error(text: str) -> None:
    """`error: …`, also under --quiet."""
    _err("error", _RED, text)


def tip(text: str) -> None:
    """`tip: …`, what to type or to change."""
    if text:
        _err("tip", _CYAN, text)


def warn(text: str) -> None:
    """`warning: …`, unless --quiet."""
    if not manners.quiet:
        _err("warning", _YELLOW, text)


def say(text: str) -> None:
    """A plain remark to stderr, unless --quiet."""
    if not manners.quiet:
        print(text, file=sys.stderr, flush=True)


def detail(text: str) -> None:
    """A remark for --verbose."""
    if manners.verbose:
        print(text, file=sys.stderr, flush=True)


def following(command: str) -> None:
    """The next useful command."""
    if not manners.quiet:
        _err("next", _BOLD, command)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


@contextmanager
def progress() -> Iterator[Callable[[str, int, int], None]]:
    """A `Progress` callable: a bar with time left on a terminal, elsewhere one plain line now and then."""
    if manners.quiet or manners.no_progress:
        yield lambda phase, done, total: None
    elif is_terminal(sys.stderr):
        with _bars() as report:
            yield report
    else:
        yield _plain_lines()


@contextmanager
def _bars() -> Iterator[Callable[[str, int, int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True, no_color=not colours(sys.stderr))
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=False) as bar:
        tasks: dict[str, Any] = {}

        def report(phase: str, done: int, total: int) -> None:
            # What follows " · " is live (loss, tokens/s): the same bar with another text.
            key = phase.partition(" · ")[0]
            if key not in tasks:
                for other in tasks.values():
                    bar.update(other, visible=False)
                tasks[key] = bar.add_task(phase, total=total or None)
            visible = done < total or not total
            bar.update(tasks[key], description=phase, completed=done, total=total or None, visible=visible)

        yield report


def _plain_lines(clock: Callable[[], float] = time.monotonic) -> Callable[[str, int, int], None]:
    begun: dict[str, float] = {}
    last = clock()

    def report(phase: str, done: int, total: int) -> None:
        nonlocal last
        now = clock()
        start = begun.setdefault(phase.partition(" · ")[0], now)
        if now - last < _PLAIN_EVERY:
            return
        last = now
        line = f"{phase} {done}/{total}" if total else f"{phase} {done}"
        if 0 < done < total:
            line += ", " + message("left", time=_clock((now - start) / done * (total - done)))
        print(line, file=sys.stderr, flush=True)

    return report


_guarded = False


def guard_sockets() -> None:
    """Under --offline nothing in this process may open a connection or look a name up.

    An audit hook (PEP 578) sees every Python socket, whichever library opens it; it cannot be taken off again, so it
    is put on once and asks `manners`.
    """
    global _guarded
    os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", HF_DATASETS_OFFLINE="1", TUNEWISE_OFFLINE="1")
    if not _guarded:
        sys.addaudithook(_refuse_sockets)
        _guarded = True


def _refuse_sockets(event: str, arguments: tuple[Any, ...]) -> None:
    if not manners.offline or event not in ("socket.connect", "socket.sendto", "socket.getaddrinfo"):
        return
    if event == "socket.getaddrinfo":
        address = f"{arguments[0]}:{arguments[1]}"
    else:
        # A path is a socket of this machine's own file system.
        if isinstance(arguments[1], (str, bytes)):
            return
        address = ":".join(map(str, arguments[1][:2]))
    raise ConfigMistake(message("offline", address=address), tip=message("offline_tip"))
