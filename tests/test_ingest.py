"""Ingest: a folder in, an index that finds it; again and again, killed or not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tunewise.catalog import Catalog
from tunewise.embeddings import HashEmbedder
from tunewise.errors import ConfigMistake, DataMistake, Failed, ModelMistake
from tunewise.index import Index
from tunewise.jobs.ingest import IngestResult, indexes_folder, ingest, open_catalog
from tunewise.nouns import Retrieval
from tunewise.retrieval import make_retriever
from tunewise.store import lock, project_folder

FILES = {
    "policies/returns.md": "# Returns\n\nCustomers may return the AX-200/B within 30 days of delivery.\n",
    "policies/travel.md": "# Travel\n\nTrain tickets are paid in second class. Taxis need an approval.\n",
    "制度/报销.md": "# 报销制度\n\n差旅费须在三十天内报销，逾期不予受理。\n",
    "pay.txt": "The director earns 9,000 euros a month.\n",
    "plain.txt": "The warehouse closes at noon on Fridays.\n",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "documents"
    for name, text in FILES.items():
        write(root, name, text)
    return root


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return tmp_path / "project"


def test_passages_longer_than_the_embedder_reads_are_refused(folder: Path, project: Path) -> None:
    class Short(HashEmbedder):
        max_tokens = 100

    with pytest.raises(ConfigMistake, match="reads 100 of each") as caught:
        ingest(folder, project=project, embedder=Short(), tokens=101)
    assert "[chunks]" in caught.value.tip
    assert ingest(folder, project=project, embedder=Short(), tokens=100).added == len(FILES)


def write(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def run(folder: Path, project: Path, **options: object) -> IngestResult:
    return ingest(folder, project=project, embedder="hash", **options)  # type: ignore[arg-type]


def counts(result: IngestResult) -> tuple[int, int, int, int]:
    return result.added, result.changed, result.removed, result.unchanged


def find(project: Path, question: str, groups: tuple[str, ...] | None = None, k: int = 1) -> list[str]:
    with open_catalog(project) as catalog:
        retrieve = make_retriever(Index(catalog, indexes_folder(project)), HashEmbedder(), Retrieval(k=k))
        return [hit.chunk.document for hit in retrieve([question], groups)[0]]


def content(project: Path) -> tuple[list[object], list[object], str]:
    """What an ingest leaves, apart from times: documents, chunks, and the generation's fingerprint."""
    with open_catalog(project) as catalog:
        current = catalog.current()
        assert current is not None
        Index(catalog, indexes_folder(project))
        return catalog.documents(), list(catalog.chunks()), current.fingerprint


def test_folder_in_passages_out(folder: Path, project: Path) -> None:
    told: list[tuple[str, int, int]] = []
    result = run(folder, project, progress=lambda *event: told.append(event))
    assert counts(result) == (5, 0, 0, 0)
    assert result.documents == 5
    assert result.unread == ()
    assert result.seconds > 0
    assert {phase for phase, _, _ in told} == {"read", "chunk", "embed", "index"}
    for phase in ("read", "chunk", "embed", "index"):
        steps = [(done, total) for name, done, total in told if name == phase]
        assert steps[-1][0] == steps[-1][1]
    assert find(project, "When does the warehouse close?") == ["plain.txt"]
    assert find(project, "AX-200/B") == ["policies/returns.md"]
    assert find(project, "差旅费多少天内报销？") == ["制度/报销.md"]


def test_only_what_changed_is_done_again(folder: Path, project: Path) -> None:
    first = run(folder, project)
    told: list[str] = []
    again = run(folder, project, progress=lambda phase, *_: told.append(phase))
    assert counts(again) == (0, 0, 0, 5)
    assert again.generation == first.generation
    assert "embed" not in told
    write(folder, "plain.txt", "The warehouse closes at three.\n")
    write(folder, "new.txt", "Drivers wear yellow vests.\n")
    (folder / "pay.txt").unlink()
    os.utime(folder / "policies/travel.md", (1, 1))
    third = run(folder, project)
    assert counts(third) == (1, 1, 1, 3)
    assert third.generation.id != first.generation.id
    assert find(project, "director earns", k=9).count("pay.txt") == 0
    assert find(project, "yellow vests") == ["new.txt"]
    with open_catalog(project) as catalog:
        assert catalog.document("plain.txt").text.strip() == "The warehouse closes at three."
        assert catalog.document("policies/travel.md").modified == "1970-01-01T00:00:01Z"


def test_other_chunk_size_is_a_change(folder: Path, project: Path) -> None:
    write(folder, "long.txt", " ".join(f"Sentence number {n} says something." for n in range(60)))
    small = run(folder, project, tokens=20)
    large = run(folder, project, tokens=200)
    assert large.changed >= 1
    assert large.generation.chunks < small.generation.chunks


