"""How evenly the activations fill their range [z1, z2]."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from invset.metrics.share import in_range

BINS = 20


def histogram(activations: Tensor, lower: float, upper: float, bins: int = BINS) -> Tensor:
    """(n,) activations -> (bins,) int64, how many lie in each equal part of [lower, upper].

    A part holds its lower end, the last its upper end too. Activations outside, and NaN, are in none.

    Raises:
        ValueError: the activations are not (n,), not lower < upper, both finite, or `bins` < 1.
    """
    inside = _inside(activations, lower, upper)
    if not lower < upper or math.isinf(upper - lower):
        raise ValueError(f"a histogram needs a finite range, lower < upper, not {lower} to {upper}")
    if bins < 1:
        raise ValueError(f"bins are ≥ 1, not {bins}")
    counts, _ = np.histogram(inside.numpy(), bins=bins, range=(lower, upper))
    return torch.from_numpy(counts).long()


def uniform_distance(activations: Tensor, lower: float, upper: float) -> float:
    """(n,) activations -> the Kolmogorov-Smirnov distance to uniform over [lower, upper] of those inside it.

    The largest difference between the share of samples and the share of the range below a value: 1/(2n) for evenly
    spaced ones, 1 for all at an end, 0.87/√n on average for n drawn at random from the uniform. NaN if none is
    inside, or the range is infinite or has no width.

    Raises:
        ValueError: the activations are not (n,), or not lower ≤ upper.
    """
    inside = _inside(activations, lower, upper)
    count = len(inside)
    if not count or lower == upper or math.isinf(upper - lower):
        return math.nan
    below = (inside.sort().values - lower) / (upper - lower)
    steps = torch.arange(count + 1, dtype=torch.float64) / count
    return max((steps[1:] - below).max().item(), (below - steps[:-1]).max().item())


def _inside(activations: Tensor, lower: float, upper: float) -> Tensor:
    """Those in the range, float64; an end that rounded outwards in the activations' precision is the end."""
    inside = activations[in_range(activations, lower, upper)]
    return inside.detach().cpu().double().clamp(lower, upper)
