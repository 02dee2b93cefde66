"""Silhouettes (Rousseeuw 1987) of samples that come from chains: nearness within a chain does not count.

A sampler's chain is a walk, and its samples lie close together whatever they show. Ordinary silhouettes are then
highest where each group is one chain. Here a sample is compared with samples of other chains only; where every sample
is a chain of its own, these are the ordinary ones.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Pairs(NamedTuple):
    """Which pairs of n points count, and how far apart they are.

    Attributes:
        distances: (n, n) float64, 0 where a pair does not count.
        counted: (n, n) float64, 1 where the two are of different chains, else 0.
    """

    distances: Tensor
    counted: Tensor


def pairs_of(points: Tensor, chains: Tensor) -> Pairs:
    """(n, d) points, (n,) numbers of chains -> their pairs; 16 n² bytes: 64 MB at n = 2000.

    Raises:
        ValueError: the points are not (n, d), or there are not n numbers of chains.
    """
    if points.ndim != 2 or chains.shape != points.shape[:1]:
        raise ValueError(f"points are (n, d) and chains (n,), not {tuple(points.shape)} and {tuple(chains.shape)}")
    exact = points.detach().double()
    counted = (chains[:, None] != chains).double()
    return Pairs(torch.cdist(exact, exact, compute_mode="donot_use_mm_for_euclid_dist") * counted, counted)


def silhouettes(pairs: Pairs, labels: Tensor) -> Tensor:
    """(n,) int64 labels from 0 -> (n,) float64 silhouettes, (b − a) / max(a, b), −1 to 1.

    a is a sample's mean distance to its own group, b the smallest to another group, over samples of other chains. 0
    where its own group, or all else, has none of another chain: a group of one chain earns nothing.
    """
    members = torch.nn.functional.one_hot(labels).double()
    counts = pairs.counted @ members
    means = torch.where(counts > 0, pairs.distances @ members / counts.clamp(min=1), torch.inf)
    own = labels[:, None]
    a = means.gather(1, own)[:, 0]
    b = means.scatter(1, own, torch.inf).amin(dim=1)
    known = a.isfinite() & b.isfinite() & (torch.maximum(a, b) > 0)
    return torch.where(known, (b - a) / torch.where(known, torch.maximum(a, b), 1.0), 0.0)
