"""Preferences and rewards on a tiny model, and chains of recipes through the jobs that users call."""

import json
from dataclasses import replace

import pytest

from tiny_training import QUESTIONS, make_tiny, tiny_rows
from tunewise.errors import ConfigMistake, DataMistake
from tunewise.training import TrainingSettings

torch = pytest.importorskip("torch")
pytest.importorskip("trl")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return make_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def parent(tiny, tmp_path_factory):
    from tunewise.training.sft import train

    settings = TrainingSettings(epochs=10, rate=5e-2, batch=4, rank=4)
    return train(
        str(tiny), tiny_rows(), folder=tmp_path_factory.mktemp("parent") / "raft", settings=settings, recipe="raft"
    )


def begins_with_3(question, text, *, refuse=False):
    return 1.0 if text.startswith("3") else 0.0


def never_right(question, text, *, refuse=False):
    return 0.0


def margin(tiny, folder, pair):
    """log p(chosen) - log p(rejected) of the model that answers."""
    from tunewise.models.local import LocalModel, prompt_tokens

    model = LocalModel(str(tiny), adapter=folder)

    def log_p(text):
        prompt = prompt_tokens(model.tokenizer, pair.chat())
        said = model.tokenizer(text)["input_ids"] + [model.tokenizer.eos_token_id]
        with torch.no_grad():
            logits = model.model(input_ids=torch.tensor([prompt + said])).logits[0, len(prompt) - 1 : -1].float()
        return float(logits.log_softmax(-1).gather(1, torch.tensor(said)[:, None]).sum())

    return log_p(pair.chosen) - log_p(pair.rejected)


@pytest.mark.parametrize("recipe", ["dpo", "kto"])
def test_the_better_answer_becomes_likelier(recipe, tiny, parent, tmp_path):
    from tunewise.training.preference import Pair, train_preferences

    pairs = [Pair(row.messages, row.completion, "5 EUR [2]", row.question) for row in tiny_rows()]
    settings = TrainingSettings(epochs=4, rate=1e-2, batch=4, rank=4, patience=0)
    notes = []
    folder = train_preferences(
        str(tiny),
        pairs,
        folder=tmp_path / recipe,
        settings=settings,
        recipe=recipe,
        identity="x",
        parent=parent,
        score=never_right,
        note=notes.append,
    )
    about = json.loads((folder / "tunewise.json").read_text())
    assert about["parent"]["recipe"] == "raft" and about["pairs"] == 12 and about["recipe"] == recipe
    # The questions of the parent went in as well.
    assert about["questions"] == sorted(q.id for q in QUESTIONS)
    assert margin(tiny, folder, pairs[0]) > margin(tiny, parent, pairs[0]) + 0.5


def test_a_models_own_mistakes_are_the_rejected_ones(tiny, parent):
    from tunewise.models.local import LocalModel
    from tunewise.training.preference import own_mistakes

    notes = []
    pairs = own_mistakes(
        tiny_rows(3),
        LocalModel(str(tiny), adapter=parent),
        never_right,
        note=notes.append,
        progress=lambda *_: None,
        label="dpo",
    )
    assert pairs and all(pair.chosen == "30 days [1]" and pair.rejected for pair in pairs)
    assert len(set(pairs)) == len(pairs) and "right on 0" in notes[0]


def test_pairs_of_a_user_are_read_with_all_faults(tmp_path):
    from tunewise.training.preference import load_pairs

    file = tmp_path / "pairs.jsonl"
    good = {"prompt": "Q?", "chosen": "a", "rejected": "b"}
    file.write_text(
        "\n".join(
            json.dumps(v)
            for v in (
                good,
                good | {"rejected": "a"},
                {"prompt": "Q?"},
                good | {"prompt": [{"role": "user", "content": "Q?"}]},
            )
        )
    )
    with pytest.raises(DataMistake) as error:
        load_pairs(file)
    assert [fault.split(":")[1] for fault in error.value.faults] == ["2", "3"]
    file.write_text(json.dumps(good))
    assert load_pairs(file)[0].chat() == [{"role": "user", "content": "Q?"}]


