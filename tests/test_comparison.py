"""Comparison: what is refused, what is told, and that "no difference" stays that."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from measured_worlds import Skill, make_questions, make_runs
from tunewise.comparison import (
    AGAIN,
    _difference,
    _shown_by,
    _unsettled,
    clusters_of,
    compare,
    expected_detectable,
    shown_better,
)
from tunewise.costs import bill, complexity, update_seconds
from tunewise.errors import DataMistake, GateFailed
from tunewise.nouns import Answer, Approach, Cost, Gold, Needs, Question, Row, Run
from tunewise.statistics import Paired

QUESTIONS = make_questions(20, 6, needs=("facts", "form"), unanswerable=10)
SKILLS = {
    "prompt": Skill(0.15, seconds=0.5),
    "rag": Skill(0.7, seconds=2.0, index=True),
    "raft": Skill(0.75, seconds=2.0, index=True, adapter=True, labels=100, train_seconds=3600.0),
}


def runs(seed=0):
    return make_runs(SKILLS, QUESTIONS, seed=seed)


# ------------------------------------------------------------------------------------------ refusals


def test_unequal_question_sets_are_refused_by_name():
    first, second, third = runs()
    short = replace(second, rows=second.rows[1:])
    with pytest.raises(GateFailed, match="rag did not answer d0q0"):
        compare([first, short, third], QUESTIONS)
    with pytest.raises(GateFailed, match="prompt answered others: d0q0"):
        compare([first], QUESTIONS[1:])
    with pytest.raises(GateFailed, match="twice"):
        compare([replace(first, rows=(*first.rows, first.rows[0]))], QUESTIONS)


def test_training_on_the_test_is_refused():
    first, second, _ = runs()
    with pytest.raises(GateFailed, match="rag was trained on 2 of .*: d0q0, d1q1"):
        compare([first, replace(second, trained_on=frozenset({"d0q0", "d1q1", "t"}))], QUESTIONS)
    with pytest.raises(GateFailed, match=r"1 training question\(s\) leak .*t1 and d0q0 \(same gold\)"):
        compare([first], QUESTIONS, leaks=[("t1", "d0q0", "same gold"), ("t1", "elsewhere", "x")])
    compare([first], QUESTIONS, leaks=[("t1", "elsewhere", "x")])


def test_other_mistakes():
    first, *_ = runs()
    with pytest.raises(DataMistake, match="more than once: prompt"):
        compare([first, first], QUESTIONS)
    with pytest.raises(DataMistake, match="no 'bleu' was measured .*") as caught:
        compare([first], QUESTIONS, metric="bleu")
    assert "quality" in caught.value.tip
    with pytest.raises(DataMistake):
        compare([], QUESTIONS)
    with pytest.raises(DataMistake, match="weights"):
        compare([first], QUESTIONS, needs=Needs(weight_facts=0, weight_form=0))


# ------------------------------------------------------------------------------------------ what is told


def test_standings_strata_and_differences():
    learned = [Question("t", "?", ("x",), (Gold("d3.md", 900, 905),))]
    comparison = compare(runs(), QUESTIONS, train_questions=learned)
    names = [standing.approach.name for standing in comparison.standings]
    assert names[-1] == "prompt" and set(names) == set(SKILLS)
    means = [standing.metrics["quality"].mean for standing in comparison.standings]
    assert means == sorted(means, reverse=True)
    best, last = comparison.standings[0], comparison.standings[-1]
    assert best.against_best is None and last.against_best.verdict == "worse" and last.against_best.mean < -0.3
    assert last.against_cheapest is None and best.against_cheapest.verdict == "better"
    assert best.against_cheapest.questions_needed is None
    assert set(best.strata) == {
        "need=facts", "need=form", "kind=name", "kind=number", "kind=none", "language=en", "language=zh",
        "answerable=yes", "answerable=no", "documents=seen", "documents=untouched",
        "without-documents=yes", "without-documents=no",
    }
    assert best.strata["documents=seen"]["quality"].n == 6
    assert best.strata["documents=untouched"]["quality"].n == 114, "unanswerable questions are about no document"
    assert "false_refusal" not in best.strata["answerable=no"] and "recall" not in last.metrics
    assert best.metrics["quality"].n == 130 and best.metrics["right_refusal"].n == 10
    plain = np.mean([row.scores["quality"] for row in runs()[0].rows])
    assert last.metrics["quality"].mean == pytest.approx(plain)
    assert comparison.rows["d0q0"]["rag"].question == "d0q0" and len(comparison.rows) == 130
    assert 0.02 < comparison.detectable < 0.2 and comparison.null is None


def test_cost_latency_and_errors():
    first, *_ = runs()
    rows = list(first.rows)
    rows[0] = Row(rows[0].question, Answer(rows[0].question, "", error="boom", seconds=900.0), {"quality": 0.0})
    (standing,) = compare([replace(first, rows=tuple(rows))], QUESTIONS).standings
    assert standing.errors == 1 and standing.seconds_p95 == 0.5
    alone = replace(first, cost=Cost(alone_seconds=(3.0, 5.0)))
    assert compare([alone], QUESTIONS).standings[0].seconds_p50 == 4


def test_weights_of_needs_change_the_overall_number_only():
    skills = {"a": Skill({"facts": 0.9, "form": 0.1}), "b": Skill({"facts": 0.2, "form": 0.6})}
    made = make_runs(skills, QUESTIONS, seed=1)
    plain = compare(made, QUESTIONS)
    weighted = compare(made, QUESTIONS, needs=Needs(weight_facts=0.0))
    assert plain.standings[0].approach.name == "a" and weighted.standings[0].approach.name == "b"
    assert weighted.standings[0].metrics["quality"].mean == weighted.standings[0].strata["need=form"]["quality"].mean
    assert weighted.standings[0].metrics["correct"].n == 130 and any("weighs" in note.text for note in weighted.notes)
    assert weighted.standings[1].against_best.n == 60


@pytest.mark.parametrize(("documents", "approaches"), [(5, 2), (6, 3), (8, 5), (9, 7)])
def test_overwhelming_evidence_is_told_apart_also_with_few_documents(documents, approaches):
    """With sign flips and Holm none of these could be called better, while the report promised 9.5 points."""
    questions = make_questions(documents, 20)
    skills = {"good": Skill(0.92), "bad": Skill(0.09)} | {f"a{i}": Skill(0.5) for i in range(approaches - 2)}
    comparison = compare(make_runs(skills, questions, seed=1), questions)
    assert shown_better(comparison, "good", "bad") and not shown_better(comparison, "bad", "good")
    last = comparison.standings[-1].against_best
    assert last.verdict == "worse" and last.questions_needed is None and comparison.detectable < abs(last.mean)
    assert any("more documents" in note.text and "更多文档" in note.text_zh for note in comparison.notes)


def test_what_cannot_be_shown_at_all_is_not_promised():
    """Ten questions about five documents, twenty approaches: no difference is as large as it would have to be."""
    questions = make_questions(5, 2)
    assert expected_detectable(questions, 20) == math.inf and expected_detectable(make_questions(40, 5), 2) < 0.2
    comparison = compare(make_runs({f"a{i}": Skill(0.5) for i in range(20)}, questions, seed=0), questions)
    assert comparison.detectable == math.inf
    assert any("can show no difference" in note.text for note in comparison.notes)


def test_few_documents_are_noted():
    few = make_questions(2, 20)
    comparison = compare(make_runs(SKILLS, few, seed=0), few)
    assert any("2 document(s)" in note.text for note in comparison.notes)
    names, note = clusters_of(few)
    assert len(set(names)) == 40 and note
    names, note = clusters_of(QUESTIONS)
    assert len(set(names)) == 30 and not note


def test_money():
    needs = Needs(answers_per_month=100, updates_per_month=2, months=10, price_cpu_hour=3.6, price_label=2.0)
    both = Approach("x", "m", index="i", adapter="a")
    cost = Cost(train_seconds=1000, index_seconds=100, labels=7)
    rows = [Row("q", Answer("q", "x", seconds=2.0), {})]
    found = bill(both, cost, rows, needs)
    assert (found.labels, found.set_up, found.updates, found.answers) == pytest.approx((14, 1.1, 2.0, 2.0))
    assert found.total == found.fixed + found.rate * 100 == pytest.approx(19.1)
    assert (found.per_update, found.per_answer) == pytest.approx((0.1, 0.002))
    assert bill(Approach("x", "-", answers="a.jsonl"), Cost(), rows, needs).per_update is None, "theirs: not known"
    tuned = Approach("x", "m", adapter="a")
    assert update_seconds(tuned, cost) == 1000 and update_seconds(Approach("x", "m"), cost) == 0
    order = [Approach("p", "m"), Approach("r", "m", index="i"), tuned, both]
    assert [complexity(approach) for approach in order] == [0, 1, 2, 3]


# ------------------------------------------------------------------------------------------ the self-test


def test_the_same_approach_twice():
    first, second, third = runs()
    again = replace(second, approach=replace(second.approach, name="rag" + AGAIN))
    comparison = compare([first, second, third, again], QUESTIONS)
    assert len(comparison.standings) == 3 and "rag (again)" not in comparison.rows["d0q0"]
    assert comparison.null.verdict == "not distinguishable" and comparison.null.mean == 0 and comparison.null.p == 1
    broken = replace(third, approach=replace(third.approach, name="prompt" + AGAIN))
    comparison = compare([first, second, broken], QUESTIONS)
    assert comparison.null.verdict == "better" and any("Self-test failed" in note.text for note in comparison.notes)


@pytest.mark.parametrize(("documents", "approaches", "worlds"), [(5, 2, 80), (6, 3, 80), (9, 7, 40), (20, 5, 80)])
def test_equal_approaches_are_seldom_told_apart(documents, approaches, worlds):
    """Approaches that are equally good: in at most 5 % of the worlds is any called better or worse, although the
    best was picked by looking."""
    questions, called = make_questions(documents, 4 if documents == 20 else 12), 0
    for seed in range(worlds):
        equal = make_runs({f"a{i}": Skill(0.6) for i in range(approaches)}, questions, seed=seed)
        comparison = compare(equal, questions, seed=seed)
        called += any(difference.verdict != "not distinguishable" for difference in comparison.differences)
        assert all(d.questions_needed is None or d.questions_needed > d.n for d in comparison.differences)
    assert called / worlds <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / worlds), called / worlds


def test_the_same_questions_have_the_same_numbers():
    """A stratum that holds all questions is the whole: 22.7 to 46.6 here and 22.2 to 46.5 there was one too many."""
    questions = make_questions(20, 6)
    for standing in compare(make_runs(SKILLS, questions, seed=0), questions).standings:
        assert standing.strata["need=facts"] == standing.metrics


def test_a_thousand_questions_and_eight_approaches_are_quick():
    import time

    questions = make_questions(100, 10, needs=("facts", "form", "terms"))
    made: list[Run] = make_runs({f"a{i}": Skill(0.5 + i / 40, index=True) for i in range(8)}, questions, seed=0)
    start = time.process_time()
    compare(made, questions)
    assert time.process_time() - start < 10


def level(questions, seconds=(2.0, 1.0), names=("dear", "cheap")):
    """Two approaches with the same answers."""
    skills = {name: Skill(0.7, seconds=each) for name, each in zip(names, seconds, strict=True)}
    return make_runs(skills, questions, seed=1, own=0.0)


@pytest.mark.parametrize(("documents", "each", "settled"), [
    (50, 5, True), (50, 8, True), (50, 20, True), (20, 5, False),
])
def test_what_lies_within_the_margin_wants_no_more_questions(documents, each, settled):
    questions = make_questions(documents, each)
    comparison = compare(level(questions), questions)
    (found,) = comparison.differences
    assert (found.low > -0.02 and found.high < 0.02) == settled and (found.questions_needed is None) == settled
    assert not any("As many questions" in note.text for note in comparison.notes)


def test_a_number_of_questions_is_told_only_where_it_is_a_way_out():
    """Of one large document and small ones few count: by all of them "54" was said after 53 were asked."""
    questions = [*make_questions(1, 35), *make_questions(19, 1)[1:]]
    for seed in range(4):
        comparison = compare(make_runs({"a": Skill(0.75), "b": Skill(0.45)}, questions, seed=seed), questions)
        (found,) = comparison.differences
        assert found.verdict == "not distinguishable" and found.questions_needed > 1.2 * found.n, seed
    shaky = Paired(0.3, -0.01, 0.6, 0.06, 53, 20, 0.5, 9.0, 20)
    said = _difference("a", "b", "quality", shaky, 0.06, Needs())
    assert said.questions_needed is None
    (note,) = _unsettled([said, replace(said, a="b", b="a")], 0.02)
    assert "a − b" in note.text and "more documents" in note.text and "更多文档" in note.text_zh
    far = replace(shaky, mean=0.1)
    assert _difference("a", "b", "quality", far, 0.6, Needs()).questions_needed > 200


@pytest.mark.parametrize(("documents", "each"), [(10, 3), (20, 5), (60, 1)])
def test_pairs_that_never_differed_promise_nothing(documents, each):
    """Their error is what the questions leave open: as a spread it promised 6.1 points, with 45 % power for 80 %."""
    questions = make_questions(documents, each)
    same = compare(level(questions), questions)
    assert same.detectable == expected_detectable(questions, 2) > 0.1
    skills = {"a": Skill(0.95), "b": Skill(0.93), "c": Skill(0.94)}
    few = compare(make_runs(skills, questions, seed=2), questions)
    assert few.detectable >= expected_detectable(questions, 2) / 4


def test_a_promised_difference_asks_for_no_more_than_the_spread_holds():
    for n in (20, 60, 100, 400):
        clusters = [f"d{i // 2}" for i in range(n)]
        for sd in (0.01, 0.1, 0.5):
            found = _shown_by(n, clusters, 1, sd)
            unit = _shown_by(n, clusters, 1, 1.0)
            assert found == math.inf or found <= (found / unit) ** 2 + 1e-9 or unit == math.inf


def test_level_approaches_stand_in_an_order_that_no_clock_decides():
    questions = make_questions(20, 5)
    for seconds in ((2.0, 1.0), (1.0, 2.0)):
        standings = compare(level(questions, seconds=seconds, names=("b", "a")), questions).standings
        assert [standing.approach.name for standing in standings] == ["a", "b"]
    skills = {"a": Skill(0.7, index=True), "b": Skill(0.7)}
    standings = compare(make_runs(skills, questions, seed=1, own=0.0), questions).standings
    assert [standing.approach.name for standing in standings] == ["b", "a"], "less to look after"


def test_seeds_of_one_recipe_are_averaged_and_their_spread_is_told():
    questions = make_questions(20, 4)
    runs = make_runs({"rag": Skill(0.6, index=True), "raft": Skill(0.75, index=True, adapter=True)}, questions, seed=1)
    more = [
        replace(make_runs({"raft": Skill(right, index=True, adapter=True)}, questions, seed=seed)[0],
                approach=replace(runs[1].approach, name=f"raft (seed {seed})"), trained_on=frozenset({f"t{seed}"}))
        for seed, right in ((2, 0.7), (3, 0.8))
    ]
    comparison = compare([*runs, *more], questions)
    assert [s.approach.name for s in comparison.standings] in (["raft", "rag"], ["rag", "raft"])
    raft = next(s for s in comparison.standings if s.approach.name == "raft")
    means = [np.mean([row.scores["quality"] for row in run.rows]) for run in (runs[1], *more)]
    assert raft.metrics["quality"].mean == pytest.approx(np.mean(means))
    assert raft.seed_sd == pytest.approx(np.std(means, ddof=1))
    assert next(s for s in comparison.standings if s.approach.name == "rag").seed_sd is None
    lucky = compare([runs[0], *more[1:]], questions)
    assert len(lucky.standings) == 2 and lucky.standings[0].seed_sd is None, "a seed without its first run stands alone"


def test_a_recipe_trained_once_says_so():
    questions = make_questions(10, 4)
    runs = make_runs({"rag": Skill(0.6, index=True), "raft": Skill(0.7, adapter=True)}, questions, seed=1)
    once = [runs[0], replace(runs[1], approach=replace(runs[1].approach, recipe="raft"))]
    assert any("one seed only: raft" in note.text for note in compare(once, questions).notes)


def test_what_can_be_expected_is_known_before_the_run():
    questions = make_questions(20, 5)
    assert expected_detectable(questions, 2) < expected_detectable(questions, 7)
    assert expected_detectable(make_questions(100, 1), 2) < expected_detectable(questions, 2), "documents cost"
    assert expected_detectable(make_questions(40, 5), 7) < expected_detectable(questions, 7)


def test_the_self_test_of_a_recipe_with_seeds_is_against_the_run_that_was_repeated():
    first, second, third = make_runs({"raft": Skill(0.5, adapter=True), "b": Skill(0.9, adapter=True),
                                      "c": Skill(0.9, adapter=True)}, QUESTIONS, seed=1)

    def named(run, name):
        return replace(run, approach=replace(run.approach, name=name))

    every = [first, named(second, "raft (seed 2)"), named(third, "raft (seed 3)"), named(first, "raft" + AGAIN)]
    null = compare(every, QUESTIONS).null
    assert (null.mean, null.verdict) == (0, "not distinguishable"), "not against the mean over the seeds"
