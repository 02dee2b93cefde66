"""Groups: blobs are found, a cloud is called one, chains are not taken for kinds."""

from __future__ import annotations

import math

import pytest
import torch
from sklearn.cluster import AgglomerativeClustering
from sklearn.metrics import adjusted_rand_score, silhouette_samples

from invset.metrics import clusters as module
from invset.metrics.clusters import cluster, cuts, gaussian_cloud, medoid


def _points(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(autouse=True)
def _fewer_clouds(monkeypatch):
    monkeypatch.setattr(module, "CLOUDS", 40)


def _blobs(sizes: tuple[int, ...], d: int = 40, apart: float = 30.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Blobs at corners of a simplex, shuffled, and which blob each is of."""
    labels = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    labels = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(5))]
    return apart * torch.eye(d)[labels] + _points(len(labels), d), labels


@pytest.mark.parametrize("sizes", [(30, 20), (40, 25, 15), (25, 20, 16, 12, 9), tuple(range(40, 16, -2))])
def test_blobs_are_found_exactly(sizes):
    encodings, labels = _blobs(sizes)
    found = cluster(encodings, torch.arange(len(labels)) % 10)
    assert found.verdict == "clear"
    assert torch.equal(found.labels, labels)  # the blobs are numbered from the largest too
    assert found.count == len(sizes)
    assert torch.equal(cluster(encodings, groups=len(sizes)).labels, labels)


def test_order_does_not_matter():
    encodings = _points(120, 8)
    encodings[:50] += 2
    chains = torch.arange(120) % 9
    order = torch.randperm(120, generator=torch.Generator().manual_seed(1))
    before, after = cluster(encodings, chains, 5), cluster(encodings[order], chains[order], 5)
    assert adjusted_rand_score(before.labels[order], after.labels) == 1
    assert set(order[after.medoids].tolist()) == set(before.medoids.tolist())
    assert after.silhouette == pytest.approx(before.silhouette, rel=1e-9)
    again = cluster(encodings, chains, 5)
    assert torch.equal(again.labels, before.labels)
    assert again.chance == before.chance


@pytest.mark.parametrize("d", [1, 2, 3, 30])
def test_a_cloud_has_no_groups(d):
    """By silhouettes alone it would: a flat cloud, cut, has those of weak structure or better."""
    found = cluster(_points(200, d, seed=3))
    assert found.verdict == "none"
    assert found.silhouette > (0.25 if d < 3 else 0)


def test_chance_is_about_one_in_twenty():
    verdicts = [cluster(_points(40, 5, seed=seed), random_seed=seed).verdict for seed in range(20)]
    assert verdicts.count("none") >= 16  # at a chance of 1/20 there are 4 others or fewer 997 times in 1000


def test_chains_are_not_taken_for_kinds():
    """Ten walks far from each other: ordinary silhouettes see ten groups, and there is one cloud of walks."""
    chains = torch.arange(10).repeat_interleave(20)
    encodings = 30 * _points(10, 20, seed=1)[chains] + _points(200, 20, seed=2)
    ordinary = cluster(encodings)
    assert (ordinary.count, ordinary.verdict) == (10, "clear")
    found = cluster(encodings, chains)
    assert found.verdict == "none"
    kinds = chains % 3  # three kinds, each of several walks, are found
    found = cluster(encodings + 200 * torch.eye(20)[kinds], chains)
    assert found.count == 3
    assert adjusted_rand_score(found.labels, kinds) == 1


def test_medoids_against_brute_force(monkeypatch):
    encodings = _points(90, 7)
    found = cluster(encodings, groups=4)
    rows = encodings.tolist()
    for group in range(4):
        members = (found.labels == group).nonzero()[:, 0].tolist()
        sums = {i: sum(math.dist(rows[i], rows[j]) for j in members) for i in members}
        best = min(sums, key=sums.__getitem__)
        assert found.medoids[group] == best
        for i in members:
            assert found.distances[i].item() == pytest.approx(math.dist(rows[i], rows[best]), abs=1e-6)
    monkeypatch.setattr(module, "AT_ONCE", 8)
    assert medoid(encodings) == min(range(90), key=lambda i: sum(math.dist(rows[i], other) for other in rows))
    assert medoid(torch.zeros(5, 2)) == 0


def test_cuts_are_those_of_scikit_learn():
    points = _points(60, 5).double()
    for count, cut in zip(range(2, 60), cuts(points, torch.arange(60), range(2, 60)), strict=True):
        theirs = AgglomerativeClustering(count, linkage="ward").fit_predict(points.numpy())
        assert adjusted_rand_score(theirs, cut.labels) == 1
        assert cut.labels.unique().tolist() == list(range(count))


def test_a_cloud_has_the_shape_of_the_points():
    """Covariances of chains' means and within each chain, over many clouds, to the error of so many draws."""
    chains = torch.arange(6).repeat_interleave(5)
    widths = torch.linspace(0.5, 2, 6)[chains][:, None]
    points = (_points(6, 3)[chains] * torch.tensor([3.0, 1, 0]) + widths * _points(30, 3, seed=1)).double()
    own = points.view(6, 5, 3)
    generator = torch.Generator().manual_seed(0)
    clouds = torch.stack([gaussian_cloud(points, chains, generator) for _ in range(3000)])
    for found, expected in (
        (clouds[:, 0] - clouds[:, 29], 2 * own.mean(dim=1).T.cov() + own[0].T.cov() + own[5].T.cov()),
        (clouds[:, 0] - clouds[:, 1], 2 * own[0].T.cov()),
        (clouds[:, 28] - clouds[:, 29], 2 * own[5].T.cov()),
    ):
        torch.testing.assert_close(found.T.cov(), expected, rtol=0, atol=0.12 * float(expected.diagonal().max()))
    alone = gaussian_cloud(points, torch.arange(30), generator)
    assert alone.isfinite().all()


def test_large_sets_go_to_the_nearest_mean(monkeypatch):
    monkeypatch.setattr(module, "AT_ONCE", 50)
    encodings, labels = _blobs((90, 60, 30))
    found = cluster(encodings, torch.arange(180) % 10)
    assert torch.equal(found.labels, labels)
    assert found.in_tree == 50


@pytest.mark.parametrize("chains", [None, torch.tensor([1, 1, 2, 2, 3, 3])])
def test_equal_encodings_are_one_group(chains):
    found = cluster(torch.full((6, 3), 0.1), chains)
    assert (found.count, found.verdict, found.components) == (1, "none", 0)
    assert found.labels.tolist() == [0] * 6
    assert found.medoids.tolist() == [0]
    assert found.distances.tolist() == [0] * 6
    assert math.isnan(found.silhouette)
    assert math.isnan(found.chance)


def test_few_samples():
    two = cluster(torch.tensor([[0.0], [1.0]]))
    assert (two.count, two.verdict) == (1, "none")  # two singletons: silhouettes of 0
    assert cluster(torch.tensor([[0.0], [1.0]]), groups=2).labels.tolist() == [0, 1]
    copies = cluster(torch.tensor([[0.0, 1], [5, 1], [0, 1], [5, 1], [5, 1]]))
    assert copies.labels.tolist() == [1, 0, 1, 0, 0]
    assert copies.silhouette == 1
    one_chain = cluster(_blobs((20, 12))[0], torch.ones(32))
    assert one_chain.count == 2


def test_too_many_groups():
    for groups in (1, 4):
        with pytest.raises(ValueError, match="3 of the encodings differ, so there are 2 to 3 groups, not"):
            cluster(torch.tensor([[0.0], [1], [2], [2]]), groups=groups)


# Silhouettes over other chains.


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
def test_silhouettes_against_brute_force(chains, groups):
    points, numbers = _points(30, 4).double(), torch.arange(30) * chains // 30 + 1
    (cut,) = cuts(points, numbers, [groups])
    expected = _brute(points.tolist(), cut.labels.tolist(), numbers.tolist())
    torch.testing.assert_close(cut.silhouettes, torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=1e-12)


def test_samples_that_are_chains_of_their_own_have_ordinary_silhouettes():
    points = _points(50, 6).double()
    (cut,) = cuts(points, torch.arange(50), [5])
    expected = torch.from_numpy(silhouette_samples(points.numpy(), cut.labels.numpy()))
    torch.testing.assert_close(cut.silhouettes, expected)


def test_groups_that_are_chains_earn_nothing():
    points = 100 * torch.eye(3, dtype=torch.float64).repeat_interleave(5, dim=0) + _points(15, 3)
    chains = torch.arange(3).repeat_interleave(5)
    assert cuts(points, chains, [3])[0].silhouettes.abs().max() == 0
    assert cuts(points, torch.arange(15) % 2, [3])[0].silhouettes.min() > 0.9
