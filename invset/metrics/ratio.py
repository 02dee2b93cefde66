"""How many times as varied one set is as another (the paper's Table 1: ours over PPGN), of two sets or over units."""

from __future__ import annotations

import torch
from torch import Tensor

from invset.metrics.bootstrap import LEVEL, RESAMPLES, check, percentiles
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
