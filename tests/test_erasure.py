"""What is erased is gone: files whose names are written in two parts, SQLite's logs, folders after a power loss."""

from __future__ import annotations

import json
import shutil
import sqlite3
import unicodedata
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from sample_server import make_project, served, wait
from tunewise import store
from tunewise.catalog import Catalog
from tunewise.cli.app import run
from tunewise.errors import DataMistake
from tunewise.jobs import erase as erase_job
from tunewise.jobs.erase import erase
from tunewise.jobs.files import files_of
from tunewise.jobs.ingest import ingest, ingest_project, open_catalog
from tunewise.project import Project, load_project
from tunewise.server import open_state
from tunewise.server.principals import Principal
from tunewise.store import append_jsonl, write_json, write_text

ONE, TWO = (unicodedata.normalize(form, "été/menü é.md") for form in ("NFC", "NFD"))
CANARY = "Zqcanaryxj"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "tunewise.toml").write_text('[project]\nembedder = "hash"\nmodel = "echo"\n', encoding="utf-8")
    for name in ("other.md", TWO):
        path = tmp_path / "documents" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# Page\n\nThe {CANARY if name == TWO else 'lamp'} stands here.\n", encoding="utf-8")
    project = load_project(tmp_path, environ={}, user=tmp_path / "none.toml")
    ingest_project(project)
    return project


def test_a_document_is_found_by_both_ways_to_write_its_name(project: Project) -> None:
    assert ONE != TWO
    assert files_of(project.documents, ONE) == [project.documents / TWO]
    for id in ("../tunewise.toml", "/etc/passwd", "..", "", "absent.md", TWO.upper()):
        assert files_of(project.documents, id) == []
    (project.documents / "away").symlink_to(project.root)
    assert files_of(project.documents, "away/tunewise.toml") == []


def test_erase_sees_a_file_whose_name_is_in_two_parts(project: Project) -> None:
    with pytest.raises(DataMistake, match="still lies in"):
        erase(project, ONE)
    (project.documents / TWO).unlink()
    erase(project, ONE)
    assert holding(project) == []
    ingest_project(project)
    with open_catalog(project.root) as catalog:
        assert [record.id for record in catalog.documents()] == ["other.md"]


def test_nothing_that_shows_its_passages_stays_beside_the_index(project: Project) -> None:
    home = project.root / ".tunewise"
    rows = {"chunks": [{"document": ONE}], "answer": {"citations": []}, "question": "q", "fingerprint": "f"}
    append_jsonl(home / "robustness" / "rag" / "rows.jsonl", rows)
    append_jsonl(home / "robustness" / "other" / "rows.jsonl", rows | {"chunks": [{"document": "other.md"}]})
    for name in ("jobs/j/report.html", "questions/drafts-1.jsonl", "freshness-x1/documents/menu.md"):
        write_text(home / name, CANARY)
    for name, document in (("dpo-1", ONE), ("dpo-2", "other.md")):
        write_json(home / "adapters" / name / "checkpoints" / "pairs.json", {"pairs": [{"documents": [document]}]})
    (project.documents / TWO).unlink()
    erase(project, ONE)
    assert [path.name for path in sorted((home / "robustness").iterdir())] == ["other"]
    assert not (home / "jobs/j/report.html").exists() and not (home / "questions/drafts-1.jsonl").exists()
    assert not (home / "freshness-x1").exists()
    left = [path.parent.parent.name for path in (home / "adapters").glob("*/checkpoints/pairs.json")]
    assert left == ["dpo-2"] and holding(project) == []


def kept_traces(project: Project) -> None:
    """A run, a conversation and an adapter that rest on the document."""
    home = store.project_folder(project.root)
    rows = {"chunks": [{"document": ONE, "text": CANARY}], "answer": {"citations": []}, "question": "q",
            "fingerprint": "f"}
    append_jsonl(home / "runs" / "rag" / "rows.jsonl", rows)
    write_json(home / "adapters" / "sft" / "tunewise.json", {"documents": [ONE]})
    with closing(open_state(project)) as state:
        reply = {"answer": {"hits": [{"chunk": {"document": ONE}}]}, "content": f"The {CANARY} stands here."}
        state.remember(Principal("eve"), None, "Where is it?", reply)


