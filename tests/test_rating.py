"""Blind pairs: how they are drawn, what judgements come to, how far judges agree."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from sample_comparison import sample
from tunewise.errors import ConfigMistake, DataMistake
from tunewise.jobs import rating
from tunewise.jobs.rating import Judgement, Pair, Session


@pytest.fixture
def project(tmp_path, monkeypatch):
    comparison, recommendation, _ = sample(60)
    monkeypatch.setattr(rating, "last", lambda project: SimpleNamespace(comparison=comparison))
    return SimpleNamespace(root=tmp_path)


def judged(session: Session, choices: list[str], *, seconds: float = 10.0) -> dict[int, Judgement]:
    return rating.standing_choices(
        [Judgement(session.id, i, choice, seconds) for i, choice in enumerate(choices)]
    )


def test_a_session_is_drawn_once_and_found_by_its_id(project) -> None:
    made = rating.begin(project, "rag-hybrid", "raft", count=30, by="anna", created="2026-01-01", seed=1)
    assert rating.session(project, made.id) == made and rating.session(project, "../" + made.id) is None
    assert len(made.pairs) <= 30 and {pair.flipped for pair in made.pairs} == {True, False}
    again = [pair for pair in made.pairs if pair.again]
    first = {pair.question: pair for pair in made.pairs if not pair.again}
    assert again and all(first[pair.question].flipped != pair.flipped for pair in again)
    assert all(pair.sides == ((pair.b, pair.a) if pair.flipped else (pair.a, pair.b)) for pair in made.pairs)
    assert all(" ".join(pair.a.split()).casefold() != " ".join(pair.b.split()).casefold() for pair in made.pairs)


def test_what_cannot_be_judged_is_refused(project) -> None:
    with pytest.raises(ConfigMistake, match="against itself"):
        rating.begin(project, "raft", "raft", count=5, by="", created="")
    with pytest.raises(ConfigMistake, match="was not compared"):
        rating.begin(project, "raft", "nobody", count=5, by="", created="")


def test_two_that_always_say_the_same_leave_nothing_to_judge(project, monkeypatch) -> None:
    comparison, _, _ = sample(4)
    rows = {id: {**each, "raft": each["rag-hybrid"]} for id, each in comparison.rows.items()}
    monkeypatch.setattr(rating, "last", lambda project: SimpleNamespace(comparison=replace(comparison, rows=rows)))
    with pytest.raises(DataMistake, match="said the same"):
        rating.begin(project, "rag-hybrid", "raft", count=5, by="", created="")


def pair(name: str, *, flipped: bool = False, again: bool = False, quality=(1.0, 0.0)) -> Pair:
    return Pair(name, name, "", f"a{name}", f"b{name}", flipped, quality, (), again)


SESSION = Session("s", "rag", "raft", "anna", "", (
    pair("1"), pair("2", flipped=True), pair("3"), pair("4"), pair("5", quality=(0.0, 1.0)),
    pair("1", flipped=True, again=True),
), 2)


def test_sides_become_approaches_and_repeats_are_kept_apart() -> None:
    kept = judged(SESSION, ["left", "left", "tie", "bad", "left", "right"])
    out = rating.outcome(SESSION, kept)
    # Pair 1: a on the left won; pair 2: b on the left won; pair 5: a won though b was measured better.
    assert (out.a, out.b, out.tie, out.bad, out.skip) == (2, 1, 1, 1, 0)
    assert out.share is not None and out.share.mean == pytest.approx(2 / 3) and out.share.n == 3
    assert out.steady == (1, 1), "the repeat, sides changed, was judged for a again"
    assert out.measured == (1, 3)


def test_undo_takes_the_last_one_back_and_a_link_goes_on_there() -> None:
    said = [Judgement("s", 0, "left"), Judgement("s", 1, "right"), Judgement("s", 1, "undo"), Judgement("s", 0, "tie")]
    kept = rating.standing_choices(said)
    assert {i: one.choice for i, one in kept.items()} == {0: "tie"}
    assert rating.following(SESSION, kept) == 1
    assert rating.following(SESSION, judged(SESSION, ["skip"] * 6)) is None


def test_minutes_left_follow_the_judges_own_pace() -> None:
    assert rating.minutes_left(SESSION, {}) == 2  # 6 pairs at 20 s
    assert rating.minutes_left(SESSION, judged(SESSION, ["left"] * 3, seconds=60)) == 3


def test_agreement_is_cohens_kappa_over_shared_questions() -> None:
    one = (SESSION, judged(SESSION, ["left", "left", "tie", "bad", "right"]))
    same = rating.agreement(one, one)
    assert same is not None and (same.pairs, same.alike) == (5, 1.0) and same.kappa == pytest.approx(1.0)
    # The same two approaches named the other way round, in another session: what counts is the approach.
    turned = Session("t", "raft", "rag", "ben", "", (pair("1"), pair("2"), pair("9")), 0)
    other = (turned, judged(turned, ["right", "right", "tie"]))
    found = rating.agreement(one, other)
    # 1: rag and rag. 2: raft and rag. By chance: (1/2 · 1) = 1/2; kappa = (1/2 − 1/2) / (1/2) = 0.
    assert found is not None and (found.pairs, found.alike) == (2, 0.5) and found.kappa == pytest.approx(0.0)
    assert rating.agreement(one, (replace(turned, a="zero-shot"), other[1])) is None
    assert rating.agreement(one, (turned, {})) is None
