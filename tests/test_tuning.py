"""`tunewise tune` from the command line on a tiny model: by recipe, by method, with a sweep on validation."""

import json
from pathlib import Path

import pytest

from tiny_training import QUESTIONS, make_tiny
from tunewise.nouns import Question
from tunewise.questions import save_questions

pytest.importorskip("torch")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A project of a tiny model with training and validation questions."""
    root = tmp_path_factory.mktemp("project")
    tiny = make_tiny(tmp_path_factory.mktemp("tiny"))
    (root / "documents").mkdir()
    text = "# Returns\n\nSend it back within 30 days. The fee is 5 EUR.\n"
    (root / "documents" / "r.md").write_text(text)
    start = text.index("30 days")
    gold = (type(QUESTIONS[0].gold[0])("r.md", start, start + 7),)
    save_questions(
        root / "questions.jsonl",
        [
            Question(f"q{i}", f"How long, {i}?", ("30 days",), gold, split="validation" if i > 5 else "train")
            for i in range(8)
        ],
    )
    (root / "tunewise.toml").write_text(
        f'[project]\nmodel = "{tiny}"\n'
        'embedder = "hash"\n[retrieval]\nk = 1\n[training]\nepochs = 4\nrank = 2\nbatch = 4\n'
    )
    return root


def run(folder, *arguments):
    from tunewise.cli.app import run as cli

    return cli([*arguments, "--config", str(folder)])


def test_tune_says_what_it_derived_and_leaves_a_folder(folder, capsys):
    assert run(folder, "ingest") == 0
    capsys.readouterr()
    assert run(folder, "tune", "ia3", "--json", "--rate", "0.05") == 0
    said = capsys.readouterr()
    made = json.loads(said.out)
    about = json.loads((Path(made["adapter"]) / "tunewise.json").read_text())
    assert (about["method"], about["recipe"], about["settings"]["rate"]) == ("ia3", "raft", 0.05)
    for word in ("estimate", "parameters are trained", "measured"):
        assert word in said.err
    assert about["validation"] and about["best_step"]


def test_a_sweep_reads_validation_only_and_names_its_best(folder, capsys):
    assert run(folder, "ingest") == 0
    capsys.readouterr()
    assert run(folder, "tune", "sft", "--sweep", "3", "--json") == 0
    said = capsys.readouterr()
    made = json.loads(said.out)
    rungs = [trial["rung"] for trial in made["sweep"]]
    assert rungs == [1, 1, 1, 2] or rungs == [1, 1, 1]
    losses = {trial["validation_loss"] for trial in made["sweep"]}
    assert len(losses) > 1 and "sweep: best of 3" in said.err
    about = json.loads((Path(made["adapter"]) / "tunewise.json").read_text())
    assert about["settings"]["rate"] == made["settings"]["rate"]


def test_a_sweep_begins_with_what_would_hold_without_it():
    from tunewise.jobs.sweep import candidates_of

    found = candidates_of(9, rate=1e-3, epochs=2, rank=64, seed=0)
    assert found[0] == {"rate": 1e-3, "epochs": 2, "rank": 64, "alpha": 128}
    assert len({tuple(one.values()) for one in found}) == 9
    assert candidates_of(2, rate=1e-3, epochs=2, rank=0, seed=0)[0] == {"rate": 1e-3, "epochs": 2}


def test_settings_said_once_come_with_the_lines_that_keep_them(folder, capsys):
    assert run(folder, "ingest") == 0
    capsys.readouterr()
    assert run(folder, "tune", "ia3", "--rate", "0.05") == 0
    assert "[training.raft] rate = 0.05" in capsys.readouterr().err


def test_what_is_unknown_is_refused_with_the_known(folder, capsys):
    assert run(folder, "tune", "lorra") == 2
    said = capsys.readouterr().err
    assert "lorra" in said and "prompt-tuning" in said and "hybrid" in said
    assert run(folder, "tune", "sft", "--method", "looora") == 2
    assert "dora" in capsys.readouterr().err
