"""The trainer on a tiny random model: tokens as in answering, loss only on completions, resumed runs, adapters."""

import json

import pytest

from tiny_training import HITS, QUESTIONS, make_tiny, tiny_rows
from tunewise.errors import DataMistake, ModelMistake
from tunewise.nouns import Decoding
from tunewise.training import TrainingSettings

pytestmark = pytest.mark.slow
torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return make_tiny(tmp_path_factory.mktemp("tiny"))


def test_a_row_has_the_tokens_that_answering_sends(tiny):
    from tunewise.answers import make_ask
    from tunewise.models.local import LocalModel
    from tunewise.nouns import Approach
    from tunewise.training.encoding import encode

    model = LocalModel(str(tiny))
    sent = []
    keep = model._batch
    model._batch = lambda encoded, *more: sent.extend(encoded) or keep(encoded, *more)
    approach = Approach("raft", str(tiny), "grounded", index="i", decoding=Decoding(max_new_tokens=2))
    make_ask(approach, model=model, retriever=lambda queries, groups=None: [HITS] * len(queries))(QUESTIONS)
    trained = encode(tiny_rows(), model.tokenizer, longest=1024)
    assert sorted(sent) == sorted(row["prompt"] for row in trained)
    assert model.tokenizer.decode(trained[0]["completion"]) == "30 days [1]<eos>"


def test_the_loss_equals_the_plain_one_on_completions_only(tiny):
    from tunewise.training.encoding import collate, encode

    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny)
    model = transformers.AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32).eval()
    encoded = encode(tiny_rows()[:1] + tiny_rows()[11:], tokenizer, longest=1024)
    batch = collate(encoded, pad=0)
    loss = model(**batch).loss
    total = count = 0.0
    for row in encoded:
        ids = torch.tensor([row["prompt"] + row["completion"]])
        labels = ids.clone()
        labels[0, : len(row["prompt"])] = -100
        total += model(input_ids=ids, labels=labels).loss.item() * len(row["completion"])
        count += len(row["completion"])
    assert loss.item() == pytest.approx(total / count, abs=1e-5)


def test_a_row_that_is_too_long_is_refused_and_never_cut(tiny):
    from tunewise.training.encoding import encode

    with pytest.raises(DataMistake) as error:
        encode(tiny_rows(), transformers.AutoTokenizer.from_pretrained(tiny), longest=50)
    assert len(error.value.faults) == 12


def test_training_learns_resumes_to_the_same_weights_and_is_not_done_twice(tiny, tmp_path):
    from tunewise.models.local import LocalModel
    from tunewise.training.sft import train

    settings = TrainingSettings(epochs=16, rate=5e-2, batch=4, rank=8)
    whole = train(str(tiny), tiny_rows(), folder=tmp_path / "whole", settings=settings, recipe="raft")
    about = json.loads((whole / "tunewise.json").read_text())
    assert about["history"][-1]["loss"] < 0.7 * about["history"][0]["loss"]
    assert about["rows"] == 12 and about["questions"] == sorted(q.id for q in QUESTIONS) and not about["resumed"]
    stamp = (whole / "adapter_model.safetensors").stat().st_mtime_ns
    assert train(str(tiny), tiny_rows(), folder=whole, settings=settings, recipe="raft") == whole
    assert (whole / "adapter_model.safetensors").stat().st_mtime_ns == stamp

    class Killed(BaseException):
        pass

    def die(phase, done, total):
        if phase.startswith("train") and done == total // 2 + 1:
            raise Killed

    with pytest.raises(Killed):
        train(str(tiny), tiny_rows(), folder=tmp_path / "broken", settings=settings, recipe="raft", progress=die)
    assert not (tmp_path / "broken" / "tunewise.json").exists()
    with pytest.raises(ModelMistake, match="no finished adapter"):
        LocalModel(str(tiny), adapter=tmp_path / "broken")
    resumed = train(str(tiny), tiny_rows(), folder=tmp_path / "broken", settings=settings, recipe="raft")
    again = json.loads((resumed / "tunewise.json").read_text())
    assert again["resumed"] and again["weights"] == about["weights"]


def test_adapters_are_checked_before_they_are_worn(tiny, tmp_path):
    from tunewise.models.local import LocalModel
    from tunewise.training.sft import train

    folder = train(
        str(tiny), tiny_rows(), folder=tmp_path / "a", settings=TrainingSettings(epochs=1, rank=2), recipe="raft"
    )
    bare, worn = LocalModel(str(tiny)), LocalModel(str(tiny), adapter=folder)
    assert worn.identity["adapter"] and "adapter" not in bare.identity
    weights = folder / "adapter_model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(bytes(data))
    with pytest.raises(ModelMistake, match="damaged"):
        LocalModel(str(tiny), adapter=folder)
    about = json.loads((folder / "tunewise.json").read_text())
    (folder / "tunewise.json").write_text(json.dumps(about | {"base": "other"}))
    with pytest.raises(ModelMistake, match="another base"):
        LocalModel(str(tiny), adapter=folder)


def test_looks_that_a_killed_run_goes_over_again_are_no_loss_of_patience(tmp_path):
    from types import SimpleNamespace

    from tunewise.training.checkpoints import keep_best
    from tunewise.training.loop import watch

    keep_best(tmp_path, loss=0.5, step=30, save=lambda file: file.write_bytes(b"weights"))
    notes = []
    callback = watch(label="t", folder=tmp_path, patience=1, tokens_per_step=1.0, progress=lambda *_: None,
                     note=notes.append, whole=False)
    control = SimpleNamespace(should_training_stop=False)
    for step in (20, 30):
        state = SimpleNamespace(global_step=step, max_steps=50, log_history=[])
        callback.on_evaluate(None, state, control, metrics={"eval_loss": 0.6})
        assert not control.should_training_stop and not notes
    callback.on_evaluate(None, SimpleNamespace(global_step=40, max_steps=50, log_history=[]), control,
                         metrics={"eval_loss": 0.6})
    assert control.should_training_stop
