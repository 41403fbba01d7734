"""The first guess of a project: made, kept beside its runs, and judged by its comparisons."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tunewise.advice import advise as guess_from
from tunewise.advice import judge
from tunewise.nouns import Comparison, Guess, Reason, Recommendation, to_json
from tunewise.store import project_folder, read_json, write_json


def advise(answers: Mapping[str, str], *, root: Path | None = None) -> Guess:
    """A guess from ten answers (see `advice.QUESTIONS`), kept in the project at `root` if there is one."""
    guess = guess_from(answers)
    if root is not None:
        write_json(project_folder(root) / "advice.json", {"answers": dict(answers), "guess": to_json(guess)})
    return guess


def kept(root: Path) -> Guess | None:
    """The project's first guess; None where none was made."""
    path = project_folder(root) / "advice.json"
    if not path.is_file():
        return None
    value = read_json(path)["guess"]
    return Guess(value["family"], tuple(Reason(**one) for one in value["reasons"]),
                 tuple(Reason(**one) for one in value["measure"]))


def judged(root: Path, comparison: Comparison, recommendation: Recommendation) -> Guess | None:
    """The first guess with what the comparison says to it."""
    guess = kept(root)
    return None if guess is None else judge(guess, comparison, recommendation)
