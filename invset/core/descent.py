"""One gradient step of the augmented Lagrangian (eqs. 9, 11, 16): look where the codes are, then move them."""

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


class View(NamedTuple):
    """What the k codes of a state give.

    Attributes:
        evaluation: their images, encodings and activations.
        pull_back: from ∂L/∂encodings and ∂L/∂activations to ∂L/∂codes; see `Problem.linearise`.
        group: the moments of the encodings of all k codes, where some are with other processes too.
        feasible: (k,) bool.
        violation: (k, p), in units of activation.
        aimed: where steps are to lead: the region, or the part of it that each chain is to go to.
        total: (k,), how far each code is from there, added up over constraints, in half widths.
    """

    evaluation: Evaluation
    pull_back: Callable[[Tensor, Tensor], Tensor]
    group: Moments
    feasible: Tensor
    violation: Tensor
    aimed: Region
    total: Tensor


def look(
    problem: Problem,
    region: Region,
    state: State,
    aim: steps.Aim,
    batch_size: int | None,
    part: Callable[[Tensor], Region] | None = None,
) -> tuple[State, View]:
    """Evaluate the codes, and note in the state what the last step came to.

    `part`: from the activations (k, p) to the part of the region that each chain is to go to, if not all of it.

    Raises:
        NonFiniteError: an activation or an encoding is NaN or infinite.
    """
    evaluation, pull_back = problem.linearise(state.codes, batch_size=batch_size)
    return seen(region, state, aim, evaluation, pull_back, Moments.of(evaluation.encodings), part)


def seen(
    region: Region,
    state: State,
    aim: steps.Aim,
    evaluation: Evaluation,
    pull_back: Callable[[Tensor, Tensor], Tensor],
    group: Moments,
    part: Callable[[Tensor], Region] | None = None,
) -> tuple[State, View]:
    """`look` at what is evaluated already."""
    activations = evaluation.activations
    feasible, violation = region.contains(activations), region.violation(activations)
    outside = (violation / region.half_width).sum(dim=1)
    aimed = region if part is None else part(activations)
    total = outside if part is None else (aimed.violation(activations) / region.half_width).sum(dim=1)
    view = View(evaluation, pull_back, group, feasible, violation, aimed, total)
    state = state._replace(steps=steps.adapted(state.steps, total, total == 0, aim))
    best = int(torch.argmin(outside))
    if float(outside[best]) < state.closest_violation:
        state = state._replace(closest=activations[best], closest_violation=float(outside[best]))
    return state, view


def move(problem: Problem, state: State, view: View, pull: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """C′ = C − β ∂L/∂C: the new codes (k, c) within their bounds, and how far each went (k,).

    `pull`: what each chain's gradient of the objective is multiplied by, (k,) ≥ 0; 1 if not given.

    Raises:
        NonFiniteError: the gradient is NaN or infinite.
    """
    multipliers, scales = state.multipliers, state.scales
    activation_gradient = lagrangian.activation_gradient(view.evaluation.activations, multipliers, view.aimed, scales)
    encoding_gradient = lagrangian.encoding_gradient(view.evaluation.encodings, view.group, state.previous, scales)
    if pull is not None:
        encoding_gradient = pull[:, None] * encoding_gradient
    adrift = problem.rows(steps.adrift(state.steps))
    encoding_gradient = torch.where(adrift[:, None], 0, encoding_gradient)
    gradient = problem.free(state.codes, view.pull_back(encoding_gradient, activation_gradient))
    lengths = steps.lengths(
        state.steps, gradient, activation_gradient, scales.constraint, multipliers.penalty, state.distances.codes
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
