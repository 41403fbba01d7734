"""A question → the queries that are searched, written by whatever model is handed in as `generate`.

Knows nothing about models or prompts' wording. The question itself is always searched too: what a small model writes
may help, and must not lose what was asked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tunewise.retrieval.followups import understood
from tunewise.sentences import terms

Generate = Callable[[str, Sequence[str]], list[str]]
"""(name of a template, texts) → what the model wrote for each text, raw."""

REWRITES = ("none", "rewrite", "decompose", "multi-query", "hyde")
FOLLOW_UPS = ("join", "rewrite", "off")
_MOST = 3
"""Written queries that are searched beside the question."""
_LONGEST = 300
_LEAD = re.compile(r"^[\s>*•\-–]*(?:(?:\(?\d{1,2}[.):、）]|[qQ]\d*[:：.]|query\s*\d*[:：]|[问查]\w{0,3}[:：])\s*)?")
_QUOTES = "\"'“”‘’「」`*"


@dataclass(frozen=True, slots=True)
class Query:
    """One search: `words` for the lexical leg, `meanings` for the dense leg (the mean of their vectors)."""

    words: str
    meanings: tuple[str, ...]


def expand(questions: Sequence[str], how: str, generate: Generate | None) -> list[list[Query]]:
    """The queries of each question, the question first.

    rewrite: put as a search (Ma et al. 2023). decompose: one query for each part of it (Press et al. 2023).
    multi-query: other wordings, fused by rank (Rackauckas 2024). hyde: the mean of the question's vector and that of a
    made-up passage which answers it; its words are not searched, since its facts are invented (Gao et al. 2022).
    """
    plain = [[Query(question, (question,))] for question in questions]
    if how == "none" or not questions:
        return plain
    if generate is None:
        raise ValueError(f"rewrite {how!r} needs a model that writes")
    for own, question, written in zip(plain, questions, generate(f"queries/{how}", questions), strict=True):
        if how == "hyde":
            passage = " ".join(written.split())[: 4 * _LONGEST]
            own[0] = Query(question, (question, passage) if passage else (question,))
        else:
            lines = written_queries(written, question)
            own += [Query(line, (line,)) for line in lines[: 1 if how == "rewrite" else _MOST]]
    return plain


def written_queries(text: str, question: str) -> list[str]:
    """The usable lines of what a model wrote: no numbers in front, no quotes, none twice, none that is the question."""
    seen = {_folded(question)}
    found = []
    for line in text.splitlines():
        query = _LEAD.sub("", line).strip().strip(_QUOTES).strip()
        if query and len(query) <= _LONGEST and any(map(str.isalnum, query)) and _folded(query) not in seen:
            seen.add(_folded(query))
            found.append(query)
    return found


def _folded(text: str) -> str:
    return "".join(sign for sign in text.casefold() if sign.isalnum())


def stand_alone(
    question: str, history: Sequence[tuple[str, str]], *, how: str, generate: Generate | None = None
) -> str:
    """What is searched for a question that follows earlier turns of (question, answer).

    join: when it leans on them, with the last question that stands alone and two asked since (needs no model).
    rewrite: the model puts it so that it stands alone; what it writes counts only when its words come from the
    conversation. off: the question as it stands.
    """
    if not history or how == "off":
        return question
    joined = understood(question, [asked for asked, _ in history])
    if how == "join":
        return joined
    if generate is None:
        raise ValueError("follow_up 'rewrite' needs a model that writes")
    turns = "\n".join(f"- {asked}\n  {answered}" for asked, answered in history[-3:])
    lines = written_queries(generate("queries/follow-up", [f"{turns}\n- {question}"])[0], "")
    known = set(terms(" ".join([question, *(text for turn in history for text in turn)])))
    written = set(terms(lines[0])) if lines else set()
    if not lines or len(written - known) > len(written) // 2:
        return joined
    return lines[0]
