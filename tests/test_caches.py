"""AC6: what is kept in memory never passes from one reader, generation or adapter to another."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from sample_server import make_project, served
from tunewise.jobs.answering import Answering, Asked
from tunewise.jobs.ingest import ingest_project
from tunewise.jobs.search import generations, switch

ROOT = Path(__file__).parent.parent
SRC = ROOT / "src" / "tunewise"
READERS = ((), ("kitchen",), ("office",), None)
SECRETS = {"saffron": ("kitchen",), "payroll": ("office",)}


def test_one_question_of_readers_with_other_groups_in_one_batch_and_one_after_the_other(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    answering = Answering(project)
    for asked in ("How many spoons of saffron go in?", "On which day does the payroll close?"):
        # Each reader after each other one, and all together: nothing is left of whoever asked before.
        for order in (READERS, READERS[::-1]):
            for name in ("rag", "few-shot"):
                approach = answering.choose(name, None)
                together = answering.answer(approach, [Asked(asked, groups) for groups in order])
                for groups, batched in zip(order, together, strict=True):
                    alone = answering.answer(approach, [Asked(asked, groups)])[0]
                    assert (alone.text, alone.hits) == (batched.text, batched.hits)
                    hits = (*alone.hits, *answering.search(asked, groups=groups))
                    shown = f"{alone.raw} {[hit.chunk.text for hit in hits]}"
                    for word, own in SECRETS.items():
                        if groups is not None and not set(own) & set(groups):
                            assert word not in shown.replace(asked, ""), (name, groups)
    answering.close()


def test_a_generation_that_another_process_switched_to_answers_at_once(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    page, asked = project.documents / "payroll.md", "On which day does the payroll close?"
    answering = Answering(project)

    def days() -> list[str]:
        """What two readers see of it, in an answer's passages and in a search."""
        approach = answering.choose("rag", None)
        answers = answering.answer(approach, [Asked(asked, groups) for groups in (("office",), ("kitchen",))])
        hits = [[*answer.hits, *answering.search(asked, groups=groups)]
                for answer, groups in zip(answers, (("office",), ("kitchen",)), strict=True)]
        return [" ".join(sorted(set(re.findall(r"day \d+", " ".join(hit.chunk.text for hit in own))))) for own in hits]

    assert days() == ["day 25", ""]
    before = generations(project)[0]
    page.write_text(page.read_text(encoding="utf-8").replace("day 25", "day 9"), encoding="utf-8")
    ingest_project(project)
    assert days() == ["day 9", ""]
    switch(project, before)
    assert days() == ["day 25", ""]
    answering.close()


def test_a_model_is_kept_by_its_name_and_adapter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = make_project(tmp_path)
    # One that can lie on a shared base, and one that cannot.
    monkeypatch.setattr("tunewise.jobs.answering.can_share", lambda adapter: adapter.name == "a")
    loaded = []

    def load(name, adapters):
        loaded.append((name, tuple(adapters)))
        return {key: SimpleNamespace(name=name, adapter=key) for key in adapters}

    answering = Answering(project, load=load)
    wanted = [("one", None), ("one", tmp_path / "a"), ("one", tmp_path / "b"), ("two", tmp_path / "a"), ("two", None)]
    for name, adapter in wanted * 2:
        model = answering.model(name, adapter)
        assert (model.name, model.adapter) == (name, str(adapter or ""))
    assert len(loaded) >= len(wanted) - 1
    answering.close()


def test_nothing_that_is_sent_is_kept_on_the_way(tmp_path: Path) -> None:
    with served(make_project(tmp_path)) as (address, _):
        for path in ("/v1/documents", "/v1/documents/lamp.md", "/v1/me", "/", "/ask", "/v1/models"):
            found = httpx.get(f"{address}{path}", timeout=20, follow_redirects=True)
            assert "no-store" in found.headers["cache-control"], path


def test_every_cache_is_on_the_list() -> None:
    """Caches by decorator, wherever they are, and the classes that hold some by hand."""
    listed = set(re.findall(r"`([a-z_/]+)`", (ROOT / "docs/server.md").read_text(encoding="utf-8")))
    found = {"jobs/answering", "server/state", "server/access", "index/vectors", "models/llamacpp", "models/local",
             "models/endpoint"}
    for path in SRC.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for decorator in getattr(node, "decorator_list", ()):
                if re.search(r"\b(lru_)?cache(d_property)?\b", ast.unparse(decorator)):
                    found.add(path.relative_to(SRC).as_posix().removesuffix(".py"))
    assert sorted(found - listed) == []
