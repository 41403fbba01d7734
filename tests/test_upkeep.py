"""Keeping an index: only changed files are read, groups from folders, ages, watching, checking, kinds of passages."""

from __future__ import annotations

import json
import os
import random
import shutil
import sqlite3
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from test_chunks import _TEXTS, markdown
from tunewise.chunks import KINDS, PARENT, chunk, count_words
from tunewise.cli.app import run
from tunewise.embeddings import HashEmbedder
from tunewise.errors import Damaged, DataMistake, TunewiseError
from tunewise.index import Index, lexical
from tunewise.jobs import ingest as ingest_job
from tunewise.jobs.ages import age
from tunewise.jobs.check import check
from tunewise.jobs.fits import fit_state, settled
from tunewise.jobs.freshness import _copy
from tunewise.jobs.groups import AccessRules, assign_groups
from tunewise.jobs.ingest import IngestResult, indexes_folder, ingest, ingest_project, open_catalog
from tunewise.jobs.library import library
from tunewise.jobs.search import generations, search, switch
from tunewise.jobs.watch import watch
from tunewise.nouns import Page, Retrieval
from tunewise.project import Project, load_project
from tunewise.retrieval import make_retriever
from tunewise.store import project_folder

OLD = 1_600_000_000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "tunewise.toml").write_text('[project]\nembedder = "hash"\n', encoding="utf-8")
    for name, text in {
        "hr/pay.md": "# Pay\n\nThe director earns 9,000 euros.\n", "hr/leave.md": "# Leave\n\nThirty days of leave.\n",
        "open/hours.md": "# Hours\n\nThe warehouse closes at noon.\n", "仓库.md": "# 仓库\n\n仓库中午关门。\n",
    }.items():
        write(tmp_path, name, text)
    return tmp_path


def write(root: Path, name: str, text: str, *, at: float = OLD) -> None:
    path = root / "documents" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    os.utime(path, (at, at))


def load(root: Path) -> Project:
    return load_project(root, environ={})


def bring(root: Path, **options: object) -> IngestResult:
    project = load(root)
    return ingest_project(project, **options)


# ---------------------------------------------------------------------------------------------------- incremental


def test_only_changed_files_are_read_and_renames_embed_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bring(root)
    write(root, "open/hours.md", "# Hours\n\nThe warehouse closes at three.\n", at=OLD + 1)
    (root / "documents/hr/pay.md").rename(root / "documents/hr/salaries.md")
    read: list[str] = []
    embedded: list[str] = []
    from tunewise import reading

    real = reading.read_folder

    def reads(folder: Path, **options: object) -> tuple[list, list]:
        documents, unread = real(folder, **options)  # type: ignore[arg-type]
        read.extend(document.id for document in documents)
        return documents, unread

    class Counting(HashEmbedder):
        def embed(self, texts):  # noqa: ANN001, ANN202
            embedded.extend(texts)
            return super().embed(texts)

    monkeypatch.setattr(reading, "read_folder", reads)
    result = ingest(root / "documents", project=root, embedder=Counting())
    assert sorted(read) == ["hr/salaries.md", "open/hours.md"]
    assert (result.added, result.changed, result.removed, result.unchanged) == (1, 1, 1, 2)
    assert len(embedded) == 1 and "at three" in embedded[0]
    read.clear()
    assert ingest(root / "documents", project=root, embedder=Counting()).unchanged == 4
    assert read == []
    assert ingest(root / "documents", project=root, embedder=Counting(), again=True).unchanged == 4
    assert len(read) == 4


def test_a_file_written_while_it_was_read_is_read_again(root: Path) -> None:
    now = datetime.now(UTC).timestamp()
    write(root, "open/hours.md", "# Hours\n\nThe warehouse closes at one.\n", at=now)
    bring(root)
    write(root, "open/hours.md", "# Hours\n\nThe warehouse closes at two.\n", at=now)
    assert bring(root).changed == 1


