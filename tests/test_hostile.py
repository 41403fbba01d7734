"""A hostile file costs one file: it is refused with a reason, reads nothing, calls nobody, and the others are read."""

from __future__ import annotations

import os
import random
import socket
import threading
import time
import zipfile
from pathlib import Path

import pytest

import format_seeds
import fuzzed_parsers
import hostile_files
from sample_files import ENGLISH, packed, read, repacked, sheet
from tunewise.reading import SUFFIXES, read_folder

CANARY = "canary-7f3a91"


class Listener:
    """A port on this machine that counts who connects."""

    def __init__(self) -> None:
        self.count = 0
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.count += 1
            connection.close()


def test_hostile_files_cost_themselves(tmp_path: Path) -> None:
    canary, root = tmp_path / "canary.txt", tmp_path / "documents"
    canary.write_text(CANARY)
    root.mkdir()
    listener = Listener()
    made = hostile_files.hostile(canary, listener.address, 8)
    # These wait for OCR; bench/probes/reading.py has them too, and everything larger.
    for name in ("image.pdf", "jbig2.pdf", "wide.png", "operators.pdf"):
        made.pop(name)
    for name, make in made.items():
        (root / name).write_bytes(make())
    (root / "good.md").write_text(ENGLISH)
    started = time.monotonic()
    documents, unread = read_folder(root, processes=2, seconds_per_file=20)
    listener.socket.close()
    found = {document.id for document in documents} | {one.source for one in unread}
    assert found == {*made, "good.md"} and "good.md" in {document.id for document in documents}
    assert not any(CANARY in document.text or len(document.text) > 5_000_000 for document in documents)
    assert listener.count == 0
    assert all(one.reason for one in unread)
    refusals = {one.source: one.reason for one in unread}
    for name in ("laughs.docx", "laughs.xlsx", "laughs.pptx"):
        assert "declares XML entities" in refusals[name]
    assert "pixels" in refusals["large.png"]
    assert time.monotonic() - started < 60


def test_sizes_are_refused_before_they_are_unpacked(tmp_path: Path) -> None:
    (tmp_path / "a.docx").write_bytes(hostile_files.part_of(200 << 20))
    (tmp_path / "b.epub").write_bytes(packed({f"{n}.txt": b"" for n in range(20_001)}))
    reasons = [one.reason for one in read_folder(tmp_path, processes=1)[1]] if (tmp_path / "b.epub").exists() else []
    assert len(reasons) == 2 and all("more than is read of one file" in reason for reason in reasons)


def test_names_inside_of_archives_lead_nowhere(tmp_path: Path) -> None:
    inside = tmp_path / "in"
    inside.mkdir()
    escaping = {"../../outside.txt": b"x", "/outside.txt": b"x", "..\\..\\outside.txt": b"x", "a\0b.txt": b"x"}
    with zipfile.ZipFile(inside / "base.zip", "w"):
        pass
    (inside / "base.zip").unlink()
    parts = {}

    def keep(name: str, content: bytes) -> bytes:
        parts[name] = content
        return content

    repacked(sheet(), keep)
    before = sorted(path for path in tmp_path.rglob("*"))
    document = read(inside, "a.xlsx", packed(parts | escaping))
    assert "Fees of 2025" in document.text
    assert sorted(path for path in tmp_path.rglob("*")) == sorted([*before, inside / "a.xlsx"])
    assert not Path("/outside.txt").exists()


def test_odd_names_are_read_or_refused(tmp_path: Path) -> None:
    names = ["a b.md", "-rf.md", "$(touch x).md", "a;b.md", "\u202egpj.md", "x" * 240 + ".md", "\n.md", "保修\u3000.md",
             "e\u0301.md", "a..md", "%2e%2e.md", "a.MD", "con.md", "'\".md", "🫖.md"]
    for name in names:
        (tmp_path / name).write_text(f"# {ENGLISH}")
    (tmp_path / os.fsdecode(b"\xff\xfe.md")).write_text("x")
    documents, unread = read_folder(tmp_path, processes=1)
    assert len(documents) == len(names) and [one.reason for one in unread] == ["its name is not valid UTF-8: rename it"]
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix.lower() != ".md") == []


