"""The Vendi score (Friedman & Dieng 2023): how many different samples a set amounts to. It sees copies.

exp(−Σ λ_i log λ_i) over the eigenvalues λ of K/n, with K the (n, n) similarities, 1 on the diagonal. It is n if no two
samples are alike, 1 if all are the same, m if m unlike ones occur equally often. It grows with n, so sets are compared
at equal n; copies lower it, so its interval is one of `jackknife`, not of `bootstrap`. The authors' program is
vertaix/Vendi-Score:vendi_score/vendi.py; its Gaussian kernel is the user's choice, as here the bandwidth is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from invset.metrics.distances import blocks
from invset.metrics.pairwise import median_pairwise_distance


def vendi_score(kernel: Tensor) -> float:
    """(n, n) similarities, symmetric, positive semi-definite and 1 on the diagonal -> the score, 1 to n.

    Only the lower triangle is read. NaN if n = 0 or a similarity is not finite. Memory grows as n², time as n³:
    2 GB and a minute on one core at n = 10,000.

    Raises:
        ValueError: the kernel is not (n, n).
    """
    if kernel.ndim != 2 or kernel.shape[0] != kernel.shape[1]:
        raise ValueError(f"a kernel is (n, n), not {tuple(kernel.shape)}")
    return _score(kernel.detach().double() / max(1, len(kernel)))


def cosine_vendi(encodings: Tensor) -> float:
    """(n, d) encodings -> the score with the cosine as similarity, 1 to min(n, d).

    The eigenvalues are those of the smaller of XXᵀ/n (n, n) and XᵀX/n (d, d), X the encodings at unit length: the
    others are 0. NaN if n = 0, or if an encoding is zero or not finite, and so has no direction.

    Raises:
        ValueError: the encodings are not (n, d).
    """
    if encodings.ndim != 2:
        raise ValueError(f"encodings are (n, d), not {tuple(encodings.shape)}")
    count, size = encodings.shape
    unit = _directions(encodings)
    return _score((unit.T @ unit if size < count else unit @ unit.T).div_(max(1, count)))


def gaussian_vendi(encodings: Tensor, bandwidth: float) -> float:
    """(n, d) encodings -> the score with similarity exp(−‖a − b‖²/(2h²)), h the bandwidth, 1 to n.

    `bandwidth` ≥ 0 is in units of encoding; at 0 only equals are alike. To compare sets, use one bandwidth for all, as
    `half_median_bandwidth` of one reference set. NaN if n = 0, the bandwidth is NaN, or an encoding is not finite.

    Raises:
        ValueError: the encodings are not (n, d), or the bandwidth is negative.
    """
    return math.nan if math.isnan(bandwidth) else vendi_score(gaussian_kernel(encodings, bandwidth))


def cosine_kernel(encodings: Tensor) -> Tensor:
    """(n, d) encodings -> (n, n) float64 cosines; NaN for an encoding that is zero or not finite."""
    unit = _directions(encodings)
    return unit @ unit.T


def gaussian_kernel(encodings: Tensor, bandwidth: float) -> Tensor:
    """(n, d) encodings -> (n, n) float64, exp(−‖a − b‖²/(2h²)); at h = 0 only equals are alike.

    Raises:
        ValueError: the encodings are not (n, d), or the bandwidth is negative.
    """
    if bandwidth < 0:
        raise ValueError(f"a bandwidth is a distance ≥ 0, not {bandwidth}")
    kernel = torch.zeros(len(encodings), len(encodings), dtype=torch.float64, device=encodings.device)
    # In float64, or else rounding alone gives a set of copies eigenvalues that add up.
    for block, distances in blocks(encodings.double()):
        similar = (distances / bandwidth).square().div(-2).exp() if bandwidth else torch.zeros_like(distances)
        similar = similar.where(distances != 0, 1.0).where(~distances.isnan(), math.nan)
        kernel[block, : block.stop], kernel[: block.stop, block] = similar, similar.T
    return kernel


def half_median_bandwidth(reference: Tensor) -> float:
    """Half the median distance between (n, d) reference encodings: at that distance the similarity is exp(−2).

    NaN if n < 2.

    Raises:
        ValueError: the encodings are not (n, d).
    """
    return median_pairwise_distance(reference) / 2


def _directions(encodings: Tensor) -> Tensor:
    unit = encodings.detach().double()
    # Scaled first by the largest entry, so that squares neither overflow nor vanish.
    unit = unit / unit.abs().amax(dim=1, keepdim=True) if encodings.shape[1] else unit
    return unit / torch.linalg.vector_norm(unit, dim=1, keepdim=True)


def _score(matrix: Tensor) -> float:
    """The exponential of the entropy of the eigenvalues of a matrix of trace 1; its lower triangle is read."""
    if not len(matrix) or not matrix.isfinite().all():
        return math.nan
    with _one_thread():
        eigenvalues = torch.linalg.eigvalsh(matrix, UPLO="L")
    eigenvalues = eigenvalues.clamp(min=0)  # rounding makes zeros slightly negative
    return math.exp(-torch.xlogy(eigenvalues, eigenvalues).sum().item())


@contextmanager
def _one_thread() -> Iterator[None]:
    """For LAPACK's eigenvalues: of 500 samples two threads took four times as long as one on two idle cores, and 150
    times as long on cores with anything else to do, as they wait for each other at every step.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
