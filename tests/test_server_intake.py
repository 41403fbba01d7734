"""What the server takes up: by the rules of now, from the folder of before, told to those who run it."""

from __future__ import annotations

import json
import logging
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tunewise.catalog import Catalog
from tunewise.cli.app import run
from tunewise.errors import DataMistake
from tunewise.jobs.answering import Answering
from tunewise.jobs.check import check
from tunewise.jobs.documents import documents
from tunewise.jobs.erase import erase
from tunewise.jobs.ingest import ingest, ingest_project
from tunewise.jobs.search import generations
from tunewise.project import Project, load_project
from tunewise.server import Options, open_state
from tunewise.server.entries import Upload
from tunewise.server.intake import Intake
from tunewise.server.principals import Principal

BOSS = Principal("boss", "admin", None)
TOML = '[project]\nembedder = "hash"\nmodel = "echo"\n'


def vectors(root: Path) -> list[bytes]:
    with closing(sqlite3.connect(root / ".tunewise/cache/embeddings.sqlite")) as database:
        return [row[0] for row in database.execute("SELECT vector FROM vectors")]


def load(root: Path, more: str | None = None) -> Project:
    if more is not None:
        (root / "tunewise.toml").write_text(TOML + more, encoding="utf-8")
    return load_project(root, environ={})


def write(root: Path, name: str, text: str) -> Path:
    path = root / "documents" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"# Page\n\n{text}\n", encoding="utf-8")
    return path


@contextmanager
def intake_of(project: Project) -> Iterator[Intake]:
    """A server's way in, without the server."""
    with closing(open_state(project)) as state, closing(Answering(project)) as answering:
        yield Intake(answering, state, Options())


def waiting(intake: Intake, name: str) -> None:
    upload = Upload(name, name, f"uploads/{name}", "waiting", "", (), 1, "0" * 64, "anna", "2026")
    intake.state.add_upload(upload)


def told(intake: Intake) -> dict[str, tuple[str, str]]:
    return {one.id: (one.state, one.reason) for one in intake.state.uploads()}


