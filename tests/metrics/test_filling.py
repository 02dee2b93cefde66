"""How evenly a range is filled, against SciPy's test, plain Python and closed cases."""

from __future__ import annotations

import itertools
import math

import pytest
import scipy.stats
import torch

from invset.metrics.filling import histogram, uniform_distance


def _values(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("count", [1, 2, 10, 1000])
def test_the_distance_against_scipy(count):
    values = 3 + _values(count, count) / 5
    inside = values[(values >= 2.8) & (values <= 3.4)]
    if not len(inside):
        inside = values = torch.tensor([2.9], dtype=torch.float64)
    expected = scipy.stats.kstest(inside.numpy(), scipy.stats.uniform(2.8, 0.6).cdf).statistic
    assert uniform_distance(values, 2.8, 3.4) == pytest.approx(expected, rel=1e-12, abs=1e-14)


@pytest.mark.parametrize("count", [1, 2, 8])
def test_closed_distances(count):
    middles = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    assert uniform_distance(8 * middles - 4, -4, 4) == 1 / (2 * count)  # the least there is
    assert uniform_distance(torch.full((count,), 5.0), 1, 5) == 1
    assert uniform_distance(torch.full((count,), 1.0), 1, 5) == 1
    assert uniform_distance(torch.full((count,), 3.0), 1, 5) == 0.5
    assert uniform_distance(torch.full((count,), 2.0), 1, 5) == 0.75


def test_by_chance_the_distance_is_as_said():
    """√n times it has mean √(π/2) log 2 = 0.8687 (Kolmogorov's distribution)."""
    generator = torch.Generator().manual_seed(0)
    draws = torch.rand(400, 400, generator=generator, dtype=torch.float64)
    mean = sum(uniform_distance(draw, 0, 1) for draw in draws) / 400 * math.sqrt(400)
    assert mean == pytest.approx(math.sqrt(math.pi / 2) * math.log(2), abs=0.05)


def test_order_place_mirror_and_what_is_outside_do_not_matter():
    values = torch.rand(30, generator=torch.Generator().manual_seed(1), dtype=torch.float64) ** 2
    distance = uniform_distance(values, 0, 1)
    assert uniform_distance(values.flip(0), 0, 1) == distance
    assert uniform_distance(values * 4, 0, 4) == distance
    assert uniform_distance(1 - values, 0, 1) == pytest.approx(distance, rel=1e-12)
    outside = torch.tensor([-1.0, 1.5, math.nan, math.inf], dtype=torch.float64)
    assert uniform_distance(torch.cat([values, outside]), 0, 1) == distance


def test_a_distance_of_nothing():
    nothing = torch.tensor([5.0, math.nan])
    assert math.isnan(uniform_distance(nothing, 0, 1))
    assert math.isnan(uniform_distance(torch.zeros(0), 0, 1))
    assert math.isnan(uniform_distance(torch.zeros(3), 0, math.inf))
    assert math.isnan(uniform_distance(torch.zeros(3), 0, 0))


@pytest.mark.parametrize("bins", [1, 4, 7])
def test_the_histogram_bin_by_bin(bins):
    values = _values(500)
    counts = histogram(values, -1, 2, bins)
    edges = [-1 + 3 * i / bins for i in range(bins + 1)]
    expected = [sum(low <= v < high for v in values.tolist()) for low, high in itertools.pairwise(edges)]
    assert counts.tolist() == expected
    assert counts.dtype == torch.int64
    assert counts.sum() == ((values >= -1) & (values <= 2)).sum()


def test_the_ends_of_bins():
    values = torch.tensor([0.0, 1.0, 2.0, 3.0, 4.0, -1e-6, 4.0001, math.nan, math.inf])
    assert histogram(values, 0, 4, 4).tolist() == [1, 1, 1, 2]
    # in float32 both ends round outwards: no sample in range may fall out of the histogram
    assert histogram(torch.tensor([0.1, 0.2, 0.7]), 0.1, 0.7, 3).sum() == 3
    assert histogram(torch.tensor([0.1, 0.2]), 0.1, 0.2, 5).tolist() == [1, 0, 0, 0, 1]
    assert uniform_distance(torch.tensor([0.1, 0.2]), 0.1, 0.2) == 0.5
    assert histogram(torch.zeros(0), 0, 1, 3).tolist() == [0, 0, 0]


def test_misuse():
    for lower, upper in ((0, math.inf), (1, 1), (-math.inf, 0)):
        with pytest.raises(ValueError, match="a histogram needs a finite range"):
            histogram(torch.zeros(3), lower, upper)
    with pytest.raises(ValueError, match="bins are ≥ 1, not 0"):
        histogram(torch.zeros(3), 0, 1, 0)
    with pytest.raises(ValueError, match="a range is lower ≤ upper"):
        uniform_distance(torch.zeros(3), 1, 0)
    with pytest.raises(ValueError, match=r"activations are \(n,\)"):
        uniform_distance(torch.zeros(3, 2), 0, 1)
