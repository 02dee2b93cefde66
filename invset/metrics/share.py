"""Shares of samples, as of those in a range, with Wilson's interval (1927): inside 0 to 1, and one at 0 and 1 too."""

from __future__ import annotations

import math

from scipy.special import ndtri
from torch import Tensor

from invset.metrics.estimate import LEVEL, Estimate


def share(successes: int, trials: int) -> Estimate:
    """`successes` of `trials` independent ones -> their share, 0 to 1, and its interval; all NaN of no trials."""
    if not trials:
        return Estimate(math.nan)
    z = float(ndtri((1 + LEVEL) / 2))
    value = successes / trials
    center = (successes + z**2 / 2) / (trials + z**2)
    reach = z / (trials + z**2) * math.sqrt(successes * (1 - value) + z**2 / 4)
    # Both ends are exact in theory; rounding would leave 1e-17 there.
    low = 0.0 if successes == 0 else center - reach
    high = 1.0 if successes == trials else center + reach
    return Estimate(value, low, high)


def in_range(activations: Tensor, lower: float, upper: float) -> Tensor:
    """(n,) activations -> (n,) bool, lower ≤ activation ≤ upper, compared in the activations' precision."""
    return (activations >= lower) & (activations <= upper)


def in_top(logits: Tensor, row: int, k: int) -> Tensor:
    """(n, classes) logits -> (n,) bool, whether fewer than k other classes are as large as class `row` or larger.

    So a network that cannot tell the classes apart sees none of them, as does one that gives NaN.
    """
    as_large = (logits >= logits[:, row : row + 1]).sum(dim=1) - 1  # without itself
    return (as_large < k) & ~logits.isnan().any(dim=1)
