"""The store: files are whole or absent, logs lose at most a torn last line, one writer at a time."""

import errno
import os
import stat
import subprocess
import sys
from types import SimpleNamespace

import pytest

from tunewise.errors import Damaged, DataMistake, DiskFull, Failed
from tunewise.store import (
    append_jsonl,
    disk_errors,
    disk_full,
    fingerprint,
    lock,
    read_json,
    read_jsonl,
    recover_jsonl,
    sha256,
    write_bytes,
    write_json,
)


def failing(code):
    def fail(*_, **__):
        raise OSError(code, os.strerror(code))

    return fail


def test_a_written_file_is_whole_readable_for_all_and_alone(tmp_path):
    path = tmp_path / "new" / "a.bin"
    assert write_bytes(path, b"one") == sha256(b"one") == sha256(path)
    assert write_bytes(path, b"two") == sha256(path)
    assert path.read_bytes() == b"two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize(("code", "raised"), [(errno.ENOSPC, DiskFull), (errno.EDQUOT, DiskFull), (errno.EIO, OSError)])
def test_a_failed_write_leaves_the_old_content_or_nothing(tmp_path, monkeypatch, step, there, code, raised):
    path = tmp_path / "a.bin"
    if there:
        write_bytes(path, b"old")
    with monkeypatch.context() as patch:
        patch.setattr(os, step, failing(code))
        with pytest.raises(raised) as error:
            write_bytes(path, b"new")
    if raised is DiskFull:
        assert str(path) in error.value.message and error.value.tip
    else:
        assert error.value.errno == code
    assert [file.read_bytes() for file in tmp_path.iterdir()] == ([b"old"] if there else [])


def test_a_torn_last_line_is_cut_off_and_the_log_goes_on(tmp_path):
    path = tmp_path / "log.jsonl"
    assert recover_jsonl(path) == []
    append_jsonl(path, {"n": 1})
    append_jsonl(path, {"n": "二"}, sync=False)
    whole = path.read_bytes()
    with path.open("ab") as file:
        file.write('{"n": "三'.encode()[:-1])
    assert recover_jsonl(path) == [{"n": 1}, {"n": "二"}]
    assert path.read_bytes() == whole
    append_jsonl(path, {"n": 3})
    assert recover_jsonl(path) == [{"n": 1}, {"n": "二"}, {"n": 3}]


def test_a_broken_line_inside_a_log_is_damage_with_its_number(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text('{"n": 1}\n{"n":\n{"n": 3}\n')
    with pytest.raises(Damaged, match=r"log\.jsonl:2"):
        recover_jsonl(path)
    assert path.read_text() == '{"n": 1}\n{"n":\n{"n": 3}\n'


def test_a_full_disk_takes_no_part_of_a_line(tmp_path, monkeypatch):
    path = tmp_path / "log.jsonl"
    append_jsonl(path, {"n": 1})
    whole, write, calls = path.read_bytes(), os.write, []

    def half(handle, data):
        calls.append(len(data))
        if len(calls) > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(handle, data[:4])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", half)
        with pytest.raises(DiskFull):
            append_jsonl(path, {"n": 2})
    assert len(calls) == 2 and path.read_bytes() == whole
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing(errno.ENOSPC))
        with pytest.raises(DiskFull):
            append_jsonl(path, {"n": 2})
    assert path.read_bytes() == whole


def test_a_file_of_ours_that_is_not_whole_is_damaged(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"b": "二", "a": [1, None]})
    assert read_json(path) == {"a": [1, None], "b": "二"}
    for broken in (path.read_bytes()[:-3], b"", b'"\xff"'):
        path.write_bytes(broken)
        with pytest.raises(Damaged, match=r"a\.json"):
            read_json(path)


def test_all_broken_lines_of_a_users_file_are_named(tmp_path):
    path = tmp_path / "questions.jsonl"
    path.write_text('\ufeff{"n": 1}\n{broken\n\n{"n": 4}\nalso broken\n', encoding="utf-8")
    seen = []
    with pytest.raises(DataMistake) as error:
        for item in read_jsonl(path):
            seen.append(item)  # a comprehension would lose what came before the mistake
    assert seen == [(1, {"n": 1}), (4, {"n": 4})]
    assert [fault.split(": ")[0] for fault in error.value.faults] == [f"{path}:2", f"{path}:5"]
    assert "2 line(s)" in error.value.message


def test_a_lock_names_its_holder_to_another_process_and_dies_with_the_holder(tmp_path):
    path = tmp_path / "p" / "lock"
    holding = (
        "import sys; from pathlib import Path; from tunewise.store import lock\n"
        "with lock(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", holding, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(Failed, match=rf"process {holder.pid}$"), lock(path):
            pass
    finally:
        holder.kill()
        holder.communicate()
    with lock(path):
        assert path.read_text() == str(os.getpid())
    with lock(path):
        pass


def test_a_fingerprint_does_not_depend_on_the_order_of_keys():
    assert fingerprint({"a": 1, "b": {"c": 2, "d": 3}}) == fingerprint({"b": {"d": 3, "c": 2}, "a": 1})
    assert fingerprint({"a": [1, 2]}) != fingerprint({"a": [2, 1]})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})


class Foreign(Exception):
    """What safetensors raises: neither an OSError nor a RuntimeError, and without a number."""


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (Foreign("Error while serializing: I/O error: No space left on device (os error 28)"), True),
        (RuntimeError("PytorchStreamWriter failed: Disk quota exceeded"), True),
        (OSError(errno.ENOSPC, "anything"), True),
        (Foreign("Error while deserializing header"), False),
        (OSError(errno.EIO, "Input/output error"), False),
    ],
)
def test_a_full_disk_is_known_by_number_or_by_words_whatever_the_class(tmp_path, error, full):
    assert disk_full(error) is full
    with pytest.raises(DiskFull if full else type(error)), disk_errors(tmp_path):
        raise error


@pytest.mark.parametrize("words", ["[enforce fail at inline_container.cc:672] . unexpected pos 64 vs 0",
                                   "basic_ios::clear: iostream error"])
def test_a_writer_that_says_nothing_of_the_disk_makes_us_ask_it(tmp_path, monkeypatch, words):
    error, there = RuntimeError(words), tmp_path / "not" / "there yet"
    assert not disk_full(error, there) and not disk_full(error)
    about = os.statvfs(tmp_path)
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_bavail=3, f_frsize=about.f_frsize))
    assert disk_full(error, there) and not disk_full(error)
    assert not disk_full(RuntimeError("shape mismatch"), there)
