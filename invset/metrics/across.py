"""One ratio, or one difference, for many groups (units, say): its mean, and in how many groups which is larger."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from scipy.special import stdtrit

from invset.metrics.bootstrap import LEVEL, check
from invset.metrics.estimate import Estimate

FEWEST = 3  # groups for an interval


class Signs(NamedTuple):
    """How many ratios are above 1, and how many below; those of exactly 1, and NaN, are neither."""

    above: int
    below: int


def ratio_over_groups(ratios: Sequence[Estimate | float], *, level: float = LEVEL) -> Estimate:
    """The geometric mean of ratios ≥ 0, one a group, without units, and its interval from their spread over groups.

    The interval is for other groups of the same kind: mean ± s/√g times Student's t of g − 1 degrees of freedom, of
    logarithms. The spread holds each ratio's own error, so its own interval is not used. Not a bootstrap over
    groups: of 3, 5, 8 and 24 normal logarithms (2000 trials) a bootstrap's 95 % held the mean
    in 73, 83, 88 and 94 %, this in 95, 95, 94 and 96 %.

    No interval (NaN) of fewer than 3 groups, or if a ratio is 0 or infinite. NaN of one makes all NaN, as do none at
    all: leave the group out, and say so.

    Raises:
        ValueError: a ratio is negative, or `level` is outside (0, 1).
    """
    check(1, level)
    values = torch.tensor([_value(ratio) for ratio in ratios], dtype=torch.float64)
    if (values < 0).any():
        raise ValueError("a ratio of a measure ≥ 0 is not negative")
    logs = values.log()
    mean = logs.mean()
    value = mean.exp().item()
    if len(logs) < FEWEST or not logs.isfinite().all():
        return Estimate(value, math.nan, math.nan)
    reach = _reach(logs, level)
    return Estimate(value, (mean - reach).exp().item(), (mean + reach).exp().item())


def difference_over_groups(differences: Sequence[float], *, level: float = LEVEL) -> Estimate:
    """The mean of differences, one a group, in the measure's units, and its interval from their spread over groups.

    For measures that may be 0, as shares. Intervals as in `ratio_over_groups`: of 3 groups or more, and NaN of one
    makes all NaN.

    Raises:
        ValueError: `level` is outside (0, 1).
    """
    check(1, level)
    values = torch.tensor(differences, dtype=torch.float64)
    mean = values.mean().item()
    if len(values) < FEWEST or not values.isfinite().all():
        return Estimate(mean, math.nan, math.nan)
    reach = _reach(values, level)
    return Estimate(mean, mean - reach, mean + reach)


def sign_count(ratios: Sequence[Estimate | float]) -> Signs:
    """In how many groups the ratio is above 1, and in how many below, whatever the intervals."""
    values = [_value(ratio) for ratio in ratios]
    return Signs(sum(value > 1 for value in values), sum(value < 1 for value in values))


def _reach(values: torch.Tensor, level: float) -> float:
    """s/√g times Student's t: half the width of the interval about the mean of g values."""
    return float(stdtrit(len(values) - 1, (1 + level) / 2)) * values.std().item() / math.sqrt(len(values))


def _value(ratio: Estimate | float) -> float:
    return ratio.value if isinstance(ratio, Estimate) else ratio
