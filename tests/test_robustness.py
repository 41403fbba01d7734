"""Robustness: prepared passages, by hand and through the echo model and a stub that knows too much."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from sample_shop import TOML as SHOP_TOML
from tunewise.cli.app import run as command
from tunewise.errors import ConfigMistake
from tunewise.jobs.compare import compare, last
from tunewise.jobs.energy import Metered
from tunewise.jobs.ingest import ingest
from tunewise.jobs.robustness import Context, changed_value, noisy, placed, robustness, without_gold
from tunewise.models import Generated
from tunewise.models.echo import Echo
from tunewise.nouns import Chunk, Gold, Question
from tunewise.project import load_project
from tunewise.questions import load_questions, save_questions

THINGS = {"kettle": ("holds", 2, "litres"), "lamp": ("glows for", 9, "hours"), "tent": ("sleeps", 4, "people"),
          "stove": ("burns", 80, "grams"), "rope": ("carries", 300, "kilograms"), "boot": ("comes in", 12, "sizes"),
          "axe": ("weighs", 900, "grams"), "mat": ("measures", 180, "centimetres")}
TOML = SHOP_TOML + "retrieval = { k = 3 }\n"


def passage(name: str, text: str) -> Chunk:
    return Chunk(name, f"{name}.md", "r", 0, len(text), text)


GOLD = passage("gold", "The kettle holds 24 litres of water.")
CONTEXT = Context(Question("q", "How much?", ("24 litres",), (Gold("gold.md", 17, 26),)), (GOLD,),
                  (passage("a", "aa"), passage("b", "It is 24 litres, too.")), (passage("x", "xx"), passage("y", "yy")))


def test_noise_is_nested_and_keeps_the_gold():
    lists = [noisy(CONTEXT, 3, r, 0) for r in range(3)]
    assert all(GOLD in one and len(one) == 3 for one in lists)
    strange = [{chunk.id for chunk in one} & {"x", "y"} for one in lists]
    assert [len(some) for some in strange] == [0, 1, 2] and strange[1] <= strange[2]
    assert len({one.index(GOLD) for one in lists}) == 1, "only the others change"


def test_positions_and_no_gold():
    assert [placed(CONTEXT, 3, rank).index(GOLD) for rank in (1, 2, 3)] == [0, 1, 2]
    assert [chunk.id for chunk in without_gold(CONTEXT, 3)] == ["a", "x", "y"], "what holds the answer is out, too"


def test_a_changed_value_is_another_one_of_its_kind():
    changed, value = changed_value(CONTEXT.question, GOLD, [], 0)
    assert value != "24 litres" and value.endswith(" litres") and len(value) == 9
    assert changed.text == f"The kettle holds {value} of water." and len(changed.text) == changed.end - changed.start
    name = Question("n", "Who?", ("Anna",), (Gold("n.md", 0, 4),))
    assert changed_value(name, passage("n", "Ask Anna or Annabel."), ["Otto"], 0)[0].text == "Ask Otto or Annabel."
    assert changed_value(name, passage("n", "Nobody is here."), ["Otto"], 0) is None
    assert changed_value(name, passage("n", "Ask Anna."), ["Anna"], 0) is None
    chinese = Question("z", "？", ("24个月",), (Gold("z.md", 3, 7),), language="zh")
    assert changed_value(chinese, passage("z", "保修期24个月。"), [], 0)[1].endswith("个月")


@pytest.fixture
def project(tmp_path):
    (tmp_path / "documents").mkdir()
    questions = []
    for name, (verb, number, unit) in THINGS.items():
        text = f"# {name}\n\nThe {name} {verb} {number} {unit} when it is new."
        (tmp_path / "documents" / f"{name}.md").write_text(text + "\n", encoding="utf-8")
        start = text.index(f"{number} {unit}")
        span = Gold(f"{name}.md", start, start + len(f"{number} {unit}"))
        questions.append(Question(name, f"The {name} {verb} how many {unit} when new?", (f"{number} {unit}",), (span,)))
    questions.append(Question("u", "Who invented it?", answerable=False))
    save_questions(tmp_path / "questions.jsonl", questions)
    (tmp_path / "tunewise.toml").write_text(TOML, encoding="utf-8")
    made = load_project(tmp_path, environ={}, user=tmp_path / "none.toml")
    ingest(made.documents, project=made.root, embedder=made.embedder, tokens=made.tokens)
    return made


def test_a_reader_follows_its_passages(project):
    """The echo model reads: noise of other words does not touch it, a changed value is followed."""
    (result,) = robustness(project)
    assert (result.approach, result.k, result.questions, result.changed) == ("rag", 3, 8, 8)
    assert list(result.noise) == [0, 1, 2] and list(result.position) == [1, 2, 3]
    assert all(one.mean == 1 for one in (*result.noise.values(), *result.position.values()))
    assert result.noise_slope.mean == result.position_slope.mean == 0
    assert result.follows.mean == 1 and result.keeps.mean == 0
    assert result.invents.mean > 0.5, "echo answers with the nearest sentence, whatever it says"


def test_weaknesses_are_found(project, monkeypatch):
    """A stub that reads the first passage only and knows the kettle by heart."""
    read = Echo._one

    def one(self, messages, decoding):
        head, _, question = messages[-1]["content"].rpartition("\n\n")
        if "kettle" in question:
            return Generated("2 litres", 1, 1, 0.0)
        first = head.split("\n\n[2]")[0]
        if not any(f"The {name}" in first for name in THINGS if name in question):
            return Generated("Not in the documents.", 1, 1, 0.0)
        return read(self, [{"role": "user", "content": f"{first}\n\n{question}"}], decoding)

    monkeypatch.setattr(Echo, "_one", one)
    (result,) = robustness(project, seed=1)
    assert result.position[1].mean == 1 and result.position[3].mean < 0.3
    assert result.position_slope.mean < -0.5 and result.position_slope.high < 0
    assert result.keeps.mean == pytest.approx(1 / 8) and result.follows.mean == pytest.approx(7 / 8)
    assert result.rejects.mean == pytest.approx(7 / 8)


def test_it_goes_on_where_it_was(project, monkeypatch):
    first = robustness(project, limit=4)
    monkeypatch.setattr(Echo, "generate", lambda *_: pytest.fail("asked twice"))
    assert robustness(project, limit=4) == first


def test_only_what_reads_can_be_disturbed(project):
    with pytest.raises(ConfigMistake, match="read an index"):
        robustness(project, approaches=["zero-shot"])


def settle(project, more):
    (project.root / "tunewise.toml").write_text(TOML + more, encoding="utf-8")
    return load_project(project.root, environ={}, user=project.root / "none.toml")


def test_conversations_and_written_queries_are_disturbed_like_others(project):
    questions = load_questions(project.questions)
    save_questions(project.questions, [replace(q, history=(("What is it?", "A thing."),)) for q in questions])
    mine = settle(project, '[approaches.written]\nindex = true\nretrieval = { k = 3, rewrite = "hyde" }\n')
    first, second = robustness(mine)
    assert first.questions == second.questions == 8 and first.noise[0].mean == second.noise[0].mean == 1
    rows = [json.loads(line) for folder in (project.root / ".tunewise" / "robustness").iterdir()
            for line in (folder / "rows.jsonl").read_text().splitlines()]
    assert rows and not any(row["answer"]["error"] for row in rows)


def test_what_may_not_leave_is_not_disturbed(project, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "https://api.example.com/v1")
    mine = settle(project, '[approaches.far]\nindex = true\nmodel = "openai:x"\n[needs]\ndata_may_leave = false\n')
    with pytest.raises(ConfigMistake, match=r"far for https://api\.example\.com") as caught:
        robustness(mine)
    assert "these stay here: rag" in caught.value.tip
    assert len(robustness(mine, approaches=["rag"], limit=2)) == 1


def test_the_command(project, capsys):
    assert command(["robustness", "-c", str(project.root / "tunewise.toml"), "--limit", "4"]) == 0
    text = capsys.readouterr().out
    assert "rag: 4 questions, 3 passages" in text and "gold passage at rank 3   100 %" in text
    assert command(["robustness", "-c", str(project.root / "tunewise.toml"), "--limit", "4", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["robustness"][0]["noise"]["0"]["mean"] == 1


def test_it_is_kept_and_shown_with_a_comparison_of_the_same_questions_and_documents(project):
    (result,) = robustness(project, limit=4)
    compared = compare(project, approaches=["rag"]).comparison
    (kept,) = compared.robustness
    assert kept["approach"] == "rag" and kept["follows"]["mean"] == 1 and set(kept["noise"]) == {"0", "1", "2"}
    assert last(project).comparison.robustness == compared.robustness
    # Of other questions, or other passages, it says nothing here.
    questions = load_questions(project.questions)
    save_questions(project.questions, [replace(q, question=f"{q.question} Say so.") for q in questions])
    assert compare(project, approaches=["rag"]).comparison.robustness == ()
    save_questions(project.questions, questions)
    assert compare(project, approaches=["rag"]).comparison.robustness == compared.robustness
    (project.documents / "new.md").write_text("# new\n\nThe drum beats 3 times.\n", encoding="utf-8")
    ingest(project.documents, project=project.root, embedder=project.embedder, tokens=project.tokens)
    assert compare(project, approaches=["rag"]).comparison.robustness == ()


def test_the_energy_of_answers_is_kept_where_it_can_be_read(project, monkeypatch):
    class Three:
        """A meter that gains three joules between any two readings."""

        parts, joules = "cpu", 0.0

        def read(self):
            self.joules += 3.0
            return self.joules

    monkeypatch.setattr("tunewise.jobs.compare.Metered", lambda ask: Metered(ask, Three()))
    (standing,) = compare(project, approaches=["rag"]).comparison.standings
    assert (standing.cost.answer_joules, standing.cost.energy_of) == (3 / 9, "cpu"), "one batch of nine questions"
    assert last(project).comparison.standings[0].cost == standing.cost
