"""`method=full`: eq. 16, the exact problem, with all n samples optimised together.

It is eq. 6 with n codes for K. The sum over pairs needs of the others only their moments, so the n codes go through
the networks in micro-batches: one pass for the moments, one for the gradient, after which a micro-batch has moved.
Of all n at once there are the codes, before and after, and numbers: activations, multipliers, lengths.
"""

from __future__ import annotations

import torch
from torch import Tensor

from invset.core import descent, sampling, seeding, steps
from invset.core.descent import View
from invset.core.diversity import Moments
from invset.core.problem import Evaluation, Problem
from invset.core.region import Region
from invset.core.seeding import Draw, Schedule
from invset.core.state import State, StepInfo
from invset.core.steps import Steps

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
        state, view = self._look(state)
        if seeding.arrived(state, schedule, view):
            return self._emit(state._replace(phase="sampling", inner=0))
        state = seeding.recorded(state, view)
        codes, lengths = self._move(state, view)
        info = descent.report(state, view, sampling.nothing(state), lengths)
        state = state._replace(codes=codes, step=state.step + 1)
        return seeding.advanced(state, schedule, problem, region, self.draw, view), info

    def _batches(self, codes: Tensor) -> list[slice]:
        size = self.problem.batches.capped(self.schedule.batch_size or BATCH)
        return [slice(first, min(first + size, len(codes))) for first in range(0, len(codes), size)]

    def _look(self, state: State) -> tuple[State, View]:
        """As `descent.seen`; of the encodings it keeps the moments, and no images."""
        group, activations = state.previous, []
        for rows in self._batches(state.codes):
            evaluation = self.problem.encode(state.codes[rows], rows.start)
            group = group.merge(Moments.of(evaluation.encodings))
            activations.append(evaluation.activations)
        kept = Evaluation(evaluation.images[:0], evaluation.encodings[:0], torch.cat(activations))
        return descent.seen(self.region, state, steps.SEEDING, kept, self.problem.added(group))

    def _move(self, state: State, view: View) -> tuple[Tensor, Tensor]:
        """Each micro-batch by itself, for given the moments it needs nothing of the others."""
        codes, lengths = torch.empty_like(state.codes), []
        for rows in self._batches(codes):
            batch = state.codes[rows]
            evaluation, pull_back = self.problem.linearise(batch, first=rows.start, keep_images=False)
            of_batch = view._replace(evaluation=evaluation)
            multipliers = state.multipliers._replace(values=state.multipliers.values[rows])
            lengths_of = Steps(*(values[rows] for values in state.steps))
            part = state._replace(codes=batch, multipliers=multipliers, steps=lengths_of)
            pulls = descent.pulls(self.problem, part, of_batch)
            codes[rows], length = descent.moved(self.problem, part, pulls, pull_back(*pulls))
            lengths.append(length)
        return codes, torch.cat(lengths)

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
