"""What a stopped run leaves is whole or said to be damaged, what it cost is added up, and one that diverges stops."""

import json
import sys
from types import SimpleNamespace

import pytest

from tiny_training import make_tiny, tiny_rows
from tunewise.errors import ConfigMistake, Damaged, DiskFull, Diverged
from tunewise.training import TrainingSettings, checkpoints

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.slow
SETTINGS = TrainingSettings(epochs=6, rate=5e-2, batch=4, rank=4, share=False, freeze=False, patience=9)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return make_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def whole(tiny, tmp_path_factory):
    return run(tiny, tmp_path_factory.mktemp("whole") / "out")


def run(tiny, folder, *, settings=SETTINGS, progress=lambda *_: None, notes=None, **more):
    from tunewise.training.sft import train

    given = {"rows": tiny_rows(), "validation": tiny_rows(3)} | more
    said = notes if notes is not None else []
    train(str(tiny), **given, folder=folder, settings=settings, recipe="raft", progress=progress, note=said.append)
    return json.loads((folder / "tunewise.json").read_text())


class Killed(BaseException):
    pass


def broken(tiny, folder, at=10, **more):
    """A run of 18 steps that was stopped behind its second checkpoint; where it keeps them."""

    def progress(phase, done, total):
        if phase.startswith("train") and done == at:
            raise Killed

    with pytest.raises(Killed):
        run(tiny, folder, progress=progress, **more)
    (place,) = folder.glob("checkpoints/*")
    return place


class Foreign(Exception):
    """What safetensors raises: no OSError, no RuntimeError."""


FULL = Foreign("Error while serializing: I/O error: No space left on device (os error 28)")


# -------------------------------------------------------------------------------------------------- best weights


def flip(file):
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(bytes(data))


HARMS = {
    "flip": lambda best, note: flip(best),
    "cut": lambda best, note: best.write_bytes(best.read_bytes()[:-50]),
    "gone": lambda best, note: best.unlink(),
    "note": lambda best, note: flip(note),
    "another loss": lambda best, note: note.write_text(json.dumps(json.loads(note.read_text()) | {"loss": 9.0})),
}


@pytest.mark.parametrize("harm", HARMS)
def test_damaged_best_weights_are_never_worn_but_found_again_and_that_is_said(tiny, whole, tmp_path, harm):
    place = broken(tiny, tmp_path / "out")
    (best,) = place.glob("best-*.safetensors")
    HARMS[harm](best, place / "best.json")
    notes = []
    again = run(tiny, tmp_path / "out", notes=notes)
    assert any("best weights so far are not used: they are damaged" in note for note in notes)
    assert again["weights"] == whole["weights"] and again["best_step"] == whole["best_step"]


def test_best_weights_that_rot_while_a_run_goes_on_are_no_adapter(tiny, whole, tmp_path):
    harmed = []

    def progress(phase, done, total):
        if phase.startswith("train") and done == total and not harmed:
            harmed.extend((tmp_path / "out").glob("checkpoints/*/best-*.safetensors"))
            flip(harmed[0])

    # Rows that say something else: the first look is the best one, and no later one takes its place.
    other = [type(row)(row.messages, "\x01\x02\x03", row.question) for row in tiny_rows(3)]
    fast = SETTINGS.but({"rate": 1e-1})
    good = run(tiny, tmp_path / "good", settings=fast, validation=other)
    assert good["best_step"] < good["steps"]
    with pytest.raises(Damaged, match="best weights") as error:
        run(tiny, tmp_path / "out", settings=fast, validation=other, progress=progress)
    assert "run the same command again" in error.value.tip and not (tmp_path / "out" / "tunewise.json").exists()
    assert run(tiny, tmp_path / "out", settings=fast, validation=other)["weights"] == good["weights"]


def test_a_kill_between_the_best_weights_and_their_note_leaves_the_ones_before(tmp_path):
    checkpoints.keep_best(tmp_path, loss=2.0, step=4, save=lambda file: file.write_bytes(b"four"))

    def killed(file):
        file.write_bytes(b"half of ei")
        raise Killed

    with pytest.raises(Killed):
        checkpoints.keep_best(tmp_path, loss=1.0, step=8, save=killed)
    assert checkpoints.best_look(tmp_path) == (2.0, 4)
    assert checkpoints.best_weights(tmp_path) == (4, tmp_path / "best-4.safetensors")
    checkpoints.keep_best(tmp_path, loss=1.0, step=8, save=lambda file: file.write_bytes(b"eight"))
    assert [file.name for file in tmp_path.glob("best-*")] == ["best-8.safetensors"]


