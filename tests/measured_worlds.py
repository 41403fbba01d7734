"""Made-up runs of which the truth is known: what each approach can do is given, luck is drawn by document."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tunewise.nouns import Answer, Approach, Chunk, Citation, Cost, Gold, Hit, Question, Row, Run


@dataclass(frozen=True)
class Skill:
    """Share right, or by need; seconds per answer; what it is made of."""

    right: float | Mapping[str, float]
    seconds: float = 1.0
    index: bool = False
    adapter: bool = False
    labels: int = 0
    train_seconds: float = 0.0
    shy: float = 0.0
    memory: float = 1e9


def make_questions(documents: int, each: int, *, needs=("facts",), unanswerable: int = 0) -> list[Question]:
    found = [
        Question(f"d{d}q{i}", f"Question {i} about {d}?", (f"answer {i}",), (Gold(f"d{d}.md", 10 * i, 10 * i + 5),),
                 need=needs[i % len(needs)], language="zh" if d % 3 == 0 else "en", kind="number" if i % 2 else "name")
        for d in range(documents)
        for i in range(each)
    ]
    return found + [Question(f"u{i}", "Who?", answerable=False, kind="none") for i in range(unanswerable)]


def make_runs(skills: Mapping[str, Skill], questions: list[Question], *, seed: int, own: float = 0.3) -> list[Run]:
    """One run for each skill. Luck: the document's and the question's, shared by all, and (`own`) the approach's
    with each document and each question."""
    rng = np.random.default_rng(seed)
    documents = {name: rng.normal() for name in dict.fromkeys(q.documents[:1] for q in questions)}
    shared = {q.id: rng.normal() for q in questions}
    runs = []
    for name, skill in skills.items():
        local = {key: rng.normal() for key in documents}
        rows = []
        for q in questions:
            wanted = skill.right if isinstance(skill.right, float) else skill.right[q.need]
            parts = np.array([documents[q.documents[:1]], shared[q.id], local[q.documents[:1]], rng.normal()])
            scale = np.array([0.4, 0.8, min(0.2, own), own])
            luck = float(parts @ scale / np.linalg.norm(scale))
            right = luck < _quantile(wanted)
            refused = not right and rng.random() < skill.shy
            rows.append(_row(q, right, refused, skill))
        cost = Cost(train_seconds=skill.train_seconds, labels=skill.labels, index_seconds=60.0 * skill.index,
                    peak_memory_bytes=int(skill.memory))
        approach = Approach(name, "echo", index="main" if skill.index else None, adapter="a" if skill.adapter else None)
        runs.append(Run(approach, {"seed": seed}, tuple(rows), cost))
    return runs


def _quantile(share: float) -> float:
    from statistics import NormalDist

    return NormalDist().inv_cdf(min(max(share, 1e-6), 1 - 1e-6))


def _row(q: Question, right: bool, refused: bool, skill: Skill) -> Row:
    passages = bool(skill.index and q.documents)
    chunk = Chunk("c", q.documents[0] if passages else "x", "r", 0, 9, "p" * 9)
    citation = Citation("[1]", chunk.document, "r", 0, 9, "p" * 9, verified=right)
    answer = Answer(q.id, "text", hits=(Hit(chunk, 1.0, 1),) if passages else (),
                    citations=(citation,) if passages and not refused else (), refused=refused, seconds=skill.seconds)
    ok = refused if not q.answerable else right
    scores = {"quality": float(ok), "correct": float(ok), "refused": float(refused),
              "missing": float(refused and q.answerable)}
    scores["wrong"] = 1 - scores["correct"] - scores["missing"]
    scores["false_refusal" if q.answerable else "right_refusal"] = float(refused)
    if passages:
        scores["recall"] = float(right)
    return Row(q.id, answer, scores)
