"""Evenly spaced rows, and how evenly the activations fill their range [z1, z2]."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from invset.metrics.share import in_range


def evenly_spaced(n: int, count: int) -> Tensor:
    """At most `count` of n rows, evenly spaced, the first and the last included: int64."""
    return torch.linspace(0, n - 1, min(count, n)).round().long()


def uniform_distance(activations: Tensor, lower: float, upper: float) -> float:
    """(n,) activations -> the Kolmogorov-Smirnov distance to uniform over [lower, upper] of those inside it.

    The largest difference between the share of samples and the share of the range below a value: 1/(2n) for evenly
    spaced ones, 1 for all at an end, 0.87/√n on average for n drawn at random from the uniform. NaN if none is
    inside, or the range is infinite or has no width.
    """
    # An end that rounded outwards in the activations' precision is the end.
    inside = activations[in_range(activations, lower, upper)].detach().cpu().double().clamp(lower, upper)
    count = len(inside)
    if not count or lower == upper or math.isinf(upper - lower):
        return math.nan
    below = (inside.sort().values - lower) / (upper - lower)
    steps = torch.arange(count + 1, dtype=torch.float64) / count
    return max((steps[1:] - below).max().item(), (below - steps[:-1]).max().item())
