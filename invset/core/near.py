"""Starts where natural codes already lie near the ranges.

From any code, the nearest one in range holds a trace of what the unit likes, and is nothing a photograph would be. What
photographs in the range are like is where natural codes lie near it. So natural codes are looked at first: some at
random, then, in rounds, those of which a ridge regression of activations on codes expects that they are nearest to the
ranges. A chain starts between two of the nearest.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from invset.core.problem import Problem, require_some
from invset.core.randomness import seeded_generator
from invset.core.region import Region

LOOKS, FEWEST_LOOKS = 1024, 128  # at natural codes, whatever n: a run that is extended has the same starts
COST = 1.2e12  # floating-point operations that all looks together may take: a few seconds of a CPU
ROUNDS = 3  # of looking where the regression points
RIDGE = 0.05  # of the mean square of codes
NEAREST, FEWEST = 0.3, 32  # of the codes looked at, and at least: those to start between
SHARE = (0.3, 0.5)  # of the second code in a start, the farthest of DRAWN: nearer ones would give near-copies
DRAWN = 3
HIGHEST = 8  # codes that tell which class gives most of a unit
BATCH = 64  # codes evaluated at once
TINY = torch.finfo(torch.float32).tiny


class Near(NamedTuple):
    """What was found among natural codes.

    Attributes:
        codes: near the ranges (q, c), in the order of all natural codes: by distance it would change with rounding.
        highest: of those looked at, the codes that give most of each unit, the highest first (h, p, c).
    """

    codes: Tensor
    highest: Tensor


def count_looks(known: int, operations: int) -> int:
    """At how many of so many natural codes a run looks, by the floating-point operations of a forward pass."""
    return min(known, LOOKS, max(FEWEST_LOOKS, int(COST / max(1, operations))))


def find_near(problem: Problem, region: Region, codes: Tensor, count: int, random_seed: int) -> Near:
    """Of natural codes (m, c), the nearest to the ranges of `count` that are looked at.

    Raises:
        NonFiniteError: the activations of all of the first are NaN or infinite; others are passed over.
    """
    count, device, region = min(count, len(codes)), region.lower.device, region.to("cpu")
    order = torch.randperm(len(codes), generator=seeded_generator(random_seed, "near"))
    rows = order[: max(1, count // 2)]
    activations = _evaluate(problem, codes[rows], device)
    for left in range(ROUNDS, 0, -1):
        finite = require_some(activations.isfinite().all(dim=1))
        away = region.distance(_predict(codes[rows[finite]], activations[finite], codes))
        away[rows] = torch.inf
        new = away.argsort(stable=True)[: (count - len(rows)) // left]
        rows = torch.cat([rows, new])
        activations = torch.cat([activations, _evaluate(problem, codes[new], device)])
    finite = activations.isfinite().all(dim=1)
    rows, activations = rows[finite], activations[finite]
    kept = region.distance(activations).argsort(stable=True)[: max(FEWEST, round(NEAREST * count))]
    highest = activations.argsort(dim=0, descending=True, stable=True)[:HIGHEST]
    return Near(codes[rows[kept].sort().values], codes[rows[highest]])


class NearStarts:
    """Starts between two of some codes (q, c) near the ranges, drawn by random seed, chain and attempt."""

    def __init__(self, codes: Tensor, random_seed: int, chains: int) -> None:
        self.codes = codes
        self.random_seed = random_seed
        self.chains = chains
        self._order = torch.randperm(len(codes), generator=seeded_generator(random_seed, "near starts"))

    def draw(self, chain: int, attempt: int) -> Tensor:
        """The start (c,) of a chain's attempt: attempts go through all of the codes, each beside a far one."""
        randomness = seeded_generator(self.random_seed, "near", chain, attempt)
        count = len(self.codes)
        row = self._order[(chain + attempt * self.chains) % count]
        further = torch.randint(1, max(count, 2), (DRAWN,), generator=randomness)
        first, others = self.codes[row], self.codes[(row + further) % count]
        second = others[(others - first).norm(dim=1).argmax()]
        low, high = SHARE
        share = low + (high - low) * float(torch.rand((), generator=randomness))
        mixed = first.lerp(second, share)
        # As long as natural codes are: a plain mixture of unlike ones is shorter, and its image paler.
        return mixed * (first.norm().lerp(second.norm(), share) / mixed.norm().clamp_min(TINY))


def _evaluate(problem: Problem, codes: Tensor, device: torch.device) -> Tensor:
    return torch.cat([problem.evaluate(batch.to(device)).activations.cpu() for batch in codes.split(BATCH)])


def _predict(known: Tensor, activations: Tensor, codes: Tensor) -> Tensor:
    """Activations (m, p) of codes (m, c) by ridge regression on the known ones (n, c), (n, p)."""
    mean, usual = known.mean(dim=0), activations.mean(dim=0)
    x = (known - mean).double()
    kernel = x @ x.T
    ridge = RIDGE * kernel.diagonal().mean().clamp_min(torch.finfo(kernel.dtype).tiny)
    weights = torch.linalg.solve(kernel + ridge * torch.eye(len(x), dtype=x.dtype), (activations - usual).double())
    return (codes - mean) @ (x.T @ weights).float() + usual
