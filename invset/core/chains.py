"""The chains of a method: where each is, and what its next step depends on. The first axis is the chain's."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from invset.core.problem import Problem
from invset.core.region import Region

Draw = Callable[[int, int], Tensor]
"""(chain, attempt) -> a start code (c,); the same one whenever it is asked for."""

FIRST_RADIUS = 0.05  # of the distance between unrelated codes
WAKING_ATTEMPTS = 20


class Chains(NamedTuple):
    """k chains.

    Attributes:
        codes: (k, c).
        multipliers: λ (k, p).
        radius: (k,), the length of a step from inside the ranges, in distances between unrelated codes.
        damping: (k,), of steps from outside.
        violation: (k,), before the last step, in half widths; infinite where there was none.
        attempts: (k,), starts used up before this one.
    """

    codes: Tensor
    multipliers: Tensor
    radius: Tensor
    damping: Tensor
    violation: Tensor
    attempts: Tensor

    @classmethod
    def at(cls, codes: Tensor, constraints: int, attempts: Tensor) -> Chains:
        """Chains at their starts (k, c): λ = 0, and no step taken."""
        ones = torch.ones(len(codes), device=codes.device)
        zeros = torch.zeros(len(codes), constraints, device=codes.device)
        return cls(codes, zeros, FIRST_RADIUS * ones, ones, torch.inf * ones, attempts.to(codes.device))

    def where(self, mask: Tensor, others: Chains) -> Chains:
        """`others` where mask (k,), else these."""
        pairs = zip(self, others, strict=True)
        return Chains(*(torch.where(_column(mask, old), new, old) for old, new in pairs))


def start(problem: Problem, region: Region, draw: Draw, count: int) -> Chains:
    """Chains at starts from which every unmet constraint has a gradient: behind a ReLU that is off, no step leads on.

    Starts that have none, or give NaN, are drawn again, some times; then the objective may still wake them.
    """
    attempts = torch.zeros(count, dtype=torch.int64)
    codes = torch.stack([problem.bound(draw(chain, 0)) for chain in range(count)])
    asleep = torch.arange(count)
    for _ in range(WAKING_ATTEMPTS):
        asleep = asleep[_without_gradient(problem, region, codes[asleep])]
        if not len(asleep):
            break
        for chain in asleep.tolist():
            attempts[chain] += 1
            codes[chain] = problem.bound(draw(chain, int(attempts[chain])))
    return Chains.at(codes, len(region.lower), attempts)


def restart(chains: Chains, which: Tensor, problem: Problem, draw: Draw) -> Chains:
    """New starts, with λ = 0, for the chains `which` (k,) bool."""
    codes, attempts = chains.codes.clone(), chains.attempts + which
    for chain in which.nonzero().flatten().tolist():
        codes[chain] = problem.bound(draw(chain, int(attempts[chain])))
    return chains.where(which, Chains.at(codes, chains.multipliers.shape[1], attempts))


def _without_gradient(problem: Problem, region: Region, codes: Tensor) -> Tensor:
    """(k,) bool, on the CPU: some constraint is violated and its activation does not depend on the code; or NaN."""
    asleep = torch.zeros(len(codes), dtype=torch.bool, device=codes.device)
    for constraint in range(len(region.lower)):
        evaluation, pull_back = problem.passes.linearise(codes, keep_images=False)
        one = torch.zeros_like(evaluation.activations)
        one[:, constraint] = 1
        gradient = pull_back(torch.zeros_like(evaluation.encodings), one)
        violated = region.violation(evaluation.activations)[:, constraint] > 0
        asleep |= violated & (gradient == 0).all(dim=1)
        asleep |= ~(evaluation.finite & gradient.isfinite().all(dim=1))
    return asleep.cpu()


def _column(mask: Tensor, values: Tensor) -> Tensor:
    return mask if values.ndim == 1 else mask[:, None]
