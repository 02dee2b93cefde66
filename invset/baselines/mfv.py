"""`method=mfv`: multifaceted feature visualisation (Nguyen et al. 2016, ICML workshop; arXiv:1602.03616).

Real images that the unit responds to are clustered, and activation maximisation starts at each cluster's mean: the mean
of the images nearest to its centre. As published the clusters are found by k-means in a t-SNE of the images' encodings;
here by k-means of the encodings themselves. The ascent is another baseline's: pixel_ascent for images as the original
has it, dgn_am for codes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from invset.baselines.rounds import RoundState
from invset.core.chains import Draw
from invset.core.method import Abilities, Method, Step
from invset.core.problem import Problem, require_some
from invset.core.randomness import seeded_generator
from invset.core.region import Region
from invset.errors import ConfigError
from invset.settings import at_least, setting

BATCH = 64  # natural codes that are looked at together, whose images are not kept


@dataclass(frozen=True)
class MfvSettings:
    """Ten clusters, fifteen images a mean, as published."""

    clusters: int = setting(10, "how many facets", at_least(1))
    nearest: int = setting(15, "images whose mean a facet starts from", at_least(1))
    images: int | None = setting(
        200, "that many of the natural codes, those of highest activation, are clustered; null: all", at_least(1)
    )
    iterations: int = setting(50, "k-means takes at most so many iterations", at_least(1))


class Facets(NamedTuple):
    """Natural codes (m, c) that were clustered, their clusters (m,), and their distances to their own centres (m,)."""

    codes: Tensor
    labels: Tensor
    distances: Tensor


class Mfv(Abilities):
    """Facets by turns: chain k starts at facet k, then at k + K, and round again.

    A facet's first start is the mean of the images nearest to its centre; later ones, which the original has not, are
    means of as many of its images, drawn with replacement.

    Args:
        problem: codes to images, encodings, activations; `objective` `encodings` or `none`.
        region: the activation ranges.
        real: codes (m, c) of real images, as those of the unit's class; for pixels the images themselves.
        settings: see `MfvSettings`.
        ascent: given where chains start, the method that goes on from there, with K chains and `starts=given`.
        chains: K.
        random_seed: of the clusters' first centres and of later starts.

    Raises:
        ConfigError: there are too few natural codes, or settings make no sense.
    """

    State: ClassVar[type] = RoundState
    Settings: ClassVar[type | None] = MfvSettings

    def __init__(
        self,
        problem: Problem,
        region: Region,
        real: Tensor,
        settings: MfvSettings,
        ascent: Callable[[Draw], Method],
        *,
        chains: int = 10,
        random_seed: int = 0,
    ) -> None:
        count = min(len(real), len(real) if settings.images is None else settings.images)
        if count < settings.clusters:
            raise ConfigError(
                f"mfv: {settings.clusters} clusters of {count} real images; give more images, or ask for fewer."
            )
        self.problem = problem
        self.region = region
        self.real = real
        self.settings = settings
        self.count = count
        self.chains = chains
        self.random_seed = random_seed
        self.ascent = ascent(self._start)
        self._facets: Facets | None = None

    def begin(self) -> RoundState:
        """The state before the first step: the facets found, which takes a forward pass of each natural code."""
        self._facets = self.facets()
        return self.ascent.begin()

    def step(self, state: RoundState) -> tuple[RoundState, Step]:
        """One step of the ascent.

        Raises:
            NonFiniteError: an activation, an encoding or the gradient is NaN or infinite.
        """
        return self.ascent.step(state)

    def renew(self, state: Any, which: Tensor) -> Any:
        """As the ascent's."""
        return self.ascent.renew(state, which)

    def facets(self) -> Facets:
        """The natural codes of highest activation (of several units: of their sum, in half widths), in clusters.

        Those that give NaN or infinity are left out.

        Raises:
            ConfigError: there are fewer different images than clusters.
        """
        parts = [self.problem.evaluate(part) for part in self.real.split(BATCH)]
        encodings = torch.cat([part.encodings for part in parts])
        activations = torch.cat([part.activations for part in parts])
        finite = require_some(torch.cat([part.finite for part in parts]))
        height = (activations / self.region.half_width).sum(dim=1).masked_fill(~finite, -torch.inf)
        count = min(self.count, int(finite.sum()))
        highest = height.argsort(descending=True, stable=True)[:count].sort().values
        labels, distances = cluster(
            encodings[highest],
            self.settings.clusters,
            self.settings.iterations,
            seeded_generator("mfv", self.random_seed),
        )
        return Facets(self.real[highest], labels, distances)

    def _start(self, chain: int, attempt: int) -> Tensor:
        turn = chain + attempt * self.chains
        facet, visit = turn % self.settings.clusters, turn // self.settings.clusters
        facets = self._known_facets()
        members = (facets.labels == facet).nonzero().flatten()
        if visit == 0:
            order = facets.distances[members].argsort(stable=True)
            chosen = members[order[: self.settings.nearest]]
        else:
            randomness = seeded_generator("mfv start", self.random_seed, facet, visit)
            drawn = torch.randint(len(members), (self.settings.nearest,), generator=randomness)
            chosen = members[drawn.to(members.device)]
        return facets.codes[chosen].mean(dim=0)

    def _known_facets(self) -> Facets:
        """The facets; in a resumed run found again, at no passes: its first part has counted them."""
        if self._facets is None:
            counts = self.problem.passes.counts
            forward = counts.forward
            self._facets = self.facets()
            counts.forward = forward
        return self._facets


def cluster(points: Tensor, clusters: int, iterations: int, randomness: torch.Generator) -> tuple[Tensor, Tensor]:
    """k-means of points (m, d) from k-means++ centres: labels (m,), from 0, and distances to the own centre (m,).

    Raises:
        ConfigError: there are fewer different points than clusters.
    """
    from scipy.cluster.vq import ClusterError, kmeans2

    values = points.detach().cpu().double()
    if (different := len(values.unique(dim=0))) < clusters:
        raise ConfigError(f"mfv: {clusters} clusters of {different} different images; ask for fewer clusters.")
    seed = int(torch.randint(2**31, (1,), generator=randomness))
    try:
        _, found = kmeans2(values.numpy(), clusters, iter=iterations, minit="++", missing="raise", seed=seed)
    except ClusterError as error:
        raise ConfigError(f"mfv: {clusters} clusters of {len(values)} images left one empty; ask for fewer.") from error
    labels = torch.as_tensor(found, dtype=torch.int64)
    means = torch.stack([values[labels == label].mean(dim=0) for label in range(clusters)])
    return labels.to(points.device), (values - means[labels]).norm(dim=1).to(points.device)
