"""Samples that repeat an earlier one."""

from __future__ import annotations

import torch
from torch import Tensor

from invset.metrics.distances import blocks


def near_duplicates(encodings: Tensor, threshold: float) -> Tensor:
    """(n, d) encodings -> (n,) bool: sample i is nearer than `threshold` to some earlier sample j < i.

    `threshold` is a Euclidean distance ≥ 0 in units of encoding; at 0 (or NaN) nothing is a near-duplicate.
    Memory grows as n, time as n²d.
    """
    found = torch.zeros(len(encodings), dtype=torch.bool, device=encodings.device)
    for block, distances in blocks(encodings):
        found[block] = (distances < threshold).tril(block.start - 1).any(dim=1)
    return found