def test_watching_follows_the_folder(root: Path) -> None:
    told: list[IngestResult] = []
    wrong: list[object] = []

    def change(result: IngestResult) -> None:
        told.append(result)
        if len(told) == 1:
            write(root, "new.md", "# New\n\nDrivers wear vests.\n", at=OLD + 5)

    watch(lambda: load(root), settings={}, told=change, trouble=wrong.append, seconds=0.01, rounds=5)
    assert [(one.added, one.unchanged) for one in told] == [(4, 0), (1, 4)]
    assert wrong == []


def test_watching_follows_the_rules_too(root: Path) -> None:
    """A rule that is written while watching holds for the file that comes then; while it is broken none comes."""
    told: list[IngestResult] = []
    wrong: list[TunewiseError] = []
    toml = '[project]\nembedder = "hash"\n[groups]\n"new*" = {}\n'

    def change(result: IngestResult) -> None:
        told.append(result)
        if len(told) == 1:
            write(root, "../tunewise.toml", toml.format('["hr"'))
            write(root, "new.md", "# New\n\nDrivers wear vests.\n", at=OLD + 5)

    def mend(error: TunewiseError) -> None:
        wrong.append(error)
        with open_catalog(root) as catalog:
            assert "new.md" not in [record.id for record in catalog.documents()]
        write(root, "../tunewise.toml", toml.format('["hr"]'))

    watch(lambda: load(root), settings={}, told=change, trouble=mend, seconds=0.01, rounds=9)
    assert [one.added for one in told] == [4, 1] and len(wrong) == 1
    assert "tunewise.toml" in wrong[0].message and "until that is mended" in wrong[0].message
    assert "new.md" not in [hit.chunk.document for hit in search(load(root), "drivers wear vests", groups=())]
    # Another project's file further up is not this one's.
    watch(lambda: replace(load(root), file=root.parent / "tunewise.toml") if told else load(root), settings={},
          told=told.append, trouble=wrong.append, seconds=0.01, rounds=2)


