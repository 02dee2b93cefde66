"""Vendi scores of several runs: one bandwidth for all of them, and each kernel computed once for its interval."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from invset.metrics.distances import blocks
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


def cosine_kernel(encodings: Tensor) -> Tensor:
    """(n, d) -> (n, n) float64 cosines, as in `cosine_vendi`; NaN for an encoding that is zero."""
    unit = encodings.detach().double()
    unit = unit / unit.abs().amax(dim=1, keepdim=True)
    unit = unit / torch.linalg.vector_norm(unit, dim=1, keepdim=True)
    return unit @ unit.T


def gaussian_kernel(encodings: Tensor, bandwidth: float) -> Tensor:
    """(n, d) -> (n, n) float64, exp(−‖a − b‖²/(2h²)), as in `gaussian_vendi`; at h = 0 only equals are alike."""
    kernel = torch.zeros(len(encodings), len(encodings), dtype=torch.float64)
    for block, distances in blocks(encodings.double()):
        kernel[block, : block.stop] = (distances / bandwidth).square().div(-2).exp().where(distances != 0, 1.0)
    return kernel.tril() + kernel.tril(-1).T


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
