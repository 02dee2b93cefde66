"""The grouped jackknife: an interval for statistics that a bootstrap's copies would lower, as the Vendi score.

In simulations (a normal, and five tight clusters, d = 10) its 95 % intervals held the truth in 93 to 99 of 100 trials
of the Vendi score at n = 60 and 200, in 89 to 99 at n = 20, and in 93 to 99 of precision, recall, density and coverage
at n = 200.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from scipy.special import stdtrit
from torch import Tensor

from invset.metrics.bootstrap import LEVEL, check
from invset.metrics.estimate import Estimate

GROUPS = 20


def jackknife(
    samples: Tensor,
    statistic: Callable[[Tensor], float | Tensor],
    *,
    groups: int = GROUPS,
    level: float = LEVEL,
    random_seed: int = 0,
) -> Estimate:
    """`statistic` of (n, …) samples, and its interval from leaving out one group of samples at a time.

    The samples are dealt at random to g groups of equal size (± 1); with θ_j the statistic without group j, the
    variance is (g−1)/g Σ(θ_j − θ̄)², and the interval value ± its root times Student's t of g − 1 degrees of freedom
    (Tukey 1958; Shao & Wu 1989 for groups). It asks the statistic g + 1 times. The ends may lie outside the range of
    the statistic. It is meant for means and other smooth statistics; not for a median.

    All NaN if n = 0; no interval (NaN) if n < 3. If n < `groups`, each sample is a group. NaN of the statistic is
    passed on.

    Raises:
        ValueError: `groups` < 2, or `level` is outside (0, 1).
    """
    check(1, level)
    if groups < 2:
        raise ValueError(f"groups are ≥ 2, not {groups}")
    count = len(samples)
    if not count:
        return Estimate(math.nan, math.nan, math.nan)
    value = float(statistic(samples))
    if count < 3:
        return Estimate(value, math.nan, math.nan)
    groups = min(groups, count)
    dealt = torch.randperm(count, generator=torch.Generator().manual_seed(random_seed)) % groups
    without = [float(statistic(samples[(dealt != group).to(samples.device)])) for group in range(groups)]
    left = torch.tensor(without, dtype=torch.float64)
    error = ((groups - 1) / groups * (left - left.mean()).square().sum()).sqrt().item()
    reach = float(stdtrit(groups - 1, (1 + level) / 2)) * error
    return Estimate(value, value - reach, value + reach)
