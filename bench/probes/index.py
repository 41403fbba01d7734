"""Probes of catalog, index and access: python bench/probes/index.py [--only CR1 …] [--share 0.1]

Each probe tries to break one promise n times and prints n with the failures: 0 of n proves only "at most 3/n".
`--share` takes that part of every probe's trials. Needs no model and no network; full-disk probes need the right to
mount a tmpfs. Prints a table and, last, one JSON object; exit code 1 when any trial failed.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from tunewise.catalog import Catalog
from tunewise.embeddings import HashEmbedder
from tunewise.errors import DiskFull, Failed, TunewiseError
from tunewise.index import Index, access, build
from tunewise.jobs.ask import ask
from tunewise.jobs.check import check
from tunewise.jobs.erase import erase
from tunewise.jobs.ingest import indexes_folder, ingest, open_catalog
from tunewise.jobs.search import search
from tunewise.machine import machine, versions
from tunewise.nouns import Chunk, Document, Retrieval
from tunewise.project import load_project
from tunewise.retrieval import make_retriever
from tunewise.store import project_folder, sha256

Outcome = dict[str, Any]


# ------------------------------------------------------------------------------------------------ tools


def fork(call: Callable[[], Any], *, kill_after: float | None = None) -> Any:
    """What `call` returns in a forked child, or None when it was killed after so many seconds.

    LanceDB keeps threads from its import on: this process never imports it, every child does.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(reading)
            value = call()
            with os.fdopen(writing, "wb") as pipe:
                pickle.dump(value, pipe)
            code = 0
        except BaseException as error:  # noqa: BLE001 - handed to the parent
            with os.fdopen(writing, "wb") as pipe:
                pickle.dump(error if isinstance(error, TunewiseError) else Failed(repr(error)), pipe)
        finally:
            os._exit(code)
    os.close(writing)
    if kill_after is not None:
        threading.Timer(kill_after, lambda: _kill(child)).start()
    with os.fdopen(reading, "rb") as pipe:
        data = pipe.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return None
    value = pickle.loads(data)
    if isinstance(value, BaseException):
        raise value
    return value


def _kill(child: int) -> None:
    try:
        os.kill(child, signal.SIGKILL)
    except ProcessLookupError:
        return


def text_of(number: int, version: int) -> str:
    words = " ".join(f"w{(number * 31 + n * 7 + version) % 997}" for n in range(40))
    return f"# Document {number}\n\nVersion {version} of number {number}. {words}.\n\nThe end of {number}.{version}.\n"


