"""The mean pairwise distance (the paper's Table 1) with a bootstrap interval.

Samples are drawn, not pairs: the n(n−1)/2 distances are not independent, and drawing them as if they were gives
intervals that are far too narrow. A resample in which sample i occurs w_i times has the mean distance

    Σ_{i<j} w_i w_j d_ij / Σ_{i<j} w_i w_j,

which leaves out the pairs of a sample with its own copies: they are no distances between samples, and their zeros would
make every resample too low by about 1/n of itself. Given a resample, this is unbiased: the w are exchangeable, so
every pair has the same expected weight, and the weights add to 1. A resample that is one sample n times (one in
n^(n−1)) has no pair, and is drawn again.

In simulations (a normal, and five tight clusters, d = 10, n = 10 to 200) its 95 % intervals held the truth in 93 to
100 of 100 trials; with clusters they are wider than need be.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from invset.metrics.bootstrap import LEVEL, RESAMPLES, check, draws, percentiles
from invset.metrics.distances import blocks
from invset.metrics.estimate import Estimate

CHUNK = 512  # resamples that are weighed at once


def mean_pairwise_estimate(
    encodings: Tensor,
    *,
    squared: bool = False,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    random_seed: int = 0,
) -> Estimate:
    """The mean distance over all pairs of (n, d) encodings, ≥ 0, in units of encoding, and its interval over samples.

    With `squared`, of squared distances. NaN if n < 2; no interval (NaN) if n < 3. With encodings
    that are not finite it is not finite either. Memory grows as n times the resamples, time as n²(d + resamples).

    Raises:
        ValueError: the encodings are not (n, d), `resamples` < 1, or `level` is outside (0, 1).
    """
    check(resamples, level)
    generator = torch.Generator().manual_seed(random_seed)
    value, replicates = mean_pairwise_replicates(encodings, resamples, generator, squared)
    return percentiles(value, replicates, level)


def mean_pairwise_replicates(
    encodings: Tensor, resamples: int, generator: torch.Generator, squared: bool = False
) -> tuple[float, Tensor]:
    """(n, d) encodings -> their mean pairwise distance, and (resamples,) of it in resamples, float64.

    Raises:
        ValueError: the encodings are not (n, d).
    """
    count = len(encodings)
    weights = _counts(count, resamples, generator).to(encodings.device)
    sums = torch.zeros(len(weights), dtype=torch.float64, device=encodings.device)
    total = 0.0
    for block, distances in blocks(encodings):
        pairs = distances.double().tril(block.start - 1)
        pairs = pairs.square() if squared else pairs
        total += pairs.sum().item()
        for start in range(0, len(weights), CHUNK):
            some = weights[start : start + CHUNK].double()
            sums[start : start + CHUNK] += ((some[:, block] @ pairs) * some[:, : block.stop]).sum(dim=1)
    value = 2 * total / (count * (count - 1)) if count > 1 else math.nan
    if count < 3:
        return value, torch.full((resamples,), math.nan, dtype=torch.float64)
    pairs_weight = (count**2 - weights.double().square().sum(dim=1)) / 2
    return value, (sums / pairs_weight).cpu()


def _counts(size: int, resamples: int, generator: torch.Generator) -> Tensor:
    """(resamples, size) int32: how often each sample occurs in each resample; (0, size) if there is no interval."""
    counts = torch.zeros(resamples if size > 2 else 0, size, dtype=torch.int32)
    for row, chosen in zip(counts, draws(size, len(counts), generator, distinct=2), strict=True):
        row.copy_(torch.bincount(chosen, minlength=size))
    return counts