def test_file_that_cannot_be_read_any_more_keeps_its_version(folder: Path, project: Path) -> None:
    run(folder, project)
    (folder / "plain.txt").write_bytes(b"")
    result = run(folder, project, groups={"plain.txt": ["staff"]})
    assert counts(result) == (0, 0, 0, 4)
    assert [one.source for one in result.unread] == ["plain.txt"]
    assert any("plain.txt" in note and "earlier version is kept" in note for note in result.notes)
    assert find(project, "warehouse closes noon") == ["plain.txt"]
    assert "plain.txt" not in find(project, "warehouse closes noon", (), k=9)
    (folder / "plain.txt").unlink()
    assert run(folder, project).removed == 1
    assert "plain.txt" not in find(project, "warehouse closes noon", k=9)


def test_nothing_to_read_removes_nothing(folder: Path, project: Path) -> None:
    run(folder, project)
    before = content(project)
    for path in folder.rglob("*.*"):
        path.write_bytes(b"")
    with pytest.raises(DataMistake, match="none of the files") as caught:
        run(folder, project)
    assert len(caught.value.faults) == 5
    shutil.rmtree(folder)
    with pytest.raises(DataMistake):
        run(folder, project)
    assert content(project) == before


def test_groups_by_rule_the_last_match_wins(folder: Path, project: Path) -> None:
    rules = {"policies/*": ["staff"], "policies/travel.md": ["travel", "board"], "pay.txt": ["board"], "hr/*": ["hr"]}
    result = run(folder, project, groups=rules)
    with open_catalog(project) as catalog:
        assert {record.id: record.groups for record in catalog.documents()} == {
            "policies/returns.md": ("staff",), "policies/travel.md": ("board", "travel"), "pay.txt": ("board",),
            "plain.txt": (), "制度/报销.md": (),
        }
    assert [note for note in result.notes if "hr/*" in note]
    assert sorted(find(project, "director euros train tickets warehouse", (), k=9)) == ["plain.txt", "制度/报销.md"]
    assert find(project, "director earns euros", ("board",)) == ["pay.txt"]


def test_leaving_the_rules_out_opens_nothing(folder: Path, project: Path) -> None:
    run(folder, project, groups={"pay.txt": ["board"]})
    write(folder, "pay.txt", "The director earns 9,500 euros a month.\n")
    assert run(folder, project).changed == 1
    assert "pay.txt" not in find(project, "director earns", (), k=9)
    # Nor does a table of rules that is empty, or that says nothing of it; only an empty list opens.
    assert run(folder, project, groups={}).changed == 0
    assert run(folder, project, groups={"other.txt": ["board"]}).changed == 0
    assert "pay.txt" not in find(project, "director earns", (), k=9)
    assert run(folder, project, groups={"pay.txt": []}).changed == 1
    assert "pay.txt" in find(project, "director earns", (), k=9)


def test_changed_embedder_is_refused_until_it_is_built(folder: Path, project: Path) -> None:
    class Other(HashEmbedder):
        name = "other"
        fingerprint = "0" * 64

    run(folder, project)
    with open_catalog(project) as catalog:
        index = Index(catalog, indexes_folder(project))
        with pytest.raises(ModelMistake, match="built with the embedder 'hash'") as caught:
            make_retriever(index, Other(), Retrieval())
    assert "tunewise ingest --embedder other" in caught.value.tip
    ingest(folder, project=project, embedder=Other())
    with open_catalog(project) as catalog:
        index = Index(catalog, indexes_folder(project))
        assert make_retriever(index, Other(), Retrieval())(["warehouse"])[0]
        with pytest.raises(ModelMistake):
            make_retriever(index, HashEmbedder(), Retrieval())


def test_unknown_embedder(folder: Path, project: Path) -> None:
    with pytest.raises(ModelMistake, match="no embedder 'nonsense'"):
        ingest(folder, project=project, embedder="nonsense")


def test_one_ingest_at_a_time(folder: Path, project: Path) -> None:
    with lock(project_folder(project) / "ingest.lock"), pytest.raises(Failed, match="in use by process"):
        run(folder, project)


_KILLED = """
import os, signal, sys
from pathlib import Path
from tunewise import catalog
from tunewise.index import generation, vectors
from tunewise.jobs import ingest as job

point, nth = sys.argv[3], int(sys.argv[4])
job._TRANSACTION = 1

def deadly(owner, name, before):
    real, calls = getattr(owner, name), [0]
    def call(*args, **options):
        calls[0] += 1
        if before and calls[0] == nth:
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*args, **options)
        if calls[0] == nth:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    setattr(owner, name, call)

owner = {"put_all": catalog.Catalog, "remove": catalog.Catalog, "add_generation": catalog.Catalog,
         "drop_generations": catalog.Catalog, "missing": vectors.VectorCache, "_write_table": generation,
         "_hash_and_sync": generation, "write_json": generation, "sync_folder": generation}[point.lstrip("<")]
deadly(owner, point.lstrip("<"), point.startswith("<"))
job.ingest(Path(sys.argv[1]), project=Path(sys.argv[2]), embedder="hash")
"""


