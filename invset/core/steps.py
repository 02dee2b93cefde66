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

from invset.core.chains import Chains
from invset.core.problem import Problem, PullBack

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


def adapt(chains: Chains, violation: Tensor, aim: Aim) -> Chains:
    """Lengths after steps that led to `violation` (k,), in half widths, 0 inside.

    Only a step that began inside says anything of the radius; only one that began outside, of the damping.
    """
    began_inside, inside = chains.violation == 0, (violation == 0).to(chains.radius)
    log_change = ADAPTATION * (inside - aim.staying) / (aim.staying * (1 - aim.staying)) ** 0.5
    radius = (chains.radius * log_change.exp()).clamp(aim.smallest, LARGEST_RADIUS)
    slower, faster = chains.damping / 2, (chains.damping * 1.5).clamp(max=aim.relaxation)
    damping = torch.where(violation > chains.violation, slower, faster)
    return chains._replace(
        radius=torch.where(began_inside, radius, chains.radius),
        damping=torch.where(began_inside, torch.ones_like(damping), damping),
        violation=violation,
    )


def widen(chains: Chains, aim: Aim) -> Chains:
    """No radius below the aim's smallest: sampling begins where seeding made radii small."""
    return chains._replace(radius=chains.radius.clamp(min=aim.smallest))


class Pulls(NamedTuple):
    """What pulls on codes: ∂L/∂encodings (k, d), ∂L/∂activations (k, p), and what takes both back to ∂L/∂codes."""

    encodings: Tensor
    activations: Tensor
    back: PullBack


def move(
    problem: Problem,
    chains: Chains,
    pulls: Pulls,
    penalty: Tensor,
    constraint_scale: Tensor,
    code_distance: float,
    resting: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """C′ = C − β ∂L/∂C within the codes' bounds: the new codes (k, c), and how far each chain goes (k,).

    Args:
        problem: whose codes they are.
        chains: where they are, and what their lengths depend on.
        pulls: of L; a chain adrift feels the constraints' alone.
        penalty: μ (k,).
        constraint_scale: r (p,).
        code_distance: the median distance between unrelated codes.
        resting: (k,) bool: chains that stay where they are.

    Raises:
        NonFiniteError: the gradient is NaN or infinite.
    """
    encodings = torch.where((chains.damping < ADRIFT)[:, None], 0, pulls.encodings)
    gradient = problem.free(chains.codes, pulls.back(encodings, pulls.activations))
    length = lengths(chains, gradient, pulls.activations, constraint_scale, penalty, code_distance)
    if resting is not None:
        length = length.masked_fill(resting, 0)
    return problem.bound(descend(chains.codes, gradient, length)), length


def lengths(
    chains: Chains,
    gradient: Tensor,
    activation_gradient: Tensor,
    constraint_scale: Tensor,
    penalty: Tensor,
    code_distance: float,
) -> Tensor:
    """How far each chain goes along −∂L/∂c (k, c): (k,), in units of code; ∂L/∂f (k, p), r (p,), μ (k,)."""
    norm = gradient.norm(dim=1).clamp_min(torch.finfo(gradient.dtype).tiny)
    newton = (constraint_scale * activation_gradient).square().sum(dim=1) / (penalty * norm)
    outside = (chains.damping * newton).clamp(max=LARGEST_RADIUS * code_distance)
    return torch.where(chains.violation == 0, chains.radius * code_distance, outside)


def descend(codes: Tensor, gradient: Tensor, length: Tensor) -> Tensor:
    """C − β ∂L/∂C with β = length / ‖∂L/∂c‖ for each chain; a zero gradient moves nothing."""
    norm = gradient.norm(dim=1, keepdim=True)
    direction = torch.where(norm > 0, gradient / norm.clamp_min(torch.finfo(norm.dtype).tiny), 0)
    return codes - length[:, None] * direction
