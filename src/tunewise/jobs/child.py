"""Run one long function in a process of its own: its memory is its own, and its death kills nothing else."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from tunewise.errors import Failed, TunewiseError

Progress = Callable[[str, int, int], None]


class Killed(Failed):
    """The process got signal 9, which is how the kernel takes memory back."""


def _work(function: Callable[..., Any], arguments: dict[str, Any], pipe: Connection, notes: bool) -> None:
    # Ctrl-C reaches the whole group; the parent decides, so the child just ends, without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if notes:
        arguments["note"] = lambda text: pipe.send(("note", text))
    try:
        result = function(**arguments, progress=lambda phase, done, total: pipe.send(("progress", phase, done, total)))
        pipe.send(("result", result))
    except TunewiseError as error:
        pipe.send(("mistake", error))
    except Exception as error:
        pipe.send(("error", f"{type(error).__name__}: {error}"))


def in_child(
    function: Callable[..., Any],
    arguments: dict[str, Any],
    *,
    progress: Progress,
    what: str,
    note: Callable[[str], None] | None = None,
) -> Any:
    """`function(**arguments, progress=…)` in a fresh process; its result, or `Failed` if it died.

    `Killed`, most often for want of memory, is a `Failed`. With `note` the function is given a `note` as well, whose
    texts arrive here.
    """
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    given = (function, arguments, there, note is not None)
    process = context.Process(target=_work, args=given, name="tunewise-" + what)
    process.start()
    there.close()
    try:
        while True:
            try:
                kind, *value = here.recv()
            except EOFError:
                process.join()
                error = Killed if process.exitcode == -signal.SIGKILL else Failed
                raise error(
                    f"{what} ended without a result (exit code {process.exitcode})",
                    tip="exit code -9 mostly means that memory ran out: "
                    "close other programs, or use a smaller model or batch",
                ) from None
            if kind == "progress":
                progress(*value)
            elif kind == "note" and note is not None:
                note(*value)
            elif kind == "result":
                process.join()
                return value[0]
            elif kind == "mistake":
                raise value[0]
            else:
                raise Failed(f"{what} failed: {value[0]}", tip="run it again with --debug")
    finally:
        if process.is_alive():
            process.terminate()
            process.join(10)
        here.close()
