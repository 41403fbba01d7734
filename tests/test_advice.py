"""The first guess: every combination gives one with reasons, the sensible cases give the sensible one, and it is
judged."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import pytest

from measured_worlds import Skill, make_questions, make_runs
from test_jobs import project  # noqa: F401 - a fixture
from tunewise.advice import FAMILIES, QUESTIONS, advise, check, judge, needs_of
from tunewise.cli.app import run
from tunewise.comparison import compare
from tunewise.errors import ConfigMistake
from tunewise.nouns import Needs
from tunewise.project import load_project
from tunewise.recommendation import recommend

PLAIN = {ask.key: next(iter(ask.choices)) for ask in QUESTIONS}


def guessed(**answers: str) -> str:
    return advise(PLAIN | answers).family


def test_there_are_ten_questions_in_both_languages():
    assert len(QUESTIONS) == 10 == len({ask.key for ask in QUESTIONS})
    for ask in QUESTIONS:
        assert len(ask.choices) > 1 and ask.text.endswith("?") and ask.text_zh.endswith("？")
        assert all(en and any("一" <= sign <= "鿿" for sign in zh) for en, zh in ask.choices.values())


def test_every_combination_gives_a_guess_with_its_reasons():
    keys = ("lacks", "freshness", "labels", "documents", "citations", "harm")
    choices = [next(ask.choices for ask in QUESTIONS if ask.key == key) for key in keys]
    seen = set()
    for picked in itertools.product(*choices):
        guess = advise(PLAIN | dict(zip(keys, picked, strict=True)))
        seen.add(guess.family)
        assert guess.reasons and guess.measure and guess.verdict == ""
        assert all(r.text and any("一" <= sign <= "鿿" for sign in r.text_zh) for r in (*guess.reasons, *guess.measure))
    assert seen == set(FAMILIES)


def test_the_sensible_cases():
    assert guessed(lacks="facts", labels="few", freshness="daily") == "rag"
    assert guessed(lacks="facts", labels="many") == "raft"
    assert guessed(lacks="form", labels="some", citations="no") == "sft"
    assert guessed(lacks="form", labels="few", citations="no") == "prompt"
    assert guessed(lacks="terms", labels="few", documents="hundreds") == "rag"
    for key, choice in itertools.product(("lacks",), ("facts", "form", "terms")):
        assert guessed(**{key: choice}, citations="yes", labels="some") in ("rag", "raft"), "citing needs reading"
    found = advise(PLAIN | {"lacks": "facts", "freshness": "daily"})
    assert any("Ovadia" in reason.text for reason in found.reasons) and any("Lewis" in r.text for r in found.reasons)


def test_all_faults_at_once():
    assert check(PLAIN) == []
    with pytest.raises(ConfigMistake) as error:
        advise({"lacks": "luck", "colour": "red"})
    assert all(part in error.value.message for part in ("'luck' is none of", "colour", "freshness: not answered"))
    assert needs_of(PLAIN | {"private": "yes", "citations": "yes"}) == {
        "answers_per_month": 5000,
        "updates_per_month": 0,
        "data_may_leave": False,
        "citations_required": True,
    }
    for name in needs_of(PLAIN | {"private": "yes", "citations": "yes", "freshness": "daily"}):
        assert name in Needs.__dataclass_fields__


def test_a_comparison_says_whether_it_was_right():
    questions = make_questions(40, 5)
    skills = {
        "zero": Skill(0.1),
        "rag": Skill(0.7, index=True),
        "sft": Skill(0.3, adapter=True, labels=300, train_seconds=7200.0),
    }
    comparison = compare(make_runs(skills, questions, seed=0), questions)
    found = recommend(comparison, Needs(margin=0.05))
    assert found.choice == "rag"
    verdict = {family: judge(replace(advise(PLAIN), family=family), comparison, found) for family in FAMILIES}
    assert {family: one.verdict for family, one in verdict.items()} == {
        "rag": "right",
        "sft": "wrong",
        "prompt": "wrong",
        "raft": "not measured",
    }
    assert "points better" in verdict["sft"].said.text and verdict["sft"].said.value == pytest.approx(0.4, abs=0.1)
    tied = replace(found, tie=("sft",))
    assert judge(replace(advise(PLAIN), family="sft"), comparison, tied).verdict == "as good"
    assert judge(advise(PLAIN), comparison, replace(found, choice=None)).verdict == ""


def test_the_command_keeps_it_and_the_report_judges_it(project, tmp_path, capsys, monkeypatch):  # noqa: F811
    where = ["-c", str(project.root / "tunewise.toml"), "-q"]
    answers = tmp_path / "answers.json"
    answers.write_text(json.dumps(PLAIN | {"lacks": "facts", "freshness": "daily"}))
    assert run(["advise", *where, "--answers", str(answers), "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["guess"]["family"] == "rag" and value["kept"] and value["needs"]["updates_per_month"] == 30
    assert run(["compare", *where]) == 0
    assert "First guess" in capsys.readouterr().out
    assert run(["report", *where, "--language", "zh"]) == 0
    assert "初步猜测正确（rag）" in capsys.readouterr().out
    monkeypatch.setenv("TUNEWISE_LANG", "zh")
    assert run(["advise", *where, "--answers", str(answers), "--set", "lacks=form"]) == 0
    assert "初步猜测" in capsys.readouterr().out
    assert run(["advise", *where, "--set", "lacks=form"]) == 2
    assert "9" in capsys.readouterr().err
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TUNEWISE_LANG")
    assert load_project(project.root, environ={}, user=tmp_path / "none").root == project.root


def test_on_a_terminal_it_asks(tmp_path):
    import os
    import pty
    import subprocess
    import sys

    ours, theirs = pty.openpty()
    environment = {k: v for k, v in os.environ.items() if k != "CI"} | {"TERM": "xterm"}
    process = subprocess.Popen(
        [sys.executable, "-m", "tunewise", "advise"],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        cwd=tmp_path,
        text=True,
    )
    os.write(ours, b"form\n9\n" + b"\n" * 6 + b"no\n\n\n")
    out, err = process.communicate(timeout=60)
    os.close(theirs)
    os.close(ours)
    assert process.returncode == 0, err
    assert "1/10" in out and "10/10" in out and "a number from 1 to 3" in out and "First guess: prompting." in out
    assert "not kept" in err
