"""Fidelity and variety against a reference set: precision and recall, density and coverage.

Each member of a set has a ball about it, whose radius is the distance to its k-th nearest other member. Balls are
closed, as in Kynkäänniemi et al. 2019, eq. 1 (kynkaat/improved-precision-and-recall-metric:precision_recall.py); the
program of Naeem et al. 2020 (clovaai/generative-evaluation-prdc:prdc/prdc.py) leaves their border out, which differs
only at exact ties.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from invset.metrics.distances import between

NEIGHBOURS = 5


class Manifold(NamedTuple):
    """How samples lie to a reference set.

    Attributes:
        precision: the share of samples that lie in some reference's ball, 0 to 1.
        recall: the share of references that lie in some sample's ball, 0 to 1.
        density: in how many references' balls a sample lies, over k: ≥ 0, about 1 where both are of one kind.
        coverage: the share of references whose ball holds a sample, 0 to 1; of one kind
            1 − (n−1)…(n−k) / ((n+m−1)…(n+m−k)) on average, with n references and m samples (Naeem 2020).
    """

    precision: float
    recall: float
    density: float
    coverage: float


def manifold(samples: Tensor, reference: Tensor, neighbours: int = NEIGHBOURS) -> Manifold:
    """(m, d) samples and (n, d) references -> precision, recall (Kynkäänniemi 2019), density, coverage (Naeem 2020).

    All depend on n, m and k = `neighbours`: compare at equal ones. NaN: all if a set is empty or an encoding is not
    finite; recall if m ≤ k, the others if n ≤ k. Distances are float64. Memory grows as n + m, time as (n + m)²d.

    Raises:
        ValueError: the sets are not (m, d) and (n, d), or `neighbours` < 1.
    """
    if neighbours < 1:
        raise ValueError(f"neighbours are ≥ 1, not {neighbours}")
    inside = torch.zeros(len(samples), dtype=torch.int64, device=samples.device)
    recalled = torch.zeros(len(reference), dtype=torch.bool, device=samples.device)
    covered = torch.zeros_like(recalled)
    sample_radii = radii(samples, neighbours)
    reference_radii = radii(reference, neighbours)
    for block, distances in between(samples, reference):
        in_reference = distances <= reference_radii
        inside[block] = in_reference.sum(dim=1)
        covered |= in_reference.any(dim=0)
        recalled |= (distances <= sample_radii[block, None]).any(dim=0)
    measured = Manifold(_mean(inside > 0), _mean(recalled), _mean(inside) / neighbours, _mean(covered))
    finite = bool(samples.isfinite().all() and reference.isfinite().all())
    if not finite or not len(samples) or len(reference) <= neighbours:
        measured = measured._replace(precision=math.nan, density=math.nan, coverage=math.nan)
    if not finite or not len(reference) or len(samples) <= neighbours:
        measured = measured._replace(recall=math.nan)
    return measured


def radii(encodings: Tensor, neighbours: int) -> Tensor:
    """(n, d) encodings -> (n,) distances to each one's k-th nearest other, float64; NaN if there are not as many.

    Raises:
        ValueError: the encodings are not (n, d).
    """
    found = torch.full((len(encodings),), math.nan, dtype=torch.float64, device=encodings.device)
    for block, distances in between(encodings, encodings):
        if len(encodings) > neighbours:
            distances[:, block].fill_diagonal_(math.inf)  # not itself, though a copy of it counts
            found[block] = distances.kthvalue(neighbours, dim=1).values
    return found


def _mean(values: Tensor) -> float:
    return values.double().mean().item()
