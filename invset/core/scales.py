"""What the objective is measured against, taken from unrelated codes at the start, so that nothing needs tuning."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from invset.core.lagrangian import Scales
from invset.core.problem import Problem, require_some
from invset.core.region import Region


class Distances(NamedTuple):
    """The median distance between unrelated codes, and between what the objective compares: their encodings."""

    codes: float
    encodings: float


def measure(problem: Problem, codes: Tensor) -> Distances:
    """Distances between unrelated codes (m, c), m ≥ 2. If a median is 0, the mean; if that is 0 too, 1.

    Raises:
        NonFiniteError: no code's activations and encoding are finite.
    """
    evaluation = problem.evaluate(codes)
    return Distances(typical_distance(codes), typical_distance(evaluation.encodings[require_some(evaluation.finite)]))


def automatic(distances: Distances, region: Region, chains: int) -> Scales:
    """Activations in half widths of their ranges, and the objective so that a typical pair counts as one of those.

    The sum over ordered pairs holds each code's distances 2(K − 1) times; divided by that and by the square of the
    typical distance, the terms that hold a given code of an unrelated set come to 1, whatever K and the scale.
    """
    pairs = 2 * max(chains - 1, 1)
    return Scales(1 / (pairs * distances.encodings**2), region.half_width)


def fixed(objective: float, region: Region) -> Scales:
    """The paper's own units: the objective times a number (1 as printed), activations as they are."""
    return Scales(objective, torch.ones_like(region.half_width))


def typical_distance(points: Tensor) -> float:
    """The median distance between points (m, …); if it is 0 the mean, and if that is 0 too, or of one point, 1."""
    if len(points) < 2:
        return 1.0
    distances = torch.pdist(points.flatten(1))
    typical = float(distances.median()) or float(distances.mean())
    return typical or 1.0
