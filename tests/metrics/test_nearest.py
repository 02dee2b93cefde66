"""Nearest references, against all pairs in plain Python and SciPy's tree."""

from __future__ import annotations

import math

import pytest
import scipy.spatial
import torch

from invset.metrics import distances
from invset.metrics.distances import between
from invset.metrics.nearest import nearest


def _points(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture(autouse=True, params=[3, 256])
def _rows(request, monkeypatch):
    monkeypatch.setattr(distances.between, "__defaults__", (request.param,))


@pytest.mark.parametrize(("n", "m"), [(1, 1), (7, 20), (20, 7), (3, 500)])
def test_against_a_tree(n, m):
    samples, reference = _points(n, 4, seed=n), _points(m, 4, seed=m + 1)
    found = nearest(samples, reference)
    far, index = scipy.spatial.KDTree(reference.numpy()).query(samples.numpy())
    assert found.indices.tolist() == index.tolist()
    assert found.distances.tolist() == pytest.approx(far.tolist(), rel=1e-12)


def test_all_distances_between():
    one, other = _points(8, 3), _points(5, 3, seed=1)
    whole = torch.cat([block for _, block in between(one, other)])
    expected = [[math.dist(a, b) for b in other.tolist()] for a in one.tolist()]
    assert whole.tolist() == pytest.approx(torch.tensor(expected, dtype=torch.float64), rel=1e-14)
    assert [part for part, _ in between(one, other, rows=3)] == [slice(0, 3), slice(3, 6), slice(6, 8)]


def test_blocks_of_many_references_stay_small():
    many = torch.zeros(2**24, 1)
    assert next(between(torch.zeros(9, 1), many))[1].shape[0] <= 4


def test_a_copy_is_at_zero_and_the_first_of_equals_is_named():
    reference = torch.full((6, 2000), 1000.0)
    reference[:, 0] += torch.tensor([3.0, 1 / 128, 0.0, 0.0, 1 / 128, 2.0])
    found = nearest(reference, reference)
    assert found.indices.tolist() == [0, 1, 2, 2, 1, 5]
    assert found.distances.tolist() == [0] * 6
    assert nearest(reference[:1], reference[1:]).distances.tolist() == [1]


def test_order_and_scale():
    samples, reference = _points(9, 4), _points(12, 4, seed=1)
    found = nearest(samples, reference)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(1))
    shuffled = nearest(samples, reference[order])
    assert torch.equal(order[shuffled.indices], found.indices)
    assert torch.equal(shuffled.distances, found.distances)
    assert torch.equal(nearest(samples * 4, reference * 4).distances, found.distances * 4)
    more = nearest(samples, torch.cat([reference, _points(12, 4, seed=2)]))
    assert (more.distances <= found.distances).all()


def test_what_is_not_finite_is_nearest_to_nothing():
    samples, reference = torch.tensor([[0.0], [math.nan], [math.inf]]), torch.tensor([[math.nan], [2.0], [math.inf]])
    found = nearest(samples, reference)
    assert found.indices.tolist() == [1, -1, -1]
    assert found.distances[0] == 2
    assert found.distances[1:].isnan().all()
    none = nearest(samples, reference[:0])
    assert none.indices.tolist() == [-1] * 3
    assert none.distances.isnan().all()
    assert nearest(samples[:0], reference).indices.shape == (0,)


def test_misuse():
    with pytest.raises(ValueError, match=r"not \(2, 3\) and \(2, 4\)"):
        nearest(torch.zeros(2, 3), torch.zeros(2, 4))
    with pytest.raises(ValueError, match=r"not \(2, 3, 1\)"):
        nearest(torch.zeros(2, 3, 1), torch.zeros(2, 3))