@pytest.mark.parametrize("method", ["ia3", "full"])
def test_methods_without_a_reference_are_refused(method, tiny, parent, tmp_path):
    from tunewise.training.preference import train_preferences

    with pytest.raises(ConfigMistake, match=f"with {method}"):
        train_preferences(
            str(tiny),
            tiny_rows(),
            folder=tmp_path / "no",
            settings=TrainingSettings(method=method),
            recipe="dpo",
            identity="x",
            parent=parent,
            score=never_right,
        )


@pytest.mark.parametrize("recipe", ["grpo", "rloo"])
def test_rewards_move_the_model(recipe, tiny, parent, tmp_path):
    from tunewise.training.reinforcement import train_rewarded

    settings = TrainingSettings(epochs=1, rate=5e-3, batch=8, rank=4, patience=0, beta=0.01)
    folder = train_rewarded(
        str(tiny),
        tiny_rows(4),
        folder=tmp_path / recipe,
        settings=settings,
        recipe=recipe,
        identity="x",
        parent=parent,
        score=begins_with_3,
    )
    about = json.loads((folder / "tunewise.json").read_text())
    assert about["recipe"] == recipe and len(about["rewards"]) >= 2 and about["trained_parameters"] > 0


def test_a_chain_of_recipes_from_the_project_file(tiny, tmp_path, monkeypatch):
    from tunewise.jobs.ingest import ingest
    from tunewise.jobs.tune import tune, wanted, worked_out
    from tunewise.models.local import LocalModel
    from tunewise.nouns import Approach, Question
    from tunewise.project import load_project
    from tunewise.questions import save_questions

    (tmp_path / "documents").mkdir()
    text = "# Returns\n\nSend it back within 30 days. The fee is 5 EUR.\n"
    (tmp_path / "documents" / "r.md").write_text(text)
    start = text.index("30 days")
    save_questions(
        tmp_path / "questions.jsonl",
        [
            Question(
                f"q{i}",
                f"How long, {i}?",
                ("30 days",),
                (type(QUESTIONS[0].gold[0])("r.md", start, start + 7),),
                split="train",
            )
            for i in range(6)
        ],
    )
    (tmp_path / "tunewise.toml").write_text(
        f'[project]\nmodel = "{tiny}"\nembedder = "hash"\n[retrieval]\nk = 1\n'
        "[training]\nepochs = 1\nrate = 1e-2\nrank = 2\n"
        '[training.sft]\nparent = "dap"\nmethod = "full"\n[training.raft]\nparent = "sft"\n[training.dap]\nblock = 16\n'
        '[approaches.chain]\nindex = true\nrecipe = "raft"\nmax_new_tokens = 4\n'
    )
    project = load_project(tmp_path, environ={}, user=tmp_path / "none")
    ingest(project.documents, project=project.root, embedder="hash", tokens=project.tokens)
    notes, phases = [], []
    folder = tune(project, "raft", note=notes.append, progress=lambda phase, *_: phases.append(phase))
    about = json.loads((folder / "tunewise.json").read_text())
    assert (about["recipe"], about["parent"]["recipe"]) == ("raft", "sft")
    assert about["index"] and about["documents"] == ["r.md"] and len(about["questions"]) == 6
    assert any("characters in" in note for note in notes)
    model = LocalModel(str(tiny), adapter=folder)
    assert len(model.identity["parents"]) == 2
    # The same plan again is the same folder, and its parents are not trained a second time.
    phases.clear()
    assert tune(project, "chain", progress=lambda phase, *_: phases.append(phase)) == folder and not phases
    named = replace(project, approaches=(Approach("raft-dora", "echo", recipe="raft", method="dora"),
                                         Approach("raft", "echo", recipe="raft")))
    assert wanted(named, "raft").name == "raft" and wanted(named, "dora").name == "raft-dora"
    assert worked_out(project, wanted(project, "raft", method="dora")).folder.name.startswith("raft-dora-")
    with pytest.raises(ConfigMistake, match="among its own parents|own parent"):
        worked_out(project, wanted(project, "raft", parent="raft"))
