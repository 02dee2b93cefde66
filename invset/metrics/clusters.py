"""Groups of samples by their encodings: how many there are, and whether they are more than parts of one cloud.

Ward's tree of the principal components: on runs of the built-in model its groups were as tight as those of k-means, and
one tree, without a random start, gives every number of groups. Components: distances in hundreds of dimensions are
mostly noise, and a few dozen components hold 90 % of the variance.

Silhouettes (Rousseeuw 1987) are over samples of other chains: a chain of a sampler is a walk, whose samples lie close
together whatever they show, so that by ordinary silhouettes the groups of a run are its chains, one each. Any cloud can
be cut, a flat one into parts with fine silhouettes, and into two with finer ones than into six. So Gaussian clouds of
the same shape are cut as well, and the number of groups is the one whose mean silhouette exceeds theirs most (as the
gap statistic of Tibshirani, Walther & Hastie 2001 does with spreads). Groups are more than parts of one cloud if few
clouds stand out as much at any number of groups, in standard deviations of the clouds at that number: cuts into two
differ more from cloud to cloud than cuts into six.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from scipy.cluster.hierarchy import fcluster, linkage
from sklearn.decomposition import PCA
from torch import Tensor

from invset.metrics.distances import exact_distances

MOST = 12  # groups, where their number is to be found
AT_ONCE = 1000  # samples in the tree at most: it and the silhouettes take memory as n²
COMPONENTS, KEPT = 50, 0.9  # principal components at most, and the share of variance that is enough
CLOUDS = 100  # to hold the samples against
CHANCE = 0.05  # share of clouds that stand out as much, from which on it may be chance
LEAST = 1e-3  # standard deviation of silhouettes at least: less means nothing
CLEAR = 0.25  # Kaufman & Rousseeuw 1990: below it, no substantial structure


@dataclass(frozen=True)
class Clusters:
    """Groups of n samples, largest first.

    Attributes:
        labels: (n,) int64, each sample's group, from 0.
        medoids: (k,) int64, of each group the sample of the smallest mean distance to the others.
        distances: (n,) float64, of each sample's encoding to that of its medoid.
        group_silhouettes: (k,) float64, means over the samples in the tree; NaN if k = 1.
        silhouette: the mean over all samples in the tree, −1 to 1; NaN if k = 1.
        expected: the same of Gaussian clouds of the same shape that are cut into k, their mean; NaN if k = 1.
        chance: the share of clouds that stand out as much as the samples, 0 to 1; NaN if k = 1.
        components: dimensions in which samples were grouped.
        in_tree: how many samples the tree is of; the others were given to the nearest mean.
    """

    labels: Tensor
    medoids: Tensor
    distances: Tensor
    group_silhouettes: Tensor
    silhouette: float
    expected: float
    chance: float
    components: int
    in_tree: int

    @property
    def count(self) -> int:
        """k, the groups."""
        return len(self.medoids)

    @property
    def verdict(self) -> Literal["clear", "weak", "none"]:
        """Whether groups stand apart; weak: more than by chance, but with silhouettes below `CLEAR`."""
        if not self.chance < CHANCE:
            return "none"
        return "clear" if self.silhouette >= CLEAR else "weak"


class Cut(NamedTuple):
    """Some groups of n points: (n,) int64 labels from 0, and (n,) silhouettes."""

    labels: Tensor
    silhouettes: Tensor


def cluster(
    encodings: Tensor, chains: Tensor | None = None, groups: int | None = None, random_seed: int = 0
) -> Clusters:
    """(n, d) encodings, n ≥ 2, and (n,) numbers of their chains -> groups.

    Args:
        encodings: finite.
        chains: without them, or with one chain only, each sample counts as a chain of its own.
        groups: how many; None: the number that stands apart best, 2 to `MOST`; 1 if no silhouette is above 0.
        random_seed: of the clouds, and of the samples in the tree where n is above `AT_ONCE`.

    Raises:
        ValueError: not 2 ≤ groups ≤ the number of different encodings.
    """
    generator = torch.Generator().manual_seed(random_seed)
    rows = torch.randperm(len(encodings), generator=generator)[:AT_ONCE].sort().values
    own_chains = torch.arange(len(rows)) if chains is None or len(chains[rows].unique()) == 1 else chains[rows]
    different = len(encodings[rows].unique(dim=0))
    if groups is not None and not 2 <= groups <= different:
        if different == 1:
            raise ValueError("all encodings are equal, and make one group")
        raise ValueError(f"{different} of the encodings differ, so there are 2 to {different} groups, not {groups}")
    points = _components(encodings, rows, random_seed) if different > 1 else torch.zeros(len(encodings), 0)
    counts = list(range(2, min(MOST, different) + 1)) if groups is None else [groups]
    found = cuts(points[rows], own_chains, counts)
    apart = torch.tensor([cut.silhouettes.mean().item() for cut in found], dtype=torch.float64)
    if groups is None and not (apart > 0).any():
        whole = Cut(torch.zeros(len(rows), dtype=torch.int64), torch.full((len(rows),), torch.nan))
        return _described(encodings, points, rows, whole, math.nan, math.nan)
    clouds = (gaussian_cloud(points[rows], own_chains, generator) for _ in range(CLOUDS))
    means = [[cut.silhouettes.mean().item() for cut in cuts(cloud, own_chains, counts)] for cloud in clouds]
    of_clouds = torch.tensor(means, dtype=torch.float64)  # (clouds, counts)
    expected, deviation = of_clouds.mean(dim=0), of_clouds.std(dim=0).clamp(min=LEAST)
    best = int((apart - expected).argmax())
    standing_out = ((torch.cat([apart[None], of_clouds]) - expected) / deviation).amax(dim=1)
    chance = (standing_out[1:] >= standing_out[0]).double().mean().item()
    return _described(encodings, points, rows, found[best], float(expected[best]), chance)


def cuts(points: Tensor, chains: Tensor, counts: Sequence[int]) -> list[Cut]:
    """(n, d) points, (n,) numbers of chains -> Ward's tree cut into each of these numbers of groups, n at most."""
    if not counts:
        return []
    tree = linkage(points.numpy(), "ward")
    labels = [torch.from_numpy(fcluster(tree, count, "maxclust")).long() - 1 for count in counts]
    # 1 where two samples are of different chains, and count; else 0.
    counted = (chains[:, None] != chains).double()
    distances = exact_distances(points.double(), points.double()) * counted
    return [Cut(own, _silhouettes(distances, counted, own)) for own in labels]


