"""Documents cut into one chunk per sentence, for tests of the catalog, the index and retrieval."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tunewise.catalog import Catalog
from tunewise.embeddings import HashEmbedder
from tunewise.index import Index, build
from tunewise.nouns import Chunk, Document, Heading, Page
from tunewise.store import sha256


def make(
    id: str, *sentences: str, groups: tuple[str, ...] = (), language: str = "en"
) -> tuple[Document, list[Chunk]]:
    text = "\n".join(sentences)
    document = Document(
        id=id, text=text, title=f"About {id}", revision=sha256(text), source=f"/files/{id}", language=language,
        pages=(Page(1, 0, len(text)),), headings=(Heading(1, sentences[0], 0, len(sentences[0])),),
        modified="2026-01-02T03:04:05", groups=groups,
    )
    chunks, start = [], 0
    for sentence in sentences:
        end = start + len(sentence)
        chunks.append(
            Chunk(f"{id}@{document.revision[:8]}:{start}", id, document.revision, start, end, sentence, document.title,
                  sentences[0], 1, language, groups)
        )
        start = end + 1
    return document, chunks


@contextmanager
def indexed(
    folder: Path, sentences: Sequence[str], embedder: HashEmbedder, *, groups: Mapping[int, tuple[str, ...]]
) -> Iterator[Index]:
    """An index of documents of one sentence each, `N.md`; `groups` are those of the restricted ones, by number."""
    with Catalog(f"sqlite:///{folder / 'catalog.sqlite'}") as catalog:
        for number, sentence in enumerate(sentences):
            language = "en" if sentence.isascii() else "zh"
            catalog.put(*make(f"{number}.md", sentence, groups=groups.get(number, ()), language=language))
        build(catalog, folder / "indexes", embedder=embedder)
        yield Index(catalog, folder / "indexes")
