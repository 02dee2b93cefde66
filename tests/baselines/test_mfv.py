"""Facets: which images, which clusters, which starts."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import Tensor

from invset.baselines.dgn_am import DgnAm, DgnAmSettings
from invset.baselines.mfv import Mfv, MfvSettings
from invset.core.problem import Problem
from invset.core.region import Region
from invset.errors import ConfigError
from tests.toys import as_images, problem_of

REGION = Region.two_sided([(0.0, 2.0)])
CENTRES = torch.tensor([[10.0, 0.0, 0.0], [0.0, 20.0, 0.0], [0.0, 0.0, 30.0]])


def blobs() -> tuple[Tensor, Tensor]:
    """Thirty codes about three centres, in turn, and which centre each is of."""
    noise = torch.randn(30, 3, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(30) % 3
    return CENTRES[labels] + noise, labels


def problem() -> Problem:
    """E is the code, negated; f is the sum of its entries: the third blob's is highest, the first's lowest."""

    def read(images: Tensor) -> tuple[Tensor, Tensor]:
        return -images.flatten(1), images.flatten(1).sum(dim=1, keepdim=True)

    return problem_of(as_images, read)


def mfv(real: Tensor, chains: int = 3, **settings: int) -> Mfv:
    its = problem()
    ascent = DgnAmSettings(starts="given", deviations=None)
    return Mfv(
        its, REGION, real, MfvSettings(**settings),
        lambda draw: DgnAm(its, REGION, draw, real, ascent, chains=chains), chains=chains, random_seed=1,
    )  # fmt: skip


def test_facets_start_at_the_means_of_the_images_nearest_to_their_centres() -> None:
    """Each blob is a cluster; five of its ten images, by brute force; one forward pass an image."""
    real, labels = blobs()
    method = mfv(real, clusters=3, nearest=5)
    starts = method.begin().codes
    assert method.problem.passes.counts.forward == 30 + 30, (
        "the natural codes, and the references, which are the same here"
    )
    expected = []
    for blob in range(3):
        members = real[labels == blob]
        distances = (members - members.mean(dim=0)).norm(dim=1)
        expected.append(members[distances.argsort()[:5]].mean(dim=0))
    order = (starts[:, None] - torch.stack(expected)).norm(dim=2).argmin(dim=1)
    assert sorted(order.tolist()) == [0, 1, 2]
    torch.testing.assert_close(starts, torch.stack(expected)[order])


def test_only_images_of_highest_activation_are_clustered() -> None:
    real, labels = blobs()
    facets = mfv(real, clusters=2, images=20).facets()
    assert torch.equal(facets.codes, real[labels > 0])
    assert len(facets.labels[labels[labels > 0] == 1].unique()) == 1
    with pytest.raises(ConfigError, match="4 clusters of 3"):
        mfv(real, clusters=4, images=3)


def test_facets_go_round_and_later_starts_are_other_means_of_the_same_images() -> None:
    real, _ = blobs()
    method = mfv(real, chains=2, clusters=3, nearest=5)
    facets = method.facets()
    first = {}
    for attempt, chain in product(range(6), range(2)):
        turn = chain + 2 * attempt
        start = method.ascent.draw(chain, attempt)
        facet = turn % 3
        members = facets.codes[facets.labels == facet]
        assert (start >= members.min(dim=0).values).all()
        assert (start <= members.max(dim=0).values).all()
        if turn < 3:
            first[facet] = start
        else:
            assert not torch.equal(start, first[facet])
        assert torch.equal(start, method.ascent.draw(chain, attempt))


def test_too_few_different_images_are_an_error_of_ours() -> None:
    with pytest.raises(ConfigError, match="1 different images"):
        mfv(torch.ones(30, 3), clusters=2).begin()