def test_a_folder_with_broken_files_gives_the_others_and_the_reasons(tmp_path: Path) -> None:
    whole = sheet()
    for number in range(194):
        (tmp_path / f"{number:03}.md").write_text(f"# Rule {number}\n\n{ENGLISH}")
    broken = {
        "empty.pdf": b"", "cut.xlsx": whole[: len(whole) // 2], "noise.txt": bytes(range(256)) * 4,
        "page.html": b"<html></html>", "cut.pdf": b"%PDF-1.7 cut", "false.docx": b"PK\x03\x04 no archive",
    }
    for name, data in broken.items():
        (tmp_path / name).write_bytes(data)
    documents, unread = read_folder(tmp_path)
    assert len(documents) == 194 and sorted(one.source for one in unread) == sorted(broken)
    assert all(len(one.reason) > 10 for one in unread)


def test_mutated_files_of_every_format(tmp_path: Path) -> None:
    random_ = random.Random(20251101)
    seeds = format_seeds.seeds()
    assert len(seeds) >= 60 and len({Path(name).suffix for name in seeds}) >= len(SUFFIXES) - 3
    # What is recognised in a picture takes seconds; bench/probes/reading.py has them.
    names = sorted(name for name in seeds if not name.startswith(("lid.", "scan.")))
    for number in range(5 * len(names)):
        seed = names[number % len(names)]
        (tmp_path / f"{number:04}{Path(seed).suffix}").write_bytes(hostile_files.mutation(seeds[seed], random_))
    documents, unread = read_folder(tmp_path, processes=2, seconds_per_file=20)
    assert {document.id for document in documents} | {one.source for one in unread} == {
        path.name for path in tmp_path.iterdir()
    }
    # A reader's own surprise would be a fault of ours, even though it cost one file; so would its death here.
    assert not [one for one in unread if "its reader" in one.reason]


def test_what_makes_the_library_of_sheets_panic_is_refused(tmp_path: Path) -> None:
    random_ = random.Random(1)
    for name in ("english.xls", "chinese.xls", "english.xlsb"):
        for number in range(60):
            data = hostile_files.mutation(format_seeds.seeds()[name], random_)
            (tmp_path / f"{number}{name}").write_bytes(data)
    reasons = [one.reason for one in read_folder(tmp_path, processes=2)[1]]
    # Out of memory it aborts, which is a signal; a panic would end the child with a traceback.
    assert reasons and not [reason for reason in reasons if "died (exit code" in reason]


def test_seeds_of_every_format_can_be_read(tmp_path: Path) -> None:
    for name, data in format_seeds.seeds().items():
        (tmp_path / name).write_bytes(data)
    for name in list(format_seeds.seeds()):
        if name.startswith(("lid.", "scan.")):
            (tmp_path / name).unlink()
    documents, unread = read_folder(tmp_path, passwords=["x"], processes=2)
    assert len(documents) == len(list(tmp_path.iterdir()))
    # What is attached and not read, and the one that was damaged to begin with.
    assert sorted(one.source for one in unread) == ["both.eml", "damaged.txt", "nested.eml"]


@pytest.mark.parametrize("name", sorted(fuzzed_parsers.PARSERS))
def test_our_own_parsers_raise_nothing_but_our_own_errors(name: str) -> None:
    found = fuzzed_parsers.fuzz(name, seed=20251101, runs=25)
    assert found.runs == 25 and found.edges and not found.findings


def test_the_fuzzer_finds_what_hides_behind_several_steps() -> None:
    from tunewise.reading.plain import read_markdown

    def broken(data: bytes) -> object:
        draft = read_markdown(data)
        # Only an input with a title, a heading and a table gets here.
        if draft.title and draft.headings and draft.text.count("|") > 30:
            raise KeyError("a fault of the parser")
        return draft

    found = fuzzed_parsers.fuzz("Markdown", runs=600, parse=broken)
    assert [error.partition(" ")[0] for error in found.findings] == ["KeyError"]
