"""Ratios of two sets and over units, against closed cases and SciPy."""

from __future__ import annotations

import math

import pytest
import scipy.stats
import torch

from invset.metrics.pairwise import mean_pairwise_distance
from invset.metrics.ratio import distance_ratio


def _points(count: int, seed: int, size: int = 6) -> torch.Tensor:
    return torch.randn(count, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_value_is_the_ratio_of_the_two_distances():
    ours, theirs = _points(30, 1), _points(20, 2) / 3
    estimate = distance_ratio(ours, theirs)
    assert estimate.value == mean_pairwise_distance(ours) / mean_pairwise_distance(theirs)
    assert estimate.low < estimate.value < estimate.high


def test_scaling_ours_scales_the_ratio_and_scaling_both_does_not():
    ours, theirs = _points(30, 1), _points(20, 2)
    estimate = distance_ratio(ours, theirs)
    assert distance_ratio(2 * ours, theirs) == tuple(2 * end for end in estimate)
    assert distance_ratio(2 * ours, 2 * theirs) == estimate


def test_the_sets_are_resampled_each_on_its_own():
    """With one set on both sides the interval is as wide as of two independent ones, not of width 0."""
    points = _points(40, 1)
    estimate = distance_ratio(points, points.clone())
    assert estimate.value == 1
    assert estimate.low < 0.99
    assert estimate.high > 1.01


def test_the_interval_holds_the_truth_as_often_as_it_says():
    generator = torch.Generator().manual_seed(0)
    trials = 200
    held = 0
    for _ in range(trials):
        ours, theirs = torch.rand(2, 40, 1, generator=generator)
        _, low, high = distance_ratio(3 * ours, theirs, resamples=300)
        held += low <= 3 <= high
    assert scipy.stats.binomtest(held, trials, 0.95).pvalue > 0.001


def test_all_alike():
    alike, points = torch.ones(5, 6, dtype=torch.float64), _points(5, 1)
    assert distance_ratio(points, alike) == (math.inf, math.inf, math.inf)
    assert distance_ratio(alike, points) == (0, 0, 0)
    assert all(map(math.isnan, distance_ratio(alike, alike)))


def test_too_few():
    assert all(map(math.isnan, distance_ratio(_points(1, 1), _points(9, 2))))
    two = distance_ratio(_points(9, 1), _points(2, 2))
    assert math.isfinite(two.value)
    assert math.isnan(two.low)
    assert math.isnan(two.high)


def test_misuse():
    with pytest.raises(ValueError, match=r"not \(3, 2\) and \(3, 4\)"):
        distance_ratio(torch.zeros(3, 2), torch.zeros(3, 4))
    with pytest.raises(ValueError, match="resamples are ≥ 1"):
        distance_ratio(torch.zeros(3, 2), torch.zeros(3, 2), resamples=0)
