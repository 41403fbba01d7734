"""Freshness: facts are changed cleanly, and every approach shows what its own means of update are worth."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tunewise.cli.app import run
from tunewise.errors import DataMistake
from tunewise.jobs.edits import change_facts, follow, says
from tunewise.jobs.freshness import freshness
from tunewise.nouns import Gold, Question
from tunewise.project import load_project
from tunewise.questions import save_questions

TEXTS = {
    "returns.md": "# Returns\n\nArticles may be returned within 30 days. After 30 days none. Box 307 is open.\n",
    "fees.txt": "The fee for an opened box is 1,250 euros. It was raised on 2024-03-15.\n",
    "制度.md": "# 制度\n\n差旅费须在三十天内报销。会议室最多容纳24人。\n",
    "words.md": "# Words\n\nThe manager is called Weber.\n",
}
ASKED = [
    ("a", "Within how many days may articles be returned?", "30 days", "returns.md", "30 days"),
    ("b", "What is the fee for an opened box?", "1,250 euros", "fees.txt", "1,250 euros"),
    ("c", "When was the fee raised?", "2024-03-15", "fees.txt", "2024-03-15"),
    ("d", "会议室最多容纳多少人？", "24人", "制度.md", "24人"),
    ("e", "差旅费须在多少天内报销？", "三十天", "制度.md", "三十天"),
    ("f", "What is the manager called?", "Weber", "words.md", "Weber"),
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "documents").mkdir()
    questions = []
    for name, text in TEXTS.items():
        (tmp_path / "documents" / name).write_text(text, encoding="utf-8")
    from tunewise.reading import read_file

    for id, asked, answer, document, piece in ASKED:
        text = read_file(tmp_path / "documents" / document).text
        start = text.index(piece)
        questions.append(Question(id, asked, (answer,), (Gold(document, start, start + len(piece)),),
                                  language="en" if asked.isascii() else "zh"))
    save_questions(tmp_path / "questions.jsonl", questions)
    (tmp_path / "tunewise.toml").write_text(
        '[project]\nembedder = "hash"\nmodel = "echo"\n[approaches.zero-shot]\n[approaches.rag]\n', encoding="utf-8"
    )
    return tmp_path


def test_facts_are_changed_everywhere_in_their_document_and_nowhere_else(root: Path) -> None:
    questions = load_project(root, environ={}).questions
    from tunewise.questions import load_questions

    facts, left = change_facts(root / "documents", load_questions(questions), count=9)
    assert {fact.question.id for fact in facts} == {"a", "b", "c", "d", "e"}
    assert left == []
    for fact in facts:
        before, after = TEXTS[fact.document], (root / "documents" / fact.document).read_text(encoding="utf-8")
        assert len(before) == len(after) and len(fact.old) == len(fact.new) and fact.old != fact.new
        assert not says(after, fact.old) and after.count(fact.new) >= 1 and fact.new not in before
    returns = (root / "documents/returns.md").read_text(encoding="utf-8")
    assert returns.count(f"{facts[[f.question.id for f in facts].index('a')].new} days") == 2 and "Box 307" in returns
    assert (root / "documents/words.md").read_text(encoding="utf-8") == TEXTS["words.md"]
    followed = {question.id: question.answers[0] for question in follow(load_questions(questions), facts)}
    assert followed["f"] == "Weber" and followed["a"].endswith(" days") and followed["a"] != "30 days"
    again, _ = change_facts(root / "documents", load_questions(questions), count=9)
    assert again == []


@pytest.mark.parametrize(("answer", "value", "expected"), [
    ("within 45 days", "45", True), ("within 456 days", "45", False), ("1,250 euros", "1,250", True),
    ("1250 euros", "1,250", True), ("12.45", "45", False), ("４５天", "45", True), ("三十二天", "三十", False),
    ("三十天", "三十", True), ("in 45.", "45", True),
])
def test_a_value_is_said_as_a_whole(answer: str, value: str, expected: bool) -> None:
    assert says(answer, value) is expected


def test_an_index_is_fresh_after_an_ingest_and_a_prompt_never(root: Path) -> None:
    from tunewise.jobs.ingest import ingest

    project = load_project(root, environ={})
    ingest(project.documents, project=root, embedder="hash")
    result = freshness(project, facts=5)
    assert len(result.facts) == 5
    prompt, rag = result.approaches
    assert (prompt.means, rag.means) == ("none", "ingest")
    assert (prompt.new.mean, prompt.seconds) == (0, None)
    assert rag.new.mean >= 0.8 and rag.old.mean == 0 and rag.knew.mean >= 0.8
    assert rag.seconds is not None and rag.seconds > rag.update_seconds > 0
    assert rag.new.low < rag.new.mean <= rag.new.high
    # The project itself is as it was.
    assert (root / "documents/fees.txt").read_text(encoding="utf-8") == TEXTS["fees.txt"]
    assert not list((root / ".tunewise").glob("freshness-*"))
    assert json.loads((root / ".tunewise/freshness.json").read_text())["approaches"][1]["approach"] == "rag"


def test_command(root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    assert run(["ingest", "-q"]) == 0
    capsys.readouterr()
    assert run(["freshness", "--facts", "2", "--approach", "rag"]) == 0
    seen = capsys.readouterr()
    assert seen.out.startswith("2 facts were changed") and "rag: new " in seen.out
    assert "next: tunewise compare" in seen.err
    assert run(["freshness", "--facts", "2", "--approach", "rag", "--json", "-q"]) == 0
    assert len(json.loads(capsys.readouterr().out)["facts"]) == 2


def test_nothing_to_change_is_said(root: Path) -> None:
    project = load_project(root, environ={})
    from tunewise.questions import load_questions

    save_questions(project.questions, [q for q in load_questions(project.questions) if q.id == "f"])
    with pytest.raises(DataMistake, match="no fact can be changed"):
        freshness(project, approaches=["zero-shot"])


def test_what_may_not_or_cannot_be_asked_is_left_out_with_its_reason(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "https://me:secret@api.example.com/v1")
    (root / "tunewise.toml").write_text(
        '[project]\nembedder = "hash"\nmodel = "echo"\n[needs]\ndata_may_leave = false\n[approaches.zero-shot]\n'
        '[approaches.far]\nmodel = "openai:x"\n[approaches.broken]\nmodel = "gguf:none.gguf"\n'
        '[approaches.vendor]\nendpoint = "http://127.0.0.1:9/v1"\nmodel = "x"\n', encoding="utf-8",
    )
    result = freshness(load_project(root, environ={}), facts=2)
    assert [one.approach for one in result.approaches] == ["zero-shot"]
    why = dict(line.split(": ", 1) for line in result.skipped)
    assert set(why) == {"far", "broken", "vendor"}
    assert "api.example.com" in why["far"] and "secret" not in why["far"] and "somebody else" in why["vendor"]


def test_the_copy_names_the_files_of_training_where_they_are(root: Path) -> None:
    from tunewise.jobs.freshness import _copy

    (root / "tunewise.toml").write_text(
        '[project]\nembedder = "hash"\nmodel = "echo"\n[training]\nrows = "rows.jsonl"\nepochs = 1\n'
        '[training.dap]\ngeneral = "general.txt"\n[training.dpo]\nparent = "raft"\npairs = "/pairs.jsonl"\n'
        '[training.sft]\nparent = "adapters/mine"\n', encoding="utf-8",
    )
    (root / "elsewhere").mkdir()
    copy = _copy(load_project(root, environ={}), root / "elsewhere")
    assert copy.training == {
        "rows": str(root / "rows.jsonl"), "epochs": 1, "dap": {"general": str(root / "general.txt")},
        "dpo": {"parent": "raft", "pairs": "/pairs.jsonl"}, "sft": {"parent": str(root / "adapters/mine")},
    }
