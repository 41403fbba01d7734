"""CC1-4: many writers and readers at once.  RP3: the index built again elsewhere."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from index_tools import Outcome, begin, bring, fill, fork, kill, piece, seen

from tunewise.catalog import Catalog
from tunewise.embeddings import HashEmbedder
from tunewise.errors import TunewiseError
from tunewise.index import Index, build
from tunewise.jobs.ingest import indexes_folder, open_catalog
from tunewise.nouns import Retrieval
from tunewise.retrieval import make_retriever

_PATIENCE = 300
"""Seconds after which a writer is taken for one that hangs."""


WRITERS = 8


def cc1(n: int, place: Path) -> Outcome:
    """The same document by eight processes, each with a catalog of its own on one file: one version, whole."""
    url = f"sqlite:///{place / 'cc1.sqlite'}"
    several = multiprocessing.get_context("fork")
    gate, told = several.Barrier(WRITERS + 1, timeout=_PATIENCE), several.SimpleQueue()
    writers = [several.Process(target=_writer, args=(url, version, n, gate, told)) for version in range(WRITERS)]
    for one in writers:
        one.start()
    failures = []
    try:
        gate.wait()
        # Not before: all of them, at once, make the file.
        with Catalog(url) as catalog:
            for trial in range(n):
                gate.wait()
                gate.wait()
                document, chunks = catalog.document(_same(trial)), list(catalog.chunks(_same(trial)))
                revisions = {chunk.revision for chunk in chunks}
                if len(chunks) != 5 or revisions != {document.revision} or len(catalog.documents()) != trial // 2 + 1:
                    failures.append(f"trial {trial}: {len(chunks)} passages of {len(revisions)} versions")
                if f"Trial {trial} " not in document.text:
                    failures.append(f"trial {trial}: what was acknowledged is not there")
    except threading.BrokenBarrierError:
        failures.append("a writer hangs or has died")
        gate.abort()
    for one in writers:
        one.join()
    while not told.empty():
        failures.append(told.get())
    return {"n": n, "writers": f"{WRITERS} processes", "failures": failures}


def _same(trial: int) -> str:
    """The document of a trial: every second time one that is not there yet."""
    return f"same{trial // 2}.md"


def _writer(url: str, version: int, n: int, gate: Any, told: Any) -> None:
    try:
        with Catalog(url) as catalog:
            gate.wait()
            for trial in range(n):
                gate.wait()
                try:
                    lines = [f"Trial {trial} version {version} line {k}." for k in range(5)]
                    catalog.put(*piece(_same(trial), lines))
                except TunewiseError as error:
                    told.put(f"trial {trial}: writer {version}: {error.message}")
                gate.wait()
    except threading.BrokenBarrierError:
        return
    except BaseException as error:  # noqa: BLE001 - whatever it is, the parent waits for it
        told.put(f"writer {version}: {error!r}")
        gate.abort()


def cc2(n: int, place: Path) -> Outcome:
    """Read while another process writes: each search shows one generation, and never fails."""
    root = place / "cc2"
    fill(root / "documents", dict.fromkeys(range(20), 0))
    fork(lambda: bring(root))

    def writer() -> None:
        for version in range(1, 10**6):
            fill(root / "documents", dict.fromkeys(range(20), version))
            bring(root)

    child = begin(writer)
    try:
        failures, generations = fork(lambda: _reader(root, n))
    finally:
        kill(child)
        os.waitpid(child, 0)
    return {"n": n, "generations_seen": generations, "failures": failures}


def _reader(root: Path, n: int) -> tuple[list[str], int]:
    failures, generations = [], set()
    with open_catalog(root) as catalog:
        for trial in range(n):
            try:
                index = Index(catalog, indexes_folder(root))
                generations.add(index.generation.id)
                found = index.search_lexical("version of number", 100)
            except TunewiseError as error:
                failures.append(f"trial {trial}: {error.message}")
                continue
            shown = {c.text.split("Version ")[1].split()[0] for c, _ in found if "Version " in c.text}
            if len(shown) != 1:
                failures.append(f"trial {trial}: versions {sorted(shown)} of {len(found)} passages")
    return failures, len(generations)


def cc3(n: int, place: Path) -> Outcome:
    """Delete, then query: no hit after the acknowledgement, in either leg."""
    return fork(lambda: _cc3(n, place))


def _cc3(n: int, place: Path) -> Outcome:
    failures = []
    embedder = HashEmbedder()
    with Catalog(f"sqlite:///{place / 'cc3.sqlite'}") as catalog:
        catalog.put_all([piece(f"{k}.md", [f"The canary number {k} sings of w{k}."]) for k in range(n)])
        build(catalog, place / "cc3", embedder=embedder)
        index = Index(catalog, place / "cc3")
        for k in range(n):
            text = f"The canary number {k} sings of w{k}."
            catalog.remove(f"{k}.md")
            found = [*index.search_lexical(text, 10), *index.search_dense(embedder.embed([text])[0], 10)]
            if any(chunk.document == f"{k}.md" for chunk, _ in found):
                failures.append(f"{k}.md was found after it was deleted")
    return {"n": n, "failures": failures}


def cc4(n: int, place: Path) -> Outcome:
    """A second writer on one folder: refused or after the first, and the result is whole."""
    root = place / "cc4"
    failures, refused = [], 0
    for trial in range(n):
        fill(root / "documents", dict.fromkeys(range(20), trial))
        command = [sys.executable, "-m", "tunewise", "ingest", "-q", "--embedder", "hash", "-c", str(root)]
        (root / "tunewise.toml").write_text('[project]\nembedder = "hash"\n')
        both = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
                for _ in range(2)]
        errors = [one.communicate()[1] for one in both]
        refused += sum(one.returncode != 0 for one in both)
        if any(one.returncode and "in use by process" not in error for one, error in zip(both, errors, strict=True)):
            failures.append(f"trial {trial}: {errors}")
        if fork(lambda: seen(root)) != {number: {trial} for number in range(20)}:
            failures.append(f"trial {trial}: the folder is not whole")
    return {"n": n, "refused": refused, "failures": failures}


def rp3(n: int, place: Path, *, documents: int = 100) -> Outcome:
    """The index rebuilt elsewhere, in another order: the same ids and the same top 10."""
    return fork(lambda: _rp3(n, place, documents))


def _rp3(n: int, place: Path, documents: int) -> Outcome:
    here, there = place / "rp3", place / "rp3 elsewhere"
    fill(here / "documents", dict.fromkeys(range(documents), 0))
    bring(here)
    # There it grows in steps, with changes on the way, and ends with the same files.
    fill(there / "documents", dict.fromkeys(range(documents // 2), 5))
    bring(there)
    shutil.rmtree(there / "documents")
    fill(there / "documents", dict.fromkeys(range(documents), 0))
    bring(there)
    failures = []
    embedder = HashEmbedder()
    with open_catalog(here) as one, open_catalog(there) as two:
        indexes = [Index(one, indexes_folder(here)), Index(two, indexes_folder(there))]
        if indexes[0].fingerprint != indexes[1].fingerprint:
            failures.append("the fingerprints differ")
        retrievers = [make_retriever(index, embedder, Retrieval(k=10, budget=10**9)) for index in indexes]
        for k in range(n):
            question = [f"version of number {k % documents} w{k * 13 % 997} w{k * 29 % 997}"]
            found = [[(hit.chunk.id, round(hit.score, 9)) for hit in retrieve(question)[0]] for retrieve in retrievers]
            if found[0] != found[1]:
                failures.append(f"question {k}: {found[0][:2]} against {found[1][:2]}")
    return {"n": n, "documents": documents, "failures": failures}
