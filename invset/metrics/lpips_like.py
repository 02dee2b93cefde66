"""A perceptual distance without learned weights: LPIPS (Zhang et al. 2018) with every channel weighing 1.

Each layer's map of an image is brought to unit length across channels at every position; two images differ by the
squared distance of those vectors, averaged over positions and added over layers: what
richzhang/PerceptualSimilarity:lpips/lpips.py computes with `lpips=False`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

TINY = 1e-10  # added to lengths there, so that zeros stay zeros
IMAGES = 32  # whose maps are taken to float64 at once


def mean_perceptual_distance(maps: Sequence[Tensor]) -> float:
    """A list of (n, c, h, w), one a layer -> the mean over all pairs of the n images, 0 to 4 a layer, no units.

    The mean over pairs of squared distances is 2/(n−1) Σ‖x_i − x̄‖², so no pair is formed: memory grows as one image's
    maps, time as n. Sums are float64, of differences to the first image, so that copies are at 0. NaN if n < 2, if
    there is no position, or with a NaN in a map.

    Raises:
        ValueError: the maps are not (n, c, h, w) with one n, or there is none.
    """
    count = _count(maps)
    if count < 2:
        return math.nan
    return math.fsum(_layer(layer, count) for layer in maps)


def perceptual_encodings(maps: Sequence[Tensor]) -> Tensor:
    """A list of (n, c, h, w), one a layer -> (n, Σ chw) encodings whose squared distances are the perceptual ones.

    For what needs the distances themselves: `mean_pairwise_estimate(…, squared=True)`, `nearest`, `gaussian_vendi`,
    `near_duplicates`. In float64 if the maps are, else float32.

    Raises:
        ValueError: the maps are not (n, c, h, w) with one n, or there is none.
    """
    _count(maps)
    scaled = [_unit(layer) / math.sqrt(max(1, layer.shape[2] * layer.shape[3])) for layer in maps]
    return torch.cat([layer.flatten(1) for layer in scaled], dim=1)


def _layer(layer: Tensor, count: int) -> float:
    positions = layer.shape[2] * layer.shape[3]
    if not positions:
        return math.nan
    first = _unit(layer[:1].double())
    parts = [slice(start, start + IMAGES) for start in range(0, count, IMAGES)]
    mean = torch.zeros_like(first)
    for part in parts:
        mean += (_unit(layer[part].double()) - first).sum(dim=0, keepdim=True) / count
    spread = math.fsum((_unit(layer[part].double()) - first - mean).square().sum().item() for part in parts)
    return 2 / (count - 1) * spread / positions


def _unit(layer: Tensor) -> Tensor:
    values = layer.detach() if layer.dtype == torch.float64 else layer.detach().float()
    return values / (torch.linalg.vector_norm(values, dim=1, keepdim=True) + TINY)


def _count(maps: Sequence[Tensor]) -> int:
    shapes = [tuple(layer.shape) for layer in maps]
    if not shapes or any(len(shape) != 4 or shape[0] != shapes[0][0] for shape in shapes):
        raise ValueError(f"maps are (n, c, h, w), one a layer, all of the same n images, not {shapes}")
    return shapes[0][0]