def fill(folder: Path, versions_of: dict[int, int]) -> None:
    """The folder as `versions_of` says: {number: version}."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*.md"):
        if int(path.stem) not in versions_of:
            path.unlink()
    for number, version in versions_of.items():
        path = folder / f"{number}.md"
        text = text_of(number, version)
        if not path.is_file() or path.read_text() != text:
            path.write_text(text)
            os.utime(path, (1_600_000_000 + version, 1_600_000_000 + version))


def bring(root: Path) -> list[str]:
    """Ingest, and the generations that are kept."""
    ingest(root / "documents", project=root, embedder="hash")
    with open_catalog(root) as catalog:
        return [one.id for one in catalog.generations()]


def seen(root: Path) -> dict[int, set[int]]:
    """{document: versions of it that catalog and index show}, after whole texts and single rows were checked."""
    with open_catalog(root) as catalog:
        found: dict[int, set[int]] = {}
        for record in catalog.documents():
            document = catalog.document(record.id)
            assert sha256(document.text) == document.revision, record.id
            chunks = list(catalog.chunks(record.id))
            assert all(document.text[c.start : c.end] == c.text for c in chunks), record.id
            assert "".join("".join(c.text for c in chunks).split()) == "".join(document.text.split()), record.id
            number, version = int(record.id[:-3]), int(document.text.split("Version ")[1].split()[0])
            assert f"The end of {number}.{version}." in document.text
            found.setdefault(number, set()).add(version)
        if catalog.current() is not None:
            held = Index(catalog, indexes_folder(root)).held()
            assert len(held) == len(set(held)), "a passage stands twice in the index"
            assert Index(catalog, indexes_folder(root)).search_lexical("version", 5), "the index finds nothing"
        return found


# ------------------------------------------------------------------------------------------------ crash


def cr1(n: int, place: Path, *, documents: int = 200) -> Outcome:
    """kill -9 at random moments of ingest and update: nothing acknowledged lost or doubled, each document whole."""
    chance = random.Random(1)
    root = place / "cr1"
    known = dict.fromkeys(range(documents), 0)
    fill(root / "documents", known)
    started = time.monotonic()
    fork(lambda: bring(root))
    longest = time.monotonic() - started
    failures, killed, slowest = [], 0, 0.0
    for trial in range(n):
        after = dict(known)
        for number in chance.sample(sorted(known), max(1, documents // 20)):
            after[number] = trial + 1
        after[documents + trial] = trial + 1
        gone = chance.choice(sorted(known))
        after.pop(gone)
        fill(root / "documents", after)
        died = fork(lambda: bring(root), kill_after=chance.uniform(0.05, longest)) is None
        killed += died
        try:
            now = fork(lambda: seen(root))
            for number, version in known.items():
                allowed = {version, after.get(number)}
                if number == gone and number not in now:
                    continue
                if now.get(number) is None or not now[number] <= allowed or len(now[number]) != 1:
                    failures.append(f"trial {trial}: document {number} shows {now.get(number)}, not one of {allowed}")
            started = time.monotonic()
            fork(lambda: bring(root))
            slowest = max(slowest, time.monotonic() - started)
            if (end := fork(lambda: seen(root))) != {number: {version} for number, version in after.items()}:
                failures.append(f"trial {trial}: after recovery {len(end)} documents instead of {len(after)}")
        except TunewiseError as error:
            failures.append(f"trial {trial}: {error.message}")
        known = after
    return {"n": n, "killed": killed, "failures": failures, "documents": documents,
            "slowest_recovery_seconds": round(slowest, 1)}


def cr6(n: int, place: Path, *, documents: int = 40) -> Outcome:
    """kill during build, compaction and switch of a generation: a reader sees the old one or the new one, whole."""
    chance = random.Random(6)
    root = place / "cr6"
    fill(root / "documents", dict.fromkeys(range(documents), 0))
    fork(lambda: bring(root))
    failures, killed = [], 0
    for trial in range(n):
        fill(root / "documents", dict.fromkeys(range(documents), trial + 1))
        reading, writing = os.pipe()

        def told(phase: str, done: int, total: int, signalled: int = writing) -> None:
            if phase == "index":
                os.write(signalled, b"x")

        def update(told: Callable[[str, int, int], None] = told) -> bool:
            ingest(root / "documents", project=root, embedder="hash", progress=told)
            return True

        def strike(child_ready: int = reading) -> None:
            os.read(child_ready, 1)

        died = _fork_killed(update, strike, chance.uniform(0, 0.4))
        os.close(reading)
        os.close(writing)
        killed += died
        try:
            shown = fork(lambda: _versions_found(root, documents))
            if len(shown) != 1 or not shown <= {trial, trial + 1}:
                failures.append(f"trial {trial}: a search shows versions {sorted(shown)}")
            fork(lambda: bring(root))
        except TunewiseError as error:
            failures.append(f"trial {trial}: {error.message}")
    return {"n": n, "killed": killed, "failures": failures}


def _fork_killed(call: Callable[[], Any], wait: Callable[[], None], seconds: float) -> bool:
    child = os.fork()
    if child == 0:
        try:
            call()
        finally:
            os._exit(0)
    ready = threading.Thread(target=wait, daemon=True)
    ready.start()
    deadline = time.monotonic() + 60
    while ready.is_alive() and time.monotonic() < deadline:
        if os.waitpid(child, os.WNOHANG)[0]:
            return False
        time.sleep(0.002)
    time.sleep(seconds)
    _kill(child)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def _versions_found(root: Path, documents: int) -> set[int]:
    with open_catalog(root) as catalog:
        hits = Index(catalog, indexes_folder(root)).search_lexical("version of number", 4 * documents)
        return {int(chunk.text.split("Version ")[1].split()[0]) for chunk, _ in hits if "Version " in chunk.text}


# ------------------------------------------------------------------------------------------------ concurrency


def cc1(n: int, place: Path) -> Outcome:
    """The same document by eight writers: one version, whole, with its own passages only."""
    failures = []
    with Catalog(f"sqlite:///{place / 'cc1.sqlite'}") as catalog:
        for trial in range(n):
            def write(version: int, trial: int = trial) -> None:
                catalog.put(*piece("same.md", [f"Trial {trial} version {version} line {k}." for k in range(5)]))

            threads = [threading.Thread(target=write, args=(version,)) for version in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            document, chunks = catalog.document("same.md"), list(catalog.chunks("same.md"))
            revisions = {c.revision for c in chunks}
            if len(chunks) != 5 or revisions != {document.revision} or len(catalog.documents()) != 1:
                failures.append(f"trial {trial}: {len(chunks)} passages of {len(revisions)} versions")
    return {"n": n, "writers": 8, "failures": failures}


def cc2(n: int, place: Path) -> Outcome:
    """Read while another process writes: each search shows one generation, and never fails."""
    root = place / "cc2"
    fill(root / "documents", dict.fromkeys(range(20), 0))
    fork(lambda: bring(root))

    def writer() -> None:
        for version in range(1, 10**6):
            fill(root / "documents", dict.fromkeys(range(20), version))
            bring(root)

    child = os.fork()
    if child == 0:
        try:
            writer()
        finally:
            os._exit(0)
    try:
        failures, generations = fork(lambda: _reader(root, n))
    finally:
        _kill(child)
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


# ------------------------------------------------------------------------------------------------ space and rot


def df(n: int, place: Path) -> Outcome:
    """Ingest and delete on a disk that is full: a clean error, old data readable, deletion works, no false "done"."""
    failures, full, deleted = [], 0, 0
    for trial in range(n):
        disk = place / f"disk{trial}"
        disk.mkdir()
        # From hopelessly small to nearly enough for the second ingest.
        size = 3_500 + trial * 6_000 // max(1, n)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(disk)], check=False,
                                 capture_output=True)
        if mounted.returncode:
            return {"n": 0, "failures": [], "left_out": "no right to mount a tmpfs"}
        try:
            source = place / f"source{trial}"
            fill(source, dict.fromkeys(range(10), 0))
            outcome = fork(lambda source=source, disk=disk: _full(source, disk))
            full += outcome["full"]
            deleted += outcome["deleted"]
            failures += [f"{size} KiB: {one}" for one in outcome["failures"]]
        finally:
            subprocess.run(["umount", str(disk)], check=False)
    return {"n": n, "disk_was_full": full, "deleted_on_full_disk": deleted, "failures": failures}


def _full(source: Path, disk: Path) -> dict[str, Any]:
    def one() -> bool:
        try:
            ingest(source, project=disk, embedder="hash")
        except DiskFull:
            return True
        return False

    failures: list[str] = []
    if one():
        return {"full": 1, "deleted": 0, "failures": failures}
    before = seen(disk)
    # New documents that do not fit, and one that was taken away.
    for number in range(100, 160):
        (source / f"{number}.md").write_text(text_of(number, 1) * 60)
    (source / "3.md").unlink()
    full = one()
    if not full:
        return {"full": 0, "deleted": 0, "failures": failures}
    with open_catalog(disk) as catalog:
        names = {record.id for record in catalog.documents()}
        if "3.md" in names:
            failures.append("a document that was taken away is still there")
        if missing := {f"{k}.md" for k in before if k != 3} - names:
            failures.append(f"lost: {sorted(missing)}")
        found = Index(catalog, indexes_folder(disk)).search_lexical("version of number 5", 20)
        if not any(c.document == "5.md" for c, _ in found) or any(c.document == "3.md" for c, _ in found):
            failures.append("old data is not readable, or a deleted document is")
    return {"full": 1, "deleted": 1, "failures": failures}


def co1(n: int, place: Path) -> Outcome:
    """Single bit flips over catalog, index and their manifests: found by a check, never served."""
    return fork(lambda: _co1(n, place))


def _co1(n: int, place: Path) -> Outcome:
    root = place / "co1"
    fill(root / "documents", dict.fromkeys(range(30), 0))
    (root / "tunewise.toml").write_text('[project]\nembedder = "hash"\n')
    bring(root)
    project = load_project(root, environ={})
    home = project_folder(root)
    files = [path for path in sorted(home.rglob("*")) if path.is_file() and path.suffix != ".lock"
             and path.stat().st_size and (path.name in ("catalog.sqlite", "catalog.json") or "indexes" in path.parts)]
    sizes = [path.stat().st_size for path in files]
    right = [hit.chunk for hit in search(project, "version of number 7")]
    chance = random.Random(3)
    failures, missed, refused = [], 0, 0
    for trial in range(n):
        # Half by size, half by file: small files are as important as large ones.
        path = chance.choices(files, sizes)[0] if trial % 2 else chance.choice(files)
        whole = path.read_bytes()
        flipped = bytearray(whole)
        position, bit = chance.randrange(len(whole)), chance.randrange(8)
        flipped[position] ^= 1 << bit
        path.write_bytes(flipped)
        for extra in ("-wal", "-shm"):
            Path(f"{path}{extra}").unlink(missing_ok=True)
        if not check(project).faults:
            missed += 1
            failures.append(f"not found: {path.relative_to(home)} byte {position} bit {bit}")
        try:
            if [hit.chunk for hit in search(project, "version of number 7")] != right:
                failures.append(f"served wrong: {path.relative_to(home)} byte {position} bit {bit}")
        except TunewiseError:
            refused += 1
        except Exception as error:  # noqa: BLE001 - a refusal that is not ours is still no wrong passage
            refused += 1
            if type(error).__name__ in ("AssertionError", "TypeError"):
                failures.append(f"uncaught {error!r} for {path.relative_to(home)} byte {position} bit {bit}")
        path.write_bytes(whole)
    return {"n": n, "files": len(files), "missed": missed, "searches_refused": refused, "failures": failures}


# ------------------------------------------------------------------------------------------------ access


def ac2(n: int, place: Path, *, documents: int = 500, groups: int = 20) -> Outcome:
    """Canary documents, groups, questions, every approach and door: no leak, and the same as if they were not there."""
    return fork(lambda: _ac2(n, place, documents, groups))


def _ac2(n: int, place: Path, documents: int, groups: int) -> Outcome:
    from tunewise.approaches import READY_MADE

    chance = random.Random(2)
    root = place / "ac2"
    folder = root / "documents"
    names = [f"g{k}" for k in range(groups)]
    rules = []
    owner: dict[str, set[str]] = {}
    for k in range(documents):
        id = f"c{k:03}.md"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / id).write_text(f"# File {k}\n\nThe canary C{k:04}X sings in room {k}. Its colour is shade-{k}.\n")
        own = set(chance.sample(names, k % 3))
        owner[id] = own
        if own:
            rules.append(f'"{id}" = {json.dumps(sorted(own))}')
    (root / "questions.jsonl").write_text("".join(
        json.dumps({"id": f"q{k}", "question": f"Which colour has the canary of room {k}?", "answers": [f"shade-{k}"],
                    "gold": [{"document": f"c{k:03}.md"}], "split": "validation"}) + "\n"
        for k in range(0, documents, 7)), encoding="utf-8")
    (root / "tunewise.toml").write_text(
        '[project]\nembedder = "hash"\nmodel = "echo"\n[groups]\n' + "\n".join(rules), encoding="utf-8")
    project = load_project(root, environ={})
    ingest(folder, project=root, embedder="hash", groups=project.groups)
    approaches = [name for name, table in READY_MADE.items()
                  if table.get("index") and not table.get("recipe") and "marginal" not in table]
    failures = []
    for trial in range(n):
        reader = tuple(chance.sample(names, trial % 3))
        k = chance.randrange(documents)
        question = f"Which colour has the canary C{k:04}X of room {k}?"
        hidden = {id for id, own in owner.items() if own and not own & set(reader)}
        name = approaches[trial % len(approaches)]
        hits = search(project, question, groups=reader)
        answer, _ = ask(project, question, approach=name, groups=reader)
        shown = json.dumps([[h.chunk.text, h.chunk.document] for h in (*hits, *answer.hits)]
                           + [[answer.text, answer.raw]] + [[c.document, c.quote] for c in answer.citations])
        for id in hidden:
            if f"C{id[1:4].rjust(4, '0')}X" in shown.replace(question, "") or f'"{id}"' in shown:
                failures.append(f"{name}: a reader of {reader} sees {id}")
        if f"c{k:03}.md" not in hidden and name == "rag" and not any(h.chunk.document == f"c{k:03}.md" for h in hits):
            failures.append(f"a reader of {reader} does not find c{k:03}.md, which is theirs")
    # The same project without what this reader may not see gives the same passages.
    reader = ("g1",)
    allowed = place / "ac2-allowed"
    for id, own in owner.items():
        if not own or own & set(reader):
            (allowed / "documents").mkdir(parents=True, exist_ok=True)
            shutil.copy(folder / id, allowed / "documents" / id)
    (allowed / "tunewise.toml").write_text('[project]\nembedder = "hash"\nmodel = "echo"\n')
    ingest(allowed / "documents", project=allowed, embedder="hash")
    other = load_project(allowed, environ={})
    unequal = 0
    asked = range(0, documents, max(1, documents // 50))
    for k in asked:
        question = f"Which colour has the canary of room {k}?"
        here = [hit.chunk.document for hit in search(_lexical(project), question, groups=reader)]
        there = [hit.chunk.document for hit in search(_lexical(other), question)]
        unequal += set(here) != set(there)
    dense = sum([h.chunk.document for h in search(_dense(project), f"room {k} canary", groups=reader)]
                != [h.chunk.document for h in search(_dense(other), f"room {k} canary")] for k in asked)
    if dense:
        failures.append(f"{dense} dense searches differ from those of a project without the hidden documents")
    # AC5: BM25 counts words over all passages, hidden ones included, as the store keeps one table of terms.
    return {"n": n, "documents": documents, "groups": groups, "approaches": approaches, "failures": failures,
            "ac5_full_text_sets_that_differ": f"{unequal} of {len(asked)} (documented: term statistics are global)"}


def _lexical(project: Any) -> Any:
    return replace(project, retrieval=replace(project.retrieval, mode="lexical"))


def _dense(project: Any) -> Any:
    return replace(project, retrieval=replace(project.retrieval, mode="dense"))


def ac11(n: int, place: Path) -> Outcome:
    """Group names made to widen the filter: none sees more than what is public."""
    return fork(lambda: _ac11(n, place))


def _ac11(n: int, place: Path) -> Outcome:
    chance = random.Random(11)
    parts = ["'", '"', "*", "--", ";", ")", "(", "]", "[", " OR ", "1=1", "true", "access", "array_has_any(", "\\",
             "\0", "%", "_", "secret", "\n", "/*", "*/", "UNION SELECT", "组", "＇", "`", "$1", "{}", "null"]
    failures = []
    embedder = HashEmbedder()
    with Catalog(f"sqlite:///{place / 'ac11.sqlite'}") as catalog:
        catalog.put(*piece("public.md", ["The public canary sings."]))
        catalog.put(*piece("secret.md", ["The secret canary sings."], groups=("secret",)))
        build(catalog, place / "ac11", embedder=embedder)
        index = Index(catalog, place / "ac11")
        vector = embedder.embed(["canary sings"])[0]
        for _ in range(n):
            names = ["".join(chance.choices(parts, k=chance.randint(1, 8))) for _ in range(chance.randint(1, 3))]
            names = [name for name in names if name != "secret"]
            legs = (index.search_lexical("canary", 10, groups=names), index.search_dense(vector, 10, groups=names))
            for found in legs:
                if {chunk.document for chunk, _ in found} != {"public.md"}:
                    failures.append(f"{names!r} sees {[chunk.document for chunk, _ in found]}")
            condition = access.where(names) or ""
            if not condition.replace("array_has_any(access, [", "").replace("'", "").replace("])", "").replace(
                    ", ", "").replace("*", "").isalnum():
                failures.append(f"{names!r} entered the filter")
    return {"n": n, "failures": failures}


def ac12(n: int, place: Path) -> Outcome:
    """An erased document, searched for byte by byte in every file of the project's folder: none has it."""
    return fork(lambda: _ac12(n, place))


