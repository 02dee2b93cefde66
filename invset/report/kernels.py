"""Vendi scores of several runs: one bandwidth for all of them, and each kernel computed once for its interval."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from invset.metrics.estimate import Estimate
from invset.metrics.jackknife import jackknife
from invset.metrics.vendi import half_median_bandwidth, vendi_score
from invset.report.measured import Cell

POOLED = 2000  # encodings at most, of all runs together, whose distances settle the bandwidth


def pooled_bandwidth(encodings: Sequence[Tensor]) -> float:
    """Half the median distance between encodings of all the (n, d) sets together, an equal share of each.

    Of large sets it is that of evenly spaced samples, `POOLED` in all. NaN where there are none.
    """
    encodings = [own for own in encodings if len(own)]
    if not encodings:
        return math.nan
    each = max(2, POOLED // len(encodings))
    thinned = [own[torch.linspace(0, len(own) - 1, min(each, len(own))).round().long()] for own in encodings]
    return half_median_bandwidth(torch.cat(thinned))


def vendi_estimates(
    encodings: Sequence[Tensor], kernel_of: Callable[[Tensor], Tensor], random_seed: int
) -> tuple[Cell, ...]:
    """The scores with jackknife intervals: a kernel is computed once, and a part of it is the kernel of a part."""

    def estimate(own: Tensor) -> Estimate:
        kernel = kernel_of(own)
        return jackknife(
            torch.arange(len(own)), lambda rows: vendi_score(kernel[rows][:, rows]), random_seed=random_seed
        )

    return tuple(estimate(own) if len(own) else None for own in encodings)
