"""AC2-3, AC5, AC11, AC12: who sees what, and what is left of what was erased."""

from __future__ import annotations

import json
import random
import re
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from index_tools import Outcome, bring, fill, fork, piece

from tunewise.catalog import Catalog
from tunewise.embeddings import HashEmbedder
from tunewise.index import Index, access, build
from tunewise.jobs import erase as erase_job
from tunewise.jobs.ask import ask
from tunewise.jobs.check import check
from tunewise.jobs.erase import erase
from tunewise.jobs.ingest import ingest
from tunewise.jobs.search import generations, search, switch
from tunewise.project import load_project
from tunewise.server import open_state
from tunewise.server.principals import Principal
from tunewise.store import append_jsonl, project_folder, write_json

_FILTER = re.compile(r"array_has_any\(access, \['\*'(, '[0-9a-f]{32}')*\]\)")
"""All that a reader's filter can be, whatever their groups are named."""


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
    # The echo model gives no probabilities.
    approaches = [name for name, table in READY_MADE.items() if table.get("index") and not table.get("recipe")
                  and "marginal" not in table and "reranker" not in table.get("retrieval", {})]
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


def ac6(n: int, place: Path) -> Outcome:
    """What a process that lives long answers each reader is what a new one would, across changes and switches."""
    return fork(lambda: _ac6(n, place))


def _ac6(n: int, place: Path, documents: int = 12) -> Outcome:
    from tunewise.jobs.answering import Answering, Asked

    chance = random.Random(6)
    root = place / "ac6"
    (root / "documents").mkdir(parents=True)
    (root / "tunewise.toml").write_text('[project]\nembedder = "hash"\nmodel = "echo"\n', encoding="utf-8")
    project = load_project(root, environ={})
    owners = {f"{k}.md": [[], ["a"], ["b"], ["a", "b"]][k % 4] for k in range(documents)}
    versions = dict.fromkeys(range(documents), 0)
    readers: list[tuple[str, ...] | None] = [(), ("a",), ("b",), ("a", "b"), None]
    failures: list[str] = []
    fill(root / "documents", versions)
    ingest(root / "documents", project=root, embedder="hash", groups=owners)
    kept = Answering(project)
    for trial in range(n):
        what = ("change", "regroup", "switch", "nothing")[trial % 4]
        if what == "change":
            versions[chance.randrange(documents)] = trial + 1
            fill(root / "documents", versions)
        elif what == "regroup":
            owners[f"{chance.randrange(documents)}.md"] = chance.choice([[], ["a"], ["b"], ["a", "b"]])
        if what in ("change", "regroup"):
            ingest(root / "documents", project=root, embedder="hash", groups=owners)
        elif what == "switch":
            current, generations_kept = generations(project)
            others = [one.id for one in generations_kept if one.id != current]
            if others:
                switch(project, others[0])
        question = f"version of number {chance.randrange(documents)}"
        approach = kept.choose("rag", None)
        new = Answering(project)
        asked = [Asked(question, groups) for groups in chance.sample(readers, len(readers))]
        pairs = zip(asked, kept.answer(approach, asked), new.answer(approach, asked), strict=True)
        for one, old, fresh in pairs:
            found = [hit.chunk for hit in kept.search(question, groups=one.groups)]
            if found != [hit.chunk for hit in new.search(question, groups=one.groups)]:
                failures.append(f"trial {trial}, {what}: a search of {one.groups} is not what a new process finds")
            if (old.text, [hit.chunk for hit in old.hits]) != (fresh.text, [hit.chunk for hit in fresh.hits]):
                failures.append(f"trial {trial}, {what}: an answer to {one.groups} is not what a new process gives")
            for chunk in (*found, *(hit.chunk for hit in old.hits)):
                own = owners[chunk.document]
                if own and one.groups is not None and not set(own) & set(one.groups):
                    failures.append(f"trial {trial}, {what}: {one.groups} sees {chunk.document}")
        new.close()
    return {"n": n, "readers": len(readers), "failures": failures}


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
            if not _FILTER.fullmatch(access.where(names) or ""):
                failures.append(f"{names!r} entered the filter")
    return {"n": n, "failures": failures}


