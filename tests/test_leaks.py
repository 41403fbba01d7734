"""Leaks between splits: spans, the same words, nearly the same words; in both languages, and quickly."""

import random
import time

import pytest

from tunewise.nouns import Gold, Question
from tunewise.questions import find_leaks, split_leaks, split_questions
from tunewise.questions.leaks import NEAR, near_pairs, plain, shingles


def ask(id, text, *, split="test", gold=(), language="en"):
    return Question(id, text, ("x",), tuple(gold), split=split, language=language)


def whys(train, test):
    return [why for _, _, why in find_leaks([train], [test])]


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("How long may a meter be returned?", "how long may a METER be returned"),
        ("退货期限是多久？", "退货期限是多久"),
        ("价格是Ａ１０元吗？", "价格是a10元吗?"),
    ],
)
def test_the_same_words_are_found_whatever_their_case_width_and_marks(one, two):
    assert whys(ask("a", one), ask("b", two)) == ["the same words"]


@pytest.mark.parametrize(
    ("one", "two", "near"),
    [
        ("How long may a meter be returned to us?", "For how long may a meter be returned to us?", True),
        ("蓝标件的质保期是多长时间？", "请问蓝标件的质保期是多长时间？", True),
        ("How long may a meter be returned?", "Who signs an order above 500 crowns?", False),
        ("蓝标件的质保期是多长时间？", "谁负责登记新术语？", False),
    ],
)
def test_nearly_the_same_words_are_found_in_both_languages(one, two, near):
    found = whys(ask("a", one), ask("b", two))
    assert bool(found) == near and all("nearly the same wording" in why for why in found)


def test_shared_spans_leak_between_all_three_splits():
    spans = {"train": (0, 10), "validation": (5, 15), "test": (12, 20)}
    questions = [
        ask(split, f"question about {split} number {i}?", split=split, gold=[Gold("d.md", *spans[split])])
        for i, split in enumerate(spans)
    ]
    assert [(a, b) for a, b, _ in split_leaks(questions)] == [("validation", "test"), ("train", "validation")]
    far = [ask("a", "Who?", split="train", gold=[Gold("d.md", 0, 5)]), ask("b", "Wann?", gold=[Gold("d.md", 5, 9)])]
    assert split_leaks(far) == []


def wordings(count, seed=0):
    order = random.Random(seed)
    words = [f"{a}{b}" for a in ("red", "meter", "pump", "order", "leave") for b in ("", "s", "ing", "al", "er")]
    zh = "退货期限多久费用谁批准质保时间价格是哪天设备客户"
    texts = []
    for i in range(count):
        if i % 3 == 2:
            texts.append("".join(order.choices(zh, k=12)) + str(i))
        else:
            texts.append(" ".join(order.choices(words, k=9)) + f" {i}?")
        if i % 10 == 9:
            texts[-1] = texts[order.randrange(i)] + order.choice([" now", " today", "了", ""])
    return texts


def test_minhash_finds_what_comparing_all_pairs_finds():
    texts = wordings(400)
    grams = [shingles(text) for text in texts]
    wanted = {
        (i, j)
        for i in range(len(texts))
        for j in range(len(texts))
        if len(grams[i] & grams[j]) / len(grams[i] | grams[j]) >= NEAR and plain(texts[i]) != plain(texts[j])
    }
    assert len(wanted) > 40
    assert {(i, j) for i, j, _ in near_pairs(texts, texts)} == wanted


def test_five_thousand_questions_take_seconds():
    questions = [
        ask(f"q{i}", text, gold=[Gold(f"d{i % 97}.md", 40 * i, 40 * i + 30)]) for i, text in enumerate(wordings(5000))
    ]
    start = time.process_time()
    assert len(find_leaks(questions[:2500], questions[2500:])) > 100
    assert time.process_time() - start < 10
    assert split_leaks(split_questions(questions[:1000])) == []
