"""Groundedness: is each sentence of an answer supported by a passage that was supplied?

Knows nothing about gold answers. `grounded` is lexical: numbers, names, content words and Chinese character pairs of a
sentence against one passage (two where no single one holds it), with a threshold that was set on hand-labelled
sentences; docs/measures.md has its precision and recall. It sees no paraphrase and no swapped roles. Where more is
wanted, an entailment model comes in as a closure (`load_nli`), or a judge.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache

from tunewise.errors import ModelMistake, need
from tunewise.nouns import Answer
from tunewise.scorers.quantities import quantities
from tunewise.scorers.text import CJK, fold
from tunewise.sentences import clauses, sentences

Entails = Callable[[Sequence[tuple[str, str]]], Sequence[float]]
"""(premise, hypothesis) pairs to the probability, 0 to 1, that the premise entails the hypothesis."""

THRESHOLD = 0.75
"""Support from which a sentence counts as grounded: chosen on one half of the labels, reported on the other."""
_WORD = re.compile(rf"[^\W_{CJK}]+(?:[.,:/'’\-][^\W_{CJK}]+)*%?")
_RUN = re.compile(rf"[{CJK}]+")
_FUNCTION_WORDS = (
    "a an the this that these those it its he she they them his her their there here we us our you your i me my is are "
    "was were be been being am do does did has have had having will would shall should can could may might must of in "
    "on at to for from by with as into onto over under than then so such if and or but nor because while when where "
    "which who whom whose what how also very just about per via within up out off both each any some all one according "
    "answer question passage document documents text states says stated means every"
)
_STOP = frozenset(_FUNCTION_WORDS.split())
_NO = re.compile(r"\b(?:not|no|never|without|nobody|nothing|none|neither|cannot|nor|non)\b|n['’]t\b")
_ZH_NO = re.compile("不得|不能|不可|不会|不用|不需|不必|不再|不予|不是|没有|没|无法|无需|无须|未|禁止|勿|非|不")
_ZH_NUMERAL = re.compile("[〇零一二三四五六七八九十百千万亿两]+")
_ZH_STOP = frozenset("的了是在和与及或就都而也其该这那为于以把被向对从到并将会要可由")


_Features = tuple[frozenset[str], frozenset[tuple[float, str]], bool]
NUMBER, ELSEWHERE = 3, 0.6


def _stem(word: str) -> str:
    word = word.removesuffix("'s").removesuffix("’s")
    for end, least in (("ies", 3), ("ing", 4), ("ed", 4), ("es", 4), ("s", 3)):
        if word.endswith(end) and len(word) - len(end) >= least and not word.endswith("ss"):
            return word[: -len(end)] + ("y" if end == "ies" else "")
    return word.removesuffix("e") if len(word) > 4 else word


@lru_cache(maxsize=16384)
def _features(text: str) -> _Features:
    """(stems of content words and pairs of Chinese characters, numbers, whether it denies)."""
    plain = fold(text)
    found = {_stem(part) for word in _WORD.findall(plain) if not any(map(str.isdigit, word))
             for part in re.split(r"[.,:/\-]", word) if part and part not in _STOP}
    found |= {word for word in _WORD.findall(plain) if any(map(str.isdigit, word)) and any(map(str.isalpha, word))}
    for run in _RUN.findall(_ZH_NUMERAL.sub(" ", plain)):
        pairs = [run[i : i + 2] for i in range(max(1, len(run) - 1))]
        found |= {pair for pair in pairs if not set(pair) <= _ZH_STOP}
    numbers = frozenset((one.value, one.dimension) for one in quantities(text))
    return frozenset(found), numbers, bool(_NO.search(plain) or _ZH_NO.search(plain))


def support(sentence: str, passages: Sequence[str]) -> float:
    """How much of a sentence one passage holds, 0 to 1: the best over the passages.

    Each clause is held against single sentences (or table rows) of the passage: its numbers have to stand in that very
    sentence, else it has 0; a content word (Chinese: a character pair) counts 1 there, 0.6 elsewhere in the passage; a
    number counts as three words. Halved where the clause denies and that sentence does not, or the other way round. 1
    for a sentence that says nothing that could be checked.
    """
    parts = [_features(sentence[a:b]) for a, b in clauses(sentence, 0, len(sentence))]
    parts = [part for part in parts if part[0] or part[1]]
    if not parts:
        return 1.0
    weights = [len(words) + NUMBER * len(numbers) for words, numbers, _ in parts]
    return max(
        (sum(w * _held(part, passage) for w, part in zip(weights, parts, strict=True)) / sum(weights)
         for passage in passages),
        default=0.0,
    )


@lru_cache(maxsize=2048)
def _units(passage: str) -> tuple[_Features, ...]:
    """The features of every sentence of a passage; a line ends a sentence."""
    spans = (line[a:b] for line in passage.split("\n") for a, b in sentences(line, 0, len(line)))
    return tuple(_features(span) for span in spans)


def _held(part: _Features, passage: str) -> float:
    words, numbers, denies = part
    elsewhere = words & _features(passage)[0]
    best = 0.0
    for known, values, denied in _units(passage):
        plain = {value for value, _ in values}
        if any(one not in values and not (not one[1] and one[0] in plain) for one in numbers):
            continue
        here = words & known
        found = len(here) + ELSEWHERE * len(elsewhere - here) + NUMBER * len(numbers)
        share = found / (len(words) + NUMBER * len(numbers))
        best = max(best, share / 2 if denies != denied and here else share)
    return best


def grounding_scores(answer: Answer) -> dict[str, float]:
    """`grounded`: share of the answer's sentences with a support of at least `THRESHOLD`; absent without passages and
    for refusals, failures and empty answers."""
    if not answer.hits or answer.refused or answer.error is not None or not answer.text.strip():
        return {}
    passages = [f"{hit.chunk.heading or hit.chunk.title}\n{hit.chunk.text}" for hit in answer.hits]
    parts = [answer.text[a:b] for a, b in sentences(answer.text, 0, len(answer.text))]
    return {"grounded": sum(support(part, passages) >= THRESHOLD for part in parts) / len(parts)}


def load_nli(name: str) -> Entails:
    """An entailment model of sentence-transformers by name (a hub id or a folder), as a closure for `score`.

    Its labels have to name one "entailment" (`ModelMistake` else); the probability is that of this class.
    """
    library = need("sentence_transformers", feature="an entailment model", extra="local")
    try:
        model = library.CrossEncoder(name, model_kwargs={"use_safetensors": True}, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise ModelMistake(f"the entailment model {name!r} cannot be had: {str(error).splitlines()[0][:160]}",
                           tip="give a folder, or a hub id that is in the cache or can be fetched") from error
    labels = {str(label).casefold(): int(place) for place, label in model.config.id2label.items()}
    if "entailment" not in labels:
        raise ModelMistake(f"{name} is no entailment model: its labels are {', '.join(sorted(labels))}",
                           tip="take a cross-encoder trained on natural language inference")
    place = labels["entailment"]

    def entails(pairs: Sequence[tuple[str, str]]) -> list[float]:
        return [float(row[place]) for row in model.predict(list(pairs), apply_softmax=True, show_progress_bar=False)]

    return entails


def entailment_scores(answer: Answer, entails: Entails) -> dict[str, float]:
    """`entailed`: share of the answer's sentences that some supplied passage entails with at least 0.5."""
    if not answer.hits or answer.refused or answer.error is not None or not answer.text.strip():
        return {}
    parts = [answer.text[a:b] for a, b in sentences(answer.text, 0, len(answer.text))]
    found = list(entails([(hit.chunk.text, part) for part in parts for hit in answer.hits]))
    size = len(answer.hits)
    return {"entailed": sum(max(found[i * size : (i + 1) * size]) >= 0.5 for i in range(len(parts))) / len(parts)}
