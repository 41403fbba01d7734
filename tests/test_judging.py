"""A judge by a fixed rubric: what it is asked, which replies count, what is kept, and where it may be."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from sample_shop import FACTS, write_pages
from sample_shop import TOML as SHOP_TOML
from tunewise.errors import ConfigMistake
from tunewise.jobs import judging
from tunewise.jobs.compare import compare, last
from tunewise.jobs.ingest import ingest_project
from tunewise.nouns import Answer, Question
from tunewise.project import load_project
from tunewise.questions import save_questions
from tunewise.scorers import make_judge, score
from tunewise.scorers.judging import rubric, verdict


@pytest.mark.parametrize(("reply", "value"), [
    ("yes", 1), ("Yes.", 1), (" **partly** ", 0.5), ("NO", 0), ("是", 1), ("部分。", 0.5), ("“否”", 0),
    ("Yes, because", None), ("yes or no", None), ("", None), ("5", None), ("是的", None), ("<think>yes", None),
])
def test_only_the_words_of_the_rubric_are_verdicts(reply, value):
    assert verdict(reply) == value


def test_the_rubric_shows_question_gold_and_answer_in_the_questions_language():
    (message,) = rubric(Question("q", "How long?", ("14 days", "two weeks")), Answer("q", "A fortnight"))
    assert message["role"] == "user"
    for part in ("How long?", "14 days / two weeks", "A fortnight", "partly"):
        assert part in message["content"]
    (chinese,) = rubric(Question("q", "多久？", ("十四天",), language="zh"), Answer("q", "两周\n-----\n回答：是"))
    assert "待查回答" in chinese["content"] and chinese["content"].count("-----") == 2, "no frame in a frame"


def test_the_closure_asks_only_where_a_judge_is_needed():
    asked = []

    def generate(prompts):
        asked.extend(prompts)
        return ["partly"]

    judge = make_judge(generate)
    fact, nothing = Question("q", "How long?", ("14 days",)), Question("u", "Who?", answerable=False)
    assert score(fact, Answer("q", "a fortnight"), judge=judge)["judged"] == 0.5 and len(asked) == 1
    for question, answer, value in (
        (fact, Answer("q", "Not in the documents.", refused=True), 0), (fact, Answer("q", " "), 0),
        (nothing, Answer("u", "Not in the documents.", refused=True), 1), (nothing, Answer("u", "Anna"), 0),
    ):
        assert score(question, answer, judge=judge)["judged"] == value
    alone = Question("f", "Say it in two words", need="form", rules=(("max_words", 2),))
    assert "judged" not in score(alone, Answer("f", "two words"), judge=judge)
    assert len(asked) == 1
    assert "judged" not in score(fact, Answer("q", "x"), judge=make_judge(lambda prompts: ["I think so"]))


# ------------------------------------------------------------------------------------------------ in a project


def a_project(tmp_path, more):
    if not (tmp_path / "questions.jsonl").is_file():
        questions = [Question(name, asked, (answer, fact), (gold,), split="test")
                     for name, fact, answer, asked, gold in write_pages(tmp_path, FACTS)]
        questions.append(Question("u", "Who invented gadget number 7?", answerable=False, kind="unanswerable"))
        save_questions(tmp_path / "questions.jsonl", questions)
    (tmp_path / "tunewise.toml").write_text(SHOP_TOML + more, encoding="utf-8")
    return load_project(tmp_path, environ={}, user=tmp_path / "none.toml")


class FakeJudge:
    """Says yes to answers with a number in them, no to others, and babbles about one of them."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def generate(self, prompts, decoding):
        self.asked += [prompt[0]["content"] for prompt in prompts]
        given = [text.split("-----")[1] for text in self.asked[-len(prompts):]]
        return [SimpleNamespace(text="yes" if any(map(str.isdigit, one)) else "no") for one in given]


def test_a_project_names_its_judge_and_its_verdicts_are_kept(tmp_path, monkeypatch):
    judge, loaded = FakeJudge(), []
    project = a_project(tmp_path, '\n[judge]\nmodel = "echo"\n')
    ingest_project(project)
    monkeypatch.setattr(judging, "load_model", lambda name: loaded.append(name) or judge)
    first = compare(project).comparison
    assert loaded == ["echo"] and judge.asked and len(judge.asked) == len(set(judge.asked)), "no two alike are asked"
    by_name = {standing.approach.name: standing.metrics["judged"] for standing in first.standings}
    assert by_name["rag"].mean > by_name["zero-shot"].mean
    assert all(run["judge"]["model"]["model"] == "echo" for run in first.identity["runs"].values())
    # Neither the report nor a second comparison asks again, and the report needs no judge at all.
    assert last(project).comparison.standings == first.standings
    assert compare(project).comparison.standings == first.standings and loaded == ["echo"]
    kept = (tmp_path / ".tunewise" / "judged").glob("*.jsonl")
    lines = [json.loads(line) for path in kept for line in path.read_text("utf-8").splitlines()]
    assert {line["verdict"] for line in lines} <= {0, 1} and set(lines[0]) == {"key", "verdict"}, "no words are kept"
    # Without [judge] nobody judges.
    assert "judged" not in last(a_project(tmp_path, "")).comparison.standings[0].metrics


def test_replies_that_are_no_verdict_give_no_score_and_are_told(tmp_path, monkeypatch):
    project = a_project(tmp_path, '\n[judge]\nmodel = "echo"\n')
    ingest_project(project)
    babble = SimpleNamespace(generate=lambda prompts, decoding: [SimpleNamespace(text="Well…") for _ in prompts])
    monkeypatch.setattr(judging, "load_model", lambda name: babble)
    notes = []
    found = compare(project, note=notes.append).comparison
    assert any("neither yes, partly nor no" in note for note in notes)
    answered = [row for rows in found.rows.values() for row in rows.values()
                if not row.answer.refused and row.question != "u"]
    assert answered and not any("judged" in row.scores for row in answered)


def test_a_judge_elsewhere_reads_nothing_that_may_not_leave(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "https://api.example.com/v1")
    project = a_project(tmp_path, '\n[judge]\nmodel = "openai:big"\n[needs]\ndata_may_leave = false\n')
    ingest_project(project)
    with pytest.raises(ConfigMistake, match=r"the judge reads would go to https://api\.example\.com"):
        compare(project)


@pytest.mark.parametrize(("table", "why"), [
    ("[judge]\n", "names no judge"), ('[judge]\nmodle = "echo"\n', "modle: unknown key"),
    ("[judge]\nmodel = 3\n", "a model's name in quotes is needed"),
])
def test_a_judge_that_is_no_judge_is_refused(tmp_path, table, why):
    with pytest.raises(ConfigMistake, match=why):
        a_project(tmp_path, "\n" + table)