# -------------------------------------------------------------------------------------------------- divergence


@pytest.mark.parametrize("training", [True, False])
def test_a_loss_that_is_no_number_stops_the_run_and_names_the_way_out(tiny, tmp_path, monkeypatch, training):
    compute = transformers.Trainer.compute_loss

    def nan(self, model, inputs, return_outputs=False, **more):
        found = compute(self, model, inputs, return_outputs=return_outputs, **more)
        if model.training is not training or (training and self.state.global_step < 5):
            return found
        return (found[0] * float("nan"), found[1]) if return_outputs else found * float("nan")

    monkeypatch.setattr(transformers.Trainer, "compute_loss", nan)
    with pytest.raises(Diverged, match="diverged: the loss at step") as error:
        run(tiny, tmp_path / "out")
    assert isinstance(error.value, ConfigMistake) and "lower the rate: it is 0.05" in error.value.tip
    assert not (tmp_path / "out" / "tunewise.json").exists()
    assert training or not list((tmp_path / "out").glob("checkpoints/*/best*")), "the first look was no best one"


# -------------------------------------------------------------------------------------------------- cost


def test_the_cost_of_a_resumed_run_is_what_its_tries_took(tiny, tmp_path):
    import time

    def slow(phase, done, total):
        if phase.startswith("train"):
            time.sleep(0.05)
            if done == total:
                raise Killed

    with pytest.raises(Killed):
        run(tiny, tmp_path / "out", progress=slow)
    (place,) = (tmp_path / "out").glob("checkpoints/*")
    last = checkpoints.newest(place, note=lambda text: None)
    assert last.step == 16 and last.seconds > last.train_seconds > 0.8
    start = time.perf_counter()
    made = run(tiny, tmp_path / "out")
    own = time.perf_counter() - start
    # Not the pace of two steps and a set-up, times eighteen steps.
    assert last.seconds < made["seconds"] <= last.seconds + own
    assert last.train_seconds < made["train_seconds"] <= last.train_seconds + own and made["resumed"]


# -------------------------------------------------------------------------------------------------- a full disk


def test_a_full_disk_at_the_last_save_loses_nothing_and_trains_nothing_more(tiny, tmp_path, monkeypatch):
    import peft

    # The validation rows are learned by heart at once and then only get worse: it stops early, in the middle.
    other = [type(row)(row.messages, "\x01\x02\x03", row.question) for row in tiny_rows(3)]
    early = SETTINGS.but({"epochs": 20.0, "rate": 1e-1, "patience": 1})
    good = run(tiny, tmp_path / "good", settings=early, validation=other)
    assert good["best_step"] < good["steps"] < 60
    save, place = peft.PeftModel.save_pretrained, tmp_path / "out"

    def full(self, folder, *more, **named):
        if str(folder) == str(place):
            raise FULL
        return save(self, folder, *more, **named)

    with monkeypatch.context() as patch:
        patch.setattr(peft.PeftModel, "save_pretrained", full)
        with pytest.raises(DiskFull):
            run(tiny, place, settings=early, validation=other)
    assert not (place / "tunewise.json").exists()
    steps = []
    again = run(tiny, place, settings=early, validation=other,
                progress=lambda phase, done, total: steps.append(done) if phase.startswith("train") else None)
    assert again["weights"] == good["weights"] and again["steps"] == good["steps"] and steps == []
    assert again["history"] == good["history"] and again["validation"] == good["validation"]


def test_a_full_disk_at_the_first_save_is_said_as_one(tiny, tmp_path, monkeypatch):
    from safetensors import torch as files

    def full(*_, **__):
        raise FULL

    monkeypatch.setattr(files, "save_file", full)
    with pytest.raises(DiskFull, match="no space left on the disk"):
        run(tiny, tmp_path / "out")


# -------------------------------------------------------------------------------------------------- around the trainer


