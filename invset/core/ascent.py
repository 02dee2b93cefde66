"""How high an activation can be driven: ascent in the code, to find out which ranges make sense (eq. 3 without R)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from invset.core.problem import Problem
from invset.core.steps import descend

FIRST_LENGTH = 0.1  # of the distance between unrelated codes


class Reach(NamedTuple):
    """The highest activation on each chain's way up (k,), and the codes that gave it (k, c)."""

    activations: Tensor
    codes: Tensor


def ascend(problem: Problem, codes: Tensor, constraint: int, code_distance: float, count: int) -> Reach:
    """Raise one activation from each of k codes (k, c) by `count` gradient steps.

    Each chain's step, at first a tenth of `code_distance`, grows by a fifth while its activation rises and is halved,
    and taken again from the chain's best code, when it does not, or becomes NaN or infinite, or its gradient does. A
    chain without a gradient stays where it is.
    """
    best = torch.full((len(codes),), -torch.inf, device=codes.device)
    best_codes, best_gradient = codes, torch.zeros_like(codes)
    length = torch.full_like(best, FIRST_LENGTH * code_distance)
    for _ in range(count + 1):
        evaluation, pull_back = problem.passes.linearise(codes)
        activation = evaluation.activations[:, constraint]
        upwards = torch.zeros_like(evaluation.activations)
        upwards[:, constraint] = 1
        gradient = -problem.free(codes, -pull_back(torch.zeros_like(evaluation.encodings), upwards))
        rose = (activation > best) & activation.isfinite() & gradient.isfinite().all(dim=1)
        best = torch.where(rose, activation, best)
        best_codes = torch.where(rose[:, None], codes, best_codes)
        best_gradient = torch.where(rose[:, None], gradient, best_gradient)
        length = torch.where(rose, 1.2 * length, length / 2)
        codes = problem.bound(descend(best_codes, -best_gradient, length))
    return Reach(best, best_codes)
