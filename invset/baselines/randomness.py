"""Random numbers that a step derives anew from what names it, so that a resumed run draws the same ones."""

from __future__ import annotations

import torch
from torch import Tensor

from invset.core.randomness import seeded_generator


def normal(like: Tensor, *parts: int | str) -> Tensor:
    """N(0, 1) for each of the k rows of `like` (k, c), row i from (*parts, i): the same on every device."""
    rows = [
        torch.randn(like.shape[1], generator=seeded_generator(*parts, row), dtype=like.dtype)
        for row in range(len(like))
    ]
    return torch.stack(rows).to(like.device)
