"""Embedding while documents are still read: the same batches on every run, nothing lost, failures said."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from sample_documents import make
from tunewise.catalog import Catalog
from tunewise.embeddings import HashEmbedder
from tunewise.errors import Failed
from tunewise.index import Ahead, Index, ahead, passage_text
from tunewise.index.vectors import FILE, VectorCache
from tunewise.jobs.ingest import indexes_folder, ingest, open_catalog

TEXTS = [f"Rule {n} holds for {'boxes and ' * (n % 7)}goods." for n in range(1500)]


class Counting(HashEmbedder):
    def __init__(self, wait: float = 0.0) -> None:
        self.batches: list[list[str]] = []
        self.threads: set[str] = set()
        self.wait = wait

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        time.sleep(self.wait)
        self.batches.append(list(texts))
        self.threads.add(threading.current_thread().name)
        return super().embed(texts)


def test_batches_follow_from_the_order_of_the_texts_alone(tmp_path: Path) -> None:
    batches = []
    for run, step in enumerate((1, 7, 700)):
        embedder = Counting(wait=0.01 * run)
        with Ahead(tmp_path / str(run), embedder) as early:
            for start in range(0, len(TEXTS), step):
                early.give(TEXTS[start : start + step])
            early.finish()
        batches.append(embedder.batches)
        assert threading.main_thread().name not in embedder.threads
    assert batches[0] == batches[1] == batches[2]
    assert [len(batch) for batch in batches[0]] == [256, 512, 512]
    cache = VectorCache(tmp_path / "0" / FILE, HashEmbedder())
    given = sum(map(len, batches[0]))
    assert cache.missing(TEXTS) == TEXTS[given:]
    assert np.array_equal(cache.vectors(TEXTS[:given]), HashEmbedder().embed(TEXTS[:given]))
    cache.close()


def test_few_texts_start_no_thread_and_known_ones_are_not_embedded_again(tmp_path: Path) -> None:
    embedder = Counting()
    with Ahead(tmp_path, embedder) as early:
        early.give(TEXTS[:255])
        early.finish()
    assert embedder.batches == [] and not (tmp_path / FILE).exists()
    for _ in range(2):
        with Ahead(tmp_path, embedder) as early:
            early.give(TEXTS[:256])
            early.finish()
    assert [sorted(batch) for batch in embedder.batches] == [sorted(TEXTS[:256])]


def test_a_failure_is_raised_where_it_is_waited_for(tmp_path: Path) -> None:
    class Broken(Counting):
        def embed(self, texts: Sequence[str]) -> np.ndarray:
            raise Failed("the embedder is gone")

    with Ahead(tmp_path, Broken()) as early:
        early.give(TEXTS)
        with pytest.raises(Failed, match="embedder is gone"):
            early.finish()


def test_leaving_begins_nothing_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "_LARGEST", 64)
    embedder = Counting(wait=0.05)
    with pytest.raises(KeyboardInterrupt), Ahead(tmp_path, embedder) as early:
        early.give(TEXTS)
        raise KeyboardInterrupt
    assert len(embedder.batches) <= 1
    assert not [thread for thread in threading.enumerate() if "_run" in thread.name]


def test_progress_is_told_while_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "_SECOND", 0.01)
    told: list[tuple[str, int, int]] = []
    with Ahead(tmp_path, Counting(wait=0.1)) as early:
        early.give(TEXTS)
        early.finish(lambda *event: told.append(event))
    assert told and {(phase, total) for phase, _, total in told} == {("embed", 1280)}
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)


def test_an_ingest_finds_what_was_embedded_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "_FIRST", 64)
    root = tmp_path / "documents"
    root.mkdir()
    for number in range(30):
        lines = (f"## Part {number}.{part}\n\n" + f"Rule {number * part} of part {part} is kept. " * 12
                 for part in range(6))
        (root / f"{number}.md").write_text(f"# Rules {number}\n\n" + "\n\n".join(lines))
    embedder = Counting()
    result = ingest(root, project=tmp_path / "project", embedder=embedder)
    texts = [text for batch in embedder.batches for text in batch]
    assert len(embedder.threads) == 2 and len(texts) == len(set(texts))
    with open_catalog(tmp_path / "project") as catalog:
        chunks = list(catalog.chunks())
        index = Index(catalog, indexes_folder(tmp_path / "project"))
        assert result.generation.chunks == len(chunks) > 64
        assert set(texts) == {passage_text(chunk) for chunk in chunks}
        some = chunks[:: len(chunks) // 9]
        assert index.vectors([c.id for c in some]) == pytest.approx(embedder.embed([passage_text(c) for c in some]))


def test_many_new_documents_and_replaced_ones_in_one_transaction(tmp_path: Path) -> None:
    """What is written together is as if it was written one after the other."""
    pairs = [make(f"{n}.md", f"Sentence {n} is here.", "Another one.") for n in range(5)]
    again = [make("1.md", "Other words.", "Another one."), make("7.md", "First."), make("7.md", "Second.", "Third.")]
    found = []
    for together in (True, False):
        with Catalog(f"sqlite:///{tmp_path / f'{together}.sqlite'}") as catalog:
            for part in (pairs, [*again, make("8.md", "Last.")]):
                for some in [part] if together else [[pair] for pair in part]:
                    catalog.put_all(some)
            chunks = [chunk.text for chunk in catalog.chunks()]
            found.append((catalog.documents(), list(catalog.chunks()), sorted(catalog.chunks_by_id(
                [c.id for _, cut in (*pairs, *again) for c in cut]))))
        assert chunks.count("Another one.") == 5 and "First." not in chunks and "Third." in chunks
    assert found[0] == found[1]
    with Catalog(f"sqlite:///{tmp_path / 'none.sqlite'}") as catalog:
        good, (document, _) = make("a.md", "Whole."), make("b.md", "Half.")
        with pytest.raises(ValueError, match="no span"):
            catalog.put_all([good, (document, good[1])])
        assert catalog.documents() == []
        catalog.put_all([])
