"""`method=full`: eq. 16, the exact problem, with all n samples optimised together.

It is eq. 6 with n codes for K. The sum over pairs needs of the others only their moments, so the n codes may go through
the networks in micro-batches, and of all n at once there are codes, encodings and a few numbers each, but no images.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch

from invset.core import chains as chain
from invset.core import lagrangian, steps
from invset.core.chains import Chains
from invset.core.diversity import moments
from invset.core.lagrangian import Multipliers, Scales
from invset.core.method import Phase, Step, View
from invset.core.scales import Distances
from invset.core.seeding import Descent, Seeking
from invset.core.steps import Pulls

BATCH = 64  # codes that are handed out as samples at a time


class FullState(NamedTuple):
    """n codes: sought until all are feasible, then handed out; `given` counts those that were."""

    phase: Phase
    chains: Chains
    seeking: Seeking
    given: int
    distances: Distances
    scales: Scales
    step: int


class Full(Descent):
    """Samples of the inverse set as the solution of eq. 16; `schedule.chains` is n, of a single group."""

    State: ClassVar[type] = FullState
    seeds: ClassVar[bool] = True
    grows: ClassVar[bool] = False
    joint: ClassVar[bool] = True

    def begin(self) -> FullState:
        """The state before the first step: n start codes, λ = 0, μ = μ₀, scales measured."""
        chains = chain.start(self.problem, self.region, self.draw, self.schedule.chains)
        distances, scales = self.measure()
        seeking = Seeking.first(self.schedule, chains.codes.device)
        return FullState("seeding", chains, seeking, 0, distances, scales, 0)

    def step(self, state: FullState) -> tuple[FullState, Step]:
        """One gradient step for all n codes; once they are feasible, some of them as samples instead.

        Raises:
            NonFiniteError: an activation, an encoding or the gradient is NaN or infinite.
        """
        if state.phase == "sampling":
            return self._give(state)
        problem, region, scales = self.problem, self.region, state.scales
        codes, group = state.chains.codes, self.group(state.chains.codes.device)
        evaluation, pull_back = problem.linearise(codes, keep_images=False)
        activations = evaluation.activations
        view, everyone = View.of(region, activations), moments(evaluation.encodings)
        chains = steps.adapt(state.chains, view.total, steps.SEEDING)
        if self.has_arrived(state.seeking, view, everyone):
            return self._give(state._replace(phase="sampling", chains=chains))
        seeking = state.seeking.note_beginning(group, view, everyone)
        multipliers = Multipliers(chains.multipliers, seeking.penalty[group].to(activations))
        pulls = Pulls(
            lagrangian.encoding_gradient(evaluation.encodings, everyone, None, scales),
            lagrangian.activation_gradient(activations, multipliers, region, scales),
            pull_back,
        )
        moved, lengths = steps.move(
            problem, chains, pulls, multipliers.penalty, scales.constraint, state.distances.codes
        )
        step = Step.of(state.step, codes, evaluation, view, multipliers, lengths=lengths, outer=seeking.outer[group])
        updated = lagrangian.next_multipliers(activations, multipliers, region, scales)
        all_seek = torch.ones_like(seeking.outer, dtype=torch.bool)
        seeking, chains, ended = self.advance(seeking, chains._replace(codes=moved), all_seek, updated, view)
        phase = ended.get(0, state.phase)
        return FullState(phase, chains, seeking, 0, state.distances, scales, state.step + 1), step

    def _give(self, state: FullState) -> tuple[FullState, Step]:
        """The next of the codes, those that are feasible as samples."""
        rows = torch.arange(state.given, min(state.given + BATCH, len(state.chains.codes)))
        rows = rows.to(state.chains.codes.device)
        codes = state.chains.codes[rows]
        evaluation = self.problem.evaluate(codes)
        view = View.of(self.region, evaluation.activations)
        multipliers = Multipliers(state.chains.multipliers[rows], state.seeking.penalty.expand(len(rows)).to(codes))
        step = Step.of(
            state.step, codes, evaluation, view, multipliers, chains=rows, samples=view.feasible.nonzero().flatten(),
            sampling=torch.ones_like(view.feasible), begins=torch.full_like(view.feasible, state.given == 0),
            outer=state.seeking.outer.expand(len(rows)),
        )  # fmt: skip
        given = state.given + len(rows)
        return state._replace(given=given, phase="done" if given == len(state.chains.codes) else "sampling"), step
