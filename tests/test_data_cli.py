"""The verbs for data, as a user types them: make questions, import, split, compare by name, forgetting, export."""

from __future__ import annotations

import json

import pytest

from tunewise.approaches import KNOWN_APPROACHES
from tunewise.cli.app import run
from tunewise.project import load_project

TOML = """
[project]
model = "echo"
embedder = "hash"
[approaches.rag]
index = true
[approaches.rag-token]
[approaches.rag-sequence]
index = true
marginal = "sequence"
beams = 3
"""
TEXT = """# Returns

A bench check costs 55 crowns. The swap unit is lent for at most 21 days. Returns are led by Luis Marrable.

| Rule | Decision |
|---|---|
| R1 | APPROVE |
| R2 | DECLINE |
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "returns.md").write_text(TEXT, encoding="utf-8")
    (tmp_path / "documents" / "质保.md").write_text("# 质保\n\n质保期为24个月。报销单由主管批准。\n", encoding="utf-8")
    (tmp_path / "tunewise.toml").write_text(TOML, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert run(["ingest", "-q"]) == 0
    return tmp_path


def said(capsys):
    return json.loads(capsys.readouterr().out)


def test_from_documents_to_a_measured_question_file(here, capsys):
    capsys.readouterr()
    assert run(["questions", "generate", "--json"]) == 0
    made = said(capsys)
    assert made["written"] == 7 and made["known"] == 0
    assert [step["before"] for step in made["steps"]][1:] == [step["after"] for step in made["steps"]][:-1]
    assert made["steps"][0]["before"] - made["steps"][-1]["after"] == len(made["rejected"])
    assert run(["questions", "generate"]) == 0
    text = capsys.readouterr().out
    assert "answer verbatim in its passage: 7 -> 7" in text and "0 new questions" in text
    assert run(["questions", "split", "questions.generated.jsonl", "-o", "questions.jsonl", "--yes", "-q"]) == 0
    assert run(["questions", "check", "-q"]) == 0
    capsys.readouterr()
    assert run(["compare", "--approach", "rag", "--json"]) == 0
    assert "rag" in json.dumps(said(capsys))
    # The question file has them all now: nothing is made twice.
    assert run(["questions", "generate", "--output", "more.jsonl", "--json"]) == 0
    assert said(capsys)["written"] == 0


def test_a_model_that_writes_nothing_usable_is_said(here, capsys):
    assert run(["questions", "generate", "--model", "echo"]) == 0
    assert "leave --model out" in capsys.readouterr().err


def test_ready_made_approaches_go_by_name(here, capsys):
    project = load_project(here)
    for name in ("rag-sequence", "rag-token"):
        assert name in KNOWN_APPROACHES and project.approach(name).decoding.marginal == name.removeprefix("rag-")
    assert project.approach("rag-sequence").decoding.beams == 3
    assert [one.name for one in project.approaches] == ["rag", "rag-token", "rag-sequence"]
    # One that the file does not name; and a model that gives no probabilities.
    assert project.approach("few-shot").examples == 3
    (here / "questions.jsonl").write_text('{"id": "a", "question": "How much is a bench check?", "answers": ["55"]}\n')
    capsys.readouterr()
    assert run(["compare", "--approach", "rag-token"]) == 2
    assert "probabilities" in capsys.readouterr().err
    for table in ("marginal = \"both\"", "marginal = \"token\"", "beams = 0"):
        (here / "tunewise.toml").write_text(f"[approaches.a]\n{table}\n")
        assert run(["config", "show"]) == 2


def test_import_says_what_it_took_and_names_bad_rows(here, capsys):
    rows = [{"instruction": f"Who is number {i}?", "output": str(i)} for i in range(5)]
    text = "\n".join(json.dumps(row) for row in [*rows, {"instruction": "x"}]) + "\n{broken\n"
    (here / "data.jsonl").write_text(text)
    capsys.readouterr()
    assert run(["questions", "import", "data.jsonl", "--output", "other"]) == 0
    out, err = capsys.readouterr()
    assert "taken as alpaca: 7 rows, 5 good, 2 not" in out and out.count("assistant: ") == 3 and "#" in out
    assert "data.jsonl:6: it lacks 'output'" in err and "data.jsonl:7: it is no JSON" in err
    assert run(["questions", "import", "data.jsonl", "--rows", "--output", "other", "--json"]) == 0
    assert said(capsys)["kept"] == 5 and (here / "other" / "rows.jsonl").is_file()
    assert run(["questions", "import", "data.jsonl", "--output", "other"]) == 2
    assert run(["questions", "import", "gone.csv"]) == 2


def test_forgetting_and_export_ask_for_what_they_need(here, capsys):
    assert run(["forgetting", "rag"]) == 2
    assert "no weights of its own" in capsys.readouterr().err
    assert run(["export", "rag", "--output", "out"]) == 2
    assert "cannot be exported" in capsys.readouterr().err
    assert not (here / "out").exists()
