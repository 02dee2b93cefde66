"""`method=paper`: the fast sampling of sec. 3.4, seeds first (eqs. 8, 9), then single steps (eqs. 10, 11).

Both are the same step with other things around it: slack in closed form, the gradient of L, a move. Eq. 9 has nothing
to keep away from but the group itself; eq. 11 also the last accepted set C₀.
"""

from __future__ import annotations

import torch
from torch import Tensor

from invset.core import lagrangian, sampling, seeding, steps
from invset.core.diversity import Moments
from invset.core.problem import Evaluation, Problem
from invset.core.region import Region
from invset.core.seeding import Draw, Schedule
from invset.core.state import State, StepInfo


class Paper:
    """Samples of the inverse set as the paper draws them.

    Args:
        problem: codes to images, encodings, activations.
        region: the activation ranges.
        schedule: K, μ₀, α and the rest.
        draw: (chain, attempt) -> a start code.
        references: unrelated codes (m, c), m ≥ 2, on which scales are measured.
    """

    def __init__(
        self, problem: Problem, region: Region, schedule: Schedule, draw: Draw, references: Tensor
    ) -> None:
        self.problem = problem
        self.region = region
        self.schedule = schedule
        self.draw = draw
        self.references = references

    def begin(self) -> State:
        """The state before the first step: start codes, λ = 0, μ = μ₀, scales measured."""
        return seeding.begin(self.problem, self.region, self.schedule, self.draw, self.references)

    def step(self, state: State) -> tuple[State, StepInfo]:
        """Evaluate the codes, take what is a sample, and move on by one gradient step of eq. 9 or eq. 11.

        Raises:
            NonFiniteError: an activation, an encoding or the gradient is NaN or infinite.
        """
        problem, region = self.problem, self.region
        evaluation, pull_back = problem.linearise(state.codes, batch_size=self.schedule.batch_size)
        activations, encodings = evaluation.activations, evaluation.encodings
        feasible = region.contains(activations)
        violation = region.violation(activations)
        total = (violation / region.half_width).sum(dim=1)
        group = Moments.of(encodings)
        target = steps.STAYING if state.phase == "seeding" else steps.ACCEPTANCE
        lengths_known = steps.adapted(state.steps, total, feasible, target)
        state = _closest(state, activations, total)._replace(steps=lengths_known)

        if state.phase == "seeding" and seeding.arrived(state, self.schedule, feasible, group):
            state = state._replace(phase="sampling", inner=0)
        samples = sampling.none(state.codes)
        if state.phase == "sampling":
            state, samples = sampling.accepted(state, encodings, feasible)
        else:
            state = seeding.recorded(state, total, group)

        codes, lengths = self._move(state, evaluation, group, pull_back)
        info = StepInfo(
            state.phase, state.outer, state.step, state.codes, evaluation, violation, feasible, samples,
            state.multipliers, lengths,
        )  # fmt: skip
        state = state._replace(codes=codes, step=state.step + 1)
        if state.phase == "sampling":
            return sampling.advanced(state), info
        return seeding.advanced(state, self.schedule, problem, region, self.draw, evaluation, total), info

    def _move(self, state: State, evaluation: Evaluation, group: Moments, pull_back) -> tuple[Tensor, Tensor]:
        multipliers, scales = state.multipliers, state.scales
        activation_gradient = lagrangian.activation_gradient(
            evaluation.activations, multipliers, self.region, scales
        )
        encoding_gradient = lagrangian.encoding_gradient(evaluation.encodings, group, state.previous, scales)
        gradient = pull_back(encoding_gradient, activation_gradient)
        lengths = steps.lengths(
            state.steps,
            gradient,
            activation_gradient,
            scales.constraint,
            multipliers.penalty,
            state.distances.codes,
        )
        return self.problem.bound(steps.moved(state.codes, gradient, lengths)), lengths


def _closest(state: State, activations: Tensor, total: Tensor) -> State:
    best = int(torch.argmin(total))
    if float(total[best]) >= state.closest_violation:
        return state
    return state._replace(closest=activations[best], closest_violation=float(total[best]))
