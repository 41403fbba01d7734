"""One reading process that a hostile file may kill without harm: it is asked by a line of JSON and answers by one.

Its clock: a question may take so many seconds; {"goes_on": …} before the answer gives the clock back some of them, or,
with null, starts it anew.

Knows nothing about formats; `worker.py` is what runs in the process.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence


class Child:
    """One reading process, started when first needed and again after each death."""

    def __init__(
        self,
        seconds: float,
        command: Sequence[str] = (sys.executable, "-m", "tunewise.reading.worker"),
        way_out: str = "split the file",
    ) -> None:
        self.seconds = seconds
        self.way_out = way_out
        """What to do about a file that took too long."""
        self.command = list(command)
        self.process: subprocess.Popen[str] | None = None
        self.stopped = False
        self.guard = threading.Lock()

    def ask(self, request: dict) -> dict:
        """The child's answer, or {"reason"} when it died or took too long."""
        process = self._started()
        if process is None:
            return {"reason": "reading was stopped"}
        late = threading.Event()

        def kill() -> None:
            late.set()
            process.kill()

        ends = time.monotonic() + self.seconds
        timer = _timer(ends, kill)
        try:
            process.stdin.write(json.dumps(request | {"seconds": self.seconds}) + "\n")
            process.stdin.flush()
            while True:
                line = process.stdout.readline()
                answer = json.loads(line) if line.endswith("\n") else None
                if not answer or "goes_on" not in answer:
                    break
                timer.cancel()
                given = answer["goes_on"]
                ends = time.monotonic() + self.seconds if given is None else ends + given
                timer = _timer(ends, kill)
        except (BrokenPipeError, ValueError):
            answer = None
        finally:
            timer.cancel()
        if answer is not None:
            if late.is_set() or answer.get("last"):
                self.bury()
            return answer
        code = self.bury(patience=1.0)
        if late.is_set():
            return {"reason": f"it took longer than {self.seconds:g} seconds", "tip": self.way_out}
        died = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return {"reason": f"its reader died ({died}): the file is damaged, or made to do harm"}

    def _started(self) -> subprocess.Popen[str] | None:
        with self.guard:
            if self.stopped:
                return None
            if self.process is None or self.process.poll() is not None:
                # Its own session: Ctrl-C reaches this process only, which then stops the children itself.
                self.process = subprocess.Popen(
                    self.command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    text=True,
                    encoding="utf-8",
                    start_new_session=True,
                    env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "OMP_NUM_THREADS": "1"},
                )
            return self.process

    def bury(self, patience: float = 0.0) -> int:
        """End the child, wait for it, and return its exit code; `patience`: seconds in which it may die by itself."""
        with self.guard:
            process, self.process = self.process, None
        if process is None:
            return -signal.SIGKILL
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience)
        process.kill()
        code = process.wait()
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        process.stdout.close()
        return code

    def stop(self) -> None:
        """Kill the child now and start no other; its thread buries it."""
        with self.guard:
            self.stopped = True
            if self.process is not None:
                self.process.kill()


def _timer(ends: float, kill: Callable[[], None]) -> threading.Timer:
    timer = threading.Timer(max(0.0, ends - time.monotonic()), kill)
    timer.daemon = True
    timer.start()
    return timer
