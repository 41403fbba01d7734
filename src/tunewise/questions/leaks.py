"""Leaks: where training would see a test question's fact, its very words, or nearly its wording.

Three signs: shared gold spans; the same words (case, width, punctuation and white space aside); near duplicates, whose
candidates MinHash finds (Broder 1997, by datasketch) and the exact Jaccard similarity decides. At 42 bands of 3 a pair
at the threshold is missed once in 20,000 times, and 5,000 questions take seconds.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence

from tunewise.nouns import SPLITS, Gold, Question
from tunewise.sentences import prompt_language

NEAR = 0.6
"""Jaccard similarity of two texts' character 4-grams (Chinese: 2-grams) from which they count as nearly the same."""
_BANDS, _ROWS = 42, 3


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
