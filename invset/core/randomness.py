"""Random numbers derived anew from what names them: independent of order and batch, and the same after a resume."""

from __future__ import annotations

import hashlib

import torch


def seeded_generator(*parts: int | str) -> torch.Generator:
    """A generator on the CPU seeded by the SHA-256 of the parts: near seeds, unrelated numbers."""
    digest = hashlib.sha256(":".join(map(str, parts)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:4], "big"))  # torch's CPU engine keeps 32 bits
