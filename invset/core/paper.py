"""`method=paper`: the fast sampling of sec. 3.4, seeds first (eqs. 8, 9), then single steps (eqs. 10, 11).

Both are the same step with other things around it: slack in closed form, the gradient of L, a move (of chains that go
astray along the constraints' alone, see `steps.py`). Eq. 9 has nothing
to keep away from but the group itself; eq. 11 also the last accepted set C₀. While sampling, λ* and μ* stay as the
seeds left them; codes that are feasible are new samples and become C₀; every code, feasible or not, goes on.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from invset.core import chains as chain
from invset.core import lagrangian, steps
from invset.core.chains import Chains
from invset.core.diversity import Moments, moments
from invset.core.lagrangian import Multipliers, Scales
from invset.core.method import ACTIVE, Phase, Step, View, all_seeding, in_phase, joint_phase
from invset.core.scales import Distances
from invset.core.seeding import Descent, Seeking
from invset.core.steps import Pulls

PATIENCE = 100  # steps without a new sample after which sampling has stalled


class PaperState(NamedTuple):
    """k chains in g groups.

    Attributes:
        phases: of the groups.
        chains: where they are.
        seeking: where the groups stand on their way to seeds; its μ is μ* from there on.
        accepted: C₀ of eq. 7 as moments, empty while seeding.
        idle: (g,), sampling steps since the last new sample.
        distances: between unrelated codes; measured once.
        scales: weight of the objective and unit of each constraint; measured once.
        step: gradient steps taken.
    """

    phases: tuple[Phase, ...]
    chains: Chains
    seeking: Seeking
    accepted: Moments
    idle: Tensor
    distances: Distances
    scales: Scales
    step: int

    @property
    def phase(self) -> Phase:
        """Of the run."""
        return joint_phase(self.phases)


class Paper(Descent):
    """Samples of the inverse set as the paper draws them; made as every `Descent`."""

    State: ClassVar[type] = PaperState
    seeds: ClassVar[bool] = True
    groups: ClassVar[bool] = True

    def begin(self) -> PaperState:
        """The state before the first step: start codes, λ = 0, μ = μ₀, scales measured."""
        problem, region, schedule = self.problem, self.region, self.schedule
        chains = chain.start(problem, region, self.draw, schedule.chains * schedule.groups)
        device = chains.codes.device
        distances, scales = self.measure()
        return PaperState(
            phases=all_seeding(schedule.groups),
            chains=chains,
            seeking=Seeking.first(schedule, device),
            accepted=Moments.none(schedule.groups, problem.evaluate(chains.codes[:1]).encodings.shape[1], device),
            idle=torch.zeros(schedule.groups, dtype=torch.int64, device=device),
            distances=distances,
            scales=scales,
            step=0,
        )

    def step(self, state: PaperState) -> tuple[PaperState, Step]:
        """Evaluate the codes, take what is a sample, and move on by one gradient step of eq. 9 or eq. 11.

        Raises:
            NonFiniteError: an activation, an encoding or the gradient is NaN or infinite.
        """
        problem, region, schedule, scales = self.problem, self.region, self.schedule, state.scales
        chains, codes, group = state.chains, state.chains.codes, self.group(state.chains.codes.device)
        sampling, active = (in_phase(state.phases, wanted, codes.device) for wanted in (("sampling",), ACTIVE))

        evaluation, pull_back = problem.linearise(codes)
        encodings, activations = evaluation.encodings, evaluation.activations
        view, everyone = View.of(region, activations), moments(encodings, group, schedule.groups)
        chains = steps.adapt(chains, view.total, steps.SEEDING).where(
            sampling[group], steps.adapt(chains, view.total, steps.SAMPLING)
        )
        begins = active & ~sampling & self.has_arrived(state.seeking, view, everyone)
        chains = chains.where(begins[group], steps.widen(chains, steps.SAMPLING))
        sampling = sampling | begins
        first = sampling & (state.accepted.size == 0) & (state.idle == 0)  # also where outer iterations were used up
        seeking = state.seeking.note_beginning(group, view, everyone)

        samples = (view.feasible & sampling[group]).nonzero().flatten()
        taken = moments(encodings[samples], group[samples], schedule.groups)
        accepted = state.accepted.where(taken.size > 0, taken)  # C₀
        idle = (state.idle + 1).masked_fill((taken.size > 0) | ~sampling, 0)

        multipliers = Multipliers(chains.multipliers, seeking.penalty[group].to(activations))
        pulls = Pulls(
            lagrangian.encoding_gradient(encodings, everyone.rows(group), accepted.rows(group), scales),
            lagrangian.activation_gradient(activations, multipliers, region, scales),
            pull_back,
        )
        moved, lengths = steps.move(
            problem, chains, pulls, multipliers.penalty, scales.constraint, state.distances.codes, ~active[group]
        )
        step = Step.of(
            state.step, codes, evaluation, view, multipliers, samples=samples, lengths=lengths,
            sampling=sampling[group], begins=first[group], outer=seeking.outer[group],
        )  # fmt: skip
        updated = lagrangian.next_multipliers(activations, multipliers, region, scales)
        chains = chains._replace(codes=moved)
        seeking, chains, ended = self.advance(seeking, chains, active & ~sampling, updated, view)
        phases = list(state.phases)
        for number, (draws, waits) in enumerate(zip(sampling.tolist(), idle.tolist(), strict=True)):
            phases[number] = ended.get(
                number, "stalled" if waits >= PATIENCE else "sampling" if draws else phases[number]
            )
        state = PaperState(tuple(phases), chains, seeking, accepted, idle, state.distances, scales, state.step + 1)
        return state, step.only(active[group])
