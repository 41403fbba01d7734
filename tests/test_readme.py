"""The README's commands are run, not believed.

A console block with `<!-- run -->` on the line before it is run in a copy of the project's own files, offline.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"<!-- run -->\s*\n```console\n(.*?)```", re.DOTALL)
SECONDS = 300


def commands(page: str) -> list[str]:
    """The commands after `$ ` of every marked block; a line that ends with a backslash goes on in the next one."""
    found = []
    for block in BLOCK.findall(page):
        lines = iter(block.splitlines())
        for line in lines:
            if line.startswith("$ "):
                command = line[2:]
                while command.endswith("\\"):
                    command = command[:-1] + next(lines).removeprefix("> ")
                found.append(command)
    return found


def test_blocks_are_found() -> None:
    page = "a\n<!-- run -->\n```console\n$ one \\\n>  two\nits output\n$ three\n```\n```console\n$ not this\n```\n"
    assert commands(page) == ["one  two", "three"]


def test_the_tree_names_every_room() -> None:
    tree = (ROOT / "README.md").read_text(encoding="utf-8").partition("\nsrc/tunewise/\n")[2].partition("```")[0]
    told = set(re.findall(r"^  ([\w.]+)/? ", tree, re.MULTILINE))
    rooms = {path.name for path in (ROOT / "src" / "tunewise").iterdir()
             if (path.suffix == ".py" or any(path.glob("*.py"))) and not path.name.startswith("__")}
    assert told == rooms


@pytest.mark.slow
@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md"])
def test_commands_run(name: str, tmp_path: Path) -> None:
    page = ROOT / name
    if not page.is_file():
        pytest.skip(f"there is no {name} yet")
    wanted = commands(page.read_text(encoding="utf-8"))
    if not wanted:
        pytest.skip(f"{name} marks no block with <!-- run -->")
    folder = tmp_path / "copy"
    folder.mkdir()
    for part in ("examples", "docs"):
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, folder / part)
    # `tunewise` is this checkout's, wherever it is installed.
    program = tmp_path / "bin" / "tunewise"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tunewise "$@"\n')
    program.chmod(0o755)
    environment = os.environ | {
        "PATH": f"{program.parent}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "TUNEWISE_OFFLINE": "1",
    }
    # One shell for all of them: a later command may rely on an earlier `cd`.
    script = "set -e\n" + "\n".join(f"printf '$ %s\\n' {_quote(command)} >&2\n{command}" for command in wanted)
    done = subprocess.run(["bash", "-c", script], cwd=folder, env=environment, capture_output=True, text=True,
                          timeout=SECONDS, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr[-3000:]


def _quote(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