_POINTS = ("put_all 2", "<_hash_and_sync 1", "<add_generation 1", "drop_generations 1")
_MORE_POINTS = ("put_all 1", "remove 1", "missing 1", "_write_table 1", "write_json 1", "<sync_folder 1",
                "add_generation 1")


@pytest.mark.parametrize("point", [*_POINTS, *(pytest.param(point, marks=pytest.mark.slow) for point in _MORE_POINTS)])
def test_killed_anywhere_then_run_again_is_as_if_never_killed(folder: Path, tmp_path: Path, point: str) -> None:
    """kill -9 of an update: the old generation answers whole, the next run leaves what an unbroken one leaves."""
    killed, unbroken = tmp_path / "killed", tmp_path / "unbroken"
    for project in (killed, unbroken):
        run(folder, project)
    before = content(killed)
    write(folder, "plain.txt", "The warehouse closes at three.\n")
    write(folder, "policies/returns.md", "# Returns\n\nReturns are over.\n")
    write(folder, "new.txt", "Drivers wear yellow vests.\n")
    (folder / "pay.txt").unlink()
    command = [sys.executable, "-c", _KILLED, str(folder), str(killed), *point.split()]
    child = subprocess.run(command, capture_output=True, text=True, check=False)
    assert child.returncode == -9, child.stderr
    with open_catalog(killed) as catalog:
        current = catalog.current()
        assert current is not None
        index = Index(catalog, indexes_folder(killed))
        done = point in ("add_generation 1", "drop_generations 1")
        assert (current.fingerprint != before[2]) == done
        # Every document is whole: its chunks are spans of it, and cover all its words.
        for record in catalog.documents():
            document = catalog.document(record.id)
            pieces = list(catalog.chunks(record.id))
            assert all(document.text[piece.start : piece.end] == piece.text for piece in pieces)
            assert "".join("".join(piece.text for piece in pieces).split()) == "".join(document.text.split())
        if not done:
            assert index.search_lexical("noon", 1)[0][0].document == "plain.txt"
    assert run(folder, killed).documents == 5
    run(folder, unbroken)
    assert content(killed) == content(unbroken)
    assert find(killed, "yellow vests") == ["new.txt"]
    leftovers = [path.name for path in indexes_folder(killed).iterdir() if path.name.startswith(".building")]
    assert leftovers == []


@pytest.mark.slow
def test_minilm_finds_meaning_and_knows_what_it_cannot_read(folder: Path, project: Path) -> None:
    pytest.importorskip("torch")
    result = ingest(folder, project=project)
    assert result.generation.embedder == "minilm"
    assert result.generation.unknown["en"] < 0.05
    assert result.generation.unknown["zh"] > 0.4
    assert any("'zh'" in note for note in result.notes)
    from tunewise.embeddings import load_embedder

    with open_catalog(project) as catalog:
        retrieve = make_retriever(
            Index(catalog, indexes_folder(project)), load_embedder("minilm"), Retrieval(k=1)
        )
        dense, chinese = retrieve(["What is the boss's salary?", "差旅费多少天内报销？"])
        assert dense[0].chunk.document == "pay.txt"
        assert chinese[0].chunk.document == "制度/报销.md"
        assert {name for name, _ in chinese[0].legs} == {"lexical"}


def test_catalog_is_in_the_project_folder(folder: Path, project: Path) -> None:
    run(folder, project)
    with Catalog(f"sqlite:///{project}/.tunewise/catalog.sqlite") as catalog:
        assert len(catalog.documents()) == 5
    assert sorted(path.name for path in (project / ".tunewise").iterdir() if path.is_dir()) == ["cache", "indexes"]


def test_groups_assigned_to_a_document_come_before_every_rule_even_when_it_arrives_meanwhile(
    folder, project, monkeypatch
):
    """An upload's groups are written before its file; an ingest that runs already must not open it."""
    from tunewise import reading
    from tunewise.jobs.groups import assign_groups

    plain = reading.read_folder

    def meanwhile(*arguments, **options):
        assign_groups(project, "uploads/late.md", ["board"])
        write(folder, "uploads/late.md", "# Late\n\nThe merger is in May.\n")
        return plain(*arguments, **options)

    assign_groups(project, "pay.txt", ["board"])
    monkeypatch.setattr(reading, "read_folder", meanwhile)
    ingest(folder, project=project, embedder="hash", groups={"*": ["everybody"], "pay.txt": ["staff"]})
    with open_catalog(project) as catalog:
        held = {record.id: record.groups for record in catalog.documents()}
    assert held["pay.txt"] == ("board",) and held["uploads/late.md"] == ("board",)
    assert held["plain.txt"] == ("everybody",)
    assign_groups(project, "pay.txt", None)
    ingest(folder, project=project, embedder="hash", groups={"pay.txt": ["staff"]})
    with open_catalog(project) as catalog:
        assert catalog.document("pay.txt").groups == ("staff",)
