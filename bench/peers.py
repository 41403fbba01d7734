"""One ingest by another framework, for bench/ingest.py: peers.py NAME FOLDER TOKENS → one JSON object.

Each framework is given the embedder of this package through its own seam, reads the same Markdown files as text, splits
them with its own splitter at about the same length, and keeps the vectors in the store it ships.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tunewise.embeddings import load_embedder

Result = tuple[float, int, int]
"""(seconds, passages, characters)."""


def llama_index(folder: Path, tokens: int) -> Result:
    from llama_index.core import SimpleDirectoryReader, VectorStoreIndex
    from llama_index.core.embeddings import BaseEmbedding
    from llama_index.core.node_parser import SentenceSplitter

    class Embedding(BaseEmbedding):
        def _get_query_embedding(self, query: str) -> list[float]:
            return EMBEDDER.embed([query])[0].tolist()

        async def _aget_query_embedding(self, query: str) -> list[float]:
            return self._get_query_embedding(query)

        def _get_text_embedding(self, text: str) -> list[float]:
            return self._get_query_embedding(text)

        def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
            return EMBEDDER.embed(texts).tolist()

    splitter = SentenceSplitter(chunk_size=tokens + 20, chunk_overlap=0, include_metadata=False,
                                tokenizer=lambda text: [0] * EMBEDDER.count_tokens(text))
    started = time.perf_counter()
    documents = SimpleDirectoryReader(str(folder), recursive=True).load_data()
    nodes = splitter.get_nodes_from_documents(documents)
    VectorStoreIndex(nodes, embed_model=Embedding(embed_batch_size=32))
    return time.perf_counter() - started, len(nodes), sum(len(node.get_content()) for node in nodes)


def langchain(folder: Path, tokens: int) -> Result:
    from langchain_core.documents import Document
    from langchain_core.embeddings import Embeddings
    from langchain_core.vectorstores import InMemoryVectorStore
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    class Embedding(Embeddings):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return EMBEDDER.embed(texts).tolist()

        def embed_query(self, text: str) -> list[float]:
            return self.embed_documents([text])[0]

    splitter = RecursiveCharacterTextSplitter(chunk_size=tokens, chunk_overlap=0, length_function=EMBEDDER.count_tokens)
    started = time.perf_counter()
    documents = [Document(path.read_text(encoding="utf-8"), metadata={"source": str(path)}) for path in files(folder)]
    parts = splitter.split_documents(documents)
    InMemoryVectorStore(Embedding()).add_documents(parts)
    return time.perf_counter() - started, len(parts), sum(len(part.page_content) for part in parts)


def haystack(folder: Path, tokens: int) -> Result:
    from haystack.components.converters import TextFileToDocument
    from haystack.components.preprocessors import DocumentSplitter
    from haystack.components.writers import DocumentWriter
    from haystack.document_stores.in_memory import InMemoryDocumentStore

    store, read = InMemoryDocumentStore(), TextFileToDocument()
    # About three words to four tokens.
    split = DocumentSplitter(split_by="word", split_length=3 * tokens // 4, split_overlap=0)
    split.warm_up()
    started = time.perf_counter()
    documents = split.run(documents=read.run(sources=files(folder))["documents"])["documents"]
    # In batches of 32, as its own embedders do.
    for start in range(0, len(documents), 32):
        part = documents[start : start + 32]
        for document, vector in zip(part, EMBEDDER.embed([d.content or "" for d in part]), strict=True):
            document.embedding = vector.tolist()
    DocumentWriter(store).run(documents=documents)
    seconds = time.perf_counter() - started
    kept = store.filter_documents()
    return seconds, len(kept), sum(len(document.content or "") for document in kept)


def txtai(folder: Path, tokens: int) -> Result:
    import re

    from txtai import Embeddings

    embeddings = Embeddings(method="external", transform=lambda texts: EMBEDDER.embed(list(texts)), content=True)
    started = time.perf_counter()
    parts = []
    for path in files(folder):
        group = ""
        # It has no splitter by tokens of its own without NLTK: sentences, joined up to the limit.
        for sentence in re.split(r"(?<=[.!?。！？])\s*", path.read_text(encoding="utf-8")):
            if group and EMBEDDER.count_tokens(f"{group} {sentence}") > tokens:
                parts.append(group)
                group = ""
            group = f"{group} {sentence}".strip()
        parts += [group] if group else []
    embeddings.index(parts)
    return time.perf_counter() - started, len(parts), sum(map(len, parts))


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


FRAMEWORKS: dict[str, Callable[[Path, int], Result]] = {
    "llama-index": llama_index, "langchain": langchain, "haystack": haystack, "txtai": txtai,
}


if __name__ == "__main__":
    EMBEDDER = load_embedder("minilm")
    EMBEDDER.embed(["warm"])
    seconds, passages, characters = FRAMEWORKS[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]))
    print(json.dumps({"seconds": seconds, "passages": passages, "characters": characters}))
