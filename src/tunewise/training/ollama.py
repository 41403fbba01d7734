"""An Ollama Modelfile: a chat template in Ollama's language, found by rendering the model's own with marked messages.

Ollama knows no Jinja. A template in which every role has a fixed text before and after its content can be said in its
language; it is put together from its parts again and compared with the original. Others are refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tunewise.errors import ModelMistake

_MARKS = {"system": "\x01S\x01", "user": "\x01U\x01", "assistant": "\x01A\x01"}


@dataclass(frozen=True, slots=True)
class Turns:
    """What stands before and after each role's content; `default` stands first where no system message does."""

    around: dict[str, tuple[str, str]]
    begin: str
    default: str
    generate: str

    def render(self, messages: Sequence[dict[str, str]]) -> str:
        """Messages as these parts write them, with the generation prompt."""
        text = self.begin if messages[0]["role"] == "system" else self.default
        for message in messages:
            before, after = self.around[message["role"]]
            text += before + message["content"] + after
        return text + self.generate


def turns_of(tokenizer: Any) -> Turns:
    """The parts of a chat template; `ModelMistake` when it is not made of such parts."""

    def shown(*roles: str, prompt: bool = False) -> str:
        messages = [{"role": role, "content": _MARKS[role]} for role in roles]
        return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=prompt))

    refused = ModelMistake("its chat template cannot be said in Ollama's language", tip="--format gguf holds it whole")
    try:
        asked, answered = shown("system", "user"), shown("system", "user", "assistant")
        again = shown("system", "user", "assistant", "user")
        alone, generate = shown("user"), shown("system", "user", prompt=True)[len(asked) :]
    except Exception as error:  # a template may raise whatever its author wrote
        raise refused from error
    if not (answered.startswith(asked) and again.startswith(answered)):
        raise refused
    before_answer, _, after_answer = answered[len(asked) :].partition(_MARKS["assistant"])
    before_ask, _, after_ask = again[len(answered) :].partition(_MARKS["user"])
    head, _, rest = asked.partition(_MARKS["system"])
    between = rest.partition(_MARKS["user"])[0]
    if not between.endswith(before_ask) or not alone.endswith(before_ask + _MARKS["user"] + after_ask):
        raise refused
    turns = Turns(
        {"system": (head, between.removesuffix(before_ask)), "user": (before_ask, after_ask),
         "assistant": (before_answer, after_answer)},
        begin="", default=alone.removesuffix(before_ask + _MARKS["user"] + after_ask), generate=generate,
    )
    for roles in (["user"], ["system", "user"], ["user", "assistant", "user"],
                  ["system", "user", "assistant", "user", "assistant", "user"]):
        messages = [{"role": role, "content": f"{role} {i}\nsays 你好"} for i, role in enumerate(roles)]
        wanted = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        if turns.render(messages) != wanted:
            raise refused
    if any("{{" in part or "}}" in part for pair in turns.around.values() for part in pair):
        raise refused
    return turns


def modelfile(tokenizer: Any, *, gguf: str, ends: Sequence[str], new_tokens: int) -> str:
    """The Modelfile for a GGUF file beside it."""
    turns = turns_of(tokenizer)
    roles = [
        f'{{{{ {word} eq .Role "{role}" }}}}{turns.around[role][0]}{{{{ .Content }}}}{turns.around[role][1]}'
        for word, role in (("if", "system"), ("else if", "user"), ("else if", "assistant"))
    ]
    default = f'{{{{ if ne (index .Messages 0).Role "system" }}}}{turns.default}{{{{ end }}}}' if turns.default else ""
    template = f"{default}{{{{ range .Messages }}}}{''.join(roles)}{{{{ end }}}}{{{{ end }}}}{turns.generate}"
    if '"""' in template:
        raise ModelMistake("its chat template holds three quotes in a row, which a Modelfile cannot")
    stops = "".join(f'PARAMETER stop "{end}"\n' for end in ends)
    return (
        f'FROM ./{gguf}\nTEMPLATE """{template}"""\n{stops}PARAMETER temperature 0\n'
        f"PARAMETER num_predict {new_tokens}\n"
    )
