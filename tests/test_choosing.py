"""Multiple choice by likelihood: the choice that the answering model finds likeliest after the prompt it answered."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tiny_models import tiny_llama
from tunewise.jobs.choosing import with_choices
from tunewise.models import load_model
from tunewise.models.knowledge import likeliest
from tunewise.nouns import Answer, Approach, Chunk, Decoding, Hit, Question
from tunewise.prompts import render
from tunewise.scorers import score

CHOICES = ("thirty days", "a week", "never", "ten years and more")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    pytest.importorskip("torch")
    return load_model(str(tiny_llama(tmp_path_factory.mktemp("tiny"), seed=5)))


def ask(gold: str, **more) -> Question:
    return Question("q", "How long?", (gold,), rules=(("choices", CHOICES),), **more)


def test_the_likeliest_choice_after_the_prompt_that_was_answered(model):
    passage = "Boxes may come back within thirty days."
    hits = (Hit(Chunk("c", "a.md", "r", 0, len(passage), passage), 1.0, 1),)
    approach = Approach("rag", model.name, prompt="grounded")
    prompt = render("grounded", "How long?", language="en", hits=hits, examples=(("Who?", "Anna"),))
    (place,) = likeliest(model, [(prompt, CHOICES)])
    rate = with_choices(score, approach, model, (("Who?", "Anna"),))
    answer = Answer("q", "x", hits=hits, tokens_in=9)
    for number, choice in enumerate(CHOICES):
        assert rate(ask(choice), answer)["choice_likelihood"] == (number == place)
    assert rate(ask(CHOICES[0]), answer).keys() - {"choice_likelihood"} == score(ask(CHOICES[0]), answer).keys()


def test_where_it_means_nothing_it_is_absent(model):
    approach, answer = Approach("plain", model.name), Answer("q", "x", tokens_in=9)
    for one, question, said in (
        (approach, Question("q", "How long?", ("a week",)), answer),
        (approach, ask("two weeks"), answer),
        (approach, ask("a week"), Answer("q", "")),
        (approach, ask("a week"), replace(answer, error="boom")),
        (replace(approach, prompt="chain-of-thought"), ask("a week"), answer),
        (replace(approach, decoding=Decoding(marginal="token")), ask("a week"), answer),
        (replace(approach, model="echo"), ask("a week"), answer),
    ):
        assert "choice_likelihood" not in with_choices(score, one, model, ())(question, said)
    assert "choice_likelihood" in with_choices(score, approach, model, ())(ask("a week"), answer)
