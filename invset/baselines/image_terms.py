"""What regularises ascent on pixels: pure functions of images (k, 3, h, w), each by the paper that proposed it."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def decayed(images: Tensor, decay: float, grey: float) -> Tensor:
    """Towards grey by the share `decay`: a step down λ‖x − grey‖² with decay = 2λ · step (Simonyan et al. 2014).

    As in yosinski/deep-visualization-toolbox:optimize/gradient_optimizer.py, where grey is the data's mean.
    """
    return grey + (1 - decay) * (images - grey)


def blurred(images: Tensor, radius: float) -> Tensor:
    """Gaussian blur of deviation `radius` in pixels (Yosinski et al. 2015), mirrored at the edges, cut at 4 radii."""
    h, w = images.shape[-2:]
    return _blur_matrix(h, radius, images) @ images @ _blur_matrix(w, radius, images).T


def without_small_norms(images: Tensor, percentile: float, grey: float) -> Tensor:
    """Grey where a pixel's distance from grey lies below that percentile of the image (Yosinski et al. 2015)."""
    return _without(images, (images - grey).norm(dim=1, keepdim=True), percentile, grey)


def without_small_contributions(images: Tensor, gradient: Tensor, percentile: float, grey: float) -> Tensor:
    """Grey where that would change the activation least, by |Σ gradient · (x − grey)| (Yosinski et al. 2015)."""
    contribution = (gradient * (images - grey)).sum(dim=1, keepdim=True).abs()
    return _without(images, contribution, percentile, grey)


def total_variation_gradient(images: Tensor, beta: float) -> Tensor:
    """∂/∂x of Σ ((x[i, j+1] − x[i, j])² + (x[i+1, j] − x[i, j])²)^(β/2) (Mahendran & Vedaldi 2015), 0 beyond edges."""
    right, down = torch.zeros_like(images), torch.zeros_like(images)
    right[..., :, :-1] = images.diff(dim=-1)
    down[..., :-1, :] = images.diff(dim=-2)
    squares = right.square() + down.square()
    # Below β = 2 the power is infinite where all is flat, and the gradient 0.
    weight = torch.where(squares > 0, beta * squares.clamp_min(torch.finfo(squares.dtype).tiny) ** (beta / 2 - 1), 0)
    pull_right, pull_down = weight * right, weight * down
    gradient = -(pull_right + pull_down)
    gradient[..., :, 1:] += pull_right[..., :, :-1]
    gradient[..., 1:, :] += pull_down[..., :-1, :]
    return gradient


def centre_mask(images: Tensor, margin: float) -> Tensor:
    """1 in the middle and 0 nearer to an edge than `margin`, a share of the side, below 1/2: (h, w).

    The centre bias of Evolving-AI-Lab/mfv:act_max.tvd.center.py, whose margin is 50 pixels of AlexNet's 227.
    """
    mask = torch.zeros_like(images[0, 0])
    top, left = (round(margin * side) for side in mask.shape)
    mask[top : mask.shape[0] - top, left : mask.shape[1] - left] = 1
    return mask


def shifted(images: Tensor, shifts: list[tuple[int, int]]) -> Tensor:
    """Each image moved by its own (down, right) pixels, round again at the edges (Mordvintsev et al. 2015)."""
    return torch.stack([torch.roll(image, shift, (-2, -1)) for image, shift in zip(images, shifts, strict=True)])


def _without(images: Tensor, size: Tensor, percentile: float, grey: float) -> Tensor:
    threshold = torch.quantile(size.flatten(1), percentile / 100, dim=1)
    return torch.where(size < threshold[:, None, None, None], grey, images)


def _blur_matrix(side: int, radius: float, like: Tensor) -> Tensor:
    """(side, side): row i holds what each pixel of a line gives to the blurred pixel i."""
    reach = int(4 * radius + 0.5)
    weights = [math.exp(-0.5 * (offset / radius) ** 2) for offset in range(-reach, reach + 1)]
    matrix = [[0.0] * side for _ in range(side)]
    for i in range(side):
        for offset, weight in zip(range(-reach, reach + 1), weights, strict=True):
            j = (i + offset) % (2 * side)  # mirrored about the edge: … 1 0 | 0 1 …
            matrix[i][j if j < side else 2 * side - 1 - j] += weight / sum(weights)
    return torch.tensor(matrix, dtype=like.dtype, device=like.device)
