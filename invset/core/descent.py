"""One gradient step of the augmented Lagrangian (eqs. 9, 11, 16): see where the codes are, pull on them, move them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from invset.core import lagrangian, steps
from invset.core.diversity import Moments
from invset.core.problem import Evaluation, Problem
from invset.core.region import Region
from invset.core.state import State, StepInfo
from invset.core.together import Pulls


class View(NamedTuple):
    """What the k codes of a state give.

    Attributes:
        evaluation: their images, encodings and activations.
        group: the moments of the encodings of all k codes, where some are with other processes too.
        feasible: (k,) bool.
        violation: (k, p), in units of activation.
        aimed: where steps are to lead: the region, or the part of it that each chain is to go to.
        total: (k,), how far each code is from there, added up over constraints, in half widths.
    """

    evaluation: Evaluation
    group: Moments
    feasible: Tensor
    violation: Tensor
    aimed: Region
    total: Tensor


def seen(
    region: Region,
    state: State,
    aim: steps.Aim,
    evaluation: Evaluation,
    group: Moments,
    part: Callable[[Tensor], Region] | None = None,
) -> tuple[State, View]:
    """What the state's codes gave, and the state with what its last step came to.

    `group`: the moments of their encodings. `part`: from the activations (k, p) to the part of the region that each
    chain is to go to, if not all of it.
    """
    activations = evaluation.activations
    feasible, violation = region.contains(activations), region.violation(activations)
    outside = (violation / region.half_width).sum(dim=1)
    aimed = region if part is None else part(activations)
    total = outside if part is None else (aimed.violation(activations) / region.half_width).sum(dim=1)
    view = View(evaluation, group, feasible, violation, aimed, total)
    state = state._replace(steps=steps.adapted(state.steps, total, total == 0, aim))
    best = int(torch.argmin(outside))
    if float(outside[best]) < state.closest_violation:
        state = state._replace(closest=activations[best], closest_violation=float(outside[best]))
    return state, view


def pulls(problem: Problem, state: State, view: View, share: Tensor | None = None) -> Pulls:
    """∂L/∂encodings and ∂L/∂activations of the state's codes.

    `share`: what each chain's gradient of the objective is multiplied by, (k,) ≥ 0; 1 if not given.
    """
    multipliers, scales = state.multipliers, state.scales
    activation_gradient = lagrangian.activation_gradient(view.evaluation.activations, multipliers, view.aimed, scales)
    encoding_gradient = lagrangian.encoding_gradient(view.evaluation.encodings, view.group, state.previous, scales)
    if share is not None:
        encoding_gradient = share[:, None] * encoding_gradient
    adrift = problem.rows(steps.adrift(state.steps))
    return Pulls(torch.where(adrift[:, None], 0, encoding_gradient), activation_gradient)


def moved(problem: Problem, state: State, pulls: Pulls, gradient: Tensor) -> tuple[Tensor, Tensor]:
    """C′ = C − β ∂L/∂C: the new codes (k, c) within their bounds, and how far each went (k,); gradient is ∂L/∂C."""
    gradient = problem.free(state.codes, gradient)
    lengths = steps.lengths(
        state.steps,
        gradient,
        pulls.activations,
        state.scales.constraint,
        state.multipliers.penalty,
        state.distances.codes,
    )
    return problem.bound(steps.moved(state.codes, gradient, lengths)), lengths


def report(state: State, view: View, samples: Tensor, lengths: Tensor) -> StepInfo:
    """What is to be known of a step from `state`; `samples` (m,) are rows of the view."""
    return StepInfo(
        phase=state.phase,
        outer=state.outer,
        step=state.step,
        chains=torch.arange(len(state.codes)),
        codes=state.codes,
        evaluation=view.evaluation,
        violation=view.violation,
        feasible=view.feasible,
        samples=samples,
        multipliers=state.multipliers,
        lengths=lengths,
    )
