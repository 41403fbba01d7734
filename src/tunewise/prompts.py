"""The one renderer: question, passages and examples in, chat messages out.

Answering and the rows of training call the same `render`, so that a model is tuned on exactly what it will be asked.
Knows nothing about models, tokens or chat templates: turning messages into tokens is the model's own business.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Sequence
from functools import cache
from importlib import resources
from pathlib import Path

from tunewise.errors import ConfigMistake
from tunewise.nouns import Hit
from tunewise.store import fingerprint

REFUSAL = {"en": "Not in the documents.", "zh": "文档中没有。"}
"""What a model is asked to say when the documents do not hold the answer."""

_REFUSALS = re.compile(
    r"^(not in the documents?|(the )?(answer|information) is not (in|given|found|stated|available|provided|mentioned)"
    r"|(the )?(passages?|documents?|text|context)( provided)? (do|does) not"
    r" (say|hold|contain|mention|state|provide|include|specify)"
    r"|there is no information|no answer|i (do not|don t|cannot|can t) (know|answer|find)|unanswerable"
    r"|not (stated|specified|mentioned)$"
    r"|文档中(没有|未)|段落中(没有|未)|文中(没有|未)|(我)?不知道|无法(回答|确定|得知)|没有(提到|说明|相关信息)|未(提及|说明))",
)
_FIELD = re.compile(r"\{(passages|question|refusal)\}")


def is_refusal(text: str) -> bool:
    """Whether an answer says that it cannot be given, in English or Chinese (by its opening words, not by its tone)."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    plain = " ".join(re.sub(r"[^\w]+", " ", plain).split())
    return bool(_REFUSALS.match(plain))


@cache
def _folder() -> Path:
    return Path(str(resources.files("tunewise") / "templates"))


def templates() -> tuple[str, ...]:
    """The names of the templates that ship, sorted."""
    return tuple(sorted(path.stem for path in _folder().glob("*.toml")))


@cache
def _template(name: str) -> dict[str, dict[str, str]]:
    # A path is the user's own template; a bare name is one of ours.
    path = Path(name) if name.endswith(".toml") else _folder() / f"{name}.toml"
    if not path.is_file():
        raise ConfigMistake(
            f"there is no prompt template {name!r}",
            tip=f"known: {', '.join(templates())}, or a path that ends in .toml",
        )
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigMistake(f"the prompt template {path} cannot be read: {error}") from error
    for language in ("en", "zh"):
        section = found.setdefault(language, found.get("en", {}))
        if not isinstance(section, dict) or "{question}" not in section.get("user", ""):
            raise ConfigMistake(
                f"the prompt template {path} has no user text with {{question}} for {language!r}",
                tip='it needs [en] (and may have [zh]) with system = "…" and user = "… {question}"',
            )
    return found


def template_fingerprint(name: str) -> str:
    """Identity of a template's wording, for the identity of a run."""
    return fingerprint([_template(name), REFUSAL])


def reads_passages(name: str) -> bool:
    """Whether a template has a place for passages."""
    return "{passages}" in _template(name)["en"]["user"]


def thinks_aloud(name: str) -> bool:
    """Whether a model's text holds more than the answer (reasoning first), so that it cannot be shown as it comes."""
    return any("answer_after" in section for section in _template(name).values())


def _language(language: str) -> str:
    return "zh" if language == "zh" else "en"


def _fill(text: str, values: dict[str, str]) -> str:
    # One pass: braces and markers inside documents or questions are text, never fields.
    return _FIELD.sub(lambda match: values[match[1]], text)


def passages(hits: Sequence[Hit]) -> str:
    """Passages as the model sees them: `[n] title > heading`, then the text."""
    blocks = []
    for number, hit in enumerate(hits, 1):
        chunk = hit.chunk
        # A heading path mostly begins with the title, and a section's text with its own heading: each is said once.
        heading = chunk.heading.removeprefix(chunk.title).removeprefix(" > ") if chunk.title else chunk.heading
        where = " > ".join(part for part in (chunk.title, heading) if part)
        blocks.append(f"[{number}] {where}\n{chunk.text.strip()}" if where else f"[{number}] {chunk.text.strip()}")
    return "\n\n".join(blocks)


def render(
    template: str,
    question: str,
    *,
    language: str,
    hits: Sequence[Hit] = (),
    examples: Sequence[tuple[str, str]] = (),
) -> list[dict[str, str]]:
    """Chat messages for one question.

    `hits` in the order in which they are numbered; `examples` are (question, answer) pairs shown as earlier turns.
    """
    wording = _template(template)[_language(language)]
    values = {"refusal": REFUSAL[_language(language)], "passages": passages(hits), "question": question.strip()}
    messages = [{"role": "system", "content": _fill(wording["system"], values)}] if wording.get("system") else []
    for asked, answered in examples:
        messages.append(
            {"role": "user", "content": _fill(wording["user"], values | {"question": asked, "passages": ""}).strip()}
        )
        messages.append({"role": "assistant", "content": answered})
    messages.append({"role": "user", "content": _fill(wording["user"], values).strip()})
    return messages


def answer_mark(template: str, language: str) -> str:
    """What a template's answers stand after ("Answer:"); "" when they stand alone."""
    return _template(template)[_language(language)].get("answer_after", "")


def final_answer(template: str, text: str, *, language: str) -> str:
    """The answer in a model's text: after the template's marker, if it has one and the model wrote it."""
    marker = answer_mark(template, language)
    if not marker:
        return text.strip()
    before, found, after = text.rpartition(marker)
    return after.strip() if found else text.strip().splitlines()[-1].strip() if text.strip() else ""
