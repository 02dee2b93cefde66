"""Sums over all pairs of squared distances, as moments: O(n·d) instead of O(n²·d) (the objective of eqs. 6, 7, 16).

Σ_ij ‖e_i − e_j‖² over all ordered pairs is 2nΣ‖e_i‖² − 2‖Σe_i‖², and its gradient in e_i is 4(n·e_i − Σe_j). Given
the sum, each gradient needs nothing from the other encodings, so sets of any size fit in any memory.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Moments(NamedTuple):
    """g sets of encodings, each by its size (g,), its sum (g, d) and its sum of squared norms (g,); all float64."""

    size: Tensor
    sum: Tensor
    squares: Tensor

    @classmethod
    def none(cls, groups: int, dimensions: int, device: torch.device | str) -> Moments:
        """Empty sets."""
        zeros = torch.zeros(groups, dtype=torch.float64, device=device)
        return cls(zeros, torch.zeros(groups, dimensions, dtype=torch.float64, device=device), zeros)

    def merge(self, other: Moments) -> Moments:
        """The moments of both sets together, group by group."""
        return Moments(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))

    def where(self, mask: Tensor, other: Moments) -> Moments:
        """The other's where mask (g,), else these."""
        columns = (mask, mask[:, None], mask)
        return Moments(*(torch.where(m, new, old) for m, old, new in zip(columns, self, other, strict=True)))

    def rows(self, group: Tensor) -> Moments:
        """Those of each code's group (k,); a single group's are left to broadcast."""
        return self if len(self.size) == 1 else Moments(*(values[group] for values in self))

    def pairwise(self) -> Tensor:
        """Σ_ij ‖e_i − e_j‖² over all ordered pairs: (g,) float64."""
        return 2 * self.size * self.squares - 2 * self.sum.square().sum(dim=1)

    def between(self, other: Moments) -> Tensor:
        """Σ_i Σ_y ‖e_i − e_y‖² with i in this set and y in the other: (g,) float64."""
        return other.size * self.squares + self.size * other.squares - 2 * (self.sum * other.sum).sum(dim=1)


def moments(encodings: Tensor, group: Tensor | None = None, groups: int = 1) -> Moments:
    """(k, d) encodings and the group of each (k,), by default all one -> the groups' moments."""
    if group is None:
        group = torch.zeros(len(encodings), dtype=torch.int64, device=encodings.device)
    empty = Moments.none(groups, encodings.shape[1], encodings.device)
    norms = torch.linalg.vector_norm(encodings, dim=1)  # in the encodings' own precision: only long sums need more
    return Moments(
        empty.size.index_add(0, group, torch.ones_like(norms, dtype=torch.float64)),
        empty.sum.index_add(0, group, encodings.double()),
        empty.squares.index_add(0, group, norms.double().square()),
    )


def pairwise_gradient(encodings: Tensor, group: Moments) -> Tensor:
    """∂/∂e_i of `pairwise()` for members e_i of the group: (k, d) -> (k, d), 4(n·e_i − S)."""
    return 4 * (group.size[:, None].to(encodings) * encodings - group.sum.to(encodings))


def between_gradient(encodings: Tensor, fixed: Moments) -> Tensor:
    """∂/∂e_i of Σ_y ‖e_i − e_y‖² over a fixed set: (k, d) -> (k, d), 2(m·e_i − S_y)."""
    return 2 * (fixed.size[:, None].to(encodings) * encodings - fixed.sum.to(encodings))