def ac12(n: int, place: Path) -> Outcome:
    """An erased document, searched for byte by byte in every file of the project's folder: none has it.

    Erased at once, after an ingest that removed it, after an ingest that was cut short, and after erasures that were
    cut short before and after each of their steps.
    """
    return fork(lambda: _ac12(n, place))


class _Cut(BaseException):
    """What a kill is to the process that it happens to, as far as files and databases can tell."""


_STEPS = ("purge", "forget", "remove", "build", "leave")
_ORDERS = ("at once", "after an ingest", "after an ingest that was cut short",
           *(f"{when} {step}" for step in _STEPS for when in ("before", "after")))


def _ac12(n: int, place: Path) -> Outcome:
    failures, files = [], 0
    root = place / "ac12"
    home = project_folder(root)
    fill(root / "documents", dict.fromkeys(range(20), 0))
    (root / "tunewise.toml").write_text('[project]\nembedder = "hash"\nmodel = "echo"\n')
    project = load_project(root, environ={})
    for trial in range(n):
        order = _ORDERS[trial % len(_ORDERS)]
        # Each word is a canary of its own: full text keeps words, not sentences.
        canary = f"Zq{trial:04}canaryxj"
        path = root / "documents" / f"erase{trial}.md"
        path.write_text(f"# Secret {trial}\n\nThe {canary} sings at night in {canary} street.\n")
        bring(root)
        if search(project, canary)[0].chunk.document != path.name:
            failures.append(f"{path.name} was not found before")
        with closing(open_state(project)) as state:
            _leave_traces(home, state, path.name, canary)
            path.unlink()
            if order == "after an ingest":
                bring(root)
            elif order != "at once":
                when, step = ("after", "remove") if "ingest" in order else order.split()
                owner = {"remove": Catalog, "forget": state}.get(step, erase_job)
                with _cut(owner, step, after=when == "after"), suppress(_Cut):
                    bring(root) if "ingest" in order else erase(project, path.name, forget=state.forget)
            adapters = erase(project, path.name, forget=state.forget).adapters
        if adapters != (f"sft-{path.stem}",):
            failures.append(f"{order}: adapters that learned from {path.name}: {adapters}")
        needles = [canary.encode(), canary.lower().encode(), canary.encode("utf-16-le")]
        for file in home.rglob("*"):
            if file.is_file():
                files += 1
                data = file.read_bytes()
                if any(needle in data for needle in needles):
                    failures.append(f"{order}: {canary} in {file.relative_to(root)}")
        if check(project).faults:
            failures.append(f"{order}: {path.name}: {check(project).faults}")
    return {"n": n, "orders": len(_ORDERS), "files_searched": files, "failures": failures}


def _leave_traces(home: Path, state: Any, document: str, canary: str) -> None:
    """What asking, comparing and training leave of a document."""
    rows = {"chunks": [{"document": document, "text": canary}], "answer": {"citations": []}, "question": canary}
    append_jsonl(home / "runs" / f"rag-{document}" / "rows.jsonl", rows)
    write_json(home / "rating" / f"{document}.json", {"pairs": [{"documents": [document], "a": canary}]})
    write_json(home / "adapters" / f"sft-{Path(document).stem}" / "tunewise.json", {"documents": [document]})
    reply = {"answer": {"hits": [{"chunk": {"document": document}}]}, "content": canary}
    state.remember(Principal("eve"), None, canary, reply)


@contextmanager
def _cut(owner: Any, step: str, *, after: bool) -> Iterator[None]:
    real = getattr(owner, step)

    def cut(*some: Any, **more: Any) -> None:
        if after:
            real(*some, **more)
        raise _Cut

    setattr(owner, step, cut)
    try:
        yield
    finally:
        setattr(owner, step, real)
