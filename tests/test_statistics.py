"""Statistics: against known figures, and against simulated worlds of which the truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tunewise.statistics import (
    bootstrap_mean,
    bootstrap_means,
    clustered_error,
    design_effect,
    detectable,
    effective_clusters,
    holm,
    mcnemar,
    noninferior,
    paired,
    questions_needed,
    sign_flip,
    wilson,
)


def shares(rng, clusters, p, icc):
    """A right/wrong rate for each document, with this correlation inside documents."""
    k = (1 - icc) / icc
    return rng.beta(p * k, (1 - p) * k, clusters)


def upper(n, p=0.05, spread=3.0):
    """What a share of p may reach in n draws without being suspicious."""
    return p + spread * math.sqrt(p * (1 - p) / n)


# ------------------------------------------------------------------------------------------ known figures


def test_wilson():
    assert wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson(0, 20)[0] == 0 and wilson(0, 20)[1] == pytest.approx(0.1611, abs=1e-4)
    assert wilson(0, 0) == (0, 1)


def test_mcnemar_is_the_binomial_test():
    from scipy.stats import binomtest

    rng = np.random.default_rng(0)
    for _ in range(20):
        a, b = rng.integers(0, 2, 60), rng.integers(0, 2, 60)
        gained, lost = int((a > b).sum()), int((a < b).sum())
        assert mcnemar(a, b) == pytest.approx(binomtest(gained, gained + lost, 0.5).pvalue)
    assert mcnemar([1, 0], [1, 0]) == 1


def test_holm():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0] and holm([]) == []


def test_detectable_is_what_the_books_say():
    """At 20 % discordant pairs and 80 % power: 100 questions show 12.5 points, 300 show 7.2, 1000 show 4.0."""
    assert [round(100 * detectable(n, discordant=0.2), 1) for n in (100, 300, 1000)] == [12.5, 7.2, 4.0]
    assert questions_needed(detectable(300, discordant=0.2), discordant=0.2) in (300, 301)
    assert questions_needed(-0.05, sd=0.4) == questions_needed(0.05, sd=0.4)
    with pytest.raises(ValueError):
        questions_needed(0, sd=0.4)
    with pytest.raises(ValueError):
        detectable(10)


def test_sign_flips_are_exact_for_few_clusters():
    # Three of eight flips reach nothing beyond; all + and all - do: 2 of 8.
    assert sign_flip(np.array([[1.0], [2.0], [3.0]]))[0] == 0.25
    assert sign_flip(np.zeros((3, 1)))[0] == 1
    sampled = sign_flip(np.array([[1.0, 1.0]] * 13), resamples=4999)
    assert (sampled < 0.003).all()


def test_an_interval_without_spread_is_no_point():
    estimate = bootstrap_mean([1.0] * 40, list("abcdefghij") * 4)
    assert estimate.high == 1 and estimate.low == pytest.approx(wilson(10, 10)[0])
    assert bootstrap_mean([0.5], ["a"]).low < 0.1 and bootstrap_mean([0.5], ["a"]).high > 0.9
    assert bootstrap_mean([12.0, 30.0], ["a", "a"]).low == 12
    with pytest.raises(ValueError):
        bootstrap_mean([], [])


def test_columns_weights_and_seeds():
    values = np.array([[1, np.nan, np.nan], [0, 1, np.nan], [1, 0, np.nan], [1, 1, np.nan]])
    clusters = ["a", "b", "c", "d"]
    first, second, third = bootstrap_means(values, clusters, seed=3)
    assert (first.n, first.mean, second.n, third) == (4, 0.75, 3, None)
    assert bootstrap_means(values, clusters, seed=3) == [first, second, third]
    (weighted,) = bootstrap_means(values[:, :1], clusters, weights=np.array([1, 3, 1, 0.0]))
    assert weighted.mean == pytest.approx(0.4) and weighted.n == 3


def test_the_same_answers_twice_are_no_difference():
    result = paired([1, 0, 1, 0.5], [1, 0, 1, 0.5], ["a", "b", "b", "c"])
    assert (result.mean, result.low, result.high, result.p) == (0, 0, 0, 1)
    assert noninferior(result, 0.02)
    alone = paired([1, 1, 0], [0, 1, 0], ["a"] * 3)
    assert (alone.low, alone.high, alone.p) == (-1, 1, 1) and not noninferior(alone, 0.5)


def test_clustered_error_is_the_plain_one_without_clusters():
    values = np.random.default_rng(0).random(50)
    assert clustered_error(values, range(50)) == pytest.approx(values.std(ddof=1) / math.sqrt(50))


# ------------------------------------------------------------------------------------------ simulated worlds


@pytest.mark.parametrize(("documents", "size", "p", "icc"), [(12, 10, 0.6, 0.2), (30, 6, 0.75, 0.2), (80, 3, 0.3, 0.3)])
def test_intervals_cover_what_they_claim(documents, size, p, icc):
    rng, worlds, covered, naive = np.random.default_rng(5), 800, 0, 0
    for seed in range(worlds):
        sizes = rng.integers(1, 2 * size, documents)
        values = np.concatenate([rng.random(n) < q for n, q in zip(sizes, shares(rng, documents, p, icc), strict=True)])
        clusters = np.repeat(np.arange(documents), sizes)
        estimate = bootstrap_mean(values.astype(float), clusters, seed=seed, resamples=800)
        covered += estimate.low <= p <= estimate.high
        low, high = wilson(values.sum(), len(values))
        naive += low <= p <= high
    assert 0.93 <= covered / worlds <= 0.97, covered / worlds
    if size > 3:
        assert naive / worlds < 0.92, "the world must be one in which ignoring documents is a mistake"


def test_no_difference_is_seldom_called_one():
    rng, worlds, called = np.random.default_rng(6), 400, 0
    for seed in range(worlds):
        rates = np.repeat(shares(rng, 25, 0.6, 0.2), 6)
        # Each approach has its own luck with each document: that, too, is clustered.
        shift = np.repeat(rng.normal(0, 0.15, 25), 6)
        a, b = rng.random(150) < np.clip(rates + shift, 0, 1), rng.random(150) < np.clip(rates - shift, 0, 1)
        result = paired(a.astype(float), b.astype(float), np.repeat(np.arange(25), 6), seed=seed, resamples=300)
        called += result.p < 0.05
    assert called / worlds <= upper(worlds), called / worlds


@pytest.mark.parametrize(("documents", "each", "tests"), [(12, 10, 1), (28, 5, 1), (60, 4, 6), (28, 5, 21)])
def test_power_is_what_was_promised_with_clusters(documents, each, tests):
    """Of worlds with exactly the detectable difference, 80 % (± 10 % of that, and what luck adds) are told apart."""
    rng, worlds, n, hits = np.random.default_rng(7), 200, documents * each, 0
    clusters = np.repeat(np.arange(documents), each)
    sd = math.sqrt(0.2**2 * each + 0.3**2)  # of one question, with what its document costs
    delta = detectable(n, sd=sd, clusters=effective_clusters(clusters), tests=tests)
    for seed in range(worlds):
        values = delta + np.repeat(rng.normal(0, 0.2, documents), each) + rng.normal(0, 0.3, n)
        result = paired(values, np.zeros(n), clusters, seed=seed, resamples=100)
        hits += min(1, tests * result.p) < 0.05 and not result.low <= 0 <= result.high
    luck = 1.5 * math.sqrt(0.8 * 0.2 / worlds)
    assert 0.72 - luck <= hits / worlds <= 0.88 + luck, hits / worlds
    assert detectable(n, sd=sd) < delta, "normal quantiles promise too much"


@pytest.mark.parametrize(("n", "discordant", "tests"), [(80, 0.2, 1), (240, 0.25, 1), (240, 0.25, 6)])
def test_power_is_what_was_promised_for_right_and_wrong(n, discordant, tests):
    rng, worlds, hits = np.random.default_rng(8), 200, 0
    delta = detectable(n, discordant=discordant, clusters=n, tests=tests)
    lost = (discordant - delta) / 2
    for seed in range(worlds):
        draw = rng.random(n)
        a = np.where(draw < discordant, draw >= lost, 1)
        b = np.where(draw < discordant, draw < lost, 1)
        result = paired(a, b, np.arange(n), seed=seed, resamples=100)
        hits += min(1, tests * result.p) < 0.05 and not result.low <= 0 <= result.high
    luck = 1.5 * math.sqrt(0.8 * 0.2 / worlds)
    assert 0.72 - luck <= hits / worlds <= 0.88 + luck, hits / worlds


def test_few_clusters_many_tests_and_uneven_sizes_cost():
    assert effective_clusters(["a"] * 5 + ["b"] * 5) == 2 and effective_clusters(["a"] * 9 + ["b"]) < 1.3
    assert design_effect(range(20), 0.3) == 1 and design_effect(["a"] * 10 + ["b"] * 10, 0.1) == pytest.approx(1.9)
    plain = detectable(200, sd=0.4)
    assert plain < detectable(200, sd=0.4, clusters=20) < detectable(200, sd=0.4, clusters=8)
    assert plain < detectable(200, sd=0.4, tests=3) < detectable(200, sd=0.4, tests=21)
    assert questions_needed(detectable(200, sd=0.4, clusters=20, tests=6), sd=0.4, clusters=20, tests=6) in (200, 201)


def test_many_clusters_are_quick():
    import time

    rng = np.random.default_rng(0)
    start = time.process_time()
    bootstrap_means(rng.random((10_000, 20)), np.arange(10_000), resamples=1000)
    assert time.process_time() - start < 8
