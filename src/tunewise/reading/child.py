"""One reading process that a hostile file may kill without harm: it is asked by a line of JSON and answers by one.

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
from collections.abc import Callable, Sequence


class Child:
    """One reading process, started when first needed and again after each death."""

    def __init__(
        self, seconds: float, command: Sequence[str] = (sys.executable, "-m", "tunewise.reading.worker")
    ) -> None:
        self.seconds = seconds
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

        timer = self._timer(kill)
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            while True:
                line = process.stdout.readline()
                answer = json.loads(line) if line.endswith("\n") else None
                if not answer or "goes_on" not in answer:
                    break
                timer.cancel()
                timer = self._timer(kill)
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
            return {
                "reason": f"it took longer than {self.seconds:g} seconds",
                "tip": "split the file, or allow more time",
            }
        died = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return {"reason": f"its reader died ({died}): the file is damaged, or made to do harm"}

    def _timer(self, kill: Callable[[], None]) -> threading.Timer:
        timer = threading.Timer(self.seconds, kill)
        timer.daemon = True
        timer.start()
        return timer

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
