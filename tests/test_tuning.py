"""`tunewise tune` from the command line on a tiny model: by recipe, by method, with a sweep on validation."""

import json
import math
import os
import signal
from pathlib import Path

import pytest

from tiny_training import make_tiny
from tunewise.errors import ConfigMistake, Failed, GateFailed, ModelMistake
from tunewise.machine import peak_memory
from tunewise.nouns import Gold, Question
from tunewise.project import load_project
from tunewise.questions import load_questions, save_questions

pytest.importorskip("torch")
pytestmark = pytest.mark.slow


FACTS = {
    "Send a lamp back within 30 days.": ("30 days", "Within what time is a lamp sent back?"),
    "The repair of a kettle costs 5 EUR.": ("5 EUR", "What does the repair of a kettle cost?"),
    "Ms Holt signs every order.": ("Ms Holt", "Who signs orders?"),
    "The office opens at 8:30.": ("8:30", "When does the office open?"),
    "Tents are lent for one week.": ("one week", "For how long are tents lent?"),
    "A stove burns 80 grams an hour.": ("80 grams", "How much gas does a stove burn?"),
    "Parcels leave from gate 4.": ("gate 4", "Where do parcels leave?"),
    "Vouchers expire after two years.": ("two years", "When do vouchers expire?"),
}
TOML = '''[project]
model = "{model}"
embedder = "hash"
[retrieval]
k = 1
[groups]
"hr/*" = ["hr"]
[training]
epochs = 4
rank = 2
batch = 4
'''


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return make_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tiny):
    """A project of a tiny model with training and validation questions; half of its pages are for one group."""
    root = tmp_path_factory.mktemp("project")
    questions = []
    for i, (fact, (answer, asked)) in enumerate(FACTS.items()):
        name = f"{'hr' if i % 2 else 'all'}/{i}.md"
        (root / "documents" / name).parent.mkdir(parents=True, exist_ok=True)
        text = f"# Page {i}\n\n{fact}\n"
        (root / "documents" / name).write_text(text)
        gold = (Gold(name, text.index(answer), text.index(answer) + len(answer)),)
        questions.append(Question(f"q{i}", asked, (answer,), gold, split="validation" if i > 5 else "train"))
    save_questions(root / "questions.jsonl", questions)
    (root / "tunewise.toml").write_text(TOML.format(model=tiny))
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


def test_a_sweep_keeps_the_ratio_of_alpha_and_rank_and_the_rate_to_the_digit():
    from tunewise.jobs.sweep import candidates_of

    found = candidates_of(40, rate=1.234e-3, epochs=2, rank=16, seed=0, alpha=16)
    assert found[0] == {"rate": 1.234e-3, "epochs": 2, "rank": 16, "alpha": 16}
    assert all(one["alpha"] == one["rank"] for one in found)


def test_a_trial_that_diverged_loses():
    from tunewise.jobs.sweep import better_half, loss_of

    a, b, c = {"rate": 1.0}, {"rate": 0.5}, {"rate": 0.1}
    assert better_half([(math.nan, 1, a), (0.5, 2, b)]) == [b]
    assert better_half([(loss_of([{"loss": 0.1}, {"loss": math.nan}]), 1, a), (0.7, 2, b), (0.6, 3, c)]) == [c]
    assert loss_of([{"loss": 0.5}, {"loss": 0.4}]) == 0.4


def test_a_sweep_looks_even_where_the_project_has_no_patience(folder, capsys, tmp_path):
    assert run(folder, "ingest") == 0
    capsys.readouterr()
    toml = (folder / "tunewise.toml").read_text()
    try:
        (folder / "tunewise.toml").write_text(toml + "patience = 0\nalpha = 2\n")
        assert run(folder, "tune", "sft", "--sweep", "2", "--json", "--epochs", "2") == 0
        made = json.loads(capsys.readouterr().out)
        assert made["sweep"][0]["alpha"] == made["sweep"][0]["rank"] == 2
        about = json.loads((Path(made["adapter"]) / "tunewise.json").read_text())
        assert about["settings"]["patience"] == 0
        for recipe in ("dap", "dpo"):
            assert run(folder, "tune", recipe, "--sweep", "2") == 2
            assert "makes none" in capsys.readouterr().err
    finally:
        (folder / "tunewise.toml").write_text(toml)


