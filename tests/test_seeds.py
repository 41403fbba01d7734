"""Several training seeds: what is shown of an answer is that answer's own, and what all seeds said is said with it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sample_comparison import sample
from tunewise import reports
from tunewise.nouns import Answer, Approach, Run
from tunewise.nouns import Row as R
from tunewise.reports.embedded import embedded
from tunewise.reports.schema import status
from tunewise.seeds import over_seeds


def _run(name: str, said: str, right: float) -> Run:
    scores = {"correct": right, "missing": 0.0, "wrong": 1 - right, "quality": right}
    return Run(Approach(name, "m", recipe="raft"), {}, (R("q", Answer("q", said), scores),))


def test_the_status_is_that_of_the_words_that_are_shown() -> None:
    luck = [_run("raft", "reserved", 1.0), _run("raft (seed 2)", "kept", 0.0), _run("raft (seed 3)", "held", 0.0)]
    (merged,), _ = over_seeds(luck)
    (row,) = merged.rows
    assert row.answer.text == "reserved" and row.scores["correct"] == 1 / 3, "what is measured is the mean"
    assert status(row, "quality") == "right", "the words shown are the gold answer's"
    assert [status(one, "quality") for one in row.seeds] == ["right", "wrong", "wrong"]


def _seeded() -> tuple:
    """The sample with a raft of three seeds, of which the second and the third got the first question wrong."""
    from dataclasses import replace

    comparison, recommendation, needs = sample(22)
    rows = {}
    for question, each in comparison.rows.items():
        own = each["raft"]
        wrong = replace(own, answer=replace(own.answer, text="something else"),
                        scores={**own.scores, "correct": 0.0, "missing": 0.0, "wrong": 1.0, "quality": 0.0})
        means = {name: (value + 2 * wrong.scores[name]) / 3 for name, value in own.scores.items()}
        rows[question] = {**each, "raft": replace(own, scores=means, seeds=(own, wrong, wrong))}
    return replace(comparison, rows=rows), recommendation, needs


def test_page_and_json_have_every_seed() -> None:
    comparison, recommendation, needs = _seeded()
    first = next(iter(comparison.rows))
    packed = embedded(comparison, None)["questions"][0]["rows"]["raft"]
    own = comparison.rows[first]["raft"].seeds[0]
    assert packed["status"] == status(own, "quality") and packed["score"] == round(own.scores["quality"], 3)
    assert [text for _, text in packed["seeds"]] == [own.answer.text, "something else", "something else"]
    kept = reports.as_json(comparison, recommendation, needs=needs)["questions"][0]["rows"]
    assert [one["status"] for one in kept["raft"]["seeds"]][1:] == ["wrong", "wrong"] and kept["sft"]["seeds"] == []
    assert kept["raft"]["scores"] == dict(comparison.rows[first]["raft"].scores), "what decides stays the mean"


@pytest.mark.browser
def test_browser_filters_by_most_seeds_and_shows_one_answer_for_what_it_is(chromium, tmp_path: Path) -> None:
    comparison, recommendation, needs = _seeded()
    path = tmp_path / "report.html"
    path.write_text(reports.html(comparison, recommendation, needs=needs), "utf-8")
    tab = chromium.new_page(viewport={"width": 1300, "height": 900})
    tab.goto(path.as_uri())
    place = next(i for i, each in enumerate(comparison.rows.values())
                 if each["raft"].seeds[0].scores["correct"] == 1 and each["sft"].scores["correct"] == 1)
    tab.locator("#matrix").focus()
    for _ in range(place):
        tab.keyboard.press("ArrowDown")
    reply = tab.locator(".reply", has=tab.locator("bdi", has_text=re.compile("^raft$")))
    assert reply.locator("h4 i").get_attribute("aria-label") == "right", "the words shown are right"
    assert reply.locator(".seeds summary").inner_text().startswith("right in 1 of 3 training seeds")
    # One seed of three is not most of them.
    tab.select_option("#right", label="raft")
    assert tab.locator("#count").inner_text() == "0 of 22 questions"
    tab.select_option("#right", label="any")
    tab.select_option("#wrong", label="raft")
    assert tab.locator("#count").inner_text() == "22 of 22 questions"
    assert "more than half of its seeds" in tab.locator("#rule").inner_text()
    tab.close()
