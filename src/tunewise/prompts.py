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

_SORRY = (
    r"(?:(?:i am|i m|im|we are) )?(?:very |so )?(?:sorry|afraid) (?:but |that )?|unfortunately |apologies (?:but )?"
    r"|i apologi[sz]e (?:but )?|(?:很|非常)?(?:抱歉|对不起|遗憾) ?|不好意思 ?"
)
_SOURCE = (
    r"(?:(?:the|these|those|this|any of the|your|our) )?(?:given |provided |supplied |available |retrieved |above )*"
    r"(?:passages?|documents?|texts?|context|sources?|materials?|handbook)(?: (?:provided|given|supplied|above))?"
)
_SAID = (
    r"(?:say|said|hold|contain|include|mention|state|provide|specify|give|tell|answer|cover|address|describe)(?:e?d|s)?"
)
_TOLD = "given|found|stated|available|provided|mentioned"
_GIVEN_ZH = "文档|资料|段落|文章|材料|手册|上下文|信息|内容"
_REFUSALS = re.compile(
    rf"^(?:{_SORRY})?(?:" + "|".join((
        "not in the documents?",
        r"(?:the |this |that |an? )?(?:answer|information|question)(?: to (?:this|that|the|your) question)?"
        rf" (?:(?:is|was) not (?:in|{_TOLD})|(?:cannot|can not|could not) be (?:{_TOLD}|answered|determined))",
        rf"{_SOURCE} (?:(?:do|does|did)(?: not|n t) {_SAID}|(?:contains?|says?|mentions?|gives?) (?:no|nothing))",
        rf"(?:this|that|it|which) (?:is|was) not (?:{_TOLD}|specified|said|described) (?:in|by) {_SOURCE}",
        rf"(?:based on|according to) {_SOURCE} (?:i|we) (?:cannot|can t|can not|could not|couldn t|do not|don t)"
        " (?:answer|find|say|know|determine|tell)",
        "there is no (?:information|mention|answer)",
        rf"(?:no answer|no information|unanswerable|unknown)$|no (?:information|answer) (?:is |was )?(?:{_TOLD})",
        "(?:i|we) (?:do not|don t|did not|didn t|cannot|can t|can not|could not|couldn t|was unable to|am unable to"
        "|am not able to) (?:know|answer|find|say|tell|determine|see"
        "|have (?:any |enough |that |this |the )?(?:information|knowledge|data))",
        rf"not (?:{_TOLD}|specified|known)(?: in the (?:documents?|passages?|text))?$",
        r"(?:在|根据|从)?(?:所|已)?(?:提供|给出|给定|检索到|上述|以上|现有|这些)?的?"
        rf"(?:文中|{_GIVEN_ZH})(?:内容)?(?:中|里|内|之中)?(?:并|都|均)?(?:没有|没|未|不)(?:有|能|曾)?(?:被)?"
        "(?:提到|提及|说明|写明|给出|包含|涉及|找到|相关|记载|回答|这|该|答案|任何|信息|有关|足够|$)",
        "(?:文档|段落|资料|文)中(?:没有|未)",
        rf"(?:根据|从|依据)[^ ]{{0,8}}(?:{_GIVEN_ZH})(?:内容)?(?:中|来看)? ?(?:我|我们)?(?:无法|不能|没有找到)",
        "(?:我|我们)?(?:并)?(?:不知道|不清楚|不了解)",
        "(?:我|我们)?(?:无法|不能)(?:回答|确定|得知|从|根据|找到|判断)",
        "(?:我|我们)?没有(?:找到|提到|说明|相关信息|相关资料|足够)",
        "(?:我|我们)?未(?:提及|说明|找到|提到)|没有答案$|无相关信息",
    )) + ")",
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
