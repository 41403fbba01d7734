"""tunewise.toml: what wins, what is refused, and where the fault is said to be."""

from __future__ import annotations

from pathlib import Path

import pytest

from tunewise.cli.starter import starter
from tunewise.errors import ConfigMistake
from tunewise.project import CURRENT_INDEX, DEFAULT_APPROACHES, FILE, SETTINGS, Project, find_project, load_project


def write(folder: Path, text: str, name: str = FILE) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def load(folder: Path, text: str, **arguments: object) -> Project:
    arguments.setdefault("environ", {})
    return load_project(write(folder, text), **arguments)  # type: ignore[arg-type]


def faults(folder: Path, text: str, **arguments: object) -> str:
    with pytest.raises(ConfigMistake) as caught:
        load(folder, text, **arguments)
    return caught.value.message


def test_an_empty_file_means_the_defaults(tmp_path: Path) -> None:
    project = load(tmp_path, "")
    assert [a.name for a in project.approaches] == list(DEFAULT_APPROACHES)
    assert (project.root, project.documents) == (tmp_path, tmp_path / "documents")
    assert (project.name, project.groups) == (tmp_path.name, None)
    assert set(project.origins.values()) == {"default"}
    assert set(project.origins) == {setting.key for setting in SETTINGS}


def test_default_approaches_read_an_index_or_wear_an_adapter(tmp_path: Path) -> None:
    project = load(tmp_path, "")
    shape = {a.name: (a.index is not None, a.recipe) for a in project.approaches}
    assert shape == {
        "zero-shot": (False, None), "few-shot": (False, None), "chain-of-thought": (False, None), "rag": (True, None),
        "lora-sft": (False, "sft"), "lora-sft-rag": (True, "sft"), "raft": (True, "raft"),
    }
    assert project.approach("few-shot").examples > 0


def test_their_prompts_exist(tmp_path: Path) -> None:
    from tunewise.prompts import reads_passages

    for approach in load(tmp_path, "").approaches:
        assert reads_passages(approach.prompt) == (approach.index is not None)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_starter_is_a_good_file(tmp_path: Path, language: str) -> None:
    project = load(tmp_path, starter('a "quoted" 手册', language=language, approaches=list(DEFAULT_APPROACHES)))
    assert (project.name, project.language) == ('a "quoted" 手册', language)


def test_flag_beats_environment_beats_file_beats_user_beats_default(tmp_path: Path) -> None:
    user = write(tmp_path, "[retrieval]\nk = 2\nbudget = 222\n[project]\nmodel = 'echo'\n", "user/config.toml")
    text = "[retrieval]\nk = 4\n"
    both = {"user": user}
    assert load(tmp_path, "", **both).retrieval.k == 2
    assert load(tmp_path, text, **both).retrieval.k == 4
    assert load(tmp_path, text, environ={"TUNEWISE_K": "6"}, **both).retrieval.k == 6
    project = load(tmp_path, text, environ={"TUNEWISE_K": "6"}, flags={"retrieval.k": 8, "project.model": None}, **both)
    assert (project.retrieval.k, project.retrieval.budget, project.model) == (8, 222, "echo")
    assert project.origins["retrieval.k"] == "flag"
    assert project.origins["retrieval.budget"] == f"{user}:3"
    assert load(tmp_path, text, environ={"TUNEWISE_K": "6"}).origins["retrieval.k"] == "environment TUNEWISE_K"
    assert load(tmp_path, text).origins["retrieval.k"] == f"{tmp_path / FILE}:2"
    assert all(approach.retrieval.k == 8 for approach in project.approaches)


def test_all_faults_at_once_each_with_its_line(tmp_path: Path) -> None:
    text = """\
[project]
modle = "x"
language = "fr"
[retrieval]
k = 0
mode = "dens"
[chunk]
[needs]
margin = "small"
max_wrng = 0.1
[approaches.a]
recipe = "raft"
exampels = 2
[approaches.b]
retrieval = { kk = 3 }
[groups]
"hr/*" = "hr"
"""
    message = faults(tmp_path, text, environ={"TUNEWISE_TOKENS": "many"})
    file = tmp_path / FILE
    wanted = {
        f"{file}:2": "did you mean 'model'", f"{file}:3": "'fr' is none of en, zh", f"{file}:5": "at least 1",
        f"{file}:6": "did you mean 'dense'", f"{file}:7": "did you mean 'chunks'", f"{file}:9": "a number",
        f"{file}:10": "did you mean 'max_wrong'", f"{file}:12": "index = true", f"{file}:13": "did you mean 'examples'",
        f"{file}:15": "did you mean 'k'", f"{file}:17": "list of group names",
        "environment TUNEWISE_TOKENS": "a whole number",
    }
    lines = message.splitlines()
    for where, what in wanted.items():
        assert any(where + ":" in line and what in line for line in lines), (where, what, message)
    assert len(lines) == len(wanted) + 1


