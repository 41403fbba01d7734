"""A training that is stopped (killed, damaged, no memory, no disk) goes on to the same weights or says why not."""

import json
import multiprocessing
import os
import signal
import time

import pytest

from tiny_training import QUESTIONS, make_tiny, tiny_rows
from tunewise.errors import Damaged, DiskFull, ModelMistake
from tunewise.training import TrainingSettings

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.slow
SETTINGS = TrainingSettings(epochs=12, rate=5e-2, batch=4, rank=4, share=False, freeze=False, patience=9)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return make_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def whole(tiny, tmp_path_factory):
    """An unbroken run."""
    return run(tiny, tmp_path_factory.mktemp("whole") / "out")


def run(tiny, folder, *, settings=SETTINGS, progress=lambda *_: None, notes=None, rows=None):
    from tunewise.training.sft import train

    return train(
        str(tiny),
        rows or tiny_rows(),
        folder=folder,
        settings=settings,
        recipe="raft",
        validation=tiny_rows(3),
        progress=progress,
        note=(notes if notes is not None else []).append,
    )


def about(folder):
    return json.loads((folder / "tunewise.json").read_text())


def _slowly(tiny, folder, pipe):
    """A run that says each of its steps and waits to be killed in between."""

    def progress(phase, done, total):
        if phase.startswith("train"):
            pipe.send(done)
            time.sleep(0.05)

    run(tiny, folder, progress=progress)


@pytest.mark.parametrize("at", [2, 31])
def test_killed_with_9_it_goes_on_to_the_same_weights(tiny, whole, tmp_path, at):
    # A forked copy of a process that has used torch may crash.
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_slowly, args=(tiny, tmp_path / "out", there))
    process.start()
    there.close()
    while here.recv() < at:
        pass
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert process.exitcode == -9 and not (tmp_path / "out" / "tunewise.json").exists()
    again = about(run(tiny, tmp_path / "out"))
    assert again["weights"] == about(whole)["weights"] and again["best_step"] == about(whole)["best_step"]
    assert again["resumed"] == (at > 8)


class Killed(BaseException):
    pass


def stop_at(step):
    def progress(phase, done, total):
        if phase.startswith("train") and done == step:
            raise Killed

    return progress


def broken(tiny, folder, at=20):
    with pytest.raises(Killed):
        run(tiny, folder, progress=stop_at(at))
    return sorted(folder.glob("checkpoints/*/checkpoint-*"), key=lambda place: int(place.name.split("-")[1]))


@pytest.mark.parametrize("harm", ["cut", "flip", "unsealed"])
def test_a_damaged_checkpoint_is_not_used_but_the_one_before_and_that_is_said(tiny, whole, tmp_path, harm):
    first, newest = broken(tiny, tmp_path / "out")
    weights = newest / "adapter_model.safetensors"
    if harm == "cut":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif harm == "flip":
        data = bytearray(weights.read_bytes())
        data[len(data) // 2] ^= 1
        weights.write_bytes(bytes(data))
    else:
        (newest / "tunewise.json").unlink()
    notes = []
    again = about(run(tiny, tmp_path / "out", notes=notes))
    assert any(f"checkpoint {newest.name} is not used" in note for note in notes)
    assert again["resumed"] and again["weights"] == about(whole)["weights"]
    assert first.name != newest.name


class Bait:
    """Writes a file when it is unpickled."""

    def __init__(self, marker):
        self.marker = str(marker)

    def __reduce__(self):
        return (open, (self.marker, "w"))


@pytest.mark.parametrize("file", ["optimizer.pt", "scheduler.pt", "rng_state.pth"])
def test_a_pickle_in_a_checkpoint_is_never_run(tiny, tmp_path, file):
    from tunewise.training import checkpoints

    newest = broken(tiny, tmp_path / "out")[-1]
    marker = tmp_path / "marker"
    torch.save({"state": Bait(marker)}, newest / file)
    # Even with a seal that was made for it.
    checkpoints.seal(newest)
    with pytest.raises(Damaged, match="other than tensors"):
        run(tiny, tmp_path / "out")
    assert not marker.exists()


def test_a_smaller_batch_keeps_the_rows_of_a_step():
    from tunewise.training.loop import smaller

    assert [smaller(size, 2) for size in (8, 6, 5, 3, 1)] == [(4, 4), (3, 4), (1, 10), (1, 6), None]
    assert smaller(4, 1, least=2) == (2, 2) and smaller(2, 1, least=2) is None


def test_out_of_memory_halves_the_batch_and_keeps_the_step(tiny, tmp_path, monkeypatch):
    from tunewise.training import sft

    collate, seen = sft.collate, []

    def tight(items, **more):
        seen.append(len(items))
        if len(items) > 1 and seen.count(len(items)) > 2:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes")
        return collate(items, **more)

    monkeypatch.setattr(sft, "collate", tight)
    notes = []
    small = TrainingSettings(epochs=2, rate=5e-2, batch=4, rank=2, share=False, freeze=False, patience=0)
    made = about(run(tiny, tmp_path / "out", settings=small, notes=notes))
    assert made["batch"] == [1, 4] and made["steps"] == 6
    assert sum("memory ran out" in note for note in notes) == 2

    def never(items, **more):
        raise MemoryError

    monkeypatch.setattr(sft, "collate", never)
    with pytest.raises(ModelMistake, match="one row at a time"):
        run(tiny, tmp_path / "no", settings=small)


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device"),
        RuntimeError("[enforce fail at inline_container.cc] PytorchStreamWriter failed: No space left on device"),
    ],
)
def test_a_full_disk_stops_cleanly_and_the_last_checkpoint_is_good(tiny, whole, tmp_path, monkeypatch, error):
    saves = []
    save = transformers.Trainer._save_optimizer_and_scheduler

    def full(self, folder):
        saves.append(folder)
        if len(saves) == 3:
            raise error
        return save(self, folder)

    monkeypatch.setattr(transformers.Trainer, "_save_optimizer_and_scheduler", full)
    with pytest.raises(DiskFull):
        run(tiny, tmp_path / "out")
    assert not (tmp_path / "out" / "tunewise.json").exists()
    notes = []
    again = about(run(tiny, tmp_path / "out", notes=notes))
    assert again["resumed"] and again["weights"] == about(whole)["weights"]
    assert any("was not finished" in note for note in notes)


