"""Sums over all pairs of squared distances, as moments: O(n·d) instead of O(n²·d) (the objective of eqs. 6, 7, 16).

Σ_ij ‖e_i − e_j‖² over all ordered pairs is 2nΣ‖e_i‖² − 2‖Σe_i‖², and its gradient in e_i is 4(n·e_i − Σe_j). Given
the sum, each gradient needs nothing from the other encodings, so groups of any size fit in any memory.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Moments(NamedTuple):
    """A set of encodings by its size, its sum (d,) and its sum of squared norms (); sums in float64."""

    size: int
    sum: Tensor
    squares: Tensor

    @classmethod
    def of(cls, encodings: Tensor) -> Moments:
        """(n, d) encodings -> their moments."""
        # Norms are taken in the encodings' own precision: only the long sums need more.
        return cls(
            len(encodings),
            encodings.sum(dim=0, dtype=torch.float64),
            torch.linalg.vector_norm(encodings, dim=1).double().square().sum(),
        )

    def merge(self, other: Moments) -> Moments:
        """The moments of both sets together."""
        return Moments(self.size + other.size, self.sum + other.sum, self.squares + other.squares)

    def pairwise(self) -> Tensor:
        """Σ_ij ‖e_i − e_j‖² over all ordered pairs: () float64."""
        return 2 * self.size * self.squares - 2 * self.sum.square().sum()

    def between(self, other: Moments) -> Tensor:
        """Σ_i Σ_y ‖e_i − e_y‖² with i in this set and y in the other: () float64."""
        return other.size * self.squares + self.size * other.squares - 2 * (self.sum @ other.sum)


def pairwise_gradient(encodings: Tensor, group: Moments) -> Tensor:
    """∂/∂e_i of `group.pairwise()` for members e_i of the group: (k, d) -> (k, d), 4(n·e_i − S)."""
    return 4 * (group.size * encodings - group.sum.to(encodings.dtype))


def between_gradient(encodings: Tensor, fixed: Moments) -> Tensor:
    """∂/∂e_i of Σ_y ‖e_i − e_y‖² over a fixed set: (k, d) -> (k, d), 2(m·e_i − S_y)."""
    return 2 * (fixed.size * encodings - fixed.sum.to(encodings.dtype))
