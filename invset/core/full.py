"""`method=full`: eq. 16, the exact problem, with all n samples optimised together.

It is eq. 6 with n codes for K. The sum over pairs needs of the others only their moments, so the n codes go through
the networks in micro-batches: one pass for the moments, one for the gradient. The networks' memory does
not grow with n; beside it there are some tensors of n codes and n encodings.
"""

from __future__ import annotations

import torch
from torch import Tensor

from invset.core import descent, sampling, seeding, steps
from invset.core.problem import Problem
from invset.core.region import Region
from invset.core.seeding import Draw, Schedule
from invset.core.state import State, StepInfo

BATCH = 64  # codes a micro-batch, unless the schedule says


class Full:
    """Samples of the inverse set as the solution of eq. 16.

    Args:
        problem: codes to images, encodings, activations.
        region: the activation ranges.
        schedule: `chains` is n; stop as soon as all are feasible, or go on until the objective no longer grows.
        draw: (chain, attempt) -> a start code (c,).
        references: unrelated codes (m, c), m ≥ 2, on which scales are measured.
    """

    def __init__(self, problem: Problem, region: Region, schedule: Schedule, draw: Draw, references: Tensor) -> None:
        self.problem = problem
        self.region = region
        self.schedule = schedule._replace(batch_size=schedule.batch_size or BATCH)
        self.draw = draw
        self.references = references

    def begin(self) -> State:
        """The state before the first step: n start codes, λ = 0, μ = μ₀, scales measured."""
        return seeding.begin(self.problem, self.region, self.schedule, self.draw, self.references)

    def step(self, state: State) -> tuple[State, StepInfo]:
        """One gradient step for all n codes; once they are feasible, a micro-batch of them as samples instead.

        Raises:
            NonFiniteError: an activation, an encoding or the gradient is NaN or infinite.
        """
        if state.phase == "sampling":
            return self._emit(state)
        problem, region, schedule = self.problem, self.region, self.schedule
        state, view = descent.look(problem, region, state, steps.SEEDING, schedule.batch_size, keep_images=False)
        if seeding.arrived(state, schedule, view):
            return self._emit(state._replace(phase="sampling", inner=0))
        state = seeding.recorded(state, view)
        codes, lengths = descent.move(problem, state, view)
        info = descent.report(state, view, sampling.nothing(state), lengths)
        state = state._replace(codes=codes, step=state.step + 1)
        return seeding.advanced(state, schedule, problem, region, self.draw, view), info

    def _emit(self, state: State) -> tuple[State, StepInfo]:
        """The next micro-batch of codes, those that are feasible as samples; `inner` counts the codes seen."""
        first, last = state.inner, min(state.inner + (self.schedule.batch_size or BATCH), len(state.codes))
        codes = state.codes[first:last]
        evaluation = self.problem.evaluate(codes, first)
        feasible = self.region.contains(evaluation.activations)
        info = StepInfo(
            phase="sampling",
            outer=state.outer,
            step=state.step,
            chains=torch.arange(first, last),
            codes=codes,
            evaluation=evaluation,
            violation=self.region.violation(evaluation.activations),
            feasible=feasible,
            samples=feasible.nonzero().flatten(),
            multipliers=state.multipliers._replace(values=state.multipliers.values[first:last]),
            lengths=torch.zeros(len(codes), device=codes.device),
        )
        return state._replace(inner=last, phase="done" if last == len(state.codes) else "sampling"), info
