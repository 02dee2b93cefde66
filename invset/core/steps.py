"""How far to step: lengths that need no tuning (the paper's β, which it does not give).

The direction is the gradient of L, but for a chain whose violation grows however short its steps: L itself points
outwards there, for λ and μ stay as the seeds left them while the objective grows. Such a chain follows the constraints
alone until it is back. The length is set per chain, in one of two ways:

- A chain outside its ranges takes the length that would solve the constraints if they were linear. Along the gradient
  g of L that is β = Σ_j (r_j ∂L/∂f_j)² / (μ ‖g‖²): for one constraint Newton's step, since g is then ∂L/∂f · ∇f. It
  is damped while the violation grows, and capped.
- A chain inside its ranges takes a step of its own length, a fraction of the distance between unrelated codes, which
  grows while the chain's steps stay inside and shrinks when one leaves.

Both are the same whatever the scale of codes, encodings and activations.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

FIRST_RADIUS = 0.05  # of the distance between unrelated codes
LARGEST_RADIUS = 0.25
ADAPTATION = 0.3  # how fast log(radius) follows acceptance
ADRIFT = 0.25  # damping below which the objective lets go of a chain


class Aim(NamedTuple):
    """What a chain's own length is adapted to.

    Attributes:
        staying: the share of steps from inside that are to stay inside: 0 … 1.
        smallest: the least radius, a fraction of the distance between unrelated codes.
        relaxation: by how much a step from outside goes farther than would solve the constraints if they were linear,
            at most: below 2, beyond which such steps would no longer converge where they are.
    """

    staying: float
    smallest: float
    relaxation: float = 1.0


SEEDING = Aim(0.95, 1e-4)  # all chains have to be inside at once
SAMPLING = Aim(0.6, 0.06)  # the paper's 85 steps where 49 would do; smaller steps would give near-copies


class Steps(NamedTuple):
    """What each chain's next length depends on: radius, damping, last violation (in half widths); all (k,)."""

    radius: Tensor
    damping: Tensor
    violation: Tensor

    @classmethod
    def first(cls, chains: int, device: torch.device | str) -> Steps:
        """The lengths before anything is known."""
        ones = torch.ones(chains, device=device)
        return cls(FIRST_RADIUS * ones, ones, torch.inf * ones)


def adapted(steps: Steps, violation: Tensor, feasible: Tensor, aim: Aim) -> Steps:
    """Lengths after a step that led to `violation` (k,), in half widths, and to `feasible` (k,) or not.

    Only a step that began inside says anything of the radius; only one that began outside, of the damping.
    """
    was_feasible = steps.violation == 0
    log_change = ADAPTATION * (feasible.to(steps.radius.dtype) - aim.staying) / (aim.staying * (1 - aim.staying)) ** 0.5
    radius = (steps.radius * log_change.exp()).clamp(aim.smallest, LARGEST_RADIUS)
    damping = torch.where(
        violation > steps.violation, steps.damping / 2, (steps.damping * 1.5).clamp(max=aim.relaxation)
    )
    return Steps(
        torch.where(was_feasible, radius, steps.radius),
        torch.where(was_feasible, torch.ones_like(damping), damping),
        violation,
    )


def adrift(steps: Steps) -> Tensor:
    """(k,) bool: chains outside whose violation grows however short their steps: the objective outweighs μ.

    Their damping would go to 0 and leave them there for good; without the objective they come back.
    """
    return steps.damping < ADRIFT


def at_least(steps: Steps, aim: Aim) -> Steps:
    """The same with no radius below the aim's smallest: sampling begins where seeding made radii small."""
    return steps._replace(radius=steps.radius.clamp(min=aim.smallest))


def lengths(
    steps: Steps,
    gradient: Tensor,
    activation_gradient: Tensor,
    constraint_scale: Tensor,
    penalty: float,
    code_distance: float,
) -> Tensor:
    """How far each chain goes along −gradient: (k,), in units of code.

    Args:
        steps: what each chain's length depends on.
        gradient: ∂L/∂c (k, c).
        activation_gradient: ∂L/∂f (k, p).
        constraint_scale: r (p,).
        penalty: μ.
        code_distance: the median distance between unrelated codes.
    """
    norm = gradient.norm(dim=1).clamp_min(torch.finfo(gradient.dtype).tiny)
    newton = (constraint_scale * activation_gradient).square().sum(dim=1) / (penalty * norm)
    outside = (steps.damping * newton).clamp(max=LARGEST_RADIUS * code_distance)
    return torch.where(steps.violation == 0, steps.radius * code_distance, outside)


def moved(codes: Tensor, gradient: Tensor, length: Tensor) -> Tensor:
    """C′ = C − β ∂L/∂C with β = length / ‖∂L/∂c‖ for each chain; a zero gradient moves nothing."""
    norm = gradient.norm(dim=1, keepdim=True)
    direction = torch.where(norm > 0, gradient / norm.clamp_min(torch.finfo(norm.dtype).tiny), 0)
    return codes - length[:, None] * direction
