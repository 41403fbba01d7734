"""What can be set about a training run, with defaults that were measured on the bundled model. No torch in here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from difflib import SequenceMatcher
from math import isfinite
from typing import Any

from tunewise.errors import ConfigMistake
from tunewise.training.methods import METHODS

BUNDLED_WIDTH = 576
"""Hidden size of the model that the methods' rates were found on."""


def _number(value: Any) -> bool:
    """Whether it is a finite number; true and false are numbers to Python, but not to whoever writes a file."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value)


_TYPES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "str": ("a text in quotation marks; several names in one, with commas", lambda v: isinstance(v, str)),
    "int": ("a whole number", lambda v: isinstance(v, int) and not isinstance(v, bool)),
    "float": ("a number", _number),
    "bool": ("true or false, without quotation marks", lambda v: isinstance(v, bool)),
    "float | None": ("a number", lambda v: v is None or _number(v)),
    "float | str": ("a number or a text", lambda v: isinstance(v, str) or _number(v)),
    "tuple[tuple[str, Any], ...]": ("a table: { name = value }", lambda v: isinstance(v, tuple)),
}
"""What a setting may be, by its annotation."""


def _shown(value: Any) -> str:
    """A value as it stands in the file."""
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else repr(value)


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """Settings of a training run: what is trained (`method`), how long, and how its rows are made.

    `rate` is the peak learning rate (linear warm-up over `warmup` of the steps, then linear decay; None: the method's,
    see `settle`); `batch` the rows of one optimiser step; `rank` and `alpha` LoRA's r and alpha; `layers` the share of
    the decoder's layers, counted from the top, that is trained (1.0: all). `virtual_tokens` and `init_text` belong to
    prompt, prefix and P-tuning. `patience`: so many looks at the validation loss without a gain end the run (0: never).
    Rows: `without_oracle` (a share, or "auto": what retrieval missed), `shuffle`, `quotes` and `max_refusals` belong to
    RAFT (see `rows.raft_rows`); `instructions` is hybrid's share of rows without passages; `general` a file of general
    text and `general_share` its share in DAP, `block` DAP's tokens per row. `beta` and `pairs` belong to preference
    tuning, `parent` is what a run starts from: a recipe's name or an adapter folder;
    `judge` a model that gives the reward in place of the scorers (RLAIF). `share` computes prompts that rows
    have in common once, `freeze` computes frozen lower layers once; neither changes what is learned.
    `peft` and `trainer` are handed to PEFT's config and to transformers' TrainingArguments as they stand.
    """

    method: str = "lora"
    epochs: float = 3.0
    rate: float | None = None
    batch: int = 8
    rank: int = 16
    alpha: int = 32
    dropout: float = 0.0
    warmup: float = 0.06
    layers: float = 0.5
    virtual_tokens: int = 20
    init_text: str = ""
    patience: int = 2
    seed: int = 0
    without_oracle: float | str = 0.0
    shuffle: float = 0.0
    quotes: bool = False
    max_refusals: float = 0.25
    instructions: float = 0.5
    general: str = ""
    general_share: float = 0.1
    block: int = 512
    beta: float = 0.1
    pairs: str = ""
    parent: str = ""
    judge: str = ""
    share: bool = True
    freeze: bool = True
    report_to: str = "none"
    peft: tuple[tuple[str, Any], ...] = ()
    trainer: tuple[tuple[str, Any], ...] = ()

    def __post_init__(self) -> None:
        faults = [
            f"{field.name} = {_shown(getattr(self, field.name))} ({_TYPES[str(field.type)][0]})"
            for field in fields(self)
            if not _TYPES[str(field.type)][1](getattr(self, field.name))
        ]
        if faults:
            # What is of another kind cannot be compared with a range.
            raise ConfigMistake("training settings of the wrong kind: " + "; ".join(faults))
        for name, wanted, fine in (
            ("method", f"one of {', '.join(METHODS)}", self.method in METHODS),
            ("epochs", "more than 0", self.epochs > 0),
            ("rate", "between 0 and 1", self.rate is None or 0 < self.rate < 1),
            ("batch", "1 or more", self.batch >= 1),
            ("rank", "1 or more", self.rank >= 1),
            ("alpha", "1 or more: at 0 what is learned would not count", self.alpha >= 1),
            ("dropout", "0 or more, less than 1", 0 <= self.dropout < 1),
            ("warmup", "a share of the steps: 0 or more, less than 1", 0 <= self.warmup < 1),
            ("layers", "more than 0, at most 1", 0 < self.layers <= 1),
            ("virtual_tokens", "1 or more", self.virtual_tokens >= 1),
            ("patience", "0 or more", self.patience >= 0),
            ("seed", "0 or more", self.seed >= 0),
            (
                "without_oracle",
                '0 to 1, or "auto"',
                self.without_oracle == "auto"
                or (not isinstance(self.without_oracle, str) and 0 <= self.without_oracle <= 1),
            ),
            ("shuffle", "0 to 1", 0 <= self.shuffle <= 1),
            ("max_refusals", "0 to 1", 0 <= self.max_refusals <= 1),
            ("instructions", "more than 0, less than 1", 0 < self.instructions < 1),
            ("general_share", "0 or more, less than 1", 0 <= self.general_share < 1),
            ("block", "16 or more", self.block >= 16),
            ("beta", "more than 0", self.beta > 0),
        ):
            if not fine:
                faults.append(f"{name} = {_shown(getattr(self, name))} ({wanted})")
        if faults:
            raise ConfigMistake("training settings out of range: " + "; ".join(faults))

    def but(self, given: Mapping[str, Any]) -> TrainingSettings:
        """A copy with some settings replaced; unknown names are refused with the known ones listed."""
        known = {field.name for field in fields(self)}
        if unknown := sorted(set(given) - known):
            raise ConfigMistake(
                f"unknown training setting(s): {', '.join(unknown)}",
                tip=f"known, the closest first: {', '.join(closest(unknown[0], known))}",
            )
        tables = {k: tuple(sorted(v.items())) for k, v in given.items() if isinstance(v, Mapping)}
        return replace(self, **{**given, **tables})


def closest(name: str, known: Iterable[str]) -> list[str]:
    """The known names, those that are written most like `name` first."""
    return sorted(known, key=lambda one: (-SequenceMatcher(None, name, one).ratio(), one))


RECIPES: dict[str, TrainingSettings] = {
    # Small steps: with 16 rows in one the model learned no form of answer in three rounds. Rows that begin alike are
    # rows of one kind, so packs of them would make each step one-sided.
    "sft": TrainingSettings(epochs=4.0, batch=4, share=False),
    # Half the default's rows: twice the steps for the same tokens, and more learned in them (docs/results-training.md).
    "raft": TrainingSettings(epochs=2.0, batch=4),
    "hybrid": TrainingSettings(epochs=2.0, batch=4),
    "dap": TrainingSettings(epochs=2.0, layers=1.0, patience=0),
    "dpo": TrainingSettings(epochs=1.0, parent="raft", patience=0),
    "kto": TrainingSettings(epochs=1.0, parent="raft", patience=0),
    "grpo": TrainingSettings(epochs=1.0, parent="raft", patience=0),
    "rloo": TrainingSettings(epochs=1.0, parent="raft", patience=0),
}
"""Recipes (what the rows are) by name, with their defaults."""
_RATE = {"dap": 0.3, "dpo": 0.1, "kto": 0.1, "grpo": 0.05, "rloo": 0.05}
"""A recipe's rate as a share of the method's: raw text and preferences want smaller steps than answers do."""


def settle(recipe: str, settings: TrainingSettings, *, width: int) -> tuple[TrainingSettings, tuple[str, ...]]:
    """The settings with every derived value filled in, and in plain words what was derived and why.

    `width` is the model's hidden size: rates fall with width^0.84 (1e-3 at 576 is 2e-4 at 4096, which is what LoRA on
    models of 7 to 8 billion parameters is commonly given).
    """
    notes = []
    method = METHODS[settings.method]
    if settings.rate is None:
        narrow = min(1.0, (BUNDLED_WIDTH / width) ** 0.84)
        rate = float(f"{method.rate * _RATE.get(recipe, 1.0) * narrow:.2g}")
        settings = replace(settings, rate=rate)
        notes.append(f"rate {rate:g}: {settings.method}'s own for {recipe}, at a width of {width}")
    if method.virtual and settings.layers != 1.0:
        settings = replace(settings, layers=1.0)
        notes.append(f"layers 1.0: {settings.method} acts on the whole model")
    if method.virtual and (settings.share or settings.freeze):
        settings = replace(settings, share=False, freeze=False)
        notes.append("share and freeze off: virtual tokens stand before every row and reach every layer")
    return settings, tuple(notes)
