"""The plan of the house, held with ast: who may import whom, what may be heavy, how long a file may be, who prints."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SRC = ROOT / "src" / "tunewise"
FLOOR = {"nouns", "decisions", "errors", "store", "sentences", "amounts"}

ROOMS: dict[str, set[str]] = {
    # room: whom of ours it may import beyond FLOOR, anywhere in it
    # What is decided has a file of its own; nouns hands it out.
    "nouns": {"decisions"},
    "decisions": set(),
    "errors": set(),
    "store": {"errors"},
    # What this machine is and what the process took: part of every run's identity.
    "machine": set(),
    # How points and money are written: in the sentences of a decision as in the tables of its report.
    "amounts": set(),
    "catalog": set(),
    "reading": set(),
    # Where sentences and words end, in English and Chinese: the one splitter of the house.
    "sentences": set(),
    "chunks": set(),
    "embeddings": set(),
    "index": {"catalog"},
    "retrieval": {"index", "embeddings"},
    "prompts": set(),
    "models": set(),
    # Whether a sentence says the opposite of a claim.
    "polarity": set(),
    "citations": {"polarity"},
    "answers": {"retrieval", "prompts", "models", "citations"},
    # Somebody else's system behind the same callable; its citations climb the same ladder.
    "systems": {"citations", "prompts"},
    "questions": {"prompts"},
    "scorers": set(),
    "statistics": set(),
    "evaluation": set(),
    # What a training seed does to a run is a question of its own.
    "seeds": set(),
    # Which questions belong together: asked by the comparison and by the decision.
    "strata": set(),
    # What a run cost is said once, for the comparison and for the decision.
    "costs": set(),
    "comparison": {"statistics", "strata", "seeds", "costs"},
    "recommendation": {"statistics", "comparison", "strata", "costs"},
    # An earlier report against this comparison; a run's folder is read as evaluation left it.
    "baseline": {"comparison", "evaluation", "statistics"},
    # A first guess from published findings, and whether the comparison bore it out.
    "advice": set(),
    # What a measure is called is said once, by the room that counts it.
    "reports": {"scorers"},
    # It tunes the model that `models` loads, in the weights and with the chat template that answering will use.
    "training": {"prompts", "models", "machine"},
    # The ready-made approaches by name.
    "approaches": set(),
    "project": {"approaches"},
    "jobs": {
        "catalog", "reading", "chunks", "embeddings", "index", "retrieval", "prompts", "models", "citations", "answers",
        "questions", "scorers", "statistics", "evaluation", "comparison", "recommendation", "reports", "training",
        "project", "machine", "approaches", "systems", "baseline", "advice", "costs",
    },
    # HTTP over the jobs. Its files import FastAPI at their top: the room itself is imported late, by the command line.
    "server": {
        "jobs", "answers", "catalog", "citations", "reports", "project", "prompts", "reading", "models", "machine",
    },
    "cli": {"jobs", "answers", "project", "reports", "models", "questions", "advice", "server"},
    "__init__": set(),
    "__main__": {"cli"},
}
HEAVY = {
    "torch", "transformers", "peft", "trl", "accelerate", "datasets", "lancedb", "pyarrow", "sqlalchemy",
    "sentence_transformers", "scipy", "pypdfium2", "pdfplumber", "docx", "trafilatura", "httpx", "rich", "openai",
    "pandas", "gguf", "safetensors", "tokenizers", "pptx", "python_calamine", "oxmsg", "PIL", "lxml", "rapidocr",
    "datasketch", "xllamacpp", "sacrebleu", "psycopg", "prometheus_client",
}
OWN = {"server": {"sqlalchemy", "prometheus_client"}}
"""What a room that is itself imported late may import at its top."""
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "base", "common", "manager", "misc"}
MAX_LINES = 400
MAX_DOOR = 15

FILES = sorted(SRC.rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(SRC).as_posix()


def room_of(path: Path) -> str:
    return path.relative_to(SRC).parts[0].removesuffix(".py")


@pytest.fixture(params=FILES, ids=name_of)
def path(request: pytest.FixtureRequest) -> Path:
    return request.param


@functools.cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def type_checking_only(tree: ast.Module) -> set[ast.AST]:
    """Nodes under `if TYPE_CHECKING:`; they are never run."""
    found: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            found.update(inner for statement in node.body for inner in ast.walk(statement))
    return found


def imports(path: Path, nodes: list[ast.AST]) -> set[str]:
    """Dotted names that the nodes import, relative ones resolved."""
    package = ["tunewise", *path.relative_to(SRC).parts[:-1]]
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*start, *([node.module] if node.module else [])])
            found.add(module)
            if module == "tunewise":
                found.update(f"tunewise.{alias.name}" for alias in node.names)
    return found


def our_rooms(names: set[str]) -> set[str]:
    return {name.split(".")[1] for name in names if name.startswith("tunewise.")}


def at_import(tree: ast.Module) -> list[ast.AST]:
    """The nodes that run when the module is imported: everything outside of functions and TYPE_CHECKING."""
    skipped = type_checking_only(tree)
    found: list[ast.AST] = []

    def walk(node: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)) or child in skipped:
                continue
            found.append(child)
            walk(child)

    walk(tree)
    return found


def test_every_room_is_in_the_table() -> None:
    assert {room_of(path) for path in FILES} <= set(ROOMS)


def test_imports_follow_the_table(path: Path) -> None:
    room, tree = room_of(path), tree_of(path)
    only_types = type_checking_only(tree)
    used = our_rooms(imports(path, [node for node in ast.walk(tree) if node not in only_types]))
    # The version is no room.
    used.discard("__version__")
    allowed = ROOMS[room] | {room} | (FLOOR if room not in FLOOR else {"errors", "nouns"})
    assert used <= allowed, f"{name_of(path)} may not import {sorted(used - allowed)}"


def test_types_may_come_from_other_rooms_but_not_from_above(path: Path) -> None:
    tree = tree_of(path)
    used = our_rooms(imports(path, list(type_checking_only(tree))))
    if room_of(path) not in ("jobs", "server", "cli"):
        assert not used & {"jobs", "server", "cli"}, f"{name_of(path)} knows of {sorted(used & {'jobs', 'cli'})}"


def test_heavy_libraries_are_imported_late(path: Path) -> None:
    used = {name.split(".")[0] for name in imports(path, at_import(tree_of(path)))}
    heavy = HEAVY - OWN.get(room_of(path), set())
    assert not used & heavy, f"{name_of(path)} imports {sorted(used & heavy)} at its top"


def test_files_can_be_read_in_one_sitting(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= MAX_LINES, f"{name_of(path)} has {lines} lines: does it want a second room?"


def test_names_say_something(path: Path) -> None:
    assert path.stem not in FORBIDDEN_NAMES


def test_modules_say_what_they_are_for(path: Path) -> None:
    assert ast.get_docstring(tree_of(path)), f"{name_of(path)} has no docstring"


def test_only_the_command_line_prints_and_exits(path: Path) -> None:
    if room_of(path) == "cli":
        return
    faults = []
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Call):
            call = ast.unparse(node.func)
            # A reader's child is a program of its own: it ends itself when its parent was killed.
            if (name_of(path), call) == ("reading/worker.py", "os._exit"):
                continue
            if call in ("print", "sys.exit", "exit", "quit", "os._exit", "sys.stdout.write", "sys.stderr.write"):
                faults.append(f"{name_of(path)}:{node.lineno}: {call}")
        elif isinstance(node, ast.Raise) and node.exc is not None and "SystemExit" in ast.unparse(node.exc):
            faults.append(f"{name_of(path)}:{node.lineno}: SystemExit")
    assert not faults


def test_doors_are_short() -> None:
    for path in FILES:
        tree = tree_of(path)
        for node in ast.walk(tree):
            assert not (isinstance(node, ast.ImportFrom) and node.names[0].name == "*"), f"import * in {name_of(path)}"
        if path.name == "__init__.py":
            public = {
                name
                for node in tree.body
                for name in _bound(node)
                if not name.startswith("_") and name not in ("annotations", "TYPE_CHECKING")
            }
            listed = next((ast.literal_eval(node.value) for node in tree.body if isinstance(node, ast.Assign)
                           and ast.unparse(node.targets[0]) == "__all__"), None)
            door = set(listed) if listed is not None else public
            assert len(door) <= MAX_DOOR, f"{name_of(path)} has {len(door)} names (no __all__?): {sorted(door)}"


def _bound(node: ast.stmt) -> list[str]:
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return [node.name]
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return [(alias.asname or alias.name).split(".")[0] for alias in node.names]
    if isinstance(node, ast.Assign):
        return [target.id for target in node.targets if isinstance(target, ast.Name)]
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return [node.target.id]
    return []


def test_nothing_is_swallowed(path: Path) -> None:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.ExceptHandler) and all(isinstance(s, ast.Pass) for s in node.body):
            caught = ast.unparse(node.type) if node.type else "everything"
            assert caught not in ("Exception", "BaseException", "everything"), f"{name_of(path)}:{node.lineno}"


def test_extras_that_errors_name_exist() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = {
        keyword.value.value
        for path in FILES
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "need"
        for keyword in node.keywords
        if keyword.arg == "extra" and isinstance(keyword.value, ast.Constant)
    }
    assert named <= set(extras)


def test_versions_agree() -> None:
    from tunewise import __version__

    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == __version__


@pytest.mark.parametrize("module", ["tunewise", "tunewise.cli", "tunewise.cli.app"])
def test_importing_is_light(module: str) -> None:
    code = f"import sys, {module}; print('\\n'.join({{name.partition('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    # typer itself needs pydantic; nothing else heavy may come along.
    assert not set(done.stdout.split()) & (HEAVY | {"numpy"})