def test_what_tensorboard_is_given_outlives_the_run(tiny, tmp_path, monkeypatch):
    from transformers.integrations import integration_utils

    wrote = []

    class Writer:
        def __init__(self, log_dir):
            wrote.append(log_dir)

        def __getattr__(self, name):
            return lambda *_, **__: None

    monkeypatch.setattr(integration_utils, "is_tensorboard_available", lambda: True)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", SimpleNamespace(SummaryWriter=Writer))
    monkeypatch.delenv("TENSORBOARD_LOGGING_DIR", raising=False)
    run(tiny, tmp_path / "out", settings=SETTINGS.but({"epochs": 1.0, "report_to": "tensorboard"}))
    assert wrote == [str(tmp_path / "out" / "runs")]
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "elsewhere"))
    run(tiny, tmp_path / "two", settings=SETTINGS.but({"epochs": 1.0, "report_to": "tensorboard"}))
    assert wrote[1:] == [str(tmp_path / "elsewhere")]


def test_several_gpus_are_not_dealt_parts_of_one_batch(tmp_path):
    from tunewise.training.opening import one_gpu

    args = transformers.TrainingArguments(output_dir=str(tmp_path), use_cpu=True, per_device_train_batch_size=4)
    assert args.n_gpu == 0 and one_gpu(args).n_gpu == 0
    args._n_gpu = 2
    assert args.train_batch_size == 8 and one_gpu(args).train_batch_size == 4


def test_weights_in_four_bits_are_counted_as_weights():
    from tunewise.training.opening import count_parameters

    class Params4bit(torch.nn.Parameter):
        """Named as bitsandbytes' own: two weights in a byte."""

    packed = Params4bit(torch.zeros(50, 1, dtype=torch.uint8), requires_grad=False)
    plain = torch.nn.Parameter(torch.zeros(3, 4))
    assert count_parameters(SimpleNamespace(parameters=lambda: [packed, plain])) == (12, 112)


def test_memory_is_measured_where_the_model_is_and_a_gpu_takes_larger_batches(monkeypatch):
    from tunewise.training import estimate

    monkeypatch.setattr(estimate, "gpu_peak", lambda: 7)
    monkeypatch.setattr(estimate, "peak_memory", lambda: 11)
    assert (estimate.held_memory("cuda"), estimate.held_memory("cpu")) == (7, 11)
    config = transformers.LlamaConfig(hidden_size=576, intermediate_size=1536, num_hidden_layers=30, vocab_size=49152)
    sizes = [estimate.batch_tokens(config, device="cuda", free=free << 30, itemsize=2) for free in (1, 24, 80, 800)]
    assert sizes == sorted(sizes) and sizes[0] == 2400 and 2400 < sizes[1] < sizes[2] and sizes[3] == 65536
    assert estimate.batch_tokens(config, device="cpu", free=800 << 30, itemsize=2) == 2400
    # A step keeps its rows, whatever fits.
    assert estimate.widened(2, 4, longest=1000, tokens=2400) == (2, 4)
    assert estimate.widened(2, 4, longest=1000, tokens=4500) == (4, 2)
    assert estimate.widened(3, 2, longest=500, tokens=65536) == (6, 1)
    assert estimate.widened(1, 4, longest=9000, tokens=4500) == (1, 4)


def test_attention_is_counted_at_the_rows_own_lengths():
    from tunewise.training import estimate

    config = transformers.LlamaConfig(hidden_size=32, intermediate_size=64, num_hidden_layers=2, vocab_size=100)
    assert estimate.mean_width([10, 10]) == 10 and estimate.mean_width([1, 3]) == 2.5
    lengths = [100] * 9 + [1000]
    mean, longest = (
        estimate.operations(config, estimate.Work(10, 1900, 0, width), trained=0, top=2, cached=False, weights=False,
                            epochs=1.0)
        for width in (estimate.mean_width(lengths), max(lengths))
    )
    # By hand: each row's tokens see, in the mean, half of their own row.
    layer = 2 * estimate.layer_parameters(config)
    assert mean == pytest.approx(2 * 2 * sum(n * (layer + 2 * 32 * n) for n in lengths)) and mean < longest


def test_what_full_fine_tuning_would_take_is_said_beside_it(tiny, tmp_path):
    notes = []
    run(tiny, tmp_path / "out", settings=SETTINGS.but({"epochs": 1.0}), notes=notes)
    (line,) = (note for note in notes if note.startswith("memory: "))
    assert "full fine-tuning of the same model would take" in line and "times as many parameters" in line
