"""The percentile bootstrap: how far a statistic would move with other samples of the same kind (Efron 1979).

Resamples are as large as the set and drawn from it with replacement, so a resample holds copies. A statistic that
counts copies (the Vendi score, near-duplicates, recall, coverage) comes out too low on them, and its interval may miss
its own value: use `jackknife` for those.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from invset.metrics.estimate import Estimate

RESAMPLES = 2000
LEVEL = 0.95


def bootstrap(
    samples: Tensor,
    statistic: Callable[[Tensor], float | Tensor],
    *,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    random_seed: int = 0,
) -> Estimate:
    """`statistic` of (n, …) samples, or units, and its percentile interval; equal seeds give equal intervals.

    All NaN if n = 0, without asking the statistic; no interval (NaN) if n = 1. A NaN that the statistic gives for
    the samples or for any resample is passed on, never left out.

    Args:
        samples: the first axis is resampled: samples, or units with what belongs to each in its row.
        statistic: (n, …) -> a number.
        resamples: how many, ≥ 1.
        level: the interval's, in (0, 1).
        random_seed: of a generator of its own.

    Raises:
        ValueError: `resamples` or `level` is outside its range.
    """
    check(resamples, level)
    if not len(samples):
        return Estimate(math.nan, math.nan, math.nan)
    value = float(statistic(samples))
    if len(samples) < 2:
        return Estimate(value, math.nan, math.nan)
    generator = torch.Generator().manual_seed(random_seed)
    replicates = [
        float(statistic(samples[chosen.to(samples.device)])) for chosen in draws(len(samples), resamples, generator)
    ]
    return percentiles(value, torch.tensor(replicates, dtype=torch.float64), level)


def bootstrap_mean(
    values: Tensor, *, resamples: int = RESAMPLES, level: float = LEVEL, random_seed: int = 0
) -> Estimate:
    """The mean of (n,) values, in float64, and its percentile interval; NaN rules as for `bootstrap`.

    Raises:
        ValueError: the values are not (n,), or as for `bootstrap`.
    """
    if values.ndim != 1:
        raise ValueError(f"values are (n,), not {tuple(values.shape)}")
    return bootstrap(values.detach().double(), torch.mean, resamples=resamples, level=level, random_seed=random_seed)


def draws(size: int, resamples: int, generator: torch.Generator, distinct: int = 1) -> Iterator[Tensor]:
    """Yields `resamples` times (size,) indices in [0, size) with replacement, `distinct` different ones at least.

    What has fewer is drawn again, so the resamples are those of the bootstrap given that they have as many.
    """
    for _ in range(resamples):
        chosen = torch.randint(size, (size,), generator=generator)
        while distinct > 1 and len(chosen.unique()) < distinct:
            chosen = torch.randint(size, (size,), generator=generator)
        yield chosen


def percentiles(value: float, replicates: Tensor, level: float) -> Estimate:
    """The value, and between which of the (r,) replicates the middle `level` of them lie.

    The ends are replicates themselves, the next ones outwards, so infinite ones do no harm; any NaN makes both NaN.
    """
    outside = (1 - level) / 2
    low = torch.quantile(replicates, outside, interpolation="lower")
    high = torch.quantile(replicates, 1 - outside, interpolation="higher")
    return Estimate(value, low.item(), high.item())


def check(resamples: int, level: float) -> None:
    """Raises ValueError for fewer than 1 resamples or a level outside (0, 1)."""
    if resamples < 1:
        raise ValueError(f"resamples are ≥ 1, not {resamples}")
    if not 0 < level < 1:
        raise ValueError(f"a level is between 0 and 1, not {level}")
