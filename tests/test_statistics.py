"""Statistics: against known figures, and against simulated worlds of which the truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tunewise.statistics import (
    bootstrap_mean,
    bootstrap_means,
    design_effect,
    detectable,
    effective_clusters,
    holm,
    mcnemar,
    noninferior,
    paired,
    paired_error,
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


def test_overwhelming_evidence_shows_in_few_documents():
    """Sign flips of five clusters cannot reach a p under .0625: 92 against 9 points stayed "not distinguishable"."""
    rng = np.random.default_rng(0)
    clusters = np.repeat(np.arange(5), 20)
    good, bad = (rng.random(100) < 0.92).astype(float), (rng.random(100) < 0.09).astype(float)
    result = paired(good, bad, clusters)
    assert 21 * result.p < 0.05 and result.low > 0.5, "also among the 21 pairs of seven approaches"
    flat, large = sign_flip(np.array([[0.0, 1.0]] * 13), resamples=4999)
    assert flat == 1 and large < 0.003
    many = paired(np.ones(200), np.zeros(200), np.arange(200))
    assert many.p < 1e-6, "nor does the number of flips that were drawn set a limit"


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


def test_the_same_answers_twice_are_no_difference_and_no_proof():
    result = paired([1, 0, 1, 0.5], [1, 0, 1, 0.5], ["a", "b", "b", "c"])
    assert (result.mean, result.p) == (0, 1) and result.low == -result.high < -0.5
    alone = paired([1, 1, 0], [0, 1, 0], ["a"] * 3)
    assert (alone.low, alone.high, alone.p) == (-1, 1, 1) and not noninferior(alone, 0.5)


@pytest.mark.parametrize(("n", "shown"), [(30, False), (150, False), (200, True)])
def test_no_discordant_pair_is_read_by_the_rule_of_three(n, shown):
    """Of n draws that show no loss, as many as 3.7 / n of all may be losses (97.5 %)."""
    result = paired(np.ones(n), np.ones(n), np.arange(n))
    assert result.low == pytest.approx(-(1 - 0.025 ** (1 / n)), rel=0.15) and noninferior(result, 0.02) == shown
    few = paired(np.ones(n), np.ones(n), np.arange(n) % 10)
    assert few.low < result.low, "questions about one document say less"


def test_the_error_is_the_plain_one_and_one_discordant_question():
    values = np.random.default_rng(0).random(50)
    plain = values.std(ddof=1) / math.sqrt(50)
    assert paired_error(values, range(50)) == pytest.approx(math.hypot(plain, 1 / 50))
    assert paired_error(values, range(50), np.full(50, 3.0)) == pytest.approx(math.hypot(plain, 1 / 50))
    assert paired_error(values, ["a"] * 50) == math.inf


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


def discordant_pairs(rng, sizes, share, net, icc):
    """0/1 answers of two approaches: each document has its own rates of gains and of losses."""
    k = (1 - icc) / icc
    gain, loss = (share + net) / 2, (share - net) / 2
    gains, losses = (rng.beta(rate * k, (1 - rate) * k, len(sizes)) if rate > 0 else np.zeros(len(sizes))
                     for rate in (gain, loss))
    draw, g, lost = rng.random(sizes.sum()), np.repeat(gains, sizes), np.repeat(losses, sizes)
    a = np.where(draw < lost, 0.0, 1.0)
    return a, np.where((draw >= lost) & (draw < lost + g), 0.0, 1.0)


@pytest.mark.parametrize(("documents", "size", "share", "net", "icc"), [
    (6, 15, 0.4, 0.1, 0.15), (9, 12, 0.3, 0.1, 0.15), (12, 10, 0.2, 0.0, 0.15), (30, 6, 0.2, 0.05, 0.1),
    (30, 6, 0.1, 0.0, 0.1), (60, 3, 0.25, 0.1, 0.1), (40, 6, 0.05, -0.05, 0.05)])
def test_intervals_of_paired_differences_cover_what_they_claim(documents, size, share, net, icc):
    rng, worlds, covered = np.random.default_rng(11), 800, 0
    for seed in range(worlds):
        sizes = rng.integers(1, 2 * size, documents)
        a, b = discordant_pairs(rng, sizes, share, net, icc)
        (found,) = bootstrap_means((a - b)[:, None], np.repeat(np.arange(documents), sizes), seed=seed, resamples=400,
                                   differences=True)
        covered += found.low <= net <= found.high
    assert 0.93 <= covered / worlds <= 0.97, covered / worlds


@pytest.mark.parametrize(("documents", "worlds"), [(5, 600), (6, 600), (8, 600), (9, 600), (12, 600), (25, 400)])
def test_no_difference_is_seldom_called_one(documents, worlds):
    """Also with five documents; and by p alone, at the stricter level of many tests."""
    rng, told, strict = np.random.default_rng(6), 0, 0
    for seed in range(worlds):
        sizes = rng.integers(2, 13, documents)
        clusters = np.repeat(np.arange(documents), sizes)
        rates = np.repeat(shares(rng, documents, 0.6, 0.2), sizes)
        # Each approach has its own luck with each document: that, too, is clustered.
        shift = np.repeat(rng.normal(0, 0.15, documents), sizes)
        a = rng.random(sizes.sum()) < np.clip(rates + shift, 0, 1)
        b = rng.random(sizes.sum()) < np.clip(rates - shift, 0, 1)
        result = paired(a.astype(float), b.astype(float), clusters, seed=seed, resamples=200)
        told += result.p < 0.05 and not result.low <= 0 <= result.high
        strict += result.p < 0.05 / 10
    assert told / worlds <= upper(worlds, spread=1.0) and strict / worlds <= upper(worlds, 0.005), (told, strict)


@pytest.mark.parametrize(("documents", "each", "tests"), [
    (5, 20, 1), (5, 20, 21), (6, 20, 3), (8, 15, 10), (9, 12, 21), (12, 10, 1), (28, 5, 1), (60, 4, 6), (28, 5, 21)])
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
