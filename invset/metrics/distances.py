"""Euclidean distances between many encodings, a block of rows at a time, exact where they are small."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

ROWS = 256


def exact_distances(points: Tensor, others: Tensor) -> Tensor:
    """(n, d), (m, d) -> (n, m) distances by differences: |a|² + |b|² − 2ab would lose small ones to rounding."""
    return torch.cdist(points, others, compute_mode="donot_use_mm_for_euclid_dist")


def blocks(encodings: Tensor, rows: int = ROWS) -> Iterator[tuple[slice, Tensor]]:
    """(n, d) -> for each block of rows, its slice and its distances to all rows up to its end: (rows, stop).

    Every unordered pair (i, j < i) occurs once, at row i and column j; the entries with j ≥ i are to be left
    out: `tril(slice.start - 1)` keeps the others.
    """
    points = encodings.detach()
    if points.dtype != torch.float64:
        points = points.float()
    for start in range(0, len(points), rows):
        block = slice(start, min(start + rows, len(points)))
        yield block, exact_distances(points[block], points[: block.stop])
