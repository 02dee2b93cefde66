"""The paper's sampling as one would first write it down: what `method=paper` is timed against, and compared with.

What is literal: E and f are a pass each; L of eqs. 9 and 11 is a sum over all pairs of codes, and its gradient is
autograd's; whether C' is feasible (step 4 of sec. 3.4) is a pass of its own; images are written, read back and measured
one by one. Step lengths, multipliers, the stopping rule and the run's folder are the library's, so that both take the
same steps.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from invset.core.method import Step
from invset.core.paper import Paper, PaperState
from invset.core.problem import Counts, Evaluation, Problem, PullBack
from invset.run.recorder import Recorder

Pass = Callable[[Tensor], Tensor]


class Literal(Paper):
    """`method=paper` of one group, literally.

    Args:
        paper: the same as the library has it.
        generate: G, codes (k, c) -> images as they are saved.
        encode: E, images -> (k, d).
        activate: f, images -> (k, p).
        one_by_one: each code goes through the networks alone, and pairs are a loop.
    """

    def __init__(self, paper: Paper, generate: Pass, encode: Pass, activate: Pass, one_by_one: bool = False) -> None:
        super().__init__(paper.problem, paper.region, paper.schedule, paper.draw, paper.references)
        self.generate, self.encode, self.activate = generate, encode, activate
        self.one_by_one = one_by_one

    def step(self, state: PaperState) -> tuple[PaperState, Step]:
        """From C to C' = C − β ∂L/∂C; codes in range are samples, and the C₀ of the next steps."""
        codes = state.chains.codes.detach().requires_grad_(True)
        images = self._each(self.generate, codes)
        e, f = self._each(self.encode, images), self._each(self.activate, images)
        inside = ((f >= self.region.lower) & (f <= self.region.upper)).all(dim=1)
        if state.phase == "seeding" and not inside.all():
            self.accepted = e[:0].detach()  # eq. 9
        elif inside.any():
            self.accepted = e[inside].detach()  # eq. 11: a new C₀

        def gradient(of_e: Tensor, of_f: Tensor) -> Tensor:
            adrift = ~of_e.any(dim=1, keepdim=True)  # the library lets the constraints alone pull on such a code
            (gradient,) = torch.autograd.grad(self.lagrangian(torch.where(adrift, e.detach(), e), f, state), codes)
            return gradient

        known = Known(Evaluation(images.detach(), e.detach(), f.detach()), gradient)
        problem = Problem(known, self.problem.code_bounds)
        following, step = Paper(problem, self.region, self.schedule, self.draw, self.references).step(state)
        with torch.no_grad():
            self._each(self.activate, self._each(self.generate, following.chains.codes))
        counts = self.problem.passes.counts
        counts.forward, counts.backward = counts.forward + 3 * len(codes), counts.backward + 2 * len(codes)
        return following, step

    def lagrangian(self, e: Tensor, f: Tensor, state: PaperState) -> Tensor:
        """L of eq. 9, and with C₀ of eq. 11, at the best slack; without the terms that do not depend on C."""
        w, r = state.scales
        values, penalty = state.chains.multipliers, float(state.seeking.penalty)
        if self.one_by_one:
            distances = sum(((a - b).square().sum() for a in e for b in [*e, *self.accepted]), torch.zeros(()))
        else:
            distances = (e[:, None] - torch.cat([e, self.accepted])).square().sum()
        slack = (f - r * values / penalty).clamp(self.region.aim_lower, self.region.aim_upper).detach()
        residual = (f - slack) / r
        return -w * distances + (-values * residual + penalty / 2 * residual.square()).sum()

    def _each(self, work: Pass, rows: Tensor) -> Tensor:
        return torch.cat([work(row[None]) for row in rows]) if self.one_by_one else work(rows)


class Known:
    """Passes that have been taken: what they gave, and what pulls gradients back."""

    def __init__(self, evaluation: Evaluation, pull_back: PullBack) -> None:
        self.counts = Counts()
        self.evaluation, self.pull_back = evaluation, pull_back

    def evaluate(self, codes: Tensor) -> Evaluation:
        """What the codes gave."""
        return self.evaluation

    def linearise(self, codes: Tensor, keep_images: bool = True) -> tuple[Evaluation, PullBack]:
        """The same, and what pulls back."""
        return self.evaluation, self.pull_back


def record_one_by_one(recorder: Recorder) -> None:
    """From here on it writes, reads back and measures each image alone."""
    record = recorder.record

    def record_each(step: Step, room: int) -> int:
        last = recorder.count + room
        return sum(record(step.only(step.chains == chain), last - recorder.count) for chain in step.chains)

    recorder.record = record_each  # type: ignore[method-assign]


def mean_distance(encodings: Tensor) -> float:
    """Over all pairs, pair by pair."""
    count = len(encodings)
    total = sum(float((encodings[i] - encodings[j]).norm()) for i in range(count) for j in range(i))
    return total / (count * (count - 1) / 2)
