"""`method=paper`: the fast sampling of sec. 3.4, seeds first (eqs. 8, 9), then single steps (eqs. 10, 11).

Both are the same step with other things around it: slack in closed form, the gradient of L, a move. Eq. 9 has nothing
to keep away from but the group itself; eq. 11 also the last accepted set C₀.
"""

from __future__ import annotations

from torch import Tensor

from invset.core import descent, sampling, seeding, steps
from invset.core.diversity import Moments
from invset.core.problem import Evaluation, Problem
from invset.core.region import Region
from invset.core.seeding import Draw, Schedule
from invset.core.state import State, StepInfo
from invset.core.together import Stepping, together


class Paper:
    """Samples of the inverse set as the paper draws them.

    Args:
        problem: codes to images, encodings, activations.
        region: the activation ranges.
        schedule: K, μ₀, α and the rest.
        draw: (chain, attempt) -> a start code (c,).
        references: unrelated codes (m, c), m ≥ 2, on which scales are measured.
    """

    def __init__(self, problem: Problem, region: Region, schedule: Schedule, draw: Draw, references: Tensor) -> None:
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
        return together(self.problem, [self.stepping(state)], self.schedule.batch_size)[0]

    def stepping(self, state: State) -> Stepping:
        """The same, as it asks."""
        problem, region, schedule = self.problem, self.region, self.schedule
        aim = steps.SEEDING if state.phase == "seeding" else steps.SAMPLING
        evaluation: Evaluation = yield state.codes
        state, view = descent.seen(region, state, aim, evaluation, Moments.of(evaluation.encodings))
        if state.phase == "seeding" and seeding.arrived(state, schedule, view):
            state = state._replace(phase="sampling", inner=0, steps=steps.at_least(state.steps, steps.SAMPLING))
        if state.phase == "seeding":
            state, samples = seeding.recorded(state, view), sampling.nothing(state)
        else:
            state, samples = sampling.accepted(state, view)
        pulls = descent.pulls(problem, state, view)
        gradient: Tensor = yield pulls
        codes, lengths = descent.moved(problem, state, pulls, gradient)
        info = descent.report(state, view, samples, lengths)
        state = state._replace(codes=codes, step=state.step + 1)
        if state.phase == "sampling":
            return sampling.advanced(state), info
        return seeding.advanced(state, schedule, problem, region, self.draw, view), info