def test_a_rule_that_is_written_while_files_are_read_holds_for_them(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tunewise import reading

    plain, told = reading.read_folder, []

    def meanwhile(*arguments: object, **options: object) -> object:
        if not (root / "documents/late.md").exists():
            write(root, "../tunewise.toml", '[project]\nembedder = "hash"\n[groups]\n"late.md" = ["hr"]\n')
            write(root, "open/.groups.toml", '[files]\n"late.md" = ["hr"]\n')
            for name in ("late.md", "open/late.md"):
                write(root, name, "# Late\n\nThe merger is in May.\n", at=OLD + 5)
        return plain(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(reading, "read_folder", meanwhile)
    watch(lambda: load(root), settings={}, told=told.append, trouble=pytest.fail, seconds=0.01, rounds=5)
    assert len(told) == 1
    with open_catalog(root) as catalog:
        assert {one.groups for one in catalog.documents() if "late" in one.id} == {("hr",)}


# ---------------------------------------------------------------------------------------------------- groups


def test_a_new_name_does_not_open_what_was_closed(root: Path) -> None:
    """Renamed, copied, with the groups of a rule or of an upload: the content is for the same readers, said aloud."""
    toml = '[project]\nembedder = "hash"\n[groups]\n"hr/pay.md" = ["hr"]\n'
    (root / "tunewise.toml").write_text(toml, encoding="utf-8")
    assign_groups(root, "hr/leave.md", ["board"])
    bring(root)
    (root / "documents/hr/pay.md").rename(root / "documents/hr/pay-2024.md")
    (root / "documents/hr/leave.md").rename(root / "documents/days.md")
    shutil.copy(root / "documents/hr/pay-2024.md", root / "documents/copy.md")
    notes = " ".join(bring(root).notes)
    with open_catalog(root) as catalog:
        held = {record.id: record.groups for record in catalog.documents()}
    assert held == {"hr/pay-2024.md": ("hr",), "days.md": ("board",), "copy.md": ("hr",), "open/hours.md": (),
                    "仓库.md": ()}
    assert "days.md has the content of hr/leave.md" in notes and '"copy.md" = [] under [groups] opens it' in notes
    # Nor does the ingest after that; a rule's word goes before what was inherited.
    (root / "tunewise.toml").write_text(f'{toml}"copy.md" = []\n"other.md" = []\n', encoding="utf-8")
    shutil.copy(root / "documents/days.md", root / "documents/other.md")
    assert "content of" not in " ".join(bring(root).notes)
    with open_catalog(root) as catalog:
        held = {record.id: record.groups for record in catalog.documents()}
    assert (held["copy.md"], held["other.md"], held["days.md"]) == ((), (), ("board",))


def test_a_rule_and_a_rename_at_once(root: Path) -> None:
    bring(root)
    (root / "tunewise.toml").write_text('[project]\nembedder = "hash"\n[groups]\n"hr/pay.md" = ["hr"]\n')
    (root / "documents/hr/pay.md").rename(root / "documents/pay.md")
    bring(root)
    with open_catalog(root) as catalog:
        assert catalog.groups("pay.md") == ("hr",)


def test_a_rename_with_an_edit_is_told(root: Path) -> None:
    (root / "tunewise.toml").write_text('[project]\nembedder = "hash"\n[groups]\n"hr/pay.md" = ["hr"]\n')
    bring(root)
    (root / "documents/hr/pay.md").unlink()
    write(root, "pay-2024.md", "# Pay\n\nThe director earns 9,500 euros.\n")
    assert any("hr/pay.md had access groups and is gone" in note and "everybody: pay-2024.md" in note
               for note in bring(root).notes)


def test_groups_of_a_folder_stand_in_the_folder(root: Path) -> None:
    (root / "documents/hr/.groups.toml").write_text('groups = ["hr"]\n[files]\n"pay.md" = ["board"]\n')
    bring(root)
    with open_catalog(root) as catalog:
        held = {record.id: record.groups for record in catalog.documents()}
    assert held == {"hr/pay.md": ("board",), "hr/leave.md": ("hr",), "open/hours.md": (), "仓库.md": ()}
    # A change of the rule alone holds although no file of it is read again.
    (root / "documents/hr/.groups.toml").write_text('groups = ["staff"]\n')
    assert bring(root).changed == 2
    assert [hit.chunk.document for hit in search(load(root), "director earns euros", groups=("board",))].count(
        "hr/pay.md") == 0
    # A rule that is gone opens nothing; the owner's own line does.
    (root / "documents/hr/.groups.toml").unlink()
    assert bring(root).changed == 0
    (root / "tunewise.toml").write_text('[project]\nembedder = "hash"\n[groups]\n"hr/*" = []\n')
    assert bring(root).changed == 2
    assert search(load(root), "director earns euros", groups=())[0].chunk.document == "hr/pay.md"


def test_a_broken_rule_ingests_nothing(root: Path) -> None:
    (root / "documents/hr/.groups.toml").write_text('group = ["hr"]\n')
    (root / "documents/open/.groups.toml").write_text("groups = 'all'\n")
    with pytest.raises(DataMistake) as caught:
        bring(root)
    assert len(caught.value.faults) == 2
    with open_catalog(root) as catalog:
        assert catalog.documents() == []


def test_a_folder_that_cannot_be_opened_ingests_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "documents/hr/.groups.toml").write_text('groups = ["hr"]\n')
    bring(root)
    real = os.scandir

    def scan(path: object) -> object:
        if str(path).endswith("documents/hr"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)  # type: ignore[call-overload]

    monkeypatch.setattr(os, "scandir", scan)
    with pytest.raises(DataMistake, match="access rules"):
        bring(root)
    monkeypatch.undo()
    with open_catalog(root) as catalog:
        assert {one.groups for one in catalog.documents() if one.id.startswith("hr/")} == {("hr",)}


def test_rules_hold_when_nothing_can_be_read(root: Path) -> None:
    """The last file is gone, or broken: what the index still serves is closed at once, and named with the way out."""
    bring(root)
    (root / "tunewise.toml").write_text('[project]\nembedder = "hash"\n[groups]\n"*" = ["hr"]\n')
    for path in (root / "documents").rglob("*.md"):
        path.unlink()
    with pytest.raises(DataMistake, match="still served: hr/leave.md, hr/pay.md") as caught:
        bring(root)
    assert "tunewise erase ID" in caught.value.tip and "--replace" in caught.value.tip
    assert search(load(root), "warehouse closes", groups=()) == []
    assert search(load(root), "warehouse closes", groups=("hr",))
    assert not any("last finished" in fault for fault in check(load(root)).faults)
    (root / "documents/open/broken.pdf").write_bytes(b"%PDF-1.4 broken")
    (root / "documents/.groups.toml").write_text('[files]\n"open/hours.md" = ["board"]\n')
    (root / "tunewise.toml").write_text('[project]\nembedder = "hash"\n[groups]\n"hr/*" = ["hr"]\n')
    with pytest.raises(DataMistake, match="still served") as caught:
        bring(root)
    assert "broken.pdf" in caught.value.faults[0]
    assert "open/hours.md" not in [one.chunk.document for one in search(load(root), "warehouse", groups=("hr",))]
    result = bring(root, replacing=True)
    assert (result.removed, result.documents, result.generation) == (4, 0, None)
    assert list(indexes_folder(root).glob("[0-9a-f]*")) == []
    write(root, "new.md", "# New\n\nDrivers wear vests.\n")
    assert bring(root).added == 1


def test_the_owners_rules_hold_though_those_of_a_folder_are_broken(root: Path) -> None:
    bring(root)
    (root / "tunewise.toml").write_text('[project]\nembedder = "hash"\n[groups]\n"*" = ["hr"]\n')
    (root / "documents/.groups.toml").write_text("group = 1\n")
    with pytest.raises(DataMistake):
        bring(root)
    assert search(load(root), "warehouse closes", groups=()) == []


def test_another_folder_removes_nothing_unasked(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("policies")
    (other / "travel.md").write_text("# Travel\n\nTrains go first.\n", encoding="utf-8")
    bring(root)
    with pytest.raises(DataMistake, match="4 of them are not in") as caught:
        ingest(other, project=root, embedder="hash")
    assert str(root / "documents") in caught.value.message and "--replace" in caught.value.tip
    assert len(search(load(root), "warehouse closes")) > 1
    assert ingest(other, project=root, embedder="hash", replacing=True).removed == 4
    with pytest.raises(DataMistake, match="1 of them are not in"):
        bring(root)
    # A folder that was moved with all that is in it is the same one, and so is a project's own wherever it goes.
    moved = other.rename(other.with_name("moved"))
    assert ingest(moved, project=root, embedder="hash").removed == 0
    (root / "documents").rename(root / "away")
    moved.rename(root / "documents")
    assert bring(root).removed == 0
    elsewhere = root.rename(root.with_name("elsewhere"))
    (elsewhere / "documents/travel.md").rename(elsewhere / "documents/trains.md")
    assert ingest_project(load(elsewhere)).removed == 1


def test_rules_hold_however_the_disk_writes_names(root: Path) -> None:
    for folder in ("é", "zoë"):
        split = unicodedata.normalize("NFD", folder)
        write(root, f"{split}/{unicodedata.normalize('NFD', 'ü.md')}", f"# Pay\n\nThe chef of {folder} earns 5.\n")
    split = root / "documents" / unicodedata.normalize("NFD", "é")
    (split / ".groups.toml").write_text('groups = ["hr"]\n')
    named = unicodedata.normalize("NFD", "ü.md")
    (root / "documents" / unicodedata.normalize("NFD", "zoë") / ".groups.toml").write_text(
        f'[files]\n"{named}" = ["board"]\n"gone.md" = ["board"]\n', encoding="utf-8")
    (root / "documents/empty").mkdir()
    (root / "documents/empty/.groups.toml").write_text('groups = ["hr"]\n')
    notes = " ".join(bring(root).notes)
    assert "empty/.groups.toml" in notes and "zoë/gone.md" in notes and "zoë/ü.md" not in notes
    with open_catalog(root) as catalog:
        held = {record.id: record.groups for record in catalog.documents()}
    assert (held["é/ü.md"], held["zoë/ü.md"]) == (("hr",), ("board",))
    rules = AccessRules({unicodedata.normalize("NFD", "é/*"): ["owner"]}, {}, {}, {"é/up.md": ("kitchen",)})
    assert rules.of("é/a.md", (), None) == ("owner",)
    # What was assigned to an upload comes before the globs.
    assert rules.of("é/up.md", (), None) == ("kitchen",)


def test_the_nearest_rule_counts_and_globs_win() -> None:
    rules = AccessRules({"a/b/x*": ["owner"]}, {"": ("all",), "a/b": ("near",)}, {"a/f.md": ("file",)})
    assert [rules.of(id, (), None)[0] for id in ("z.md", "a/f.md", "a/z.md", "a/b/c/z.md", "a/b/x.md")] == [
        "all", "file", "all", "near", "owner"]


# ---------------------------------------------------------------------------------------------------- ages


def test_ages() -> None:
    now = datetime(2026, 1, 31, tzinfo=UTC)
    rules = {"*": 365, "news/*": 7}
    seen = [age(id, when, rules, now=now) for id, when in (
        ("a.md", "2026-01-01T00:00:00Z"), ("news/a.md", "2026-01-01T00:00:00Z"), ("a.md", None))]
    assert [(one.days, one.allowed, one.stale) for one in seen] == [(30, 365, False), (30, 7, True), (None, 365, True)]
    assert not age("a.md", None, {}, now=now).stale


def test_ages_by_names_in_two_parts_and_rules_that_match_nothing(root: Path) -> None:
    split = unicodedata.normalize("NFD", "é/*")
    assert age("é/a.md", None, {split: 7}).stale
    (root / "tunewise.toml").write_text('[project]\nembedder = "hash"\n[max_age_days]\n"open/*" = 30\n"opne/*" = 7\n')
    assert [note for note in bring(root).notes if "max_age_days" in note] == [
        "the rule 'opne/*' of [max_age_days] matches no document: check its spelling"]


def test_stale_sources_are_flagged(root: Path, capsys: pytest.CaptureFixture[str],
                                   monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "tunewise.toml").write_text('[project]\nembedder = "hash"\nmodel = "echo"\n[max_age_days]\n"open/*" = 30\n')
    bring(root)
    monkeypatch.chdir(root)
    assert run(["search", "warehouse closes"]) == 0
    first, *rest = [line for line in capsys.readouterr().out.splitlines() if not line.startswith(" ")]
    assert "open/hours.md" in first and "stale: " in first and "30 allowed" in first
    assert not any("stale" in line for line in rest)
    assert run(["search", "warehouse closes", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["age"]["stale"] is True
    assert run(["ask", "When does the warehouse close?", "--approach", "rag", "--json"]) == 0
    assert "open/hours.md" in json.loads(capsys.readouterr().out)["stale"]
    assert run(["ask", "When does the warehouse close?", "--approach", "rag"]) == 0
    assert "stale: " in capsys.readouterr().out


def test_documents_are_listed_for_those_who_may_read_them(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "tunewise.toml").write_text(
        '[project]\nembedder = "hash"\n[groups]\n"hr/*" = ["hr"]\n[max_age_days]\n"open/*" = 30\n', encoding="utf-8")
    bring(root)
    (root / "documents/仓库.md").write_bytes(b"")
    bring(root)
    monkeypatch.chdir(root)

    def listed(*flags: str) -> dict[str, dict]:
        capsys.readouterr()
        assert run(["documents", "list", "--json", *flags]) == 0
        return {one["id"]: one for one in json.loads(capsys.readouterr().out)}

    everything = listed()
    assert list(everything) == ["hr/leave.md", "hr/pay.md", "open/hours.md", "仓库.md"]
    hours = everything["open/hours.md"]
    assert (hours["title"], hours["groups"], len(hours["revision"]), hours["read"]) == ("Hours", [], 12, "md")
    assert hours["modified"] == "2020-09-13T12:26:40Z" and hours["days"] > 1000 and hours["stale"] is True
    assert (hours["allowed"], everything["hr/pay.md"]["allowed"], everything["hr/pay.md"]["groups"]) == (
        30, None, ["hr"])
    assert everything["仓库.md"]["faults"] and hours["faults"] == []
    assert set(listed("--public")) == {"open/hours.md", "仓库.md"}
    assert set(listed("--group", "hr")) == set(everything)
    assert run(["documents", "list", "--public"]) == 0
    shown = capsys.readouterr().out
    assert "Pay" not in shown and "open/hours.md  Hours  (" in shown and "stale: " in shown


def test_a_follow_up_question_is_asked_from_the_command_line(root: Path, capsys: pytest.CaptureFixture[str],
                                                             monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "tunewise.toml").write_text('[project]\nembedder = "hash"\nmodel = "echo"\n[retrieval]\nk = 1\n')
    bring(root)
    monkeypatch.chdir(root)
    turn = ["--turn", "When does the warehouse close? => At noon."]
    assert run(["ask", "And on Fridays?", "--approach", "rag", "--json", *turn]) == 0
    assert json.loads(capsys.readouterr().out)["answer"]["hits"][0]["chunk"]["document"] == "open/hours.md"
    assert run(["ask", "And on Fridays?", "--turn", "no answer"]) == 2


def test_fitted_weights_hold_when_documents_change_and_their_age_is_said(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"id": "q", "question": "When does the warehouse close?", "answers": ["noon"], "split": "validation",
             "gold": [{"document": "open/hours.md", "start": 0, "end": 5}]}
    (root / "questions.jsonl").write_text(json.dumps(asked) + "\n", encoding="utf-8")
    bring(root)
    monkeypatch.chdir(root)
    assert run(["index", "fit", "--json"]) == 0
    id = json.loads(capsys.readouterr().out)["fit"]

    def used() -> tuple[str | None, str]:
        with library(load(root)) as books:
            return settled(load(root), books, Retrieval(), []).fit, fit_state(books.home, books.index.generation)

    assert used() == (id, "current")
    assert run(["search", "warehouse closes"]) == 0
    assert "index fit" not in capsys.readouterr().err
    write(root, "new.md", "# New\n\nDrivers wear vests.\n")
    bring(root)
    assert used() == (id, "older")
    assert run(["search", "warehouse closes"]) == 0
    assert "fitted on an earlier state of the index" in capsys.readouterr().err
    assert run(["index", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["fit"] == {"id": id, "state": "older"}
    # What freshness compares before and after a change weighs the legs alike.
    copy = _copy(load(root), root / "copied")
    assert ingest_project(copy).documents == 5
    with library(copy) as books:
        assert settled(copy, books, Retrieval(), []).fit == id
    with library(load(root)) as books:
        for change in ({"embedder_fingerprint": "x"}, {"lexical": "x"}):
            other = replace(books.index.generation, fingerprint="x", **change)
            assert fit_state(books.home, other) == "other"
    # An own weight, or one leg alone, goes before what was fitted.
    with library(load(root)) as books:
        for own in (Retrieval(dense_weight=0.3), Retrieval(mode="lexical")):
            assert settled(load(root), books, own, []).fit is None


# ---------------------------------------------------------------------------------------------------- check


def test_check_finds_nothing_in_what_is_whole(root: Path, capsys: pytest.CaptureFixture[str],
                                              monkeypatch: pytest.MonkeyPatch) -> None:
    bring(root)
    monkeypatch.chdir(root)
    result = check(load(root))
    assert (result.documents, result.passages, result.generations, result.faults) == (4, 4, 1, ())
    assert run(["index", "check"]) == 0
    write(root, "new.md", "# New\n\nDrivers wear vests.\n")
    bring(root)
    assert check(load(root)).faults == ()
    assert run(["index", "rollback", "nonsense", "--yes"]) == 2
    with open_catalog(root) as catalog:
        first = catalog.generations()[0].id
    assert run(["index", "rollback", first, "--yes"]) == 0
    (fault,) = check(load(root)).faults
    assert "not in step" in fault
    capsys.readouterr()
    assert run(["index", "check", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["faults"] == [fault]


def test_a_rollback_goes_to_nothing_that_cannot_answer(root: Path) -> None:
    bring(root)
    write(root, "new.md", "# New\n\nDrivers wear vests.\n")
    bring(root)
    current, kept = generations(load(root))
    file = next(path for path in (indexes_folder(root) / kept[0].id).rglob("*.lance") if path.is_file())
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    with pytest.raises(Damaged, match="not what was built"):
        switch(load(root), kept[0].id)
    file.write_bytes(whole)
    with open_catalog(root) as catalog, pytest.MonkeyPatch.context() as patch:
        patch.setattr(HashEmbedder, "fingerprint", "0" * 64)
        with pytest.raises(DataMistake, match="built with the embedder 'hash'"):
            switch(load(root), kept[0].id)
        patch.undo()
        patch.setattr(lexical, "FINGERPRINT", "0" * 64)
        with pytest.raises(Damaged, match="another tokenizer"):
            switch(load(root), kept[0].id)
        patch.undo()
        assert catalog.current().id == current
        switch(load(root), kept[0].id)
        assert catalog.current().id == kept[0].id


@pytest.mark.parametrize("statement", [
    "UPDATE chunks SET text = replace(text, 'noon', 'moon')", "UPDATE documents SET groups = '[\"hr\"]'",
    "UPDATE chunks SET document = 'hr/pay.md' WHERE document = 'open/hours.md'",
    "UPDATE documents SET text = replace(text, '9,000', '9,001')", "UPDATE chunks SET page = 7",
    "UPDATE generations SET dense_weight = 0.1", "UPDATE generations SET embedder_fingerprint = 'x'",
    "DELETE FROM generation_chunks WHERE chunk IN (SELECT chunk FROM generation_chunks LIMIT 1)",
    "UPDATE documents SET title = 'x'",
])
def test_a_changed_row_is_found_and_never_served(root: Path, statement: str) -> None:
    bring(root)
    before = {query: [hit.chunk for hit in search(load(root), query)] for query in ("warehouse closes", "director")}
    with sqlite3.connect(project_folder(root) / "catalog.sqlite") as database:
        assert database.execute(statement).rowcount
    database.close()
    assert check(load(root)).faults
    for query, chunks in before.items():
        try:
            found = [hit.chunk for hit in search(load(root), query)]
        except Damaged:
            continue
        assert found == chunks


def test_flipped_bits_are_found_and_never_served(root: Path) -> None:
    """A sample of probe CO1; bench/probes/index.py has the whole."""
    bring(root)
    home = project_folder(root)
    files = [path for path in home.rglob("*") if path.is_file() and path.stat().st_size and path.suffix != ".lock"
             and path.name not in ("files.json", "ingest.json", "minilm.json", "reserve")]
    right = [hit.chunk for hit in search(load(root), "warehouse closes")]
    random.seed(11)
    for _ in range(30):
        path = random.choice(files)
        whole = path.read_bytes()
        flipped = bytearray(whole)
        flipped[random.randrange(len(whole))] ^= 1 << random.randrange(8)
        path.write_bytes(flipped)
        # What is wrong in the cache of vectors is computed again; unused bytes of it are nobody's.
        assert check(load(root)).faults or path.parent.name == "cache", path
        try:
            assert [hit.chunk for hit in search(load(root), "warehouse closes")] == right
        except Exception as error:  # noqa: BLE001 - any refusal is good, a wrong passage is not
            assert not isinstance(error, AssertionError)
        path.write_bytes(whole)
    assert check(load(root)).faults == ()


# ---------------------------------------------------------------------------------------------------- kinds


@settings(max_examples=150, deadline=None)
@given(_TEXTS, st.integers(1, 40), st.sampled_from(KINDS), st.lists(st.integers(0, 400), max_size=4))
def test_every_kind_is_exact_and_loses_nothing(text: str, tokens: int, kind: str, cuts: list[int]) -> None:
    length = len(markdown(text).text)
    edges = sorted({0, *(cut for cut in cuts if cut < length), length})
    pages = tuple(Page(n, a, b) for n, (a, b) in enumerate(zip(edges, edges[1:], strict=False), 1)) if length else ()
    document = markdown(text, pages)
    position = 0
    for piece in chunk(document, tokens=tokens, kind=kind):
        assert piece.text == document.text[piece.start : piece.end]
        assert piece.start >= position and not document.text[position : piece.start].strip()
        assert count_words(piece.text) <= tokens
        if kind == "pages":
            assert sum(page.start < piece.end and piece.start < page.end for page in pages) == 1
        if piece.parent:
            low, high = piece.parent
            assert low <= piece.start and piece.end <= high
            assert count_words(document.text[low:high]) <= PARENT * tokens
        position = piece.end
    assert not document.text[position:].strip()


def test_unknown_kind() -> None:
    with pytest.raises(ValueError, match="sections, pages, parents"):
        chunk(markdown("text"), kind="paragraphs")


def test_table_rows_repeat_their_header() -> None:
    rows = "".join(f"| item {n} | {n} euros |\n" for n in range(40))
    pieces = chunk(markdown(f"# Prices\n\n| Name | Price |\n|---|---|\n{rows}"), tokens=40)
    assert len(pieces) > 4
    assert all("Name | Price" in piece.heading or "| Name | Price |" in piece.text for piece in pieces)


def test_small_is_searched_and_large_is_read(root: Path) -> None:
    words = " ".join(f"Sentence {n} tells of thing {n}." for n in range(30))
    write(root, "long.md", f"# Long\n\n{words}\n\nThe code of the safe is 4711. It was changed in May.\n")
    bring(root, kind="parents", tokens=20)
    with open_catalog(root) as catalog:
        index = Index(catalog, indexes_folder(root))
        (hit, *others) = make_retriever(index, HashEmbedder(), Retrieval(k=2))(["code of the safe"])[0]
        document = catalog.document("long.md")
        assert hit.chunk.document == "long.md"
        assert hit.chunk.text == document.text[hit.chunk.start : hit.chunk.end]
        assert "changed in May" in hit.chunk.text and count_words(hit.chunk.text) > 20
        assert len({one.chunk.id for one in (hit, *others)}) == 1 + len(others)
        diverse = make_retriever(index, HashEmbedder(), Retrieval(k=2, diversity=0.5))(["code of the safe"])[0]
        assert diverse[0].chunk == hit.chunk
    sections = bring(root, kind="sections", tokens=20)
    assert sections.changed >= 1


def test_a_citation_names_the_page_of_its_own_sentence(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A passage may go on over a page's end: the quote's page counts, not that of the passage's first word."""
    from tunewise import reading
    from tunewise.jobs.ask import ask
    from tunewise.nouns import Document
    from tunewise.store import sha256

    text = "The key of the cellar is red.\nThe key of the attic is blue and hangs in the hall."
    cut = text.index("\n") + 1
    document = Document("keys.pdf", text, "Keys", sha256(text), language="en",
                        pages=(Page(1, 0, cut), Page(2, cut, len(text))))

    def reads(*_: object, arrived: Callable[[Document], None], **__: object) -> tuple[list[Document], list[object]]:
        arrived(document)
        return [document], []

    monkeypatch.setattr(reading, "read_folder", reads)
    bring(root)
    (root / "tunewise.toml").write_text('[project]\nembedder = "hash"\nmodel = "echo"\n', encoding="utf-8")
    answer, _ = ask(load(root), "Where does the blue key of the attic hang?", approach="rag")
    (citation,) = answer.citations
    assert (citation.page, citation.verified) == (2, True)
    assert text[citation.start : citation.end] == citation.quote


def test_catalogs_of_before_are_brought_up(root: Path) -> None:
    bring(root)
    file = project_folder(root) / "catalog.sqlite"
    with sqlite3.connect(file) as database:
        for table, column in (("chunks", "parent_start"), ("chunks", "parent_end"), ("chunks", "seal"),
                              ("documents", "seal")):
            database.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
        database.execute("UPDATE state SET value = '1' WHERE key = 'schema'")
    database.close()
    assert search(load(root), "warehouse")[0].chunk.document == "open/hours.md"
    assert bring(root).unchanged == 4
    assert ingest_job.open_catalog(root).documents()