def test_the_server_opens_nothing_that_was_closed_since_its_start(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    write(tmp_path, "hr/pay.md", "The director earns 9,000 euros.")
    project = load(tmp_path, '[groups]\n"hr/*" = ["hr", "staff"]\n')
    ingest_project(project)
    with intake_of(project) as intake:
        catalog = intake.answering.catalog
        ingest_project(load(tmp_path, '[groups]\n"hr/*" = ["hr"]\n'))
        write(tmp_path, "hr/late.md", "Bonuses are paid in May.")
        assert intake._ingest() is False
        assert (catalog.groups("hr/pay.md"), catalog.groups("hr/late.md")) == (("hr",), ("hr",))
        # While the rules cannot be understood nothing comes in; what was accepted waits.
        (tmp_path / "tunewise.toml").write_text(f'{TOML}[groups]\n"*" = ["hr"\n', encoding="utf-8")
        write(tmp_path, "uploads/new.md", "Drivers wear vests.")
        waiting(intake, "new.md")
        assert [intake._ingest(), intake._ingest()] == [True, True]
        assert catalog.groups("uploads/new.md") is None
        state, reason = told(intake)["new.md"]
        assert state == "waiting" and "settings" in reason and str(tmp_path) not in reason
        assert len([record for record in caplog.records if "until that is mended" in record.message]) == 1
        load(tmp_path, '[groups]\n"*" = ["hr"]\n')
        assert intake._ingest() is False
        assert told(intake)["new.md"] == ("ready", "") and catalog.groups("uploads/new.md") == ("hr",)
        # Another folder is not read into what is served from this one.
        load(tmp_path).file.write_text(TOML.replace("[project]\n", '[project]\ndocuments = "other"\n'))
        waiting(intake, "newer.md")
        assert intake._ingest() is True and len(catalog.documents()) == 3


def test_a_rule_that_comes_while_the_server_reads_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from tunewise import reading

    write(tmp_path, "hr/pay.md", "The director earns 9,000 euros.")
    project = load(tmp_path, "")
    plain = reading.read_folder

    def meanwhile(*arguments, **options):
        load(tmp_path, '[groups]\n"hr/*" = ["hr"]\n')
        return plain(*arguments, **options)

    with intake_of(project) as intake:
        monkeypatch.setattr(reading, "read_folder", meanwhile)
        assert intake._ingest() is True and intake.answering.catalog.documents() == []
        monkeypatch.undo()
        assert intake._ingest() is False and intake.answering.catalog.groups("hr/pay.md") == ("hr",)


def test_what_an_ingest_remarks_reaches_those_who_run_the_server(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    path = write(tmp_path, "hr/pay.md", "The director earns 9,000 euros.")
    project = load(tmp_path, '[groups]\n"hr/*" = ["hr"]\n"none/*" = ["hr"]\n')
    ingest_project(project)
    with intake_of(project) as intake:
        path.unlink()
        write(tmp_path, "wages.md", "The director earns 9,500 euros.")
        with caplog.at_level(logging.WARNING, "tunewise.server"):
            intake._ingest(), intake._ingest()
        said = [record.message for record in caplog.records]
        note = "hr/pay.md had access groups and is gone; new and for everybody: wages.md"
        assert len([one for one in said if note in one]) == 1
        assert len([one for one in said if "'none/*' matches no document" in one]) == 1
        assert not any("every vector" in one for one in said)
        lines = [line for line in intake.state.audit() if line.action == "access"]
        assert [line.principal for line in lines] == ["server"] and note in json.loads(lines[0].details)["note"]


def test_an_upload_into_another_folder_says_so(tmp_path: Path):
    write(tmp_path, "hours.md", "The warehouse closes at noon.")
    ingest_project(load(tmp_path, ""))
    (tmp_path / "tunewise.toml").write_text(TOML.replace("[project]\n", '[project]\ndocuments = "other"\n'))
    (tmp_path / "other/uploads").mkdir(parents=True)
    (tmp_path / "other/uploads/new.md").write_text("# New\n\nDrivers wear vests.\n", encoding="utf-8")
    with intake_of(load(tmp_path)) as intake:
        waiting(intake, "new.md")
        assert intake._ingest() is False
        state, reason = told(intake)["new.md"]
        assert state == "failed" and "another one than before" in reason and "--replace" in reason
        assert str(tmp_path) not in reason
        # What the tip of that error names is the way out.
        ingest_project(load(tmp_path), replacing=True)
        assert intake._ingest() is False
        assert [one.id for one in intake.answering.catalog.documents()] == ["uploads/new.md"]


def test_an_answer_that_comes_between_the_steps_of_an_erasure_is_forgotten(tmp_path: Path, monkeypatch):
    def reply(id: str) -> dict:
        return {"reads": True, "answer": {"hits": [{"chunk": {"document": id}}], "citations": [{"document": ""}]}}

    remove = Catalog.remove
    for name in ("pay.md", "leave.md", "hours.md"):
        write(tmp_path, name, f"The canary of {name} sings at noon.")
    project = load(tmp_path, "")
    ingest_project(project)
    with intake_of(project) as intake:
        state = intake.state
        state.gone = lambda id: intake.answering.catalog.groups(id) is None

        def slowly(catalog: Catalog, id: str) -> None:
            state.remember(BOSS, None, "when?", reply(id))
            remove(catalog, id)

        monkeypatch.setattr(Catalog, "remove", slowly)
        assert intake.remove(BOSS, "pay.md") and state.conversations(BOSS) == []
        assert [line.action for line in state.audit()] == ["delete"]
        assert json.loads(state.audit()[0].details)["conversations"] == 1
        (tmp_path / "documents/leave.md").unlink()
        assert erase(project, "leave.md", forget=state.forget).conversations == 1
        assert state.conversations(BOSS) == []
        # One that comes later still finds no place, and takes nothing else with it.
        state.remember(BOSS, None, "hours?", reply("hours.md"))
        with pytest.raises(DataMistake, match="removed meanwhile"):
            state.remember(BOSS, None, "when?", reply("leave.md"))
        assert [asked for _, asked, _ in state.conversations(BOSS)] == ["hours?"]


def test_what_a_deletion_left_is_finished_though_the_folder_is_not_there(tmp_path: Path):
    project = load(tmp_path, "")

    def deleted() -> None:
        for name in ("pay.md", "leave.md", "hours.md"):
            write(tmp_path, name, f"The canary of {name} sings at noon.")
        ingest_project(project)
        with intake_of(project) as intake:
            assert intake.remove(BOSS, "pay.md")

    def whole() -> bool:
        with closing(Answering(project)) as answering:
            catalog = answering.catalog
            return all(catalog.is_whole(one.id) for one in catalog.generations()) and len(vectors(tmp_path)) == 2

    deleted()
    assert not whole()
    with pytest.raises(DataMistake, match="nothing that is kept names"):
        erase(project, "typo.md")
    assert whole()
    deleted()
    shutil.rmtree(tmp_path / "documents")
    (tmp_path / "documents").mkdir()
    with pytest.raises(DataMistake, match="still served"):
        ingest_project(project)
    assert whole()
    deleted()
    other = tmp_path / "other"
    other.mkdir()
    (other / "travel.md").write_text("# Travel\n\nTrains go first.\n", encoding="utf-8")
    with pytest.raises(DataMistake, match="are not in"):
        ingest(other, project=tmp_path, embedder="hash")
    assert whole()
    # Asked for by its own name, an erasure that was cut short is no typo.
    deleted()
    assert erase(project, "pay.md").document == "pay.md"
    assert whole()


def test_an_index_without_documents_is_none(tmp_path: Path, capsys, monkeypatch):
    project = load(tmp_path, "")
    monkeypatch.chdir(tmp_path)
    for empty in ("replace", "erase"):
        path = write(tmp_path, "pay.md", "The canary sings at noon.")
        ingest_project(project)
        path.unlink()
        if empty == "replace":
            assert ingest_project(project, replacing=True).documents == 0
        else:
            assert run(["erase", "pay.md", "--yes"]) == 0
        result = check(project)
        assert (result.documents, result.generations, result.faults) == (0, 0, ()), result
        capsys.readouterr()
        assert run(["erase", "typo.md", "--yes"]) == 2 and run(["search", "canary"]) == 2
        assert "no documents were ingested" in capsys.readouterr().err
        assert run(["documents", "list", "--json"]) == 0 and json.loads(capsys.readouterr().out) == []
        with closing(Answering(project)) as answering:
            assert (answering.catalog.current(), answering.catalog.previous()) == (None, None)


MAIL = b"\r\n".join([
    b"From: anna@example.org", b"Subject: Moving", b"MIME-Version: 1.0", b"Content-Type: multipart/mixed; boundary=X",
    b"", b"--X", b"Content-Type: text/plain", b"", b"The warehouse moves to Leipzig in May.", b"--X",
    b"Content-Type: text/calendar", b"Content-Disposition: attachment; filename=invite.ics", b"", b"BEGIN:VCALENDAR",
    b"--X--", b"",
])


def test_a_file_that_was_read_in_part_is_read_once_and_its_fault_is_repeated(tmp_path: Path, monkeypatch):
    from tunewise import reading

    write(tmp_path, "hours.md", "The warehouse closes at noon.")
    path = tmp_path / "documents/mail.eml"
    path.write_bytes(MAIL)
    os.utime(path, (1_600_000_000, 1_600_000_000))
    project, read, plain = load(tmp_path, ""), [], reading.read_folder

    def counted(*arguments, **options):
        found, unread = plain(*arguments, **options)
        read.extend(document.id for document in found if document.id == "mail.eml")
        return found, unread

    monkeypatch.setattr(reading, "read_folder", counted)
    for number, (times, more) in enumerate([
        (1, {}), (1, {}), (1, {}), (2, {"again": True}), (2, {}), (3, {"passwords": ("open",)}), (4, {}), (4, {}),
        (5, {"seconds_per_file": 60}), (5, {"seconds_per_file": 60}),
    ]):
        result = ingest_project(project, **more)
        assert [(one.source, "invite.ics" in one.reason) for one in result.unread] == [("mail.eml", True)], number
        assert len(read) == times, number
        assert "invite.ics" in next(one for one in documents(project) if one.id == "mail.eml").faults[0]
    there = reading.ocr.available()
    monkeypatch.setattr(reading.ocr, "available", lambda: not there)
    assert len(ingest_project(project, seconds_per_file=60).unread) == 1 and len(read) == 6
    path.write_bytes(MAIL.replace(b"invite.ics", b"invite.txt"))
    os.utime(path, (1_600_000_009, 1_600_000_009))
    assert ingest_project(project).unread == () and documents(project)[1].faults == ()


def test_what_everybody_could_read_stays_open_under_another_name(tmp_path: Path):
    for name in ("terms.md", "hr/terms.md", "board/terms.md"):
        write(tmp_path, name, "Goods are returned within 30 days.")
    project = load(tmp_path, '[groups]\n"hr/*" = ["hr"]\n"board/*" = ["board"]\n')
    ingest_project(project)
    (tmp_path / "documents/terms.md").rename(tmp_path / "documents/returns.md")
    notes = ingest_project(project).notes
    with closing(Answering(project)) as answering:
        assert answering.catalog.groups("returns.md") == () and not any("has the content of" in one for one in notes)
        # Closed by its folder at this very moment, it opens no copy of the closed ones.
        (tmp_path / "documents/.groups.toml").write_text('[files]\n"returns.md" = ["staff"]\n')
        write(tmp_path, "copy.md", "Goods are returned within 30 days.")
        ingest_project(project)
        assert answering.catalog.groups("returns.md") == ("staff",)
        assert answering.catalog.groups("copy.md") == ("board", "hr", "staff")


def test_no_generation_is_offered_whose_place_was_emptied(tmp_path: Path):
    places = [(tmp_path / name).as_uri() for name in ("one", "two")]
    for number, place in enumerate([places[0], places[1], "", places[0]]):
        named = f'index = "{place}"\n' if place else ""
        write(tmp_path, "hours.md", f"The warehouse closes at {number}.")
        (tmp_path / "tunewise.toml").write_text(TOML + named, encoding="utf-8")
        ingest_project(load(tmp_path))
        assert (check(load(tmp_path)).faults, len(generations(load(tmp_path))[1])) == ((), 1), number
    write(tmp_path, "hours.md", "The warehouse never closes.")
    ingest_project(load(tmp_path))
    assert len(generations(load(tmp_path))[1]) == 2
