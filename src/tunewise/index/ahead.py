"""Embeds passages in a thread of its own while documents are still read, cut and written to the catalog.

What it computes lies in the cache of vectors, where a build finds it: nothing depends on how far it came. Portions are
cut by the order of the texts alone, so that the same documents give the same batches on every run.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from tunewise.index.vectors import FILE, VectorCache

if TYPE_CHECKING:
    from tunewise.embeddings import Embedder

_FIRST, _LARGEST = 256, 512
"""Texts in the first portion, and in the largest: each is twice the one before, since long portions pad less."""
_SECOND = 1.0


class Ahead:
    """`give` texts as they come, then `finish`; leaving the context begins nothing more.

    `cache`: the folder of the cache of vectors.
    """

    def __init__(self, cache: Path, embedder: Embedder) -> None:
        self._file, self._embedder = Path(cache) / FILE, embedder
        self._texts: list[str] = []
        self._size = _FIRST
        self._portions: queue.SimpleQueue[list[str] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._stopped, self._given, self._done = False, 0, 0
        self._failed: BaseException | None = None

    def give(self, texts: Iterable[str]) -> None:
        """Embed these texts soon."""
        self._texts += texts
        while len(self._texts) >= self._size:
            part, self._texts = self._texts[: self._size], self._texts[self._size :]
            self._portions.put(part)
            self._given += len(part)
            self._size = min(2 * self._size, _LARGEST)
            if self._thread.ident is None:
                self._thread.start()

    def finish(self, progress: Callable[[str, int, int], None] | None = None) -> None:
        """Wait until every portion that was given is embedded; what is left of the texts is the build's to embed.

        Raises what the embedder or its cache raised.
        """
        self._portions.put(None)
        while self._thread.is_alive():
            self._thread.join(_SECOND)
            if progress is not None and self._thread.is_alive():
                progress("embed", self._done, self._given)
        if self._failed is not None:
            raise self._failed

    def __enter__(self) -> Ahead:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Begin nothing more, and wait for what was begun."""
        self._stopped = True
        self._portions.put(None)
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        try:
            vectors = VectorCache(self._file, self._embedder)
            try:
                while (part := self._portions.get()) is not None and not self._stopped:
                    for _ in vectors.add(vectors.missing(part), batch=_LARGEST):
                        pass
                    self._done += len(part)
            finally:
                vectors.close()
        except BaseException as error:  # noqa: BLE001 - raised by the thread that waits
            self._failed = error