def _ac12(n: int, place: Path) -> Outcome:
    failures, files = [], 0
    root = place / "ac12"
    fill(root / "documents", dict.fromkeys(range(20), 0))
    (root / "tunewise.toml").write_text('[project]\nembedder = "hash"\nmodel = "echo"\n')
    for trial in range(n):
        # Each word is a canary of its own: full text keeps words, not sentences.
        canary = f"Zq{trial:04}canaryxj"
        path = root / "documents" / f"erase{trial}.md"
        path.write_text(f"# Secret {trial}\n\nThe {canary} sings at night in {canary} street.\n")
        bring(root)
        project = load_project(root, environ={})
        if search(project, canary)[0].chunk.document != path.name:
            failures.append(f"{path.name} was not found before")
        path.unlink()
        erase(project, path.name)
        needles = [canary.encode(), canary.lower().encode(), canary.encode("utf-16-le")]
        for file in project_folder(root).rglob("*"):
            if file.is_file():
                files += 1
                data = file.read_bytes()
                if any(needle in data for needle in needles):
                    failures.append(f"{canary} in {file.relative_to(root)}")
        if check(project).faults:
            failures.append(f"{path.name}: {check(project).faults}")
    return {"n": n, "files_searched": files, "failures": failures}


# ------------------------------------------------------------------------------------------------ replay


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


