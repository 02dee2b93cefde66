"""The Vendi score (Friedman & Dieng 2023): how many different samples a set amounts to. It sees copies.

exp(−Σ λ_i log λ_i) over the eigenvalues λ of K/n, with K the (n, n) similarities, 1 on the diagonal. It is n if no two
samples are alike, 1 if all are the same, m if m unlike ones occur equally often. It grows with n, so sets are compared
at equal n; copies lower it, so its interval is one of `jackknife`, not of a bootstrap. The authors' program is
vertaix/Vendi-Score:vendi_score/vendi.py; its Gaussian kernel is the user's choice, as here the bandwidth is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from invset.metrics.distances import exact_distances
from invset.metrics.estimate import Estimate, jackknife
from invset.metrics.filling import evenly_spaced

POOLED = 2000  # encodings at most, of all sets together, whose distances settle the bandwidth


def vendi_score(kernel: Tensor) -> float:
    """(n, n) similarities, symmetric, positive semi-definite and 1 on the diagonal -> the score, 1 to n.

    NaN if n = 0 or a similarity is not finite. Memory grows as n², time as n³: 2 GB and a minute on one core at
    n = 10,000.
    """
    matrix = kernel.detach().double() / max(1, len(kernel))
    if not len(matrix) or not matrix.isfinite().all():
        return math.nan
    with _one_thread():
        eigenvalues = torch.linalg.eigvalsh(matrix)
    eigenvalues = eigenvalues.clamp(min=0)  # rounding makes zeros slightly negative
    return math.exp(-torch.xlogy(eigenvalues, eigenvalues).sum().item())


def vendi_estimate(kernel: Tensor, random_seed: int = 0) -> Estimate:
    """The score of (n, n) similarities and its interval: a part of the kernel is the kernel of a part."""
    return jackknife(len(kernel), lambda rows: vendi_score(kernel[rows][:, rows]), random_seed)


def cosine_kernel(encodings: Tensor) -> Tensor:
    """(n, d) encodings -> (n, n) float64 cosines; NaN for an encoding that is zero or not finite."""
    unit = encodings.detach().double()
    unit = unit / torch.linalg.vector_norm(unit, dim=1, keepdim=True)
    return unit @ unit.T


def gaussian_kernel(encodings: Tensor, bandwidth: float) -> Tensor:
    """(n, d) encodings -> (n, n) float64, exp(−‖a − b‖²/(2h²)), with h the bandwidth, ≥ 0, in units of encoding.

    At h = 0 only equals are alike. To compare sets, use one bandwidth for all.
    """
    points = encodings.detach().double()  # or rounding alone gives a set of copies eigenvalues that add up
    distances = exact_distances(points, points)
    return distances.div_(bandwidth).square_().div_(-2).exp_() if bandwidth else (distances == 0).double()


def pooled_bandwidth(sets: Sequence[Tensor]) -> float:
    """Half the median distance between encodings of all (n, d) sets together: there the similarity is exp(−2).

    An equal share of each, `POOLED` in all, evenly spaced. NaN where there are not two encodings.
    """
    sets = [own for own in sets if len(own)]
    each = max(2, POOLED // max(1, len(sets)))
    thinned = [own[evenly_spaced(len(own), each)] for own in sets]
    if sum(map(len, thinned)) < 2:
        return math.nan
    return torch.pdist(torch.cat(thinned).double()).quantile(0.5).item() / 2


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