def test_it_stops_early_and_keeps_the_best_weights(tiny, tmp_path):
    from tunewise.training.sft import train

    wrong = [row for row in tiny_rows() if row.question == "q1"]
    other = [type(row)(row.messages, "\x01\x02\x03", row.question) for row in tiny_rows(3)]
    notes = []
    folder = train(
        str(tiny),
        wrong * 8,
        folder=tmp_path / "out",
        recipe="raft",
        validation=other,
        note=notes.append,
        settings=TrainingSettings(epochs=20, rate=1e-1, batch=4, rank=4, share=False, patience=1),
    )
    made = about(folder)
    looks = {look["step"]: look["loss"] for look in made["validation"]}
    assert made["best_step"] == min(looks, key=looks.get) < made["steps"]
    assert any("has not fallen" in note for note in notes)


def test_what_is_derived_is_said_and_estimates_hold(whole, tiny, tmp_path):
    notes = []
    made = about(
        run(tiny, tmp_path / "out", notes=notes, settings=TrainingSettings(epochs=2, batch=4, rank=4, patience=0))
    )
    said = "\n".join(notes)
    for word in ("device", "precision", "rate", "batch", "parameters are trained", "estimate", "measured"):
        assert word in said
    # The peak of this process is that of all tests before; the kernel counts it a few pages behind.
    bounds = made["estimate"]["memory_bytes"]
    assert 0.99 * bounds["low"] < made["peak_memory_bytes"] < bounds["high"]
    assert made["settings"]["rate"] > 0 and made["utilisation"] > 0
    assert about(whole)["questions"] == sorted(q.id for q in QUESTIONS)


def test_short_memory_makes_smaller_batches_and_then_checkpoints_activations(tiny, tmp_path, monkeypatch):
    from tunewise.training import estimate

    monkeypatch.setattr(estimate, "free_memory", lambda device: 1000)
    notes = []
    settings = TrainingSettings(epochs=1, rate=5e-2, batch=4, rank=2, share=False, freeze=False, patience=0)
    made = about(run(tiny, tmp_path / "out", settings=settings, notes=notes))
    assert made["batch"] == [1, 4] and made["steps"] == 3
    assert "gradient checkpointing on: memory is short" in notes


def test_the_report_and_the_page_draw_what_validation_looked_like(whole):
    """From the manifest that a real run left, not from a made one."""
    from types import SimpleNamespace

    from tunewise.jobs.beside import _history
    from tunewise.reports.curves import learning
    from tunewise.server.pages import runs

    looks = about(whole)["validation"]
    history = _history(whole)
    assert [one["validation_loss"] for one in history if "validation_loss" in one] == [look["loss"] for look in looks]
    assert len(looks) > 1 and [one for one in history if "loss" in one] == about(whole)["history"]
    standing = SimpleNamespace(approach=SimpleNamespace(name="raft"))
    figure = learning(SimpleNamespace(standings=(standing,), curves={"raft": history}))
    assert "curve thin" in str(figure) and "curve thick" in str(figure)
    house = SimpleNamespace(project=SimpleNamespace(needs=SimpleNamespace(price_cpu_hour=0.05)))
    assert runs._adapter(house, whole)["curve"].count('class="look"') == len(looks)
