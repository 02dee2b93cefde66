"""Coverage and plateaus, against brute force, counting, and sets whose size is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
import torch

from invset.metrics.saturation import LEAST, WINDOW, Novelty, coverage, plateaued


def points(count: int, size: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, size, generator=torch.Generator().manual_seed(seed))


def brute_force(encodings: torch.Tensor, radius: float) -> tuple[list[float], list[bool]]:
    kept: list[np.ndarray] = []
    distances, new = [], []
    for row in encodings.double().numpy():
        distances.append(min((float(np.linalg.norm(row - other)) for other in kept), default=math.inf))
        new.append(distances[-1] > radius)
        if new[-1]:
            kept.append(row)
    return distances, new


@pytest.mark.parametrize("radius", [0.0, 0.7, 1.5, 4.0, 100.0])
def test_against_brute_force(radius):
    encodings = points(300, 3)
    encodings[50:60] = encodings[:10]
    found = Novelty.none(radius).extended(encodings)
    distances, new = brute_force(encodings, radius)
    assert found.distances == pytest.approx(distances, rel=1e-5, abs=1e-6)
    assert list(found.new) == new
    assert torch.equal(found.kept, encodings[torch.tensor(new)])


@pytest.mark.parametrize("size", [1, 7, 64, 515])
@pytest.mark.parametrize("portion", [1, 2, 7, 33, 256, 299])
def test_the_same_bits_in_whatever_portions(size, portion):
    encodings = points(600, size)
    radius = 0.9 * math.sqrt(2 * size) if size > 1 else 0.1
    whole = Novelty.none(radius).extended(encodings)
    found = Novelty.none(radius)
    for part in encodings.split(portion):
        found = found.extended(part)
    assert found.distances == whole.distances
    assert found.new == whole.new
    assert torch.equal(found.kept, whole.kept)
    assert 1 < sum(whole.new) < 600


def test_new_ones_are_apart_and_all_others_are_near_one():
    encodings = points(500, 4)
    found = Novelty.none(2.0).extended(encodings)
    assert torch.pdist(found.kept).min() > 2
    assert torch.cdist(encodings, found.kept).min(dim=1).values.max() <= 2 + 1e-5


def test_small_steps_far_away_are_found_new():
    """Each is near the one before it; at 0, 11, 22 … it has come farther than 10 from the last new one."""
    found = Novelty.none(10.0).extended(torch.arange(100.0)[:, None])
    assert [row for row, new in enumerate(found.new) if new] == list(range(0, 100, 11))


def test_all_the_same_and_all_unlike():
    same = Novelty.none(0.0).extended(torch.ones(5, 3))
    assert same.new == (True, False, False, False, False), "at radius 0 a copy is nothing new"
    assert same.distances == (math.inf, 0, 0, 0, 0)
    assert all(Novelty.none(0.5).extended(torch.eye(9)).new)


def test_no_encodings():
    assert Novelty.none(1.0).extended(torch.zeros(0, 3)).new == ()


def test_coverage_by_counting():
    new = (points(250, 1) > 0.5).flatten().tolist()
    for count in (1, 40, 99, 100, 101, 250):
        last = new[max(0, count - 100) : count]
        known = last.count(False)
        low, high = scipy.stats.binomtest(known, len(last)).proportion_ci(method="wilson")
        assert coverage(new[:count]) == pytest.approx((known / len(last), low, high), abs=1e-14)
    assert coverage(new[:50], window=10) == coverage(new[40:50])
    assert all(map(math.isnan, coverage([])))


def test_coverage_is_the_chance_of_what_was_seen():
    """Of k equally likely kinds, after n draws 1 − (1 − 1/k)^n of the probability is expected to have been seen."""
    kinds, count, runs = 50, 130, 200
    shares = []
    for seed in range(runs):
        drawn = torch.randint(kinds, (count,), generator=torch.Generator().manual_seed(seed))
        shares.append(coverage(Novelty.none(0.5).extended(drawn[:, None].float()).new).value)
    expected = np.mean([1 - (1 - 1 / kinds) ** draw for draw in range(count - WINDOW, count)])
    assert np.mean(shares) == pytest.approx(expected, abs=4 * np.std(shares) / math.sqrt(runs))
    assert expected < 1 - (1 - 1 / kinds) ** count, "it tells no more than there is"


@pytest.mark.parametrize("share", [0.01, 0.05, 0.07, 0.29, 0.57, 1.0])
def test_a_plateau_is_fewer_than_the_gain(share):
    count = round(share * WINDOW)
    new = [True] * (LEAST - count) + [False] * (WINDOW - count) + [True] * count
    assert not plateaued(new, share)
    assert plateaued([*new[:-1], False], share)


def test_no_plateau_of_few():
    assert not plateaued([True] + [False] * (LEAST - 2), 0.9)
    assert plateaued([True] + [False] * (LEAST - 1), 0.01)
