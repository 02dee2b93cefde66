"""How many times as varied one set is as another (the paper's Table 1: ours over PPGN), of two sets or over units."""

from __future__ import annotations

import torch
from torch import Tensor

from invset.metrics.bootstrap import LEVEL, RESAMPLES, bootstrap_mean, check, percentiles
from invset.metrics.estimate import Estimate
from invset.metrics.pairwise_interval import mean_pairwise_replicates


def distance_ratio(
    ours: Tensor,
    theirs: Tensor,
    *,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    random_seed: int = 0,
) -> Estimate:
    """The mean pairwise distance of (n, d) encodings over that of (m, d) ones, ≥ 0, without units, and its interval.

    Both sets are resampled, each on its own, as in `mean_pairwise_estimate`. NaN if a set has fewer than 2; no
    interval (NaN) if one has fewer than 3; infinite if theirs are all alike and ours are not, NaN if both are.

    Raises:
        ValueError: the encodings are not (n, d) and (m, d), `resamples` < 1, or `level` is outside (0, 1).
    """
    check(resamples, level)
    if ours.ndim != 2 or theirs.ndim != 2 or ours.shape[1] != theirs.shape[1]:
        raise ValueError(f"two sets are (n, d) and (m, d), not {tuple(ours.shape)} and {tuple(theirs.shape)}")
    generator = torch.Generator().manual_seed(random_seed)
    above, above_replicates = mean_pairwise_replicates(ours, resamples, generator)
    below, below_replicates = mean_pairwise_replicates(theirs, resamples, generator)
    # As tensors, which divide by zero.
    value = torch.tensor(above, dtype=torch.float64) / torch.tensor(below, dtype=torch.float64)
    return percentiles(value.item(), above_replicates / below_replicates, level)


def mean_ratio(
    ours: Tensor,
    theirs: Tensor,
    *,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    random_seed: int = 0,
) -> Estimate:
    """The mean over units of ours/theirs, of a measure (u,) of each, and its interval over units.

    The interval is for other units of the same kind, and holds what varies from sample to sample too. A mean of
    ratios leans upwards: that of theirs/ours can be above 1 as well; `geometric_mean_ratio` does not. NaN for
    a unit makes all NaN: leave the unit out, and say so. No interval (NaN) of one unit.

    Raises:
        ValueError: the measures are not both (u,), `resamples` < 1, or `level` is outside (0, 1).
    """
    return bootstrap_mean(_ratios(ours, theirs), resamples=resamples, level=level, random_seed=random_seed)


def geometric_mean_ratio(
    ours: Tensor,
    theirs: Tensor,
    *,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    random_seed: int = 0,
) -> Estimate:
    """As `mean_ratio`, but exp of the mean of log(ours/theirs): the other way round it is one over this.

    Raises:
        ValueError: as for `mean_ratio`.
    """
    logs = _ratios(ours, theirs).log()
    estimate = bootstrap_mean(logs, resamples=resamples, level=level, random_seed=random_seed)
    return Estimate(*torch.tensor(estimate, dtype=torch.float64).exp().tolist())


def _ratios(ours: Tensor, theirs: Tensor) -> Tensor:
    if ours.ndim != 1 or ours.shape != theirs.shape:
        raise ValueError(f"both measures are (u,), one a unit, not {tuple(ours.shape)} and {tuple(theirs.shape)}")
    return ours.detach().double() / theirs.detach().double()
