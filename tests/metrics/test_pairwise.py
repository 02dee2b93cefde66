"""Distances over pairs and their intervals, against all pairs in plain Python, and by how often they hold the truth."""

from __future__ import annotations

import itertools
import math
import statistics

import pytest
import scipy.stats
import torch

from invset.metrics import distances, pairwise
from invset.metrics.pairwise import distance_ratio, mean_pairwise_distance, mean_pairwise_estimate, near_duplicates


@pytest.fixture(params=[3, 256])
def _rows(request, monkeypatch):
    """Blocks smaller than the set, and larger."""
    monkeypatch.setattr(distances.blocks, "__defaults__", (request.param,))


def _points(count: int, seed: int, size: int = 6) -> torch.Tensor:
    return torch.randn(count, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _mean_without_copies(points: list[list[float]], chosen: list[int]) -> float:
    """The mean distance over the pairs of a resample that are not one sample twice, pair by pair."""
    pairs = [(i, j) for i, j in itertools.combinations(chosen, 2) if i != j]
    return statistics.fmean(math.dist(points[i], points[j]) for i, j in pairs)


@pytest.mark.usefixtures("_rows")
@pytest.mark.parametrize("count", [2, 3, 4, 7, 12, 13])
def test_the_mean_over_all_pairs(count):
    encodings = torch.randn(count, 6, generator=torch.Generator().manual_seed(count))
    mean = _mean_without_copies(encodings.double().tolist(), list(range(count)))
    assert mean_pairwise_distance(encodings) == pytest.approx(mean, rel=1e-6)
    assert mean_pairwise_distance(encodings.double()) == pytest.approx(mean, rel=1e-14)
    assert mean_pairwise_estimate(encodings).value == mean_pairwise_distance(encodings)


@pytest.mark.usefixtures("_rows")
def test_small_distances_far_from_the_origin_are_exact():
    encodings = torch.full((4, 2000), 1000.0)
    encodings[:, 0] += torch.arange(4) / 128
    assert mean_pairwise_distance(encodings) == 10 / 6 / 128
    assert near_duplicates(encodings, 1 / 100).tolist() == [False, True, True, True]
    assert near_duplicates(encodings, 1 / 128).tolist() == [False] * 4  # not nearer than


@pytest.mark.usefixtures("_rows")
@pytest.mark.parametrize("threshold", [0.0, 0.5, 1.5, 3.0, math.inf])
def test_near_duplicates_against_all_pairs(threshold):
    points = _points(20, 1, 3)
    points[11] = points[4]
    expected = [any(math.dist(a, b) < threshold for b in points[:i].tolist()) for i, a in enumerate(points.tolist())]
    assert near_duplicates(points, threshold).tolist() == expected


def test_the_first_of_equals_is_no_duplicate():
    assert near_duplicates(torch.ones(5, 2), 1e-6).tolist() == [False, True, True, True, True]


@pytest.mark.usefixtures("_rows")
@pytest.mark.parametrize("count", [3, 4, 9])
def test_resamples_pair_by_pair(count, monkeypatch):
    """The middle of all but the outermost of 600 resamples; those of one sample alone have no pair."""
    monkeypatch.setattr(pairwise, "RESAMPLES", 600)
    points = _points(count, count)
    drawn = torch.randint(count, (600, count), generator=torch.Generator().manual_seed(4)).tolist()
    means = sorted(_mean_without_copies(points.tolist(), own) for own in drawn if len(set(own)) > 1)
    outside = 0.025 * (len(means) - 1)
    expected = means[math.floor(outside)], means[math.ceil(len(means) - 1 - outside)]
    assert mean_pairwise_estimate(points, 4)[1:] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("count", [3, 4, 5])
def test_without_copies_the_resamples_mean_is_exactly_the_distance_and_with_them_it_is_too_low(count):
    points = _points(count, count, 2).tolist()
    resamples = [r for r in itertools.product(range(count), repeat=count) if len(set(r)) > 1]
    value = _mean_without_copies(points, list(range(count)))
    assert statistics.fmean(_mean_without_copies(points, list(r)) for r in resamples) == pytest.approx(value, rel=1e-12)
    with_copies = [
        statistics.fmean(math.dist(points[i], points[j]) for i, j in itertools.combinations(r, 2))
        for r in itertools.product(range(count), repeat=count)
    ]
    assert statistics.fmean(with_copies) == pytest.approx(value * (1 - 1 / count), rel=1e-12)


def test_intervals_hold_the_truth_as_often_as_they_say(monkeypatch):
    """Points uniform on [0, 1], whose mean distance is 1/3, and the ratio of two such sets."""
    monkeypatch.setattr(pairwise, "RESAMPLES", 400)
    trials, generator = 300, torch.Generator().manual_seed(0)
    held = of_ratios = 0
    for trial in range(trials):
        ours, theirs = torch.rand(2, 40, 1, generator=generator)
        _, low, high = mean_pairwise_estimate(ours, trial)
        held += low <= 1 / 3 <= high
        _, low, high = distance_ratio(3 * ours, theirs, trial)
        of_ratios += low <= 3 <= high
    assert scipy.stats.binomtest(held, trials, 0.95).pvalue > 0.001
    assert scipy.stats.binomtest(of_ratios, trials, 0.95).pvalue > 0.001


def test_it_repeats_itself_scales_and_leaves_the_global_generator_alone():
    points, before = _points(30, 2), torch.get_rng_state()
    estimate = mean_pairwise_estimate(points, 7)
    assert mean_pairwise_estimate(points, 7) == estimate
    assert mean_pairwise_estimate(points, 8)[1:] != estimate[1:]
    assert mean_pairwise_estimate(4 * points, 7) == tuple(4 * end for end in estimate)  # exact: a power of two
    assert torch.equal(torch.get_rng_state(), before)


def test_a_ratio_is_of_the_two_distances():
    ours, theirs = _points(30, 1), _points(20, 2) / 3
    estimate = distance_ratio(ours, theirs)
    assert estimate.value == mean_pairwise_distance(ours) / mean_pairwise_distance(theirs)
    assert estimate.low < estimate.value < estimate.high
    assert distance_ratio(2 * ours, theirs) == tuple(2 * end for end in estimate)


def test_the_sets_of_a_ratio_are_resampled_each_on_its_own():
    """With one set on both sides the interval is as wide as of two independent ones, not of width 0."""
    points = _points(40, 1)
    estimate = distance_ratio(points, points.clone())
    assert estimate.value == 1
    assert estimate.low < 0.99
    assert estimate.high > 1.01


def test_too_few_and_all_alike():
    assert math.isnan(mean_pairwise_distance(torch.zeros(1, 5)))
    assert all(map(math.isnan, mean_pairwise_estimate(torch.zeros(0, 3))))
    two = mean_pairwise_estimate(torch.tensor([[0.0], [3.0]]))
    assert (two.value, math.isnan(two.low), math.isnan(two.high)) == (3, True, True)
    assert mean_pairwise_estimate(torch.ones(5, 2)) == (0, 0, 0)
    assert not any(map(math.isfinite, mean_pairwise_estimate(torch.tensor([[0.0], [1.0], [math.nan]]))))
    alike, points = torch.ones(5, 6, dtype=torch.float64), _points(5, 1)
    assert distance_ratio(points, alike) == (math.inf, math.inf, math.inf)
    assert distance_ratio(alike, points) == (0, 0, 0)
    assert all(map(math.isnan, distance_ratio(alike, alike)))
    few = distance_ratio(_points(9, 1), _points(2, 2))
    assert (math.isfinite(few.value), math.isnan(few.low), math.isnan(few.high)) == (True, True, True)