def plan_of(folder, name, **given):
    from tunewise.jobs.tune import wanted, worked_out

    project = load_project(folder, environ={}, user=folder / "none")
    return worked_out(project, wanted(project, name), given=given)


def test_adapters_name_the_groups_of_all_that_went_in(folder, capsys):
    assert run(folder, "ingest") == 0
    rows = plan_of(folder, "sft").rows
    assert {row.question: row.groups for row in rows} == {f"q{i}": ("hr",) if i % 2 else () for i in range(6)}
    # Also where the passages of the row do not show what the question rests on.
    robbed = plan_of(folder, "raft", without_oracle=1.0, max_refusals=1.0).rows
    assert all("hr" in row.groups for row in robbed if row.question in ("q1", "q3", "q5"))
    capsys.readouterr()
    assert run(folder, "tune", "sft", "--json") == 0
    about = json.loads((Path(json.loads(capsys.readouterr().out)["adapter"]) / "tunewise.json").read_text())
    assert about["groups"] == ["hr"]


def test_answers_that_name_no_document_are_for_who_may_read_all(folder):
    assert run(folder, "ingest") == 0
    before = (folder / "questions.jsonl").read_text()
    more = [Question("loose", "Which colour has the flag?", ("green",), split="train"),
            Question("ours", "Whose is the pump?", ("ours",), split="train", groups=("board",)),
            Question("none", "Who is king there?", answerable=False, split="train")]
    try:
        save_questions(folder / "questions.jsonl", [*load_questions(folder / "questions.jsonl"), *more])
        (folder / "rows.jsonl").write_text('{"prompt": "What is rain?", "completion": "water"}\n')
        (folder / "tunewise.toml").write_text(
            (folder / "tunewise.toml").read_text().replace("[training]", '[training]\nrows = "rows.jsonl"'))
        plan = plan_of(folder, "sft")
        groups = {row.question: row.groups for row in plan.rows}
        assert groups["loose"] == ("hr",) and groups["ours"] == ("board",) and groups["none"] == ()
        assert groups["rows.jsonl:1"] == ("hr",)
        assert any("2 rows name neither a document nor a group" in note for note in plan.report.notes)
    finally:
        (folder / "questions.jsonl").write_text(before)
        (folder / "tunewise.toml").write_text(
            (folder / "tunewise.toml").read_text().replace('rows = "rows.jsonl"\n', ""))


def test_what_became_of_rows_is_said_at_every_step(folder):
    assert run(folder, "ingest") == 0
    good = '{"prompt": "Hello", "completion": "Hi"}\n'
    (folder / "rows.jsonl").write_text(good + '{"prompt": "Hello there"}\n' + good)
    toml = (folder / "tunewise.toml").read_text()
    try:
        (folder / "tunewise.toml").write_text(toml.replace("[training]", '[training]\nrows = "rows.jsonl"'))
        said = "\n".join(plan_of(folder, "sft").report.notes)
    finally:
        (folder / "tunewise.toml").write_text(toml)
    assert "rows: 6 training questions in, 6 rows out" in said
    assert "3 rows in (prompt-completion), 2 added, 1 could not be read" in said
    assert "rows.jsonl:2: it lacks 'completion'" in said
    assert "validation: 2 questions in, 2 of them answerable, 2 rows, 2 spread over them are looked at" in said


