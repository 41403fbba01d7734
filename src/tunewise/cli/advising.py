"""advise: ten questions before anything is built, and a first guess with its reasons."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from tunewise.cli.documents import project_of
from tunewise.cli.flags import command
from tunewise.cli.messages import language, message
from tunewise.cli.terminal import following, is_terminal, manners, out, out_json, say
from tunewise.errors import ConfigMistake, DataMistake


def register(app: typer.Typer) -> None:
    """Add the verb of this file."""
    command(app, "advise", example=(
        "tunewise advise\n"
        "tunewise advise --answers answers.json --json\n"
        "tunewise advise --set lacks=facts --set freshness=daily --set private=yes --set labels=some --set "
        "hardware=cpu "
        "--set documents=hundreds --set evidence=one --set citations=yes --set harm=annoys --set volume=low"))(advise)


def advise(
    *,
    given: Annotated[list[str] | None, typer.Option(
        "--set", envvar="TUNEWISE_SET", metavar="QUESTION=CHOICE", help="One answer; may be repeated.")] = None,
    answers: Annotated[Path | None, typer.Option(
        envvar="TUNEWISE_ANSWERS", help="A JSON file with the answers: {\"lacks\": \"facts\", …}.")] = None,
) -> None:
    """Guess which approach fits, before anything is built.

    Ten questions; each reason names what it rests on. The guess is kept, and compare says whether it was right.
    """
    from tunewise.advice import FAMILIES, needs_of
    from tunewise.jobs.advise import advise as job

    root = _root()
    found = _answers(given or [], answers)
    guess = job(found, root=root)
    needs = needs_of(found)
    if manners.json:
        out_json({"answers": found, "guess": guess, "needs": needs, "kept": root is not None})
    else:
        zh = language() == "zh"
        out(message("advise_guess", family=FAMILIES[guess.family][zh]))
        for label, reasons in ((message("advise_why"), guess.reasons), (message("advise_measure"), guess.measure)):
            out(f"\n{label}")
            for reason in reasons:
                out(f"  - {reason.text_zh if zh else reason.text}")
        out("\n" + message("advise_needs"))
        for key, value in needs.items():
            out(f"  {key} = {json.dumps(value)}")
        if root is None:
            say(message("advise_not_kept"))
    following("tunewise compare" if root else "tunewise init")


def _root() -> Path | None:
    try:
        return project_of().root
    except ConfigMistake:
        if manners.config:
            raise
        # Before there is a project there is nowhere to keep the guess.
        return None


def _answers(given: list[str], path: Path | None) -> dict[str, str]:
    from tunewise.advice import QUESTIONS, check

    found: dict[str, str] = {}
    if path is not None:
        try:
            value = json.loads(path.read_text(encoding="utf-8-sig"))
        except (OSError, ValueError) as error:
            raise DataMistake(f"{path}: {error}", tip='{"lacks": "facts", "freshness": "daily", …}') from error
        if not isinstance(value, Mapping) or not all(isinstance(one, str) for one in value.values()):
            raise DataMistake(f"{path} is no object of texts", tip='{"lacks": "facts", "freshness": "daily", …}')
        found |= value
    for text in given:
        key, sign, choice = text.partition("=")
        if not sign:
            raise ConfigMistake(f"--set {text}: QUESTION=CHOICE is needed", tip="--set lacks=facts")
        found[key.strip()] = choice.strip()
    if is_terminal(sys.stdin) and not manners.json:
        for number, ask in enumerate(QUESTIONS, 1):
            if ask.key not in found:
                found[ask.key] = _put(number)
    if faults := check(found):
        raise DataMistake(message("advise_open", count=len(faults)), tip="tunewise advise --help", faults=tuple(faults))
    return found


def _put(number: int) -> str:
    """One question on a terminal: its choices by number; Enter takes the first."""
    from tunewise.advice import QUESTIONS

    question = QUESTIONS[number - 1]
    zh = language() == "zh"
    out(f"\n{number}/{len(QUESTIONS)}  {question.text_zh if zh else question.text}")
    keys = list(question.choices)
    for place, key in enumerate(keys, 1):
        out(f"    {place}  {question.choices[key][zh]}")
    while True:
        text = typer.prompt("  ", default="1", prompt_suffix="> ", show_default=False).strip()
        if text in keys:
            return text
        if text.isdigit() and 1 <= int(text) <= len(keys):
            return keys[int(text) - 1]
        out(message("advise_again", count=len(keys)))
