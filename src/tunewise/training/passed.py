"""What is handed on to PEFT's config and to the trainer's arguments as it stands: are there fields of these names?

The libraries are asked only where such a table is given: their import takes seconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields

from tunewise.errors import ConfigMistake, need
from tunewise.training.settings import TrainingSettings, closest

CONFIGS = {
    "ia3": "IA3Config",
    "prompt-tuning": "PromptTuningConfig",
    "prefix-tuning": "PrefixTuningConfig",
    "p-tuning": "PromptEncoderConfig",
}
"""PEFT's config class of each method that is not of LoRA's family."""
ARGUMENTS = {"dpo": "DPOConfig", "kto": "KTOConfig", "grpo": "GRPOConfig", "rloo": "RLOOConfig"}
"""TRL's arguments of each recipe that is not trained by transformers' own Trainer."""


def refuse_unknown(settings: TrainingSettings, recipe: str) -> None:
    """`ConfigMistake` for keys of `peft` and `trainer` that the method's config or the trainer's arguments lack."""
    faults, tips = [], []
    for table, given in (("peft", settings.peft), ("trainer", settings.trainer)):
        if not given:
            continue
        if table == "peft" and settings.method == "full":
            raise ConfigMistake("full fine-tuning has no PEFT config", tip="take the table peft out, or another method")
        name, known = _peft(settings.method) if table == "peft" else _arguments(recipe)
        unknown = [key for key, _ in given if key not in known]
        faults += [f"{table}.{key}: {name} has no such field" for key in unknown]
        tips += [f"fields of {name}, the closest first: {', '.join(closest(key, known))}" for key in unknown[:1]]
    if faults:
        raise ConfigMistake("; ".join(faults), tip="; ".join(tips))


def _peft(method: str) -> tuple[str, set[str]]:
    name = CONFIGS.get(method, "LoraConfig")
    return name, _names(getattr(need("peft", feature="training", extra="train"), name))


def _arguments(recipe: str) -> tuple[str, set[str]]:
    name = ARGUMENTS.get(recipe, "TrainingArguments")
    library = "trl" if recipe in ARGUMENTS else "transformers"
    return name, _names(getattr(need(library, feature="training", extra="train"), name))


def _names(config: type) -> set[str]:
    found: Iterable[str] = (field.name for field in fields(config) if field.init)
    return set(found)
