"""How far samples lie apart: the mean distance over all pairs (Table 1), of two sets its ratio; near-duplicates.

Intervals are those of a percentile bootstrap (Efron 1979) in which samples are drawn, not pairs: the n(n−1)/2 distances
are not independent, and drawing them as if they were gives intervals that are far too narrow. A resample in which
sample i occurs w_i times has the mean distance

    Σ_{i<j} w_i w_j d_ij / Σ_{i<j} w_i w_j,

which leaves out the pairs of a sample with its own copies: they are no distances between samples, and their zeros would
make every resample too low by about 1/n of itself. Given a resample, this is unbiased: the w are exchangeable, so
every pair has the same expected weight, and the weights add to 1. A resample that is one sample n times (one in
n^(n−1)) has no pair, and is left out.

In simulations (a normal, and five tight clusters, d = 10, n = 10 to 200) the 95 % intervals held the truth in 93 to
100 of 100 trials; with clusters they are wider than need be.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from invset.metrics.distances import blocks
from invset.metrics.estimate import FEWEST, LEVEL, Estimate

RESAMPLES = 2000
CHUNK = 512  # resamples that are weighed at once


def near_duplicates(encodings: Tensor, threshold: float) -> Tensor:
    """(n, d) encodings -> (n,) bool: sample i is nearer than `threshold` to some earlier sample j < i.

    `threshold` is a Euclidean distance ≥ 0 in units of encoding; at 0 (or NaN) nothing is a near-duplicate.
    Memory grows as n, time as n²d.
    """
    found = torch.zeros(len(encodings), dtype=torch.bool, device=encodings.device)
    for block, distances in blocks(encodings):
        found[block] = (distances < threshold).tril(block.start - 1).any(dim=1)
    return found


def mean_pairwise_distance(encodings: Tensor) -> float:
    """The mean Euclidean distance over all unordered pairs of (n, d) encodings, ≥ 0, in units of encoding.

    NaN if n < 2. Memory grows as n, time as n²d.
    """
    count = len(encodings)
    total = 0.0
    for block, distances in blocks(encodings):
        total += distances.tril(block.start - 1).sum(dtype=torch.float64).item()
    return 2 * total / (count * (count - 1)) if count > 1 else math.nan


def mean_pairwise_estimate(encodings: Tensor, random_seed: int = 0) -> Estimate:
    """`mean_pairwise_distance` of (n, d) encodings and its interval, which fewer than 3 do not have.

    Memory grows as n times the resamples, time as n²(d + resamples).
    """
    return _middle(*_resampled(encodings, torch.Generator().manual_seed(random_seed)))


def distance_ratio(ours: Tensor, theirs: Tensor, random_seed: int = 0) -> Estimate:
    """The mean pairwise distance of (n, d) encodings over that of (m, d) ones, ≥ 0, without units, and its interval.

    Both sets are resampled, each on its own. NaN if a set has fewer than 2; no interval (NaN) if one has fewer than 3;
    infinite if theirs are all alike and ours are not, NaN if both are.
    """
    generator = torch.Generator().manual_seed(random_seed)
    above, above_replicates = _resampled(ours, generator)
    below, below_replicates = _resampled(theirs, generator)
    pairs = min(len(above_replicates), len(below_replicates))
    return _middle(above / below, above_replicates[:pairs] / below_replicates[:pairs])


def _resampled(encodings: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """(n, d) encodings -> () their mean pairwise distance, and (r,) of it in resamples, float64; none if n < 3."""
    count = len(encodings)
    drawn = torch.randint(max(count, 1), (RESAMPLES if count >= FEWEST else 0, count), generator=generator)
    weights = torch.zeros(len(drawn), count).scatter_add_(1, drawn, torch.ones(1, 1).expand(len(drawn), count))
    total, sums = 0.0, torch.zeros(len(drawn), dtype=torch.float64)
    for block, distances in blocks(encodings):
        pairs = distances.double().tril(block.start - 1)
        total += pairs.sum().item()
        for start in range(0, len(drawn), CHUNK):
            some = weights[start : start + CHUNK].double()
            sums[start : start + CHUNK] += ((some[:, block] @ pairs) * some[:, : block.stop]).sum(dim=1)
    weighed = (count**2 - weights.double().square().sum(dim=1)) / 2
    value = torch.tensor(2 * total / (count * (count - 1)) if count > 1 else math.nan, dtype=torch.float64)
    return value, sums[weighed > 0] / weighed[weighed > 0]


def _middle(value: Tensor, replicates: Tensor) -> Estimate:
    """The value, and between which of the (r,) replicates the middle 95 % of them lie; any NaN makes both ends NaN."""
    if not len(replicates):
        return Estimate(value.item())
    outside = (1 - LEVEL) / 2
    # The ends are replicates themselves, the next ones outwards, so infinite ones do no harm.
    low = torch.quantile(replicates, outside, interpolation="lower")
    high = torch.quantile(replicates, 1 - outside, interpolation="higher")
    return Estimate(value.item(), low.item(), high.item())
