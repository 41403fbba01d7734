"""One run of a transformers or TRL trainer, made safe: progress with loss and speed, sealed checkpoints, resume, the
best weights on validation, less memory after running out of it, a clean stop on a full disk.

The trainer stays the library's own; everything here is a callback around it.
"""

from __future__ import annotations

import math
import pickle
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tunewise.errors import Damaged, DiskFull, Diverged, ModelMistake, need
from tunewise.models.gpu import out_of_memory
from tunewise.store import disk_errors, disk_full
from tunewise.training import checkpoints
from tunewise.training.shortage import kills

Progress = Callable[[str, int, int], None]
Note = Callable[[str], None]


@dataclass(slots=True)
class Outcome:
    """What a finished run was like. `begun` is the step that it went on from; `train_seconds` are those of all its
    tries, `earlier` what the tries before this process took with their set-up."""

    steps: int
    begun: int
    history: list[dict[str, float]] = field(default_factory=list)
    validation: list[dict[str, float]] = field(default_factory=list)
    best_step: int | None = None
    size: int = 0
    accumulation: int = 0
    train_seconds: float = 0.0
    earlier: float = 0.0


@dataclass(slots=True)
class Clock:
    """Seconds of a run over all its tries: what a checkpoint knows of those before, and what this process adds.

    What a killed process did behind its last checkpoint is done again, and counted once: nobody wrote it down.
    """

    opened: float = field(default_factory=time.perf_counter)
    began: float | None = None
    before: tuple[float, float] = (0.0, 0.0)

    def start(self, place: checkpoints.Place) -> None:
        """Training begins in this process; only the first of its tries counts, as later ones are within its time."""
        if self.began is None:
            self.began, self.before = time.perf_counter(), (place.seconds, place.train_seconds)

    def seconds(self) -> tuple[float, float]:
        """(with set-up, of training alone) until now."""
        now = time.perf_counter()
        return self.before[0] + now - self.opened, self.before[1] + now - (self.began or now)


class _Over(Exception):
    """The checkpoint that a run goes on from is its end: the weights are there, nothing is left to be trained."""


def watch(
    *,
    label: str,
    folder: Path,
    patience: int,
    tokens_per_step: float,
    progress: Progress,
    note: Note,
    whole: bool,
    opened: float | None = None,
) -> Any:
    """The callback: live figures, sealed checkpoints, the best weights on validation and the end when they are old.

    `whole` keeps all trained weights in every checkpoint, for methods whose own checkpoint leaves some out; `opened` is
    when this process began with the run. A loss that is no number is `Diverged`.
    """
    transformers = need("transformers", feature="training", extra="train")

    class Watch(transformers.TrainerCallback):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            self.loss: float | None = None
            self.begun: tuple[float, int] | None = None
            self.clock = Clock() if opened is None else Clock(opened)
            self.over = False

        def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
            self.begun = (time.perf_counter(), state.global_step)
            kept = folder / f"checkpoint-{state.global_step}" / "trained.safetensors"
            if whole and kept.is_file():
                load_trained(model, kept)
            if self.over:
                # The loop of the library would make one more step before it looks whether it is over.
                raise _Over

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            self.loss = (logs or {}).get("loss", self.loss)
            if self.loss is not None:
                _refuse_diverged(self.loss, state.global_step, args)

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
            _refuse_diverged(loss, state.global_step, args)
            known = checkpoints.best_look(folder)
            # A run that goes on evaluates a step for the second time: the same figure is no news.
            if known is None or loss < known[0]:
                checkpoints.keep_best(
                    folder, loss=loss, step=state.global_step, save=lambda file: save_trained(model, file)
                )
                return
            if state.global_step <= known[1]:
                # A run that was killed behind its best look goes over steps that were looked at before it.
                return
            seen = [log["step"] for log in state.log_history if "eval_loss" in log and log["step"] > known[1]]
            if patience and len(set(seen) | {state.global_step}) >= patience:
                note(
                    f"stopped at step {state.global_step} of {state.max_steps}: the validation loss has not fallen "
                    f"since step {known[1]}, whose weights are kept"
                )
                control.should_training_stop = True

        def on_save(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
            place = folder / f"checkpoint-{state.global_step}"
            if whole:
                save_trained(model, place / "trained.safetensors")
            seconds, train_seconds = self.clock.seconds()
            checkpoints.seal(
                place, over=control.should_training_stop, seconds=seconds, train_seconds=train_seconds
            )

    return Watch()


def _refuse_diverged(loss: float, step: int, args: Any) -> None:
    if not math.isfinite(loss):
        rate = getattr(args, "learning_rate", None)
        raise Diverged(
            f"the training diverged: the loss at step {step} is {loss}",
            tip="lower the rate" + (f": it is {rate:g}, try rate = {rate / 3:.1g}" if rate else ""),
        )


def save_trained(model: Any, file: Path) -> None:
    """All weights that training changes, by name, in safetensors; `DiskFull` when there is no room."""
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
    failed = False
    for _ in range(kills(folder)):
        size, accumulation = smaller(size, accumulation, least=least) or (size, accumulation)
        note(f"after a kill: {size} row(s) at a time, {accumulation} times per step; the step stays the same")
    while True:
        last = checkpoints.begin(folder, note=note)
        callback.clock.start(last)
        callback.over = last.over
        trainer = make(size, accumulation, callback)
        try:
            if last.folder is None:
                # A second try wears the same model, whose weights the first has moved.
                first = folder / "first.safetensors"
                if failed and first.is_file():
                    load_trained(trainer.model, first)
                elif smaller(size, accumulation, least=least):
                    save_trained(trainer.model, first)
            trainer.train(resume_from_checkpoint=str(last.folder) if last.folder else None)
            break
        except _Over:
            break
        except pickle.UnpicklingError as error:
            raise Damaged(
                f"the checkpoint {last.folder} holds something other than tensors, which is never loaded",
                tip=f"delete {folder} and run the command again",
            ) from error
        except Exception as error:
            if disk_full(error, folder) or isinstance(error, DiskFull):
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
    best = checkpoints.best_weights(folder)
    if best is not None:
        load_trained(trainer.model, best[1])
    return trainer, Outcome(
        steps=state.global_step,
        begun=last.step,
        history=history,
        validation=[{"step": step, "loss": loss} for step, loss in sorted(validation.items())],
        best_step=best[0] if best else None,
        size=size,
        accumulation=accumulation,
        train_seconds=callback.clock.seconds()[1],
        earlier=callback.clock.before[0],
    )


def clear(folder: Path) -> None:
    """Remove what a finished run no longer needs."""
    shutil.rmtree(folder, ignore_errors=True)
