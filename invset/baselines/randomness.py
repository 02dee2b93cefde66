"""Random numbers that a step derives anew from what names it, so that a resumed run draws the same ones."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor


def generator(*parts: int | str) -> torch.Generator:
    """A generator on the CPU seeded by the SHA-256 of the parts: near seeds, unrelated numbers."""
    digest = hashlib.sha256(":".join(map(str, parts)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:4], "big"))  # torch's CPU engine keeps 32 bits


def normal(like: Tensor, *parts: int | str) -> Tensor:
    """N(0, 1) for each of the k rows of `like` (k, c), row i from (*parts, i): the same on every device."""
    rows = [torch.randn(like.shape[1], generator=generator(*parts, row), dtype=like.dtype) for row in range(len(like))]
    return torch.stack(rows).to(like.device)
