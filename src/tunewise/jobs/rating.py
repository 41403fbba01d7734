"""Blind pairs: two approaches' answers to the same questions, judged by a person who does not know which is which.

A session is drawn once and kept in a file, so that its link goes on where it was left and several people can judge the
same pairs. Which side an approach stands on is drawn for each pair; a few pairs come twice with the sides changed, to
see how steady a judge is. Judgements themselves are handed in: where they are kept is the caller's affair.
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from tunewise.errors import ConfigMistake, DataMistake
from tunewise.jobs.compare import last
from tunewise.nouns import Estimate
from tunewise.statistics import wilson
from tunewise.store import project_folder, read_json, write_json

if TYPE_CHECKING:
    from pathlib import Path

    from tunewise.project import Project

CHOICES = ("left", "right", "tie", "bad", "skip")
"""What a judge may say: one side is better, both are equally good, both are bad, no judgement."""
_PACE = 20.0
"""Seconds for one pair, until the judge's own pace is known."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One question with two answers; `flipped`: approach b stands on the left; `quality` as it was measured."""

    question: str
    text: str
    expected: str
    a: str
    b: str
    flipped: bool
    quality: tuple[float, float]
    documents: tuple[str, ...]
    again: bool = False

    @property
    def sides(self) -> tuple[str, str]:
        """The answers as (left, right)."""
        return (self.b, self.a) if self.flipped else (self.a, self.b)


@dataclass(frozen=True, slots=True)
class Session:
    """Pairs of two approaches; `same` counts the questions that both answered alike and that are left out."""

    id: str
    a: str
    b: str
    by: str
    created: str
    pairs: tuple[Pair, ...]
    same: int


@dataclass(frozen=True, slots=True)
class Judgement:
    """What was said about pair `index` of a session: one of CHOICES, or "undo" for the last one; seconds it took."""

    session: str
    index: int
    choice: str
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """Counts over the pairs that were judged, repeats aside; `share` of the decided pairs that a won, with interval."""

    a: int
    b: int
    tie: int
    bad: int
    skip: int
    share: Estimate | None
    steady: tuple[int, int]
    """(repeated pairs judged alike both times, repeated pairs judged)."""
    measured: tuple[int, int]
    """(decided pairs where the measured quality prefers the same one, decided pairs where it prefers one)."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """Two judges on the pairs that both judged: the share judged alike, and Cohen's kappa (None when undefined)."""

    pairs: int
    alike: float
    kappa: float | None


def _folder(project: Project) -> Path:
    return project_folder(project.root) / "rating"


