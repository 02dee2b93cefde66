"""Whether an independent network sees the class in the samples too."""

from __future__ import annotations

import torch
from torch import Tensor

from invset.metrics.bootstrap import LEVEL
from invset.metrics.estimate import Estimate
from invset.metrics.share import share


def agreement(logits: Tensor, row: int, k: int = 1, *, level: float = LEVEL) -> Estimate:
    """(n, classes) logits -> the share of samples with class `row` among the k largest, 0 to 1, Wilson's interval.

    Rows that tie with it count as larger, so that a network which cannot tell the classes apart does not agree. A
    sample with a NaN does not agree. All NaN if n = 0.

    Raises:
        ValueError: the logits are not (n, classes), there is no such row, not 1 ≤ k ≤ classes, or `level` is
            outside (0, 1).
    """
    return share(int(in_top(logits, row, k).sum()), len(logits), level=level)


def in_top(logits: Tensor, row: int, k: int = 1) -> Tensor:
    """(n, classes) logits -> (n,) bool, whether fewer than k other classes are as large as class `row` or larger.

    Raises:
        ValueError: as for `agreement`.
    """
    if logits.ndim != 2:
        raise ValueError(f"logits are (n, classes), not {tuple(logits.shape)}")
    classes = logits.shape[1]
    if not 0 <= row < classes:
        raise ValueError(f"rows are 0 to {classes - 1}, not {row}")
    if not 1 <= k <= classes:
        raise ValueError(f"k is 1 to {classes}, not {k}")
    as_large = torch.sum(logits >= logits[:, row : row + 1], dim=1) - 1  # without itself
    return (as_large < k) & ~logits.isnan().any(dim=1)
