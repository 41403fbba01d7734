"""Split by fact and by document, so that no training question leaks into validation or test."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from tunewise.nouns import Question
from tunewise.questions.leaks import find_leaks


def split_questions(
    questions: Sequence[Question],
    *,
    seed: int = 0,
    test: float = 0.4,
    validation: float = 0.15,
    untouched: float = 0.35,
) -> list[Question]:
    """The same questions with `split` set, so that no training question leaks into validation or test.

    Questions that share a gold span or nearly their wording stay together (connected components). First, whole
    documents go to the test side until `untouched` of the test questions come from documents that no training question
    touches; then components are dealt out within each kind until the shares are met. Deterministic for a seed.
    """
    order = random.Random(seed)
    group = _components(questions)
    members: dict[int, list[Question]] = defaultdict(list)
    for question, root in zip(questions, group, strict=True):
        members[root].append(question)
    wanted = {"test": test * len(questions), "validation": validation * len(questions)}

    # 1. Untouched documents: each document taken whole, with every component that touches it.
    by_document: dict[str, set[int]] = defaultdict(set)
    for root, some in members.items():
        for question in some:
            for document in question.documents:
                by_document[document].add(root)
    documents = sorted(by_document)
    order.shuffle(documents)
    split: dict[int, str] = {}
    reserved: set[str] = set()
    for document in documents:
        held = sum(
            1 for root, where in split.items() for q in members[root] if q.documents and set(q.documents) <= reserved
        )
        if held >= untouched * wanted["test"]:
            break
        taking = set(split) | by_document[document]
        if sum(len(members[root]) for root in taking) > wanted["test"]:
            continue  # this document alone would eat up the test share, and leave nothing to learn from
        reserved.add(document)
        for root in by_document[document]:
            split[root] = "test"

    # 2. The rest, kind by kind, largest components first, to the split that is furthest from its share of this kind.
    shares = {"test": test, "validation": validation, "train": max(0.0, 1 - test - validation)}
    rest = [root for root in sorted(members) if root not in split]
    order.shuffle(rest)
    rest.sort(key=lambda root: -len(members[root]))
    total: dict[tuple[str, str], int] = defaultdict(int)
    count: dict[str, int] = defaultdict(int)
    for question in questions:
        count[question.kind] += 1
    for root, where in split.items():
        for question in members[root]:
            total[where, question.kind] += 1
    for root in rest:
        kind = members[root][0].kind
        where = max(shares, key=lambda name: shares[name] * count[kind] - total[name, kind])
        split[root] = where
        for question in members[root]:
            total[where, question.kind] += 1
    return [replace(question, split=split[root]) for question, root in zip(questions, group, strict=True)]


def _components(questions: Sequence[Question]) -> list[int]:
    parent = list(range(len(questions)))

    def find(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    position = {question.id: i for i, question in enumerate(questions)}
    for a, b, _ in find_leaks(questions, questions):
        if a != b:
            parent[find(position[a])] = find(position[b])
    return [find(i) for i in range(len(questions))]
