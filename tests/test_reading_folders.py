"""A folder is read by children that may die: the others are read, each reason is told, the clock is kept."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from sample_files import CHINESE, ENGLISH, pdf, word
from tunewise.errors import DataMistake
from tunewise.reading import SUFFIXES, read_folder
from tunewise.reading.child import Child


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "documents"
    (root / "policies" / ".hidden").mkdir(parents=True)
    (root / "policies" / "returns.md").write_text("# Returns\n\n" + ENGLISH)
    (root / "保修.txt").write_text(CHINESE)
    (root / "broken.pdf").write_bytes(b"%PDF-1.7 cut")
    (root / "slides.pptx").write_bytes(b"PK")
    (root / "LICENSE").write_text("x")
    # The name of a team, not the file of groups, which is called `.groups.toml`.
    (root / "team.groups").write_text("x")
    for silent in (".secret.md", ".groups.toml", "tunewise.toml", "~$a.docx", "policies/.hidden/a.md"):
        (root / silent).write_text("must not be read")
    (tmp_path / "outside.md").write_text("# Outside")
    (root / "link.md").symlink_to(tmp_path / "outside.md")
    (root / "nothing.md").symlink_to(tmp_path / "absent.md")
    (root / "up").symlink_to(tmp_path)
    os.mkfifo(root / "pipe.txt")
    return root


def test_a_folder_is_read_and_what_is_not_read_says_why(folder: Path) -> None:
    seen = []
    started = time.perf_counter()
    documents, unread = read_folder(folder, progress=lambda phase, done, total: seen.append((phase, done, total)))
    assert [document.id for document in documents] == ["policies/returns.md", "保修.txt"]
    assert documents[0].headings[0].title == "Returns" and documents[1].language == "zh"
    assert seen == [("read", n, 4) for n in (1, 2, 3, 4)]
    reasons = {item.source: item.reason for item in unread}
    assert sorted(reasons) == [
        "LICENSE", "broken.pdf", "link.md", "nothing.md", "pipe.txt", "slides.pptx", "team.groups", "up",
    ]
    assert "damaged" in reasons["broken.pdf"] and str(folder) not in reasons["broken.pdf"]
    assert all(suffix in reasons["LICENSE"] for suffix in SUFFIXES) and "damaged" in reasons["slides.pptx"]
    assert "leaves the folder" in reasons["link.md"] and "leaves the folder" in reasons["up"]
    assert "not a regular file" in reasons["pipe.txt"]
    assert time.perf_counter() - started < 10


def test_one_or_many_processes_read_the_same(folder: Path) -> None:
    assert read_folder(folder, processes=1) == read_folder(folder, processes=3)


def test_small_plain_texts_need_no_child_and_read_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tunewise.reading import folder as reader

    (folder / "latin.txt").write_bytes("Die Straße ist für Fußgänger gesperrt, Grüße aus Köln.".encode("latin-1"))
    (folder / "long.md").write_text("# Long\n\n" + ENGLISH * 2000)
    (folder / "blank.md").write_text(" \n")
    (folder / "false.txt").write_bytes(b"%PDF-1.7 cut")
    asked: list[str] = []
    ask = reader.Child.ask
    monkeypatch.setattr(reader.Child, "ask", lambda self, request: asked.append(request["id"]) or ask(self, request))
    here = read_folder(folder)
    assert sorted(asked) == ["broken.pdf", "latin.txt", "long.md", "slides.pptx"]
    monkeypatch.setattr(reader, "_SMALL", -1)
    assert read_folder(folder) == here
    assert len(asked) == 4 + 8


def test_absent_and_empty_folders(tmp_path: Path) -> None:
    with pytest.raises(DataMistake, match="no such folder"):
        read_folder(tmp_path / "absent")
    with pytest.raises(DataMistake, match="empty"):
        read_folder(tmp_path)


def test_passwords_reach_the_children(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(pdf([ENGLISH], encrypt="sesame"))
    assert "--password" in read_folder(tmp_path)[1][0].reason
    assert read_folder(tmp_path, passwords=("x", "sesame"))[0][0].text == ENGLISH


def test_a_file_that_takes_too_long_costs_itself_only(tmp_path: Path) -> None:
    (tmp_path / "slow.html").write_text("<div>" * 100 + "".join(f"<p>{ENGLISH} {n}</p>" for n in range(60_000)))
    (tmp_path / "a.md").write_text("# Fine")
    documents, unread = read_folder(tmp_path, processes=1, seconds_per_file=1.0)
    assert [document.id for document in documents] == ["a.md"]
    assert unread[0].source == "slow.html" and "longer than 1 seconds" in unread[0].reason


def test_a_file_that_eats_memory_costs_itself_only(tmp_path: Path) -> None:
    whole = word(lambda document: document.add_paragraph("x"))
    bomb = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(whole)) as old,
        zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as new,
    ):
        for name in old.namelist():
            content = old.read(name)
            if name == "word/document.xml":
                content = content.replace(b"<w:p>", b"<w:p/>" * 30_000_000 + b"<w:p>", 1)
            new.writestr(name, content)
    (tmp_path / "bomb.docx").write_bytes(bomb.getvalue())
    (tmp_path / "a.md").write_text("# Fine")
    documents, unread = read_folder(tmp_path, processes=1)
    assert [document.id for document in documents] == ["a.md"]
    assert [item.source for item in unread] == ["bomb.docx"] and unread[0].reason


def test_a_child_that_dies_is_replaced() -> None:
    code = (
        "import os, sys\n"
        "for line in sys.stdin:\n"
        "    if 'die' in line: os.abort()\n"
        '    print(\'{"reason": "lives"}\', flush=True)\n'
    )
    child = Child(5, [sys.executable, "-c", code])
    assert child.ask({"path": "well"}) == {"reason": "lives"}
    assert "SIGABRT" in child.ask({"path": "die"})["reason"]
    assert child.ask({"path": "well"}) == {"reason": "lives"}
    child.bury()
    child.stop()
    assert child.ask({"path": "well"}) == {"reason": "reading was stopped"}


def test_the_clock_of_a_child_gives_back_what_it_is_told() -> None:
    code = (
        "import json, sys, time\n"
        "for line in sys.stdin:\n"
        "    for given in json.loads(line)['given']:\n"
        "        time.sleep(0.5)\n"
        "        print(json.dumps({'goes_on': given}), flush=True)\n"
        "    time.sleep(0.5)\n"
        '    print(\'{"done": 1}\', flush=True)\n'
    )
    child = Child(1.2, [sys.executable, "-c", code], way_out="make it shorter")
    assert child.ask({"given": [None, None, None]}) == {"done": 1}
    assert child.ask({"given": [0.5, 0.5, 0.5]}) == {"done": 1}
    late = child.ask({"given": [0, 0, 0]})
    assert "longer than 1.2 seconds" in late["reason"] and late["tip"] == "make it shorter"
    child.bury()


@pytest.mark.parametrize(
    "hangs",
    [
        "time.sleep(600)",
        # Holds the interpreter, so that no thread of it can look who its parent is: the alarm ends it.
        pytest.param("re.match('(a+)+$', 'a' * 60 + 'b')", marks=pytest.mark.slow),
    ],
)
def test_a_child_whose_parent_was_killed_ends_itself(hangs: str) -> None:
    worker = (
        "import re, time\n"
        "from tunewise.reading import worker\n"
        f"worker._DOES['hang'] = lambda request, tell: {hangs}\n"
        "worker.main()\n"
    )
    code = (
        "import sys, threading, time\n"
        "from tunewise.reading.child import Child\n"
        f"child = Child(6, [sys.executable, '-c', {worker!r}])\n"
        "threading.Thread(target=child.ask, args=({'do': 'hang'},), daemon=True).start()\n"
        "while child.process is None: time.sleep(0.05)\n"
        "print(child.process.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        pid = int(parent.stdout.readline())
        # So that it hangs by then.
        time.sleep(2)
        parent.kill()
    ends = time.monotonic() + 20
    while time.monotonic() < ends and _runs(pid):
        time.sleep(0.2)
    if left := _runs(pid):
        os.kill(pid, 9)
    assert not left


def _runs(pid: int) -> bool:
    try:
        # One that waits to be buried has ended.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_how_long_a_file_may_take_is_a_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tunewise import reading
    from tunewise.embeddings import HashEmbedder
    from tunewise.jobs.ingest import ingest_project
    from tunewise.project import load_project

    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "slow.html").write_text("<p>" + "</p><p>".join([ENGLISH] * 30_000))
    (tmp_path / "tunewise.toml").write_text("[reading]\nseconds_per_file = 1\n")
    project = load_project(tmp_path, environ={}, user=tmp_path / "absent.toml")
    asked: list[float] = []
    read_folder = reading.read_folder

    def watched(*where: object, **how: object) -> object:
        asked.append(how["seconds_per_file"])
        # So short that it is too short on every machine.
        return read_folder(*where, **{**how, "seconds_per_file": 0.05})

    monkeypatch.setattr(reading, "read_folder", watched, raising=False)
    with pytest.raises(DataMistake) as caught:
        ingest_project(project, embedder=HashEmbedder())
    assert asked == [1] and "--seconds-per-file" in caught.value.faults[0] and "[reading]" in caught.value.faults[0]
