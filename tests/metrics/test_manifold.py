"""Precision, recall, density and coverage, against their definitions in plain Python and closed cases."""

from __future__ import annotations

import math

import pytest
import torch

from invset.metrics import distances
from invset.metrics.manifold import Manifold, manifold, radii


def _points(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _radius(points: list[list[float]], i: int, k: int) -> float:
    return sorted(math.dist(points[i], p) for j, p in enumerate(points) if j != i)[k - 1]


def _by_definition(samples: list[list[float]], reference: list[list[float]], k: int) -> Manifold:
    def balls(points: list[list[float]]) -> list[tuple[list[float], float]]:
        return [(point, _radius(points, i, k)) for i, point in enumerate(points)]

    def holding(point: list[float], of: list[tuple[list[float], float]]) -> int:
        return sum(math.dist(point, center) <= radius for center, radius in of)

    real, ours = balls(reference), balls(samples)
    return Manifold(
        sum(holding(s, real) > 0 for s in samples) / len(samples),
        sum(holding(r, ours) > 0 for r in reference) / len(reference),
        sum(holding(s, real) for s in samples) / (k * len(samples)),
        sum(any(math.dist(s, center) <= radius for s in samples) for center, radius in real) / len(reference),
    )


@pytest.fixture(autouse=True, params=[3, 256])
def _rows(request, monkeypatch):
    monkeypatch.setattr(distances.between, "__defaults__", (request.param,))


@pytest.mark.parametrize("k", [1, 2, 5])
@pytest.mark.parametrize(("m", "n", "shift"), [(12, 12, 0.5), (20, 7, 0.0), (6, 25, 1.0)])
def test_against_the_definitions(m, n, shift, k):
    samples, reference = _points(m, 3, seed=m) + shift, _points(n, 3, seed=n)
    expected = _by_definition(samples.tolist(), reference.tolist(), k)
    assert manifold(samples, reference, k) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("k", [1, 3])
def test_against_the_definitions_with_ties_and_copies(k):
    generator = torch.Generator().manual_seed(k)
    samples, reference = torch.randint(0, 3, (2, 15, 2), generator=generator).double()
    expected = _by_definition(samples.tolist(), reference.tolist(), k)
    assert manifold(samples, reference, k) == pytest.approx(expected, rel=1e-14)
    assert manifold(samples.half(), reference.float(), k) == manifold(samples, reference, k)


def test_on_a_line():
    """References at 0, 1, 3, 7: radii 1, 1, 2, 4 for k = 1. Samples at 0.5, 5, 20: radii 4.5, 4.5, 15."""
    samples, reference = torch.tensor([[0.5], [5.0], [20.0]]), torch.tensor([[0.0], [1.0], [3.0], [7.0]])
    assert radii(reference, 1).tolist() == [1, 1, 2, 4]
    assert radii(samples, 1).tolist() == [4.5, 4.5, 15]
    # 0.5 is in the balls of 0 and 1, 5 in those of 3 (at its border) and 7, 20 in none; every ball holds a sample
    assert manifold(samples, reference, 1) == (2 / 3, 1, 4 / 3, 1)


@pytest.mark.parametrize("k", [1, 4])
def test_a_set_against_itself_and_one_far_off(k):
    points = _points(30, 5)
    # each ball holds its own centre and its k nearest
    assert manifold(points, points.clone(), k) == pytest.approx((1, 1, (k + 1) / k, 1), rel=1e-14)
    assert manifold(points + 1000, points, k) == (0, 0, 0, 0)


def test_one_mode_repeated_is_precise_and_covers_nothing_else():
    reference = torch.tensor([[0.0], [1.0], [100.0], [101.0], [200.0], [201.0]])
    assert manifold(torch.zeros(10, 1), reference, 1) == (1, 1 / 6, 2, 2 / 6)


def test_order_scale_and_place_do_not_matter():
    samples, reference = _points(25, 4) + 0.3, _points(20, 4, seed=1)
    measured = manifold(samples, reference)
    flipped = manifold(samples.flip(0), reference.flip(0))
    assert flipped == pytest.approx(measured, rel=1e-14)
    assert manifold(samples * 4, reference * 4) == measured
    # what one calls precision, the other calls recall
    assert manifold(reference, samples).precision == measured.recall
    assert manifold(reference, samples).recall == measured.precision


def test_larger_balls_hold_more():
    samples, reference = _points(30, 4) + 1, _points(30, 4, seed=1)
    measured = [manifold(samples, reference, k) for k in (1, 2, 4, 8, 16)]
    for name in ("precision", "recall", "coverage"):
        values = [getattr(m, name) for m in measured]
        assert values == sorted(values)
        assert all(0 <= value <= 1 for value in values)


def test_of_one_kind_density_is_one_and_coverage_as_published():
    """Naeem 2020: E[density] = 1, E[coverage] = 1 − (n−1)…(n−k)/((n+m−1)…(n+m−k)), whatever the distribution."""
    n, m, k, trials = 20, 30, 3, 400
    sets = [manifold(_points(m, 2, seed=2 * t), _points(n, 2, seed=2 * t + 1), k) for t in range(trials)]
    missed = math.prod((n - i) / (n + m - i) for i in range(1, k + 1))
    for values, expected in (
        ([s.density for s in sets], 1.0),
        ([s.coverage for s in sets], 1 - missed),
    ):
        sampled = torch.tensor(values, dtype=torch.float64)
        assert abs(sampled.mean() - expected) < 3.5 * sampled.std() / math.sqrt(trials)


def test_too_few_and_nan():
    points = _points(6, 2)
    few_samples = manifold(points[:5], points)
    assert math.isnan(few_samples.recall)
    assert not any(map(math.isnan, (few_samples.precision, few_samples.density, few_samples.coverage)))
    few_references = manifold(points, points[:5])
    assert few_references.recall == 1
    assert all(map(math.isnan, (few_references.precision, few_references.density, few_references.coverage)))
    empty = points[:0]
    for pair in ((empty, points), (points, empty), (empty, empty)):
        assert all(map(math.isnan, manifold(*pair, 1)))
    for bad in (math.nan, math.inf):
        broken = points.clone()
        broken[3, 0] = bad
        assert all(map(math.isnan, manifold(broken, points, 1)))
        assert all(map(math.isnan, manifold(points, broken, 1)))


def test_misuse():
    with pytest.raises(ValueError, match="neighbours are ≥ 1, not 0"):
        manifold(torch.zeros(3, 2), torch.zeros(3, 2), 0)
    for wrong in ((torch.zeros(9, 2), torch.zeros(9, 3)), (torch.zeros(9), torch.zeros(9))):
        with pytest.raises(ValueError, match=r"two sets are \(n, d\) and \(m, d\)"):
            manifold(*wrong)
