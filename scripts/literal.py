"""The paper's sampling as one would write it down at first, to be timed against: the same problem, starts and steps.

What is literal: the sums of eqs. 9 and 11 run over pairs, and their gradient is autograd's; E and f are a pass each;
whether C' is feasible (step 4 of sec. 3.4) is a pass of its own; images are written, read back and measured one by one.
Step lengths, multipliers, the stopping rule and the run's folder are the library's, so that both take the same steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from invset.core import descent, lagrangian, sampling, seeding, steps
from invset.core.diversity import Moments
from invset.core.paper import Paper
from invset.core.problem import Evaluation, round_to_eight_bits
from invset.core.state import State, StepInfo
from invset.run.recorder import Recorder

Pass = Callable[[Tensor], Tensor]


class Literal(Paper):
    """`method=paper`, literally. `one_by_one`: each code goes through the networks alone, and pairs are a loop."""

    encode: Pass
    activate: Pass
    one_by_one = False

    def step(self, state: State) -> tuple[State, StepInfo]:
        """As `Paper.step`, which says the same in fewer passes."""
        schedule = self.schedule
        codes = state.codes.detach().requires_grad_(True)
        images = self._over(lambda c: round_to_eight_bits(self.problem.generate(c)), codes)
        e, f = self._over(self.encode, images), self._over(self.activate, images)
        self.problem.forward_passes += 2 * len(codes)
        evaluation = Evaluation(images.detach(), e.detach(), f.detach())
        aim = steps.SEEDING if state.phase == "seeding" else steps.SAMPLING
        state, view = descent.seen(self.region, state, aim, evaluation, Moments.of(e.detach()))
        if state.phase == "seeding" and seeding.arrived(state, schedule, view):
            state = state._replace(phase="sampling", inner=0, steps=steps.at_least(state.steps, steps.SAMPLING))
        if state.phase == "seeding":
            state, samples = seeding.recorded(state, view), sampling.nothing(state)
        else:
            state, samples = sampling.accepted(state, view)
            if len(samples):
                self.fixed = evaluation.encodings[samples]
        adrift = steps.adrift(state.steps)[:, None]
        if adrift.any():
            e.register_hook(lambda gradient: torch.where(adrift, 0, gradient))
        (gradient,) = torch.autograd.grad(self._lagrangian(e, f, state), codes)
        self.problem.backward_passes += 2 * len(codes)
        gradient = self.problem.free(state.codes, gradient)
        of_f = lagrangian.activation_gradient(f.detach(), state.multipliers, self.region, state.scales)
        penalty, unit = state.multipliers.penalty, state.scales.constraint
        lengths = steps.lengths(state.steps, gradient, of_f, unit, penalty, state.distances.codes)
        moved = self.problem.bound(steps.moved(state.codes, gradient, lengths))
        with torch.no_grad():  # step 4: which of C' are feasible
            self._over(lambda c: self.activate(round_to_eight_bits(self.problem.generate(c))), moved)
        self.problem.forward_passes += len(codes)
        info = descent.report(state, view, samples, lengths)
        state = state._replace(codes=moved, step=state.step + 1)
        if state.phase == "sampling":
            return sampling.advanced(state), info
        return seeding.advanced(state, schedule, self.problem, self.region, self.draw, view), info

    def _over(self, work: Pass, rows: Tensor) -> Tensor:
        return torch.cat([work(row[None]) for row in rows]) if self.one_by_one else work(rows)

    def _lagrangian(self, e: Tensor, f: Tensor, state: State) -> Tensor:
        fixed = self.fixed if state.phase == "sampling" else e[:0].detach()
        if self.one_by_one:
            distances = sum((a - b).square().sum() for a in e for b in e)
            distances = distances + sum((a - b).square().sum() for a in e for b in fixed)
        else:
            distances = (e[:, None] - e[None]).square().sum() + (e[:, None] - fixed[None]).square().sum()
        slack = lagrangian.slack(f.detach(), state.multipliers, self.region, state.scales)
        residual = (f - slack) / state.scales.constraint
        terms = -state.multipliers.values * residual + state.multipliers.penalty / 2 * residual.square()
        return -state.scales.objective * distances + terms.sum()


class OneByOne(Recorder):
    """Writes, reads back and measures one image at a time."""

    def _record_samples(self, info: StepInfo, rows: Sequence[int]) -> int:
        return sum(super(OneByOne, self)._record_samples(info, [row]) for row in rows)


def mean_distance(encodings: Tensor) -> float:
    """Over all pairs, pair by pair."""
    count = len(encodings)
    total = sum(float((encodings[i] - encodings[j]).norm()) for i in range(count) for j in range(i))
    return total / (count * (count - 1) / 2)