@pytest.mark.parametrize("value", ["true", "nan", "-0.1", '"0.1"'])
def test_needs_are_numbers(tmp_path: Path, value: str) -> None:
    assert f"{FILE}:2" in faults(tmp_path, f"[needs]\nmax_wrong = {value}\n")


def test_needs_of_the_file_beat_those_of_the_user(tmp_path: Path) -> None:
    user = write(tmp_path, "[needs]\nmargin = 0.1\nmonths = 3\n", "user/config.toml")
    needs = load(tmp_path, "[needs]\nmargin = 0.05\ncitations_required = true\n", user=user).needs
    assert (needs.margin, needs.months, needs.citations_required) == (0.05, 3, True)


def test_the_user_file_has_no_paths_and_no_approaches(tmp_path: Path) -> None:
    user = write(tmp_path, "[project]\ndocuments = 'x'\n[approaches.a]\n", "user/config.toml")
    message = faults(tmp_path, "", user=user)
    assert f"{user}:2" in message
    assert f"{user}:3" in message


def test_own_approaches_replace_the_defaults(tmp_path: Path) -> None:
    project = load(tmp_path, """\
[retrieval]
budget = 300
[approaches.mine]
index = true
retrieval = { k = 9 }
max_new_tokens = 12
model = "./weights"
[approaches.plain]
prompt = "own.toml"
""")
    mine, plain = project.approaches
    assert (mine.index, mine.prompt, mine.retrieval.k, mine.retrieval.budget) == (CURRENT_INDEX, "grounded", 9, 300)
    assert (mine.decoding.max_new_tokens, mine.model) == (12, str(tmp_path / "weights"))
    assert (plain.index, plain.model, plain.prompt) == (None, "smollm2", str(tmp_path / "own.toml"))
    with pytest.raises(ConfigMistake, match="did you mean 'plain'"):
        project.approach("plan")


def test_paths_are_relative_to_where_they_were_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = "[project]\ndocuments = 'docs'\nglossary = 'g.txt'\n"
    project = load(tmp_path / "a", text, environ={"TUNEWISE_QUESTIONS": "q.jsonl"}, flags={"project.model": "../m"})
    assert (project.documents, project.glossary) == (tmp_path / "a" / "docs", tmp_path / "a" / "g.txt")
    assert project.questions == tmp_path / "q.jsonl"
    assert project.model == str(tmp_path.parent / "m")


def test_groups_keep_their_order(tmp_path: Path) -> None:
    project = load(tmp_path, '[groups]\n"*" = ["staff"]\n"hr/*" = ["hr", "board"]\n"public/*" = []\n')
    assert list((project.groups or {}).items()) == [("*", ("staff",)), ("hr/*", ("hr", "board")), ("public/*", ())]


def test_the_file_is_found_upwards(tmp_path: Path) -> None:
    file = write(tmp_path, "")
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert find_project(tmp_path / "a" / "b") == file


@pytest.mark.parametrize("content", [b"\xff\xfe", b"k = ", b"[a]\nx = 1\nx = 2\n"])
def test_a_broken_file_is_the_users_mistake(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / FILE
    path.write_bytes(content)
    with pytest.raises(ConfigMistake, match=FILE):
        load_project(path, environ={})


def test_a_missing_file_says_what_to_type(tmp_path: Path) -> None:
    with pytest.raises(ConfigMistake) as caught:
        load_project(tmp_path / "nothing.toml", environ={})
    assert "tunewise init" in caught.value.tip


def test_training_is_handed_on_as_it_stands(tmp_path: Path) -> None:
    assert load(tmp_path, "[training]\nepochs = 2\nrate = 1e-4\n").training == {"epochs": 2, "rate": 1e-4}


def test_values_cover_every_setting(tmp_path: Path) -> None:
    assert set(load(tmp_path, "").values()) == {setting.key for setting in SETTINGS}


def test_no_two_settings_share_a_variable() -> None:
    assert len({setting.env for setting in SETTINGS}) == len(SETTINGS)
