"""A share of the samples, with Wilson's interval (Wilson 1927), which stays inside 0 to 1 and holds at 0 and 1."""

from __future__ import annotations

import math

from scipy.special import ndtri
from torch import Tensor

from invset.metrics.bootstrap import LEVEL, check
from invset.metrics.estimate import Estimate


def share(successes: int, trials: int, *, level: float = LEVEL) -> Estimate:
    """`successes` of `trials` independent ones -> their share, 0 to 1, and its interval; all NaN of no trials.

    Raises:
        ValueError: not 0 ≤ successes ≤ trials, or `level` is outside (0, 1).
    """
    check(1, level)
    if not 0 <= successes <= trials:
        raise ValueError(f"successes are 0 to {trials}, the number of trials, not {successes}")
    if not trials:
        return Estimate(math.nan, math.nan, math.nan)
    z = float(ndtri((1 + level) / 2))
    value = successes / trials
    center = (successes + z**2 / 2) / (trials + z**2)
    reach = z / (trials + z**2) * math.sqrt(successes * (1 - value) + z**2 / 4)
    # Both ends are exact in theory; rounding would leave 1e-17 there.
    low = 0.0 if successes == 0 else center - reach
    high = 1.0 if successes == trials else center + reach
    return Estimate(value, low, high)


def share_in_range(activations: Tensor, lower: float, upper: float, *, level: float = LEVEL) -> Estimate:
    """(n,) activations -> the share in the range [lower, upper], ends included, 0 to 1, and its interval.

    The ends are compared in the activations' precision. NaN is outside; all NaN if n = 0. The interval takes samples
    to be independent: samples of one chain are alike, and know less than it says.

    Raises:
        ValueError: the activations are not (n,), not lower ≤ upper, or `level` is outside (0, 1).
    """
    return share(int(in_range(activations, lower, upper).sum()), len(activations), level=level)


def in_range(activations: Tensor, lower: float, upper: float) -> Tensor:
    """(n,) activations -> (n,) bool, lower ≤ activation ≤ upper.

    Raises:
        ValueError: the activations are not (n,), or not lower ≤ upper.
    """
    if activations.ndim != 1:
        raise ValueError(f"activations are (n,), not {tuple(activations.shape)}")
    if not lower <= upper:
        raise ValueError(f"a range is lower ≤ upper, not {lower} to {upper}")
    return (activations >= lower) & (activations <= upper)
