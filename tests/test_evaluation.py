"""Evaluation: every row on the disk, a killed run goes on, a failed question is a row, nothing half-written is read."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tunewise.errors import Damaged, DataMistake, Failed, ModelMistake
from tunewise.evaluation import evaluate, load_run, run_folder
from tunewise.nouns import Answer, Approach, Chunk, Citation, Cost, Gold, Hit, Question, Retrieval
from tunewise.scorers import score

PASSAGE = Chunk("c1", "政策.md", "r1", 5, 15, "保修期为二十四个月。", title="政策", page=2, groups=("sales",))
QUESTIONS = [Question(f"q{i}", f"Question {i}?", ("24 months",), (Gold("政策.md", 9, 14),)) for i in range(10)]
APPROACH = Approach("RAG / 混合", "echo", index="main", retrieval=Retrieval(k=5, dense_weight=0.25))
IDENTITY = {"model": "echo", "seeds": [1, 2]}


def answer(question: Question) -> Answer:
    hits = (Hit(PASSAGE, 0.1 + 0.2, 1, (("dense", 1), ("lexical", 3))),)
    citation = Citation("[1]", "政策.md", "r1", 5, 15, PASSAGE.text, 2, "marker", True)
    return Answer(question.id, "24 months", "24 months [1]", hits, (citation,), False, 30, 4, 0.123456789)


class Asker:
    """Answers everything and remembers what it was asked."""

    def __init__(self, fails=(), error=RuntimeError("boom"), stop_after=None):
        self.batches, self.fails, self.error, self.stop_after = [], set(fails), error, stop_after

    def __call__(self, questions):
        self.batches.append([question.id for question in questions])
        if self.stop_after is not None and len(self.batches) > self.stop_after:
            raise KeyboardInterrupt
        if self.fails & {question.id for question in questions}:
            raise self.error
        return [answer(question) for question in questions]


def run(ask, folder: Path, questions=QUESTIONS, **more):
    return evaluate(ask, questions, approach=APPROACH, folder=folder, identity=IDENTITY,
                    **({"batch": 4, "score": score} | more))


def test_a_run_comes_back_equal(tmp_path):
    folder = run_folder(tmp_path, APPROACH, IDENTITY)
    seen = []
    cost = Cost(labels=3, train_seconds=1.5, alone_seconds=(0.1, 0.2))
    result = run(Asker(), folder, cost=lambda: cost, trained_on=frozenset({"t1", "t2"}),
                 progress=lambda *step: seen.append(step))
    assert result == load_run(folder)
    assert result.approach == APPROACH and result.trained_on == {"t1", "t2"} and result.cost == cost
    assert [row.question for row in result.rows] == [question.id for question in QUESTIONS]
    assert result.rows[3].answer == answer(QUESTIONS[3])
    assert result.rows[0].scores == score(QUESTIONS[0], answer(QUESTIONS[0]))
    assert seen == [(APPROACH.name, done, 10) for done in (0, 4, 8, 10)]
    written = (folder / "rows.jsonl").read_text(encoding="utf-8")
    assert written.count('"title": "政策"') == 1, "a passage is written once"
    assert "混合" in folder.name and "/" not in folder.name


def test_a_passage_comes_back_with_its_larger_span(tmp_path):
    within = replace(PASSAGE, parent=(0, 40))
    folder = run_folder(tmp_path, APPROACH, IDENTITY)
    result = run(lambda asked: [replace(answer(q), hits=(Hit(within, 1.0, 1),)) for q in asked], folder)
    assert load_run(folder) == result and load_run(folder).rows[0].answer.hits[0].chunk.parent == (0, 40)


def test_nothing_is_asked_twice(tmp_path):
    first, second, third = Asker(stop_after=2), Asker(), Asker()
    with pytest.raises(KeyboardInterrupt):
        run(first, tmp_path)
    assert not (tmp_path / "manifest.json").exists()
    with pytest.raises(Damaged, match="not finished"):
        load_run(tmp_path)
    result = run(second, tmp_path)
    assert second.batches == [["q8", "q9"]] and len(result.rows) == 10
    assert run(third, tmp_path) == result and third.batches == []


def test_a_torn_row_is_asked_again(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(Asker(stop_after=1), tmp_path)
    with (tmp_path / "rows.jsonl").open("ab") as file:
        file.write(b'{"question": "q4", "asked": "')
    ask = Asker()
    assert len(run(ask, tmp_path).rows) == 10 and ask.batches[0][0] == "q4"


def test_a_changed_question_is_asked_again(tmp_path):
    run(Asker(), tmp_path)
    changed = [Question("q0", "Quite another question?", ("x",)), *QUESTIONS[1:]]
    ask = Asker()
    result = run(ask, tmp_path, changed)
    assert ask.batches == [["q0"]] and result.rows[0].scores["em"] == 0
    assert result == load_run(tmp_path)


def test_other_rules_score_what_was_answered_anew_and_ask_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(Asker(stop_after=2), tmp_path, rules="old")
    stricter = lambda question, said: {**score(question, said), "quality": 0.5}  # noqa: E731
    ask = Asker()
    result = run(ask, tmp_path, score=stricter, rules="new")
    assert ask.batches == [["q8", "q9"]] and {row.scores["quality"] for row in result.rows} == {0.5}
    assert [row.answer for row in result.rows] == [answer(question) for question in QUESTIONS]
    size = (tmp_path / "rows.jsonl").stat().st_size
    assert run(Asker(), tmp_path, score=stricter, rules="new") == result == load_run(tmp_path)
    assert (tmp_path / "rows.jsonl").stat().st_size == size, "the same rules write nothing"


def test_what_a_run_cost_is_not_that_of_who_only_read_it_again(tmp_path):
    dear, cheap = Cost(train_seconds=3, answer_joules=5.0, peak_memory_bytes=9), Cost(peak_memory_bytes=1)
    assert run(Asker(fails={"q2"}), tmp_path, cost=lambda: dear, rules="old").cost == dear
    assert run(Asker(), tmp_path, cost=lambda: replace(cheap, peak_memory_bytes=11)).cost == replace(
        dear, peak_memory_bytes=11), "one question of ten was asked again"
    assert run(Asker(), tmp_path, cost=lambda: cheap, rules="new").cost == replace(dear, peak_memory_bytes=11)
    assert not (tmp_path / "manifest.before.json").exists()


def test_a_failed_question_is_a_row_and_costs_only_itself(tmp_path):
    ask = Asker(fails={"q2"})
    result = run(ask, tmp_path)
    assert ask.batches[:5] == [["q0", "q1", "q2", "q3"], ["q0"], ["q1"], ["q2"], ["q3"]]
    bad = result.rows[2]
    assert bad.answer.error == "RuntimeError: boom" and bad.answer.text == "" and bad.scores["quality"] == 0
    assert bad.scores["missing"] == 1
    assert sum(row.answer.error is not None for row in result.rows) == 1
    again = Asker()
    healed = run(again, tmp_path)
    assert again.batches == [["q2"]] and healed.rows[2].answer.error is None and healed == load_run(tmp_path)


def test_an_answer_that_no_scorer_can_read_costs_only_itself(tmp_path):
    def odd(question, given, **more):
        if question.id == "q3" and given.text:
            raise KeyError("十")
        return score(question, given, **more)

    ask = Asker()
    rows = evaluate(ask, QUESTIONS, approach=APPROACH, score=odd, folder=tmp_path, identity=IDENTITY, batch=4).rows
    assert [row.question for row in rows if row.answer.error] == ["q3"]
    assert "could not be scored" in rows[3].answer.error
    assert rows[3].scores["quality"] == 0 and [len(batch) for batch in ask.batches] == [4, 4, 2]


def test_answers_to_other_questions_are_failures(tmp_path):
    result = run(lambda questions: [answer(question) for question in questions][::-1], tmp_path, QUESTIONS[:3], batch=3)
    assert all(row.answer.error is None for row in result.rows), "asked one by one, it answers the right one"
    result = run(lambda questions: [], tmp_path / "b", QUESTIONS[:3])
    assert all("Failed" in row.answer.error for row in result.rows)


def test_a_users_mistake_passes_through(tmp_path):
    with pytest.raises(ModelMistake):
        run(Asker(fails={"q0"}, error=ModelMistake("no such model")), tmp_path)
    assert not (tmp_path / "manifest.json").exists()


def test_another_run_may_not_write_here(tmp_path):
    run(Asker(), tmp_path)
    with pytest.raises(Failed, match="another approach"):
        evaluate(Asker(), QUESTIONS, approach=APPROACH, score=score, folder=tmp_path, identity={"model": "other"})
    assert run_folder(tmp_path, APPROACH, IDENTITY) != run_folder(tmp_path, APPROACH, {"model": "other"})


def test_questions_are_checked_before_the_first_is_asked(tmp_path):
    ask = Asker()
    with pytest.raises(DataMistake, match="more than once: q0"):
        run(ask, tmp_path, [*QUESTIONS, QUESTIONS[0]])
    with pytest.raises(DataMistake) as caught:
        run(ask, tmp_path, [*QUESTIONS, Question("bad1", "?"), Question("bad2", "?", ("x",), rules=(("nope", 1),))])
    assert len(caught.value.faults) == 2 and "bad1" in caught.value.faults[0]
    with pytest.raises(DataMistake):
        run(ask, tmp_path, [])
    assert ask.batches == []


def test_a_changed_file_is_noticed(tmp_path):
    run(Asker(), tmp_path)
    path = tmp_path / "rows.jsonl"
    path.write_text(path.read_text(encoding="utf-8").replace('"em": 1.0', '"em": 0.5', 1), encoding="utf-8")
    with pytest.raises(Damaged, match="manifest"):
        load_run(tmp_path)


def test_kill_9_loses_no_acknowledged_row(tmp_path):
    """A process that is killed while it writes: what it had reported as done is there, and the run goes on."""
    code = (
        "import sys; sys.path[:0] = sys.argv[2:]\n"
        "from pathlib import Path\n"
        "import test_evaluation as t\n"
        "t.evaluate(t.Asker(), t.MANY, approach=t.APPROACH, score=t.score, folder=Path(sys.argv[1]),\n"
        "           identity=t.IDENTITY, batch=1, progress=lambda name, done, all: print(done, flush=True))\n"
    )
    here = Path(__file__).parent
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path), str(here), str(here.parent / "src")],
                               stdout=subprocess.PIPE, text=True)
    done = 0
    for line in process.stdout:
        done = int(line)
        if done >= 25:
            break
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    ask = Asker()
    result = run(ask, tmp_path, MANY)
    assert len(result.rows) == len(MANY) and done >= 25
    assert sum(len(batch) for batch in ask.batches) <= len(MANY) - done
    lines = [json.loads(line)["question"] for line in (tmp_path / "rows.jsonl").read_text("utf-8").splitlines()]
    assert sorted(lines) == sorted(question.id for question in MANY), "each question once"


MANY = [Question(f"m{i}", f"Question {i}?", ("24 months",)) for i in range(400)]
