"""Harm: numbers, names and terms that an answer has from nowhere, and right answers that no passage supplied.

Knows nothing about truth. "From nowhere": in no supplied passage, not in the question and in no gold answer; for an
approach without passages that leaves question and gold. Names are found by their form, not by a model: capitals inside
a sentence and codes in English; titles, companies, book marks and foreign words in Chinese. So a name in small letters
is missed, and a reworded unit ("a dozen") is flagged; it compares approaches, it is no verdict on one answer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from tunewise.nouns import Answer, Question
from tunewise.scorers.quantities import quantities
from tunewise.scorers.retrieval import overlaps
from tunewise.scorers.terminology import GlossaryEntry, phrases_in, uses
from tunewise.scorers.text import CJK, WIDTHS, fold, holds, names_kept

_CODE = re.compile(
    rf"(?<![^\W{CJK}])(?=[A-Za-z0-9/\-]*[A-Za-z])(?=[A-Za-z0-9/\-]*\d)[A-Za-z0-9]+(?:[/\-][A-Za-z0-9]+)*"
)
_CAPITAL = re.compile(rf"(?<![^\W{CJK}])[^\W\d_{CJK}]+(?:['’\-][^\W\d_{CJK}]+)*")
_SENTENCE_START = re.compile(r"(?:^|[.!?:;。！？：；\n]|[-*•]|\d[.)])[\s\"'“‘(（]*$")
_SURNAMES = (
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡余杜叶程苏魏吕丁任沈姚卢"
    "姜崔钟谭陆汪范金石廖贾夏韦付方白邹孟熊秦邱江尹薛闫段雷侯龙史陶黎贺顾毛郝龚邵万钱严覃武戴莫孔向汤"
)
_CHINESE_NAME = re.compile(
    rf"《([^》]{{2,30}})》|([{_SURNAMES}][一-鿿]{{1,2}})(?=先生|女士|经理|主任|总监|教授|博士|工程师|老师|主管|院长|部长)"
    r"|([一-鿿]{2}(?:公司|集团|大学|医院|银行|研究院|实验室))"
)
_LIST_NUMBER = re.compile(r"(?m)^\s*\d+[.)、](?!\d)")
_NO_NAMES = frozenset(("i", "i'm", "i’m", "ok", "no", "yes", "n/a", "pdf", "q", "a"))


def names_in(text: str) -> list[str]:
    """Names and codes of a text by their form, each once, in order."""
    found: dict[str, None] = {}
    plain = text.translate(WIDTHS)
    for match in _CODE.finditer(plain):
        if not re.fullmatch(r"\d+[A-Za-z]{1,3}", match.group()):  # "24V" and "3rd" are numbers
            found[match.group()] = None
    plain = _CODE.sub(lambda match: "0" * len(match.group()), plain)
    chinese = len(re.findall(rf"[{CJK}]", plain)) * 2 > len(plain)
    for match in _CAPITAL.finditer(plain):
        word = match.group()
        if word.casefold() in _NO_NAMES or len(word) < 2:
            continue
        inner = word[1:] != word[1:].lower()
        starts = bool(_SENTENCE_START.search(plain, 0, match.start()))
        if chinese or inner or (word[0].isupper() and not starts):
            found[word] = None
    for match in _CHINESE_NAME.finditer(plain):
        found[next(group for group in match.groups() if group)] = None
    return list(found)


def unknown_numbers(text: str, sources: Sequence[str]) -> list[float]:
    """The numbers of a text that stand in none of the sources, neither as written nor in another unit."""
    known = {item for source in sources for one in quantities(source) for item in (one, one.value / one.factor)}
    said = quantities(_LIST_NUMBER.sub(" ", text))
    return [one.value / one.factor for one in said if one not in known and one.value / one.factor not in known]


def unknown_names(text: str, sources: Sequence[str]) -> list[str]:
    """The names of a text that stand in none of the sources, whatever their case."""
    known = fold("\n".join(sources))
    missing = []
    for name in names_in(text):
        plain = fold(name).removesuffix("'s").removesuffix("’s")
        # Words of an alphabet end at word ends, and "Thursdays" is a Thursday; Chinese needs no ends.
        stem = plain[:-1] if len(plain) > 3 and plain.endswith("s") else plain
        pattern = rf"(?<![^\W{CJK}]){re.escape(stem)}s?(?![^\W{CJK}])" if plain.isascii() else re.escape(plain)
        if not re.search(pattern, known):
            missing.append(name)
    return missing


def harm_scores(
    question: Question, answer: Answer, *, glossary: Sequence[GlossaryEntry], correct: bool
) -> dict[str, float]:
    """`fabricated_numbers`, `fabricated_names`, `fabricated_terms` (with a glossary): 1 where the answer has at least
    one; `fabricated`: 1 where any of them is. `parametric` (right answers with passages only): 1 where no passage meets
    the gold or holds a gold answer. Absent for refusals, failures and empty answers."""
    if answer.refused or answer.error is not None or not answer.text.strip():
        return {}
    passages = [f"{hit.chunk.title} {hit.chunk.heading}\n{hit.chunk.text}" for hit in answer.hits]
    required = dict(question.rules).get("terms", ())
    given = [question.question, *question.answers, *((required,) if isinstance(required, str) else required)]
    sources = [*passages, *given]
    scores = {
        "fabricated_numbers": float(bool(unknown_numbers(answer.text, sources))),
        "fabricated_names": float(bool(unknown_names(answer.text, sources))),
    }
    if glossary:
        used, known = phrases_in(answer.text, glossary), "\n".join(sources)
        scores["fabricated_terms"] = float(any(not uses(known, phrase) for phrase in used))
    scores["fabricated"] = max(scores.values())
    if correct and question.answerable and answer.hits:
        met = any(overlaps(gold, hit.chunk.document, hit.chunk.start, hit.chunk.end)
                  for gold in question.gold for hit in answer.hits)
        texts = [names_kept(hit.chunk.text) for hit in answer.hits]
        met = met or any(holds(text, names_kept(gold)) for gold in question.answers for text in texts)
        scores["parametric"] = float(not met)
    return scores