def piece(id: str, lines: list[str], *, groups: tuple[str, ...] = ()) -> tuple[Document, list[Chunk]]:
    """A document with one passage a line."""
    text = "\n".join(lines)
    document = Document(id=id, text=text, title=id, revision=sha256(text), language="en", groups=groups)
    chunks, start = [], 0
    for line in lines:
        end = start + len(line)
        chunks.append(Chunk(f"{id}@{document.revision[:8]}#{start}-{end}", id, document.revision, start, end, line,
                            title=id, language="en", groups=groups))
        start = end + 1
    return document, chunks


PROBES: dict[str, tuple[Callable[[int, Path], Outcome], int]] = {
    "CR1": (cr1, 500), "CR6": (cr6, 200), "CC1": (cc1, 1000), "CC2": (cc2, 300), "CC3": (cc3, 1000), "CC4": (cc4, 50),
    "DF1-2": (df, 20), "CO1": (co1, 1000), "AC2-3": (ac2, 5000), "AC11": (ac11, 1000), "AC12": (ac12, 50),
    "RP3": (rp3, 500),
}


def run(name: str, n: int) -> Outcome:
    """One probe in a folder of its own, with the seconds that it took."""
    probe, _ = PROBES[name]
    with tempfile.TemporaryDirectory(prefix="tunewise-probe-") as place:
        started = time.monotonic()
        found = probe(n, Path(place))
    return {**found, "seconds": round(time.monotonic() - started, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", choices=list(PROBES))
    parser.add_argument("--share", type=float, default=1.0)
    args = parser.parse_args()
    figures = {}
    for name in args.only or PROBES:
        n = max(1, round(args.share * PROBES[name][1]))
        found = figures[name] = run(name, n)
        rest = {key: value for key, value in found.items() if key not in ("n", "failures")}
        print(f"{name:6} n={found['n']:5}  failures={len(found['failures']):3}  {rest}", flush=True)
        for failure in found["failures"][:5]:
            print(f"       {failure}", flush=True)
    print(json.dumps({"name": "probes/index", "figures": figures, "units": "trials", "runs": 1, "machine": machine(),
                      "versions": versions()}))
    raise SystemExit(any(found["failures"] for found in figures.values()))


if __name__ == "__main__":
    main()