def test_what_cannot_work_is_refused_before_anything_is_trained(folder, monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert run(folder, "ingest") == 0
    from tunewise.jobs.tune import wanted, worked_out

    project = load_project(folder, environ={}, user=folder / "none")
    with pytest.raises(ModelMistake, match="NVIDIA GPU"):
        worked_out(project, wanted(project, "sft", method="qlora", parent="dap"))
    toml = (folder / "tunewise.toml").read_text()
    try:
        (folder / "tunewise.toml").write_text(toml + '[training.dap]\nmethod = "prompt-tuning"\n')
        project = load_project(folder, environ={}, user=folder / "none")
        with pytest.raises(ConfigMistake, match=r"dap learns virtual tokens \(prompt-tuning\)"):
            worked_out(project, wanted(project, "sft", parent="dap"))
    finally:
        (folder / "tunewise.toml").write_text(toml)


def test_keys_that_are_handed_on_are_held_to_the_fields_that_there_are(folder):
    assert run(folder, "ingest") == 0
    with pytest.raises(ConfigMistake) as error:
        plan_of(folder, "sft", trainer={"weight_decy": 0.1}, peft={"rr": 8})
    assert "peft.rr: LoraConfig has no such field; trainer.weight_decy: TrainingArguments" in error.value.message
    assert "closest first: r, " in error.value.tip and "closest first: weight_decay, " in error.value.tip
    with pytest.raises(ConfigMistake, match="no PEFT config"):
        plan_of(folder, "sft", method="full", peft={"r": 8})
    assert plan_of(folder, "sft", trainer={"weight_decay": 0.1}, peft={"use_dora": True}).rows


def test_the_config_classes_that_are_asked_are_those_of_the_methods(tiny):
    import transformers

    from tunewise.training import METHODS, TrainingSettings
    from tunewise.training.passed import CONFIGS

    model = transformers.AutoModelForCausalLM.from_pretrained(tiny)
    made = {name: type(method.config(TrainingSettings(method=name), model)).__name__
            for name, method in METHODS.items() if method.config is not None}
    assert {name: kind for name, kind in made.items() if kind != "LoraConfig"} == CONFIGS


def _once_killed(*, folder, progress, note, **_):
    """Stands for a training: the first try is killed as the kernel does it, the second looks what it was told."""
    from tunewise.training.shortage import kills

    place = next(iter(folder.glob("checkpoints/*")), None)
    if place is None or not kills(place):
        os.kill(os.getpid(), signal.SIGKILL)
    note(f"killed {kills(place)} time(s)")
    return folder


def _always_killed(**_):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_training_that_the_kernel_kills_is_tried_once_more_with_half_the_batch(folder, monkeypatch):
    from tunewise.jobs.tune import build
    from tunewise.training import sft

    assert run(folder, "ingest") == 0
    made, said = plan_of(folder, "sft", seed=9), []
    monkeypatch.setattr(sft, "train", _once_killed)
    assert build(made, progress=lambda *_: None, note=said.append) == made.folder
    assert any("with half the batch and twice the accumulation" in text for text in said)
    assert said[-1] == "killed 1 time(s)"
    monkeypatch.setattr(sft, "train", _always_killed)
    with pytest.raises(Failed, match="exit code -9"):
        build(plan_of(folder, "sft", seed=10), progress=lambda *_: None)


def test_after_a_kill_a_step_has_as_many_rows_in_smaller_batches(folder):
    from tunewise.jobs.tune import build
    from tunewise.training.shortage import remember_kill

    assert run(folder, "ingest") == 0
    made, said = plan_of(folder, "sft", seed=11, epochs=2), []
    remember_kill(made.folder / "checkpoints" / made.identity[:16])
    about = json.loads((build(made, progress=lambda *_: None, note=said.append) / "tunewise.json").read_text())
    assert about["batch"] == [2, 2] and any("after a kill: 2 row(s) at a time, 2 times" in text for text in said)


def test_leaks_between_any_two_splits_refuse_the_training(folder):
    before = (folder / "questions.jsonl").read_text()
    for split in ("validation", "test"):
        copy = json.loads(before.splitlines()[0]) | {"id": "copied", "split": split}
        try:
            (folder / "questions.jsonl").write_text(before + json.dumps(copy) + "\n")
            with pytest.raises(GateFailed, match=rf"q0 and copied \(train and {split}: both rest on all/0.md"):
                plan_of(folder, "sft")
        finally:
            (folder / "questions.jsonl").write_text(before)


def test_settings_said_once_come_with_the_lines_that_keep_them(folder, capsys):
    assert run(folder, "ingest") == 0
    capsys.readouterr()
    assert run(folder, "tune", "ia3", "--rate", "0.05") == 0
    assert "[training.raft] rate = 0.05" in capsys.readouterr().err


def test_a_dry_run_shows_what_a_run_would_be_and_trains_nothing(folder, capsys, monkeypatch):
    import transformers

    from tunewise.jobs import tune as job

    def never(*_, **__):
        raise AssertionError("weights were loaded, or something was trained")

    assert run(folder, "ingest") == 0
    capsys.readouterr()
    before = peak_memory()
    with monkeypatch.context() as patched:
        patched.setattr(job, "build", never)
        patched.setattr(transformers.PreTrainedModel, "from_pretrained", never)
        assert run(folder, "tune", "sft", "--dry-run", "--json", "--set", "layers=1.0", "--epochs", "3") == 0
        planned = json.loads(capsys.readouterr().out)
        assert run(folder, "tune", "raft", "--dry-run", "--method", "prefix-tuning") == 0
        said = capsys.readouterr().out
        assert run(folder, "tune", "dpo", "--dry-run") == 0
        assert "no figures before that" in capsys.readouterr().out
    for text in ("rows: 6 training questions in, 6 rows out", "row 3 of 3", "Send a lamp back", "[1]", "estimate: ",
                 "batch ", "rate ", "nothing was trained"):
        assert text in said
    assert len(planned["shown"]) == 3 and "assistant: " in planned["shown"][0] and planned["rows"] == 6
    assert not Path(planned["adapter"]).exists()
    # The figures are those of the run.
    assert run(folder, "tune", "sft", "--json", "--set", "layers=1.0", "--epochs", "3") == 0
    made = json.loads(capsys.readouterr().out)
    assert made["adapter"] == planned["adapter"]
    about = json.loads((Path(made["adapter"]) / "tunewise.json").read_text())
    figures = planned["figures"]
    assert (about["trained_parameters"], about["parameters"], about["batch"], about["settings"]["rate"]) == (
        figures["trained"], figures["parameters"], figures["batch"], figures["settings"]["rate"])
    # Both count what their process holds, and this one holds what other tests have left.
    high, child = figures["memory"]["high"], about["estimate"]["memory_bytes"]["high"]
    assert high - peak_memory() < child < high - before + 1.5e9


def test_any_setting_can_be_said_on_the_command_line(folder, capsys):
    from tunewise.cli.tuning import settings_of

    assert settings_of(["layers=1.0", "method = ia3", "peft.r=8", "peft.use_dora=true", "pairs='a=b.jsonl'"]) == {
        "layers": 1.0, "method": "ia3", "peft": {"r": 8, "use_dora": True}, "pairs": "a=b.jsonl"}
    assert run(folder, "ingest") == 0
    assert run(folder, "tune", "sft", "--dry-run", "--set", "layer=1") == 2
    assert "closest first: layers" in capsys.readouterr().err
    assert run(folder, "tune", "sft", "--dry-run", "--set", "layers") == 2
    assert "KEY=VALUE" in capsys.readouterr().err


def test_what_is_unknown_is_refused_with_the_known(folder, capsys):
    assert run(folder, "tune", "lorra") == 2
    said = capsys.readouterr().err
    assert "lorra" in said and "prompt-tuning" in said and "hybrid" in said
    assert run(folder, "tune", "sft", "--method", "looora") == 2
    assert "dora" in capsys.readouterr().err