def gaussian_cloud(points: Tensor, chains: Tensor, generator: torch.Generator) -> Tensor:
    """(n, d) points drawn anew: chains' means from one Gaussian, and the deviations of each chain from one of its own.

    They have the covariances that the points' own have: a chain is as long as it was, and goes in the same directions.
    """
    _, chain, sizes = chains.unique(return_inverse=True, return_counts=True)
    means = torch.zeros(len(sizes), points.shape[1], dtype=torch.float64).index_add_(0, chain, points)
    means /= sizes[:, None]
    across = torch.randn(len(sizes), len(sizes), generator=generator, dtype=torch.float64) / (len(sizes) - 1) ** 0.5
    along = torch.randn(len(points), len(points), generator=generator, dtype=torch.float64)
    along *= (chain[:, None] == chain) / (sizes[chain] - 1).clamp(min=1).sqrt()
    return (across @ (means - means.mean(dim=0)))[chain] + along @ (points - means[chain])


def medoid(points: Tensor) -> int:
    """(n, d) points, n ≥ 1 -> the one of the smallest sum of distances to all; of those that tie, the first."""
    sums = [exact_distances(part, points).double().sum(dim=1) for part in points.split(AT_ONCE)]
    return int(torch.cat(sums).argmin())


def _silhouettes(distances: Tensor, counted: Tensor, labels: Tensor) -> Tensor:
    """(n, n) distances of the pairs that count, (n,) labels from 0 -> (n,) silhouettes, (b − a) / max(a, b), −1 to 1.

    a is a sample's mean distance to its own group, b the smallest to another group, over the samples that count. 0
    where its own group, or all else, has none: a group of one chain earns nothing.
    """
    members = torch.nn.functional.one_hot(labels).double()
    counts = counted @ members
    means = torch.where(counts > 0, distances @ members / counts.clamp(min=1), torch.inf)
    own = labels[:, None]
    a = means.gather(1, own)[:, 0]
    b = means.scatter(1, own, torch.inf).amin(dim=1)
    known = a.isfinite() & b.isfinite() & (torch.maximum(a, b) > 0)
    return torch.where(known, (b - a) / torch.where(known, torch.maximum(a, b), 1.0), 0.0)


def _components(encodings: Tensor, rows: Tensor, random_seed: int) -> Tensor:
    few = encodings[rows].double().numpy()
    analysis = PCA(min(COMPONENTS, *few.shape), random_state=random_seed % 2**32).fit(few)
    kept = int((analysis.explained_variance_ratio_.cumsum() < KEPT).sum()) + 1
    whole = [torch.from_numpy(analysis.transform(part.double().numpy())) for part in encodings.split(AT_ONCE)]
    return torch.cat(whole)[:, :kept].contiguous()


def _spread(points: Tensor, rows: Tensor, labels: Tensor) -> Tensor:
    """The labels of the points in the tree, and for the others the label of the nearest mean."""
    if len(rows) == len(points):
        return labels
    means = torch.stack([points[rows][labels == label].mean(dim=0) for label in range(int(labels.max()) + 1)])
    whole = torch.cdist(points, means).argmin(dim=1)
    whole[rows] = labels
    return whole


def _described(encodings: Tensor, points: Tensor, rows: Tensor, cut: Cut, expected: float, chance: float) -> Clusters:
    """Groups in order of size, each with its medoid."""
    labels = _spread(points, rows, cut.labels)
    order = labels.bincount().argsort(descending=True, stable=True)
    labels = order.argsort()[labels]
    medoids, distances, means = [], torch.zeros(len(labels), dtype=torch.float64), []
    for group in range(len(order)):
        members = (labels == group).nonzero()[:, 0]
        medoids.append(int(members[medoid(encodings[members])]))
        means.append(cut.silhouettes[labels[rows] == group].mean().item())
        apart = encodings[members].double() - encodings[medoids[-1]].double()
        distances[members] = torch.linalg.vector_norm(apart, dim=1)
    return Clusters(
        labels=labels,
        medoids=torch.tensor(medoids),
        distances=distances,
        group_silhouettes=torch.tensor(means, dtype=torch.float64),
        silhouette=cut.silhouettes.mean().item(),
        expected=expected,
        chance=chance,
        components=points.shape[1],
        in_tree=len(rows),
    )
