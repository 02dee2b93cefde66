"""The perceptual distance, pair by pair and position by position in plain Python, and closed cases."""

from __future__ import annotations

import itertools
import math
import statistics

import pytest
import torch

from invset.metrics import lpips_like
from invset.metrics.lpips_like import mean_perceptual_distance, perceptual_encodings
from invset.metrics.pairwise_interval import mean_pairwise_estimate


@pytest.fixture(autouse=True, params=[2, 32])
def _images(request, monkeypatch):
    monkeypatch.setattr(lpips_like, "IMAGES", request.param)


def _maps(count: int, dtype: torch.dtype = torch.float64) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(count)
    shapes = [(5, 4, 3), (2, 3, 3), (7, 1, 1)]
    return [torch.randn(count, *shape, generator=generator, dtype=dtype) for shape in shapes]


def _pair(maps: list[torch.Tensor], i: int, j: int) -> float:
    total = 0.0
    for layer in maps:
        positions = list(itertools.product(range(layer.shape[2]), range(layer.shape[3])))
        for row, column in positions:
            a, b = layer[i, :, row, column].tolist(), layer[j, :, row, column].tolist()
            units = [[x / (math.hypot(*v) + 1e-10) for x in v] for v in (a, b)]
            total += math.dist(*units) ** 2 / len(positions)
    return total


@pytest.mark.parametrize("count", [2, 3, 7])
def test_against_all_pairs(count):
    maps = _maps(count)
    pairs = {(i, j): _pair(maps, i, j) for i, j in itertools.combinations(range(count), 2)}
    assert mean_perceptual_distance(maps) == pytest.approx(statistics.fmean(pairs.values()), rel=1e-12)
    assert mean_perceptual_distance([m.float() for m in maps]) == pytest.approx(
        statistics.fmean(pairs.values()), rel=1e-6
    )
    encodings = perceptual_encodings(maps).tolist()
    for (i, j), expected in pairs.items():
        assert math.dist(encodings[i], encodings[j]) ** 2 == pytest.approx(expected, rel=1e-12)


def test_the_encodings_bring_an_interval():
    maps = _maps(20)
    estimate = mean_pairwise_estimate(perceptual_encodings(maps), squared=True)
    assert estimate.value == pytest.approx(mean_perceptual_distance(maps), rel=1e-12)
    assert estimate.low < estimate.value < estimate.high


def test_closed_cases():
    one = torch.zeros(2, 2, 3, 3, dtype=torch.float64)
    one[0, 0], one[1, 1] = 7, 0.1
    assert mean_perceptual_distance([one]) == pytest.approx(2, rel=1e-8)  # at right angles
    assert mean_perceptual_distance([one, one]) == pytest.approx(4, rel=1e-8)  # layers add
    opposite = torch.ones(2, 4, 2, 2, dtype=torch.float64)
    opposite[1] *= -1
    assert mean_perceptual_distance([opposite]) == pytest.approx(4, rel=1e-8)  # the most there is
    half = one.clone()
    half[1, :, :, :2] = half[0, :, :, :2]
    assert mean_perceptual_distance([half]) == pytest.approx(2 / 3, rel=1e-8)  # a third of the positions differ
    assert mean_perceptual_distance([torch.zeros(3, 2, 2, 2)]) == 0  # zeros stay zeros


def test_copies_are_at_zero_and_slight_changes_are_not_lost():
    maps = [layer[:1].repeat(5, 1, 1, 1) for layer in _maps(3)]
    assert mean_perceptual_distance(maps) == 0
    # In a single position, two channels: turning by a small angle is that angle, squared
    angles = torch.tensor([0.0, 1e-7], dtype=torch.float64)
    turned = torch.stack([angles.cos(), angles.sin()], dim=1)[:, :, None, None]
    assert mean_perceptual_distance([turned]) == pytest.approx(1e-14, rel=1e-6)


def test_order_and_strength_do_not_matter():
    maps = _maps(9)
    distance = mean_perceptual_distance(maps)
    assert mean_perceptual_distance([m.flip(0) for m in maps]) == pytest.approx(distance, rel=1e-12)
    assert mean_perceptual_distance([m.flip(2, 3) for m in maps]) == pytest.approx(distance, rel=1e-12)
    assert mean_perceptual_distance([m * 100 for m in maps]) == pytest.approx(distance, rel=1e-8)


def test_too_few_and_nan():
    assert math.isnan(mean_perceptual_distance([m[:1] for m in _maps(2)]))
    assert math.isnan(mean_perceptual_distance([m[:0] for m in _maps(2)]))
    assert math.isnan(mean_perceptual_distance([torch.zeros(3, 2, 0, 4)]))
    broken = _maps(3)
    broken[1][2, 0, 0, 0] = math.nan
    assert math.isnan(mean_perceptual_distance(broken))
    assert perceptual_encodings([m[:0] for m in _maps(2, torch.float32)]).shape == (0, 60 + 18 + 7)
    assert perceptual_encodings(_maps(2, torch.float32)).dtype == torch.float32


def test_misuse():
    for wrong in ([], [torch.zeros(2, 3, 4)], [torch.zeros(2, 3, 4, 4), torch.zeros(3, 3, 4, 4)]):
        for measure in (mean_perceptual_distance, perceptual_encodings):
            with pytest.raises(ValueError, match=r"maps are \(n, c, h, w\)"):
                measure(wrong)
