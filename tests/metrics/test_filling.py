"""How evenly a range is filled, against SciPy's test, plain Python and closed cases."""

from __future__ import annotations

import math

import pytest
import scipy.stats
import torch

from invset.metrics.filling import uniform_distance


@pytest.mark.parametrize("count", [1, 2, 10, 1000])
def test_the_distance_against_scipy(count):
    values = torch.randn(count, generator=torch.Generator().manual_seed(count), dtype=torch.float64) / 5 + 3
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


def test_an_end_that_rounds_outwards_is_the_end():
    assert uniform_distance(torch.tensor([0.1, 0.2]), 0.1, 0.2) == 0.5  # in float32 both are above it
