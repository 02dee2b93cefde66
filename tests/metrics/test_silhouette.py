"""Silhouettes over other chains, against loops and scikit-learn's ordinary ones."""

from __future__ import annotations

import math

import pytest
import torch
from sklearn.metrics import silhouette_samples

from invset.metrics.silhouette import pairs_of, silhouettes


def _points(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _brute(points: list[list[float]], labels: list[int], chains: list[int]) -> list[float]:
    values = []
    for i, own in enumerate(labels):
        means = {}
        for label in set(labels):
            others = [j for j in range(len(points)) if labels[j] == label and chains[j] != chains[i]]
            if others:
                means[label] = sum(math.dist(points[i], points[j]) for j in others) / len(others)
        a = means.pop(own, None)
        values.append(0.0 if a is None or not means else (min(means.values()) - a) / max(a, min(means.values())))
    return values


@pytest.mark.parametrize("chains", [1, 2, 5, 30])
@pytest.mark.parametrize("groups", [2, 3, 6])
def test_against_brute_force(chains, groups):
    points, numbers = _points(30, 4), torch.arange(30) * chains // 30 + 1
    labels = torch.arange(30) * 7 % groups
    found = silhouettes(pairs_of(points, numbers), labels)
    expected = _brute(points.tolist(), labels.tolist(), numbers.tolist())
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=1e-12)


def test_samples_that_are_chains_of_their_own_have_ordinary_silhouettes():
    points, labels = _points(50, 6), torch.arange(50) % 4
    labels[0] = 4  # alone in its group: 0
    found = silhouettes(pairs_of(points, torch.arange(50)), labels)
    torch.testing.assert_close(found, torch.from_numpy(silhouette_samples(points.numpy(), labels.numpy())))


def test_groups_that_are_chains_earn_nothing():
    centres = 100 * torch.eye(3, dtype=torch.float64).repeat_interleave(5, dim=0)
    labels = torch.arange(3).repeat_interleave(5)
    assert silhouettes(pairs_of(centres + _points(15, 3), labels), labels).abs().max() == 0
    of_two_chains = silhouettes(pairs_of(centres + _points(15, 3), torch.arange(15) % 2), labels)
    assert of_two_chains.min() > 0.9


def test_copies():
    points = torch.zeros(6, 2)
    assert silhouettes(pairs_of(points, torch.arange(6)), torch.arange(6) % 2).tolist() == [0] * 6
    with pytest.raises(ValueError, match="points are"):
        pairs_of(points, torch.arange(5))
