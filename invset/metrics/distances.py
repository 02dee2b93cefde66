"""Euclidean distances between many encodings, a block of rows at a time, exact where they are small."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

ROWS = 256


def blocks(encodings: Tensor, rows: int = ROWS) -> Iterator[tuple[slice, Tensor]]:
    """(n, d) -> for each block of rows, its slice and its distances to all rows up to its end: (rows, stop).

    Every unordered pair (i, j < i) occurs once, at row i and column j; the entries with j ≥ i are to be left
    out: `tril(slice.start - 1)` keeps the others. Differences are taken directly, as |a|² + |b|² − 2ab would
    lose small distances to rounding.

    Raises:
        ValueError: the encodings are not (n, d).
    """
    if encodings.ndim != 2:
        raise ValueError(f"encodings are (n, d), not {tuple(encodings.shape)}")
    points = encodings.detach()
    if points.dtype != torch.float64:
        points = points.float()
    for start in range(0, len(points), rows):
        block = slice(start, min(start + rows, len(points)))
        earlier = points[: block.stop]
        yield block, torch.cdist(points[block], earlier, compute_mode="donot_use_mm_for_euclid_dist")


def between(points: Tensor, others: Tensor, rows: int = ROWS) -> Iterator[tuple[slice, Tensor]]:
    """(n, d), (m, d) -> for each block of the n, its slice and its distances to all m: (rows, m), float64.

    Differences are taken directly, as in `blocks`. With m above a quarter of a million, blocks have fewer rows, so
    that none holds over half a gigabyte.

    Raises:
        ValueError: the two are not (n, d) and (m, d).
    """
    if points.ndim != 2 or others.ndim != 2 or points.shape[1] != others.shape[1]:
        raise ValueError(f"two sets are (n, d) and (m, d), not {tuple(points.shape)} and {tuple(others.shape)}")
    others = others.detach().double()
    rows = max(1, min(rows, 2**26 // max(1, len(others))))
    for start in range(0, len(points), rows):
        block = slice(start, min(start + rows, len(points)))
        few = points[block].detach().double()
        yield block, torch.cdist(few, others, compute_mode="donot_use_mm_for_euclid_dist")
