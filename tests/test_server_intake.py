"""What the server takes up: by the rules of now, from the folder of before, told to those who run it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tunewise.jobs.answering import Answering
from tunewise.jobs.ingest import ingest_project
from tunewise.project import Project, load_project
from tunewise.server import Options, open_state
from tunewise.server.entries import Upload
from tunewise.server.intake import Intake

TOML = '[project]\nembedder = "hash"\nmodel = "echo"\n'


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
