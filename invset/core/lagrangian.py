"""The augmented Lagrangian of eqs. 9 and 11, with the slack in closed form.

Each constraint is f − s = 0 with the slack s in the region's aim, and

    L = −w · objective + Σ −λ (f − s) / r + Σ μ/2 ((f − s) / r)²

where r is the unit in which a constraint is measured: 1 for the paper as printed, half the range's width where nothing
is to depend on the scale of activations. w weighs the objective against the constraints. The paper's constraint is
ε₀ − z₂ + f − s = 0 with s ≥ 0: its slack is this one less `aim_lower` = z₂ − ε₀.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from invset.core.diversity import Moments, between_gradient, pairwise_gradient
from invset.core.region import Region


class Scales(NamedTuple):
    """How the objective is weighed (w, a number or one for each code (k, 1)) and the unit r of each constraint (p,)."""

    objective: float | Tensor
    constraint: Tensor


class Multipliers(NamedTuple):
    """λ (k, p), zero at the start, and the penalty μ > 0 of each code (k,)."""

    values: Tensor
    penalty: Tensor


def slack(activations: Tensor, multipliers: Multipliers, region: Region, scales: Scales) -> Tensor:
    """The slack that minimises L: s = clip(f − r·λ/μ, l, u), (k, p), in units of activation."""
    values, penalty = multipliers
    return region.project(activations - scales.constraint * values / penalty[:, None])


def next_multipliers(activations: Tensor, multipliers: Multipliers, region: Region, scales: Scales) -> Tensor:
    """λ ← λ − μ (f − s) / r; with u = ∞ and r = 1 it is max(λ − μ(ε₀ − z₂ + f), 0)."""
    residual = (activations - slack(activations, multipliers, region, scales)) / scales.constraint
    return multipliers.values - multipliers.penalty[:, None] * residual


def activation_gradient(activations: Tensor, multipliers: Multipliers, region: Region, scales: Scales) -> Tensor:
    """∂L/∂f (k, p) at the best slack, in which L is stationary: −(λ − μ (f − s) / r) / r."""
    return -next_multipliers(activations, multipliers, region, scales) / scales.constraint


def encoding_gradient(encodings: Tensor, group: Moments, accepted: Moments | None, scales: Scales) -> Tensor:
    """∂L/∂e_i (k, d): away from the group (eq. 9) and, if given, from C₀, the last accepted set, too (eq. 11)."""
    gradient = pairwise_gradient(encodings, group)
    if accepted is not None:
        gradient = gradient + between_gradient(encodings, accepted)
    return -scales.objective * gradient


def value(
    activations: Tensor,
    group: Moments,
    accepted: Moments | None,
    multipliers: Multipliers,
    region: Region,
    scales: Scales,
) -> Tensor:
    """L itself of one group at the best slack, () float64; the gradients above are its own, and steps need no more."""
    residual = ((activations - slack(activations, multipliers, region, scales)) / scales.constraint).double()
    penalty = multipliers.penalty.double()[:, None] / 2 * residual.square()
    objective = group.pairwise() if accepted is None else group.pairwise() + group.between(accepted)
    return (penalty - multipliers.values.double() * residual).sum() - scales.objective * objective.sum()
