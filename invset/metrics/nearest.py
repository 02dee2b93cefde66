"""For each sample, the nearest image of a reference set: was it there before?"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from invset.metrics.distances import between


class Nearest(NamedTuple):
    """Each sample's nearest reference.

    Attributes:
        indices: (n,) int64, which reference; of equally near ones the first; −1 if there is none.
        distances: (n,) float64, ≥ 0, how far, in units of encoding; NaN if there is none.
    """

    indices: Tensor
    distances: Tensor


def nearest(samples: Tensor, reference: Tensor) -> Nearest:
    """(n, d) samples and (m, d) references, of encodings or of flat images -> each sample's nearest reference.

    Euclidean, differences taken directly: a copy is at 0. A reference that is not finite is nearest to nothing; a
    sample that is not finite, or any if m = 0, has −1 and NaN. Memory grows as n + m, time as nmd.

    Raises:
        ValueError: the sets are not (n, d) and (m, d).
    """
    index = torch.full((len(samples),), -1, dtype=torch.int64, device=samples.device)
    distance = torch.full((len(samples),), math.nan, dtype=torch.float64, device=samples.device)
    for block, distances in between(samples, reference):
        if not len(reference):
            continue
        closest = distances.nan_to_num(nan=math.inf, posinf=math.inf).min(dim=1)
        found = closest.values.isfinite()
        index[block] = closest.indices.where(found, -1)
        distance[block] = closest.values.where(found, math.nan)
    return Nearest(index, distance)