def test_what_an_ingest_removed_can_still_be_erased(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept_traces(project)
    (project.documents / TWO).unlink()
    assert ingest_project(project).removed == 1
    assert {path.name for path in holding(project)} >= {"rows.jsonl"}
    monkeypatch.chdir(project.root)
    assert run(["erase", ONE, "--yes", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["runs"], told["adapters"], told["conversations"]) == (["rag"], ["sft"], 1)
    assert holding(project) == []
    # The adapter names it still, and so does an answer to whoever asks again.
    assert run(["erase", ONE, "--yes", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["adapters"] == ["sft"]
    shutil.rmtree(store.project_folder(project.root) / "adapters")
    write_text(store.project_folder(project.root) / "jobs/j/report.html", "another page")
    assert run(["erase", ONE, "--yes"]) == 2
    assert "nothing that is kept names" in capsys.readouterr().err
    assert (store.project_folder(project.root) / "jobs/j/report.html").is_file()


@pytest.mark.parametrize("point", ["purge", "forget", "remove", "build", "leave"])
def test_an_erasure_that_was_cut_short_is_run_again(
    project: Project, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    class Cut(BaseException):
        pass

    def cut(*_: object, **__: object) -> None:
        raise Cut

    kept_traces(project)
    (project.documents / TWO).unlink()
    with closing(open_state(project)) as state, monkeypatch.context() as patch:
        owner = {"remove": Catalog, "forget": state}.get(point, erase_job)
        real = getattr(owner, point)
        # Once before it is done, once after it was.
        patch.setattr(owner, point, cut)
        with pytest.raises(Cut):
            erase(project, ONE, forget=state.forget)
        patch.setattr(owner, point, lambda *some, **more: (real(*some, **more), cut()))
        with pytest.raises(Cut):
            erase(project, ONE, forget=state.forget)
        patch.undo()
        assert erase(project, ONE, forget=state.forget).adapters == ("sft",)
    assert holding(project) == []
    with open_catalog(project.root) as catalog:
        assert all(catalog.is_whole(one.id) for one in catalog.generations())


def test_two_files_of_one_name_are_one_document_and_the_other_is_named(project: Project) -> None:
    path = project.documents / ONE
    path.parent.mkdir()
    path.write_text("# Page\n\nThe second one.\n", encoding="utf-8")
    result = ingest(project.documents, project=project.root, embedder="hash", again=True)
    assert result.documents == 2
    assert [(one.source, "accents" in one.reason) for one in result.unread] == [(ONE, True)]


def test_the_server_deletes_and_replaces_a_file_whose_name_is_in_two_parts(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    uploads = project.documents / "uploads"
    uploads.mkdir()
    (uploads / TWO.split("/")[1]).write_text("# Page\n\nThe first one.\n", encoding="utf-8")
    ingest_project(project)
    id = f"uploads/{ONE.split('/')[1]}"
    with served(project) as (address, app):
        answering = app.state.house.answering
        assert "first" in answering.document(id, None).text
        files = [("files", (ONE.split("/")[1], b"# Page\n\nThe next one.\n"))]
        assert httpx.post(f"{address}/v1/documents", files=files, timeout=30).status_code == 202
        wait(lambda: "next" in answering.document(id, None).text, seconds=30)
        assert [path.name for path in uploads.iterdir()] == [ONE.split("/")[1]]
        (uploads / ONE.split("/")[1]).rename(uploads / TWO.split("/")[1])
        assert httpx.delete(f"{address}/v1/documents/{id}", timeout=40).status_code == 200
        assert list(uploads.iterdir()) == []
        httpx.post(f"{address}/v1/documents:reread", timeout=30)
        wait(lambda: app.state.house.intake.progress() is None, seconds=30)
        assert answering.document(id, None) is None


def test_logs_of_sqlite_hold_nothing_that_was_forgotten(project: Project) -> None:
    (project.documents / TWO).unlink()
    eve = Principal("eve")
    reply = {"answer": {"hits": [{"chunk": {"document": ONE}}]}, "content": f"The {CANARY} stands here."}
    # Both stay open, as in a server: closing would empty the logs anyway.
    with open_catalog(project.root) as catalog:
        state = open_state(project)
        state.remember(eve, None, "Where is it?", reply)
        state.remember(eve, None, "Where is the lamp?", {"content": "here"})
        assert "server.sqlite-wal" in {path.name for path in holding(project)}
        assert state.forget(ONE) == 1
        assert [asked for _, asked, _ in state.conversations(eve)] == ["Where is the lamp?"]
        erase(project, ONE)
        assert holding(project) == []
        assert len(catalog.documents()) == 1
        state.close()


def holding(project: Project) -> list[Path]:
    """The files of the project's own folder with the canary in them."""
    needles = (CANARY.encode(), CANARY.lower().encode())
    files = [path for path in store.project_folder(project.root).rglob("*") if path.is_file()]
    return [path for path in files if any(needle in path.read_bytes() for needle in needles)]


def test_new_folders_are_on_the_disk_when_a_file_in_them_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = []
    real = store.sync_folder
    monkeypatch.setattr(store, "sync_folder", lambda folder: (synced.append(folder), real(folder)))
    store.write_text(tmp_path / "a" / "b" / "c.txt", "text")
    assert synced == [tmp_path, tmp_path / "a", tmp_path / "a" / "b"]
    with pytest.raises(FileExistsError):
        store.make_folder(tmp_path / "a" / "b" / "c.txt")


def test_vectors_of_what_was_erased_are_erased_and_the_others_stay(project: Project) -> None:
    cache = store.project_folder(project.root) / "cache" / "embeddings.sqlite"

    def vectors() -> set[bytes]:
        with closing(sqlite3.connect(cache)) as database:
            return {row[0] for row in database.execute("SELECT vector FROM vectors")}

    before = vectors()
    (project.documents / "lamp.md").write_text("# Page\n\nA third page.\n", encoding="utf-8")
    ingest_project(project)
    assert vectors() > before and len(before) == 2
    (project.documents / TWO).unlink()
    erase(project, ONE)
    gone = before - vectors()
    assert len(vectors()) == 2 and len(gone) == 1
    for path in store.project_folder(project.root).rglob("*"):
        assert not path.is_file() or not any(vector in path.read_bytes() for vector in gone), path
    for name in ("lamp.md", "other.md"):
        (project.documents / name).unlink()
        erase(project, name)
    assert not cache.exists()