def begin(project: Project, a: str, b: str, *, count: int, by: str, created: str, seed: int | None = None) -> Session:
    """Draw a session of at most `count` pairs from the last comparison; `DataMistake` when it has nothing to judge."""
    if a == b:
        raise ConfigMistake("an approach cannot be judged against itself", tip="choose two different ones")
    compared = last(project).comparison
    known = [standing.approach.name for standing in compared.standings]
    if missing := [name for name in (a, b) if name not in known]:
        raise ConfigMistake(f"{missing[0]} was not compared", tip=f"known: {', '.join(known)}")
    chance = random.Random(secrets.randbits(32) if seed is None else seed)
    drawn, same = [], 0
    for question in compared.questions:
        rows = compared.rows[question.id]
        one, other = rows[a].answer, rows[b].answer
        if one.error or other.error:
            continue
        if " ".join(one.text.split()).casefold() == " ".join(other.text.split()).casefold():
            same += 1
            continue
        documents = {hit.chunk.document for answer in (one, other) for hit in answer.hits} | set(question.documents)
        drawn.append(Pair(
            question=question.id, text=question.question, expected=question.answers[0] if question.answers else "",
            a=one.text, b=other.text, flipped=chance.random() < 0.5,
            quality=(rows[a].scores.get("quality", 0.0), rows[b].scores.get("quality", 0.0)),
            documents=tuple(sorted(documents)),
        ))
    if not drawn:
        raise DataMistake(f"{a} and {b} said the same to every question: there is nothing to judge",
                          tip="choose two other approaches")
    chance.shuffle(drawn)
    # About every tenth pair comes twice, the second time at the end and with the sides changed.
    repeats = [p for p in drawn[: max(1, count)][: max(0, count // 10)] if len(drawn) >= 10]
    pairs = drawn[: count - len(repeats)] + [_again(pair) for pair in repeats]
    session = Session(secrets.token_urlsafe(9), a, b, by, created, tuple(pairs), same)
    write_json(_folder(project) / f"{session.id}.json", _plain(session))
    return session


def _again(pair: Pair) -> Pair:
    from dataclasses import replace

    return replace(pair, flipped=not pair.flipped, again=True)


def _plain(session: Session) -> dict[str, Any]:
    from tunewise.nouns import to_json

    plain: dict[str, Any] = to_json(session)
    return plain


def compared(project: Project) -> list[str]:
    """Names of the approaches in the last comparison; none when there is none.

    Only the runs' manifests are read: whether the comparison still holds is found out when pairs are drawn.
    """
    runs = project_folder(project.root) / "runs"
    if not (runs / "last.json").is_file():
        return []
    manifests = [runs / name / "manifest.json" for name in read_json(runs / "last.json")["folders"]]
    # The last one is the self-test: the first approach again.
    return [read_json(path)["approach"]["name"] for path in manifests[:-1] if path.is_file()]


def sessions(project: Project) -> list[Session]:
    """All sessions, newest first."""
    found = [read_json(path) for path in _folder(project).glob("*.json")] if _folder(project).is_dir() else []
    made = [
        Session(**{**each, "pairs": tuple(
            Pair(**{**pair, "quality": tuple(pair["quality"]), "documents": tuple(pair["documents"])})
            for pair in each["pairs"]
        )})
        for each in found
    ]
    return sorted(made, key=lambda session: session.created, reverse=True)


def session(project: Project, id: str) -> Session | None:
    """A session by its id; None when there is none. The id is compared, never joined to a path."""
    return next((each for each in sessions(project) if each.id == id), None)


def standing_choices(judgements: Sequence[Judgement]) -> dict[int, Judgement]:
    """{pair: judgement} after the undone ones were taken back, in the order in which they were given."""
    kept: dict[int, Judgement] = {}
    for judgement in judgements:
        if judgement.choice == "undo":
            kept.pop(judgement.index, None)
        else:
            kept.pop(judgement.index, None)
            kept[judgement.index] = judgement
    return kept


def following(session: Session, kept: Mapping[int, Judgement]) -> int | None:
    """The first pair that was not judged yet; None when all were."""
    return next((i for i in range(len(session.pairs)) if i not in kept), None)


def minutes_left(session: Session, kept: Mapping[int, Judgement]) -> int:
    """Whole minutes that the rest will take at the judge's own pace (the median of the last twenty), at least 1."""
    paces = [judgement.seconds for judgement in kept.values() if 0 < judgement.seconds < 300][-20:]
    pace = median(paces) if len(paces) >= 3 else _PACE
    return max(1, round((len(session.pairs) - len(kept)) * pace / 60))


def winner(pair: Pair, choice: str) -> str:
    """A judgement of sides as one of approaches: "a", "b", or the choice itself."""
    if choice in ("left", "right"):
        return "b" if (choice == "left") == pair.flipped else "a"
    return choice


def outcome(session: Session, kept: Mapping[int, Judgement]) -> Outcome:
    """What the judgements say so far."""
    counts = dict.fromkeys(("a", "b", "tie", "bad", "skip"), 0)
    first: dict[str, str] = {}
    measured = [0, 0]
    for index, judgement in kept.items():
        pair = session.pairs[index]
        said = winner(pair, judgement.choice)
        if pair.again:
            continue
        counts[said] += 1
        first[pair.question] = said
        if said in ("a", "b") and pair.quality[0] != pair.quality[1]:
            measured[1] += 1
            measured[0] += (pair.quality[0] > pair.quality[1]) == (said == "a")
    twice = [
        (first[session.pairs[i].question], winner(session.pairs[i], judgement.choice))
        for i, judgement in kept.items()
        if session.pairs[i].again and session.pairs[i].question in first
    ]
    decided = counts["a"] + counts["b"]
    share = Estimate(counts["a"] / decided, *wilson(counts["a"], decided), decided) if decided else None
    return Outcome(
        **counts, share=share,
        steady=(sum(one == other for one, other in twice), len(twice)), measured=(measured[0], measured[1]),
    )


def agreement(
    one: tuple[Session, Mapping[int, Judgement]], other: tuple[Session, Mapping[int, Judgement]]
) -> Agreement | None:
    """How far two judges of the same two approaches agree; None when they judged no question both.

    Kappa is Cohen's (1960), over: a better, b better, tie, both bad. Skipped pairs and repeats do not count.
    """
    if {one[0].a, one[0].b} != {other[0].a, other[0].b}:
        return None
    said = [_by_question(*one), _by_question(*other)]
    shared = sorted(said[0].keys() & said[1].keys())
    if not shared:
        return None
    alike = sum(said[0][q] == said[1][q] for q in shared) / len(shared)
    labels = {label for each in said for label in each.values()}
    shares = [{label: sum(each[q] == label for q in shared) / len(shared) for label in labels} for each in said]
    by_chance = sum(shares[0][label] * shares[1][label] for label in labels)
    return Agreement(len(shared), alike, (alike - by_chance) / (1 - by_chance) if by_chance < 1 else None)


def _by_question(session: Session, kept: Mapping[int, Judgement]) -> dict[str, str]:
    """{question: name of the better approach, "tie" or "bad"}."""
    names = {"a": session.a, "b": session.b}
    return {
        session.pairs[i].question: names.get(said, said)
        for i, judgement in kept.items()
        if not session.pairs[i].again and (said := winner(session.pairs[i], judgement.choice)) != "skip"
    }
