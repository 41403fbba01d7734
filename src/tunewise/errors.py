"""The exceptions of the house, and `need()` for optional libraries.

    TunewiseError                 everything that we raise on purpose
    ├── UserMistake               the user can mend it: printed as `error:` and `tip:`, exit code 2
    │   ├── ConfigMistake         tunewise.toml, flags, environment
    │   │   └── Diverged          a training whose loss is no number: its rate is too high
    │   ├── DataMistake           documents, question files, training rows
    │   ├── MissingExtra          an optional library is not installed
    │   └── ModelMistake          a model that does not exist, does not fit, or does not answer
    ├── GateFailed                a check said no (`--min`, a regression, a leak), exit code 3
    └── Failed                    the work could not be finished, exit code 1
        ├── DiskFull
        └── Damaged               a file of ours is not what its manifest says
"""

from __future__ import annotations

import importlib
from types import ModuleType


class TunewiseError(Exception):
    """Base of all errors: `message` says the cause, `tip` what to type or to change."""

    exit_code = 1

    def __init__(self, message: str, *, tip: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.tip = tip


class UserMistake(TunewiseError):
    """The user can mend it."""

    exit_code = 2


class ConfigMistake(UserMistake):
    """tunewise.toml, flags or environment."""


class Diverged(ConfigMistake):
    """A training whose loss is no number any more: its rate is too high for the model and its rows."""


class DataMistake(UserMistake):
    """Documents, question files or training rows; `faults` lists all of them."""

    def __init__(self, message: str, *, tip: str = "", faults: tuple[str, ...] = ()) -> None:
        super().__init__(message, tip=tip)
        self.faults = faults


class MissingExtra(UserMistake):
    """An optional library is not installed."""


class ModelMistake(UserMistake):
    """A model that does not exist, does not fit, or does not answer."""


class GateFailed(TunewiseError):
    """A check said no."""

    exit_code = 3


class Failed(TunewiseError):
    """The work could not be finished."""


class DiskFull(Failed):
    """No space left where we write."""


class Damaged(Failed):
    """A file of ours is not what its manifest says."""


def need(module: str, *, feature: str, extra: str) -> ModuleType:
    """Import an optional library at the moment of use, or say what needs it and how to install it."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = (error.name or module).split(".")[0]
        raise MissingExtra(
            f"{feature} needs the library {missing!r}, which is not installed",
            tip=f"pip install 'tunewise[{extra}]'",
        ) from error
