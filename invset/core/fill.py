"""Where in its range a chain is to go: its middle half, or, to fill it evenly, the part with the fewest samples."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from invset.core.region import Region

BINS = 10  # equal parts of a range


class Filled(NamedTuple):
    """Which parts of the ranges have samples.

    Attributes:
        goal: (k, p), the activation in the middle of the part that each chain is to go to; NaN at a new start.
        samples: (g, p, bins), how many of a group's samples lie in each part of each range.
        missed: (g, p, bins), how many chains in a row were to go to a part and gave their sample elsewhere.
    """

    goal: Tensor
    samples: Tensor
    missed: Tensor

    @classmethod
    def none(cls, codes: Tensor, constraints: int, groups: int) -> Filled:
        """Before the first step of chains at these codes (k, c)."""
        zeros = torch.zeros(groups, constraints, BINS, device=codes.device)
        return cls(torch.full((len(codes), constraints), torch.nan).to(codes), zeros, zeros)


def middle(region: Region, activations: Tensor) -> Region:
    """The region's own aim, with slack a quarter of the range inside its ends: the middle, of two-sided ranges.

    A step made for a point just inside would mostly end just outside: activations flatten as they grow.
    """
    reach = region.half_width / 2
    slack = activations.clamp(region.aim_lower + reach, region.aim_upper - reach)
    lower, upper = region.aim_lower.expand_as(activations), region.aim_upper.expand_as(activations)
    return Region(lower, upper, slack, slack, region.half_width)


def emptiest(region: Region, filled: Filled, activations: Tensor, group: Tensor) -> tuple[Filled, Region]:
    """The part of the range that each chain is to go to (k, p): its own, which a new start is given here.

    It is the nearest of those with the fewest samples, those counted that other chains of the group (k,) are on their
    way to. A part missed m times in a row counts as m (m + 1) / 2 samples fuller, so that nobody waits for what is not
    reached.
    """
    goal = filled.goal.clone()
    width = 2 * region.half_width / BINS
    middles = region.lower[:, None] + width[:, None] * (torch.arange(BINS, device=width.device) + 0.5)
    fullness = filled.samples + filled.missed * (filled.missed + 1) / 2
    for chain in goal.isnan().any(dim=1).nonzero().flatten().tolist():
        own = (group == group[chain]) & ~goal.isnan().any(dim=1)
        taken = fullness[group[chain]] + _count(region, goal[own], group[own], len(fullness))[group[chain]]
        away = (activations[chain][:, None] - middles).abs()
        nearest = away.masked_fill(taken > taken.amin(dim=1, keepdim=True), torch.inf).argmin(dim=1, keepdim=True)
        goal[chain] = middles.gather(1, nearest)[:, 0]
    return filled._replace(goal=goal), region.around(goal, 1 / BINS)


def note_samples(region: Region, filled: Filled, rows: Tensor, activations: Tensor, group: Tensor) -> Filled:
    """With rows (m,) of activations (k, p) among the samples."""
    count = len(filled.samples)
    got = _count(region, activations[rows], group[rows], count)
    meant = _count(region, filled.goal[rows], group[rows], count)
    missed = (filled.missed + meant).masked_fill(got > 0, 0)
    return filled._replace(samples=filled.samples + got, missed=missed)


def _count(region: Region, activations: Tensor, group: Tensor, groups: int) -> Tensor:
    """How many of activations (m, p) lie in each of the equal parts of each range: (g, p, bins)."""
    parts = ((activations - region.lower) / (2 * region.half_width) * BINS).long().clamp(0, BINS - 1)
    count = torch.zeros(groups, parts.shape[1], BINS, device=parts.device)
    where = (group[:, None].expand_as(parts), torch.arange(parts.shape[1], device=parts.device).expand_as(parts), parts)
    return count.index_put(where, torch.ones_like(parts, dtype=count.dtype), accumulate=True)
