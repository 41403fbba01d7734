"""One run of a transformers or TRL trainer, made safe: progress with loss and speed, sealed checkpoints, resume, the
best weights on validation, less memory after running out of it, a clean stop on a full disk.

The trainer stays the library's own; everything here is a callback around it.
"""

from __future__ import annotations

import pickle
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tunewise.errors import Damaged, DiskFull, ModelMistake, need
from tunewise.store import disk_errors, read_json, write_json
from tunewise.training import checkpoints
from tunewise.training.shortage import kills

Progress = Callable[[str, int, int], None]
Note = Callable[[str], None]


@dataclass(slots=True)
class Outcome:
    """What a finished run was like. `begun` is the step that it went on from."""

    steps: int
    begun: int
    history: list[dict[str, float]] = field(default_factory=list)
    validation: list[dict[str, float]] = field(default_factory=list)
    best_step: int | None = None
    size: int = 0
    accumulation: int = 0
    seconds: float = 0.0


def watch(
    *, label: str, folder: Path, patience: int, tokens_per_step: float, progress: Progress, note: Note, whole: bool
) -> Any:
    """The callback: live figures, sealed checkpoints, the best weights on validation and the end when they are old.

    `whole` keeps all trained weights in every checkpoint, for methods whose own checkpoint leaves some out.
    """
    transformers = need("transformers", feature="training", extra="train")
    best_file, best_note = folder / "best.safetensors", folder / "best.json"

    class Watch(transformers.TrainerCallback):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            self.loss: float | None = None
            self.begun: tuple[float, int] | None = None

        def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
            self.begun = (time.perf_counter(), state.global_step)
            kept = folder / f"checkpoint-{state.global_step}" / "trained.safetensors"
            if whole and kept.is_file():
                load_trained(model, kept)

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            self.loss = (logs or {}).get("loss", self.loss)

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            assert self.begun is not None
            seconds, steps = time.perf_counter() - self.begun[0], state.global_step - self.begun[1]
            live = f" · {steps * tokens_per_step / seconds:.0f} tokens/s" if seconds > 0 else ""
            if self.loss is not None:
                live = f" · loss {self.loss:.3f}{live}"
            progress(f"{label}{live}", state.global_step, state.max_steps)

        def on_evaluate(
            self, args: Any, state: Any, control: Any, metrics: Any = None, model: Any = None, **_: Any
        ) -> None:
            loss = (metrics or {}).get("eval_loss")
            if loss is None:
                return
            known = read_json(best_note) if best_note.is_file() else None
            # A run that goes on evaluates a step for the second time: the same figure is no news.
            if known is None or loss < known["loss"]:
                save_trained(model, best_file)
                write_json(best_note, {"loss": loss, "step": state.global_step})
                return
            if state.global_step <= known["step"]:
                # A run that was killed behind its best look goes over steps that were looked at before it.
                return
            seen = [log["step"] for log in state.log_history if "eval_loss" in log and log["step"] > known["step"]]
            if patience and len(set(seen) | {state.global_step}) >= patience:
                note(
                    f"stopped at step {state.global_step} of {state.max_steps}: the validation loss has not fallen "
                    f"since step {known['step']}, whose weights are kept"
                )
                control.should_training_stop = True

        def on_save(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
            place = folder / f"checkpoint-{state.global_step}"
            if whole:
                save_trained(model, place / "trained.safetensors")
            checkpoints.seal(place)

    return Watch()


def save_trained(model: Any, file: Path) -> None:
    """All weights that training changes, by name, in safetensors."""
    safetensors = need("safetensors.torch", feature="training", extra="train")
    aside = file.with_name(f".{file.name}")
    aside.parent.mkdir(parents=True, exist_ok=True)
    kept = {name: p.detach().cpu().contiguous() for name, p in model.named_parameters() if p.requires_grad}
    with disk_errors(file):
        safetensors.save_file(kept, aside)
        aside.replace(file)


def load_trained(model: Any, file: Path) -> None:
    """The reverse of `save_trained`; `Damaged` when the names do not fit."""
    torch = need("torch", feature="training", extra="train")
    safetensors = need("safetensors.torch", feature="training", extra="train")
    kept = safetensors.load_file(file)
    own = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if set(own) != set(kept):
        raise Damaged(f"{file} holds other weights than are trained", tip="delete the folder to train anew")
    with torch.no_grad():
        for name, parameter in own.items():
            parameter.copy_(kept[name])


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on a GPU or on this machine."""
    text = str(error)
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (isinstance(error, RuntimeError) and ("not enough memory" in text or "can't allocate memory" in text))
    )


def disk_full(error: BaseException) -> bool:
    """Whether an error of torch or safetensors, which name no errno, says that the disk is full."""
    text = f"{type(error).__name__} {error}"
    return "No space left" in text or "os error 28" in text or "Disk quota" in text


def smaller(size: int, accumulation: int, *, least: int = 1) -> tuple[int, int] | None:
    """The next smaller batch, and the accumulation with which a step sees as many rows; None below `least`."""
    divisors = [one for one in range(least, size) if size % one == 0]
    return (divisors[-1], accumulation * size // divisors[-1]) if divisors else None


def fit(
    make: Callable[[int, int, Any], Any],
    *,
    folder: Path,
    size: int,
    accumulation: int,
    note: Note,
    callback: Any,
    least: int = 1,
) -> tuple[Any, Outcome]:
    """Train, and go on where an earlier try stopped. `make(size, accumulation, callback)` gives a fresh trainer.

    Out of memory: half the batch (or its next divisor) and as much more accumulation, so a step still sees as many
    rows, from the last checkpoint or the first weights; at `least` rows it is a `ModelMistake`. A full disk is
    `DiskFull`, with the last sealed checkpoint whole. A run that was killed for its memory (`shortage`) begins with
    half the batch. A checkpoint with anything but tensors in its pickles is `Damaged`: nothing in it is run.
    """
    started, failed = time.perf_counter(), False
    for _ in range(kills(folder)):
        size, accumulation = smaller(size, accumulation, least=least) or (size, accumulation)
        note(f"after a kill: {size} row(s) at a time, {accumulation} times per step; the step stays the same")
    while True:
        last, begun = checkpoints.newest(folder, note=note)
        if last is None and (folder / "best.json").is_file():
            # Without a checkpoint the run begins anew, and so does the search for its best step.
            (folder / "best.json").unlink()
        trainer = make(size, accumulation, callback)
        if last is None:
            # A second try wears the same model, whose weights the first has moved.
            first = folder / "first.safetensors"
            if failed and first.is_file():
                load_trained(trainer.model, first)
            elif smaller(size, accumulation, least=least):
                save_trained(trainer.model, first)
        try:
            trainer.train(resume_from_checkpoint=str(last) if last else None)
            break
        except pickle.UnpicklingError as error:
            raise Damaged(
                f"the checkpoint {last} holds something other than tensors, which is never loaded",
                tip=f"delete {folder} and run the command again",
            ) from error
        except Exception as error:
            if disk_full(error):
                raise DiskFull(
                    f"no space left on the disk that holds {folder}",
                    tip="free some space and run the same command again: it goes on at the last checkpoint",
                ) from error
            if not out_of_memory(error):
                raise
            fewer = smaller(size, accumulation, least=least)
            if fewer is None:
                raise ModelMistake(
                    f"memory ran out with {'one row' if size == 1 else f'{size} rows'} at a time",
                    tip="use a smaller model, lower [retrieval] budget, or fewer layers",
                ) from error
            (size, accumulation), failed = fewer, True
            note(f"memory ran out: now {size} row(s) at a time, {accumulation} times per step; the step stays the same")
            # The traceback holds the failed batch's tensors.
            error.__traceback__ = None
        del trainer
    state = trainer.state
    history = [{"step": log["step"], "loss": log["loss"]} for log in state.log_history if "loss" in log]
    validation = {log["step"]: log["eval_loss"] for log in state.log_history if "eval_loss" in log}
    best = None
    if (folder / "best.json").is_file():
        best = int(read_json(folder / "best.json")["step"])
        load_trained(trainer.model, folder / "best.safetensors")
    # A resumed run counts what the steps before it took, at the pace of those after.
    done = state.global_step
    seconds = (time.perf_counter() - started) * done / max(1, done - begun)
    return trainer, Outcome(
        steps=done,
        begun=begun,
        history=history,
        validation=[{"step": step, "loss": loss} for step, loss in sorted(validation.items())],
        best_step=best,
        size=size,
        accumulation=accumulation,
        seconds=seconds,
    )


def clear(folder: Path) -> None:
    """Remove what a finished run no longer needs."""
    shutil.rmtree(folder, ignore_errors=True)
