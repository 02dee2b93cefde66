"""The feasible region: p activation ranges, and where inside them seeds are aimed (eqs. 1, 8, 12, 13)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Region:
    """Codes whose p activations all lie in `[lower, upper]`, with the slack's interval `[aim_lower, aim_upper]` inside.

    Each constraint is `f − s = 0` with the slack s in `[aim_lower, aim_upper]` (eq. 9 in one form for both kinds of
    constraint). All tensors have shape (p,), or (k, p) with a row for each code, and units of activation; bounds may be
    infinite.
    """

    lower: Tensor
    upper: Tensor
    aim_lower: Tensor
    aim_upper: Tensor
    half_width: Tensor

    @classmethod
    def two_sided(cls, ranges: Sequence[tuple[float, float]], aim: float = 0.5) -> Region:
        """z1 ≤ f ≤ z2 (eq. 1); the slack keeps to the middle `aim` (0 … 1) of the range; eq. 8 has one bound."""
        z1, z2 = _columns(ranges)
        half = (z2 - z1) / 2
        middle = (z1 + z2) / 2
        return cls(z1, z2, middle - aim * half, middle + aim * half, half)

    @classmethod
    def lower_only(cls, ranges: Sequence[tuple[float, float]]) -> Region:
        """z2 − f ≤ ε with ε = z2 − z1, that is f ≥ z1, aimed at z2 − ε/2 and above: eqs. 8–11 to the letter."""
        z1, z2 = _columns(ranges)
        half = (z2 - z1) / 2
        infinity = torch.full_like(z1, torch.inf)
        return cls(z1, infinity, z2 - half, infinity, half)

    def around(self, targets: Tensor, tolerance: float) -> Region:
        """What of the region lies within `tolerance` half widths of targets (k, p), a row a code; slack is at them."""
        reach = tolerance * self.half_width
        lower, upper = (targets - reach).clamp(min=self.lower), (targets + reach).clamp(max=self.upper)
        return Region(lower, upper, targets, targets, self.half_width)

    def to(self, device: torch.device | str) -> Region:
        """The same region on another device."""
        return Region(*(getattr(self, name).to(device) for name in self.__dataclass_fields__))

    def contains(self, activations: Tensor) -> Tensor:
        """(k, p) activations -> (k,) bool: every constraint holds."""
        return ((activations >= self.lower) & (activations <= self.upper)).all(dim=1)

    def violation(self, activations: Tensor) -> Tensor:
        """(k, p) activations -> (k, p): how far outside the range each lies; 0 inside; in units of activation."""
        return (activations - activations.clamp(self.lower, self.upper)).abs()

    def distance(self, activations: Tensor) -> Tensor:
        """(k, p) activations -> (k,): violations in half widths of their ranges, summed; 0 inside."""
        return (self.violation(activations) / self.half_width).sum(dim=1)

    def project(self, values: Tensor) -> Tensor:
        """(k, p) values -> (k, p): the nearest point of the slack's interval."""
        return values.clamp(self.aim_lower, self.aim_upper)


def _columns(ranges: Sequence[tuple[float, float]]) -> tuple[Tensor, Tensor]:
    for z1, z2 in ranges:
        if not z1 < z2:
            raise ValueError(f"an activation range is two numbers in order, not [{z1}, {z2}]")
    table = torch.tensor(ranges, dtype=torch.float32)
    return table[:, 0].clone(), table[:, 1].clone()
