"""Leaks: where training would see a test question's fact, its very words, or nearly its wording.

Three signs: shared gold spans; the same words (case, width, punctuation and white space aside); near duplicates, whose
candidates MinHash finds (Broder 1997, by datasketch) and the exact Jaccard similarity decides. At 42 bands of 3 a pair
at the threshold is missed once in 20,000 times, and 5,000 questions take seconds.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from tunewise.nouns import SPLITS, Gold, Question
from tunewise.sentences import prompt_language, sentences

NEAR = 0.6
"""Jaccard similarity of two texts' character 4-grams (Chinese: 2-grams) from which they count as nearly the same."""
_BANDS, _ROWS = 42, 3
_INSIDE = {"en": 16, "zh": 6}
"""Letters that a question must have for its bare occurrence inside a longer text to be a leak: "what is it" is none."""
_ALONE = {"en": 8, "zh": 4}
"""The same for a sentence or line of a text that is the question and nothing else."""
_COLON = re.compile(r"[:：]\s*")


def plain(text: str) -> str:
    """The letters and digits of a text, small, without anything else: two texts of one wording become equal."""
    return "".join(re.findall(r"[^\W_]+", unicodedata.normalize("NFKC", text).casefold()))


def shingles(text: str) -> frozenset[str]:
    """Character 4-grams of a text's letters, 2-grams where it has Chinese."""
    letters = plain(text)
    size = 2 if prompt_language(letters) == "zh" else 4
    return frozenset(letters[i : i + size] for i in range(max(1, len(letters) - size + 1)))


def near_pairs(one: Sequence[str], two: Sequence[str], *, near: float = NEAR) -> Iterator[tuple[int, int, float]]:
    """(place in `one`, place in `two`, similarity) of texts that are nearly the same; equal texts are left out."""
    from datasketch import MinHash, MinHashLSH

    if not one or not two:
        return
    left, right = [shingles(text) for text in one], [shingles(text) for text in two]
    how = {"num_perm": _BANDS * _ROWS, "seed": 1}
    index = MinHashLSH(params=(_BANDS, _ROWS), num_perm=_BANDS * _ROWS)
    for place, print_ in enumerate(MinHash.bulk([[g.encode() for g in grams] for grams in left], **how)):
        index.insert(place, print_)
    for place, print_ in enumerate(MinHash.bulk([[g.encode() for g in grams] for grams in right], **how)):
        wanted = right[place]
        for other in sorted(index.query(print_)):
            common = len(wanted & left[other])
            alike = common / (len(wanted) + len(left[other]) - common)
            if alike >= near and plain(one[other]) != plain(two[place]):
                yield other, place, alike


def find_leaks(train: Sequence[Question], test: Sequence[Question]) -> list[tuple[str, str, str]]:
    """Pairs (train id, test id, why) where training would see a test question's fact or nearly its wording."""
    by_document: dict[str, list[tuple[Gold, Question]]] = defaultdict(list)
    by_words: dict[str, list[Question]] = defaultdict(list)
    for question in train:
        for gold in question.gold:
            if gold.end:
                by_document[gold.document].append((gold, question))
        by_words[plain(question.question)].append(question)
    found: dict[str, list[tuple[str, str, str]]] = {question.id: [] for question in test}
    for question in test:
        leaks = found[question.id]
        for gold in question.gold:
            for other, learned in by_document.get(gold.document, ()):
                if gold.end and other.start < gold.end and gold.start < other.end:
                    where = f"{gold.document} {max(gold.start, other.start)}..{min(gold.end, other.end)}"
                    leaks.append((learned.id, question.id, f"both rest on {where}"))
        leaks += [(same.id, question.id, "the same words") for same in by_words.get(plain(question.question), ())]
    for a, b, alike in near_pairs([q.question for q in train], [q.question for q in test]):
        found[test[b].id].append((train[a].id, test[b].id, f"nearly the same wording ({alike:.2f})"))
    return list(dict.fromkeys(leak for leaks in found.values() for leak in leaks))


def split_leaks(questions: Sequence[Question]) -> list[tuple[str, str, str]]:
    """Leaks between the splits of one file: train into validation and test, validation into test."""
    by_split = {name: [question for question in questions if question.split == name] for name in SPLITS}
    train, validation, test = (by_split[name] for name in ("train", "validation", "test"))
    return [*find_leaks(train, test), *find_leaks(validation, test), *find_leaks(train, validation)]


def text_leaks(
    texts: Mapping[str, Sequence[str]], questions: Sequence[Question]
) -> list[tuple[str, str, str]]:
    """(text id, question id, why) where free texts hold a question: rows of others, with instructions around it.

    `texts` are all turns of each row, completions too. A question is found where a whole turn, a paragraph, a line, a
    sentence or what follows a colon is it or nearly its wording, and where its letters stand anywhere in a turn.
    """
    by_words: dict[str, list[Question]] = defaultdict(list)
    for question in questions:
        by_words[plain(question.question)].append(question)
    inside = [words for words in by_words if len(words) >= _least(words, _INSIDE)]
    longest = max(map(len, by_words), default=0)
    found: dict[tuple[str, str], str] = {}
    holders: dict[str, list[str]] = defaultdict(list)
    for id, turns in texts.items():
        for turn in turns:
            letters = plain(turn)
            for words in inside:
                if words in letters:
                    found |= {(id, question.id): "its words stand in it" for question in by_words[words]}
        for part in dict.fromkeys(part for turn in turns for part in _parts(turn)):
            holders[part].append(id)
            words = plain(part)
            if part in turns or len(words) >= _least(words, _ALONE):
                for question in by_words.get(words, ()):
                    found[id, question.id] = "the same words"
    # What is much longer than any question is nearly none: a passage need not be compared.
    parts = [part for part in holders if _least(part, _ALONE) <= len(plain(part)) <= 4 * longest]
    # One wording may be asked of several questions, and one part stand in many rows: each pair is compared once.
    wordings = list({question.question: None for question in questions})
    asked: dict[str, list[Question]] = defaultdict(list)
    for question in questions:
        asked[question.question].append(question)
    for a, b, alike in near_pairs(parts, wordings):
        for id in holders[parts[a]]:
            for question in asked[wordings[b]]:
                found.setdefault((id, question.id), f"nearly the same wording ({alike:.2f})")
    return [(id, question, why) for (id, question), why in found.items()]


def _least(text: str, least: Mapping[str, int]) -> int:
    return least["zh" if prompt_language(text) == "zh" else "en"]


def _parts(turn: str) -> Iterator[str]:
    """A turn, its paragraphs, its lines, their sentences, and what follows the first colon of each."""
    yield turn
    for paragraph in turn.split("\n\n"):
        yield paragraph
        for line in paragraph.split("\n"):
            yield line
            for start, end in sentences(line, 0, len(line)):
                sentence = line[start:end]
                yield sentence
                yield from _COLON.split(sentence, maxsplit=1)[1:]
