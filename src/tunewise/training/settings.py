"""What can be set about a training run, with defaults that were measured on the bundled model. No torch in here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from tunewise.errors import ConfigMistake


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """Settings of LoRA supervised fine-tuning (Hu et al. 2021, arXiv:2106.09685).

    `rate` is the peak learning rate (linear warm-up over `warmup` of the steps, then linear decay); `batch` the rows
    of one optimiser step; `rank` and `alpha` LoRA's r and alpha; `layers` the share of the decoder's layers, counted
    from the top, that wear LoRA (1.0: all). `without_oracle` and `shuffle` are RAFT's (see `rows.raft_rows`).
    """

    epochs: float = 3.0
    rate: float = 1e-3
    batch: int = 8
    rank: int = 16
    alpha: int = 32
    dropout: float = 0.0
    warmup: float = 0.06
    layers: float = 0.5
    seed: int = 0
    without_oracle: float = 0.0
    shuffle: float = 0.0

    def __post_init__(self) -> None:
        faults = [
            f"{name} = {getattr(self, name)!r} ({wanted})"
            for name, wanted, fine in (
                ("epochs", "more than 0", self.epochs > 0),
                ("rate", "between 0 and 1", 0 < self.rate < 1),
                ("batch", "1 or more", self.batch >= 1),
                ("rank", "1 or more", self.rank >= 1),
                ("layers", "more than 0, at most 1", 0 < self.layers <= 1),
                ("without_oracle", "0 to 1", 0 <= self.without_oracle <= 1),
                ("shuffle", "0 to 1", 0 <= self.shuffle <= 1),
            )
            if not fine
        ]
        if faults:
            raise ConfigMistake("training settings out of range: " + "; ".join(faults))

    def but(self, given: Mapping[str, Any]) -> TrainingSettings:
        """A copy with some settings replaced; unknown names are refused with the known ones listed."""
        known = {field.name for field in fields(self)}
        if unknown := sorted(set(given) - known):
            raise ConfigMistake(
                f"unknown training setting(s): {', '.join(unknown)}", tip=f"known: {', '.join(sorted(known))}"
            )
        return replace(self, **given)


RECIPES: dict[str, TrainingSettings] = {
    "sft": TrainingSettings(epochs=3.0, batch=16),
    "raft": TrainingSettings(epochs=2.0),
}
"""Recipes by name, with their defaults."""
