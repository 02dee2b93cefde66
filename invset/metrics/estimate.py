"""A measured number with its 95 % interval, and the intervals that any measure can have."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from scipy.special import stdtrit
from torch import Tensor

LEVEL = 0.95
DEALT = 20  # groups of the jackknife
FEWEST = 3  # values or samples for an interval


class Estimate(NamedTuple):
    """A measure and its interval, all in the measure's units.

    Attributes:
        value: the measure of the samples themselves; NaN where it has none.
        low: the lower end of the interval; NaN where there are too few samples for one.
        high: the upper end; NaN where `low` is.
    """

    value: float
    low: float = math.nan
    high: float = math.nan


def jackknife(count: int, statistic: Callable[[Tensor], float], random_seed: int = 0) -> Estimate:
    """A statistic of n samples, and its interval from leaving out one group of samples at a time.

    For statistics that see copies, as the Vendi score: a bootstrap's resamples hold copies, and would come out too low.
    The samples are dealt at random to g = 20 groups of equal size (± 1); with θ_j the statistic without group j, the
    variance is (g−1)/g Σ(θ_j − θ̄)², and the interval value ± its root times Student's t of g − 1 degrees of freedom
    (Tukey 1958; Shao & Wu 1989 for groups). In simulations (a normal, and five tight clusters, d = 10) its intervals
    held the true Vendi score in 93 to 99 of 100 trials at n = 60 and 200, in 89 to 99 at n = 20.

    Args:
        count: n; without samples all is NaN, with fewer than 3 there is no interval.
        statistic: (m,) int64 indices of samples -> a number; NaN is passed on.
        random_seed: of the deal.
    """
    rows = torch.arange(count)
    value = statistic(rows) if count else math.nan
    if count < FEWEST:
        return Estimate(value)
    groups = min(DEALT, count)
    dealt = torch.randperm(count, generator=torch.Generator().manual_seed(random_seed)) % groups
    left = torch.tensor([statistic(rows[dealt != group]) for group in range(groups)], dtype=torch.float64)
    reach = ((groups - 1) / groups * (left - left.mean()).square().sum()).sqrt().item() * _student(groups)
    return Estimate(value, value - reach, value + reach)


def mean_over_groups(values: Sequence[float]) -> Estimate:
    """The mean of numbers, one a group (a unit, say), and the interval for other groups of the same kind.

    Mean ± s/√g times Student's t of g − 1 degrees of freedom; none of fewer than 3 groups, or where one is not finite.
    Not a bootstrap over groups: of 3, 5, 8 and 24 normal numbers (2000 trials) a bootstrap's interval held the mean
    in 73, 83, 88 and 94 %, this in 95, 95, 94 and 96 %.
    """
    numbers = torch.tensor(values, dtype=torch.float64)
    mean = numbers.mean().item()
    if len(numbers) < FEWEST or not numbers.isfinite().all():
        return Estimate(mean)
    reach = numbers.std().item() / math.sqrt(len(numbers)) * _student(len(numbers))
    return Estimate(mean, mean - reach, mean + reach)


def ratio_over_groups(ratios: Sequence[float]) -> Estimate:
    """The geometric mean of ratios > 0, one a group, and its interval, that of the mean of their logarithms."""
    return Estimate(*map(math.exp, mean_over_groups([math.log(ratio) for ratio in ratios])))


def _student(groups: int) -> float:
    return float(stdtrit(groups - 1, (1 + LEVEL) / 2))
