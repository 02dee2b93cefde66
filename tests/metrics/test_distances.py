"""Distances over pairs, against all pairs in plain Python."""

from __future__ import annotations

import itertools
import math
import statistics

import pytest
import torch

from invset.metrics import distances
from invset.metrics.duplicates import near_duplicates
from invset.metrics.pairwise import mean_pairwise_distance, median_pairwise_distance


@pytest.fixture(autouse=True, params=[3, 256])
def _rows(request, monkeypatch):
    """Blocks smaller than the set, and larger."""
    monkeypatch.setattr(distances.blocks, "__defaults__", (request.param,))


def _all_pairs(encodings: torch.Tensor) -> list[float]:
    return [math.dist(a, b) for a, b in itertools.combinations(encodings.double().tolist(), 2)]


@pytest.mark.parametrize("count", [2, 3, 4, 7, 12, 13])
def test_mean_and_median_over_all_pairs(count):
    encodings = torch.randn(count, 6, generator=torch.Generator().manual_seed(count))
    pairs = _all_pairs(encodings)
    assert mean_pairwise_distance(encodings) == pytest.approx(statistics.mean(pairs), rel=1e-6)
    assert median_pairwise_distance(encodings) == pytest.approx(statistics.median(pairs), rel=1e-6)
    double = encodings.double()
    assert mean_pairwise_distance(double) == pytest.approx(statistics.mean(pairs), rel=1e-14)
    assert median_pairwise_distance(double) == pytest.approx(statistics.median(pairs), rel=1e-14)


def test_points_on_a_line():
    encodings = torch.tensor([[0.0], [1.0], [3.0]])  # distances 1, 2, 3
    assert mean_pairwise_distance(encodings) == 2
    assert median_pairwise_distance(encodings) == 2


def test_small_distances_far_from_the_origin_are_exact():
    encodings = torch.full((4, 2000), 1000.0)
    encodings[:, 0] += torch.arange(4) / 128
    assert mean_pairwise_distance(encodings) == 10 / 6 / 128
    assert near_duplicates(encodings, 1 / 100).tolist() == [False, True, True, True]
    assert near_duplicates(encodings, 1 / 128).tolist() == [False] * 4  # not nearer than


@pytest.mark.parametrize("count", [0, 1])
def test_too_few(count):
    encodings = torch.zeros(count, 5)
    assert math.isnan(mean_pairwise_distance(encodings))
    assert math.isnan(median_pairwise_distance(encodings))
    assert near_duplicates(encodings, math.nan).tolist() == [False] * count


@pytest.mark.parametrize("threshold", [0.0, 0.5, 1.5, 3.0, math.inf])
def test_near_duplicates_against_all_pairs(threshold):
    points = torch.randn(20, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    points[11] = points[4]
    expected = [any(math.dist(a, b) < threshold for b in points[:i].tolist()) for i, a in enumerate(points.tolist())]
    assert near_duplicates(points, threshold).tolist() == expected
    assert near_duplicates(points, threshold).dtype == torch.bool


def test_the_first_of_equals_is_no_duplicate():
    assert near_duplicates(torch.ones(5, 2), 1e-6).tolist() == [False, True, True, True, True]


def test_half_precision_is_taken():
    encodings = torch.tensor([[0.0, 0.0], [3.0, 4.0]], dtype=torch.float16)
    assert mean_pairwise_distance(encodings) == 5


def test_misuse():
    for measure in (mean_pairwise_distance, median_pairwise_distance, lambda x: near_duplicates(x, 1.0)):
        with pytest.raises(ValueError, match=r"encodings are \(n, d\), not \(2, 3, 4\)"):
            measure(torch.zeros(2, 3, 4))
    with pytest.raises(ValueError, match="distance ≥ 0"):
        near_duplicates(torch.zeros(2, 3), -1.0)
