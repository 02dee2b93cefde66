"""`method=multistart`: a start of its own for every sample, where the paper's rule takes single steps from K seeds.

The K chains move by eq. 9 with λ = 0 and μ = μ₀, each on its own clock. Once a chain has given a sample it goes on from
another start,

    c = c₀ + γ (c* − c₀*),

with c₀ a new start, and c* − c₀* the way that led the chain from its last start to its sample. What moves one start
into the range nearly moves another, so that a few steps are left where there would be many. The more of its way a
chain takes along, the sooner and the more alike are its samples: γ follows, chain by chain, from the steps that a
sample is to take, whatever the network and the range.

All samples so far count as members of the group whose distances are maximised; as moments, at no cost. Each chain aims
at the middle half of the range, or, to fill it evenly, at the part of it with the fewest samples (`fill.py`).
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from invset.core import chains as chain
from invset.core import fill, lagrangian, steps
from invset.core.chains import Chains, Draw
from invset.core.diversity import Moments, moments
from invset.core.fill import Filled
from invset.core.lagrangian import Multipliers, Scales
from invset.core.method import ACTIVE, Phase, Step, View, all_seeding, in_phase, joint_phase
from invset.core.problem import Problem
from invset.core.region import Region
from invset.core.scales import Distances
from invset.core.seeding import Descent, Schedule
from invset.core.steps import Pulls

STEPS = 4.5  # that a sample is to take: with them a run makes about three times the passes of the paper's
FIRST_CARRY, FIRST_CARRY_NEAR = 0.5, 0.1  # γ at first: from starts near the ranges there is less of a way
LEAST_CARRY, MOST_CARRY = 0.01, 0.9  # all of it would go on from start to start
ADAPTATION = 0.3  # how fast log γ follows the steps that samples take
RELAXED = steps.Aim(steps.SAMPLING.staying, steps.SAMPLING.smallest, relaxation=1.5)
PULL = 0.4  # of the objective, as a share of the constraints'
ALIKE = 0.1  # of the distance between unrelated encodings: the root mean square below which starts are alike
NEARER = 0.9  # a step that leaves more than this of the way to go has brought a chain no nearer
LONG = 2 * STEPS  # after which a chain in range, but not where it is to go, gives its sample if it gets no nearer
LONG_EVEN = 2 * LONG  # the same with the range to be filled evenly: parts are narrow, and those far in slow to reach
STARTS = 4  # of each chain, one after the other, without a sample, after which a group is at its end
WINDOWS = 4  # of a start's steps: in each a chain's way is judged by what it brought
LEAST_WINDOW = 5
TRIED = 10  # starts of a group, at least, before it can be out of reach


class Approach(NamedTuple):
    """How near k chains have come to their ranges.

    Attributes:
        nearest: (k,), the least violation since each chain's start, in half widths.
        before: (k,), that a window of steps ago.
        hopeless: (k,) bool: at the pace of a chain's last window, the steps left to its group would not take it into
            the range; and ways into a range get slower.
    """

    nearest: Tensor
    before: Tensor
    hopeless: Tensor

    @classmethod
    def none(cls, chains: int, device: torch.device) -> Approach:
        """Before the first step."""
        far = torch.full((chains,), torch.inf, device=device)
        return cls(far, far, torch.zeros_like(far, dtype=torch.bool))

    def note(self, violation: Tensor, age: Tensor, window: int, left: Tensor) -> Approach:
        """With violations (k,) of chains at an age (k,), to whose groups so many steps are `left` (k,)."""
        first, judged = age == 0, (age + 1) % window == 0
        nearest = torch.where(first, violation, torch.minimum(self.nearest, violation))
        before = torch.where(first, violation, self.before)
        too_slow = nearest > (before - nearest) * left / window
        hopeless = torch.where(judged, too_slow, self.hopeless & ~first)
        return Approach(nearest, torch.where(judged, nearest, before), hopeless)


class MultistartState(NamedTuple):
    """k chains in g groups.

    Attributes:
        phases: of the groups; `seeding` until there is a sample.
        chains: where they are.
        samples: all so far, as moments.
        age: (k,), each chain's steps since its last start.
        carry: (k,) float64, γ: how much of its way a chain takes along to its next start, 0 … 1.
        way: (k, c), what led each chain from its start to its last sample; 0 as long as it has none.
        before: (k, p), the activations before each chain's last step; NaN at a new start.
        filled: which parts of the ranges have samples, and where chains are to go, if they are filled evenly.
        idle: (g,), steps since the last sample.
        approach: how near chains have come to their ranges, and which of them are too slow to reach them.
        weight: w of the objective (g,) float64.
        distances: between unrelated codes; measured once.
        step: gradient steps taken.
    """

    phases: tuple[Phase, ...]
    chains: Chains
    samples: Moments
    age: Tensor
    carry: Tensor
    way: Tensor
    before: Tensor
    filled: Filled
    idle: Tensor
    approach: Approach
    weight: Tensor
    distances: Distances
    step: int

    @property
    def phase(self) -> Phase:
        """Of the run."""
        return joint_phase(self.phases)


class Multistart(Descent):
    """Samples of the inverse set, each from its own start.

    Args:
        even: fill the ranges evenly; only for ranges with two ends.
        first_carry: γ at first.

    All else is as for every `Descent`; of the schedule K, μ₀, the steps after which a chain that has given no sample
    starts anew, and the objective's weight count.
    """

    State: ClassVar[type] = MultistartState
    groups: ClassVar[bool] = True
    fills: ClassVar[bool] = True
    starts: ClassVar[str] = "near"
    own_starts: ClassVar[bool] = True

    def __init__(
        self,
        problem: Problem,
        region: Region,
        schedule: Schedule,
        draw: Draw,
        references: Tensor,
        even: bool = False,
        first_carry: float = FIRST_CARRY,
    ) -> None:
        super().__init__(problem, region, schedule, draw, references)
        self.even = even
        self.first_carry = first_carry

    def begin(self) -> MultistartState:
        """The state before the first step: start codes, λ = 0, μ = μ₀, scales measured."""
        schedule, constraints = self.schedule, len(self.region.lower)
        chains = chain.start(self.problem, self.region, self.draw, schedule.chains * schedule.groups)
        codes = chains.codes
        distances, scales = self.measure()
        weights = [self._balance(group, distances, scales) for group in codes.split(schedule.chains)]
        return MultistartState(
            phases=all_seeding(schedule.groups),
            chains=chains,
            samples=Moments.none(schedule.groups, self._encoding_size(codes), codes.device),
            age=torch.zeros_like(chains.attempts),
            carry=torch.full_like(chains.radius, self.first_carry, dtype=torch.float64),
            way=torch.zeros_like(codes),
            before=torch.full((len(codes), constraints), torch.nan).to(codes),
            filled=Filled.none(codes, constraints, schedule.groups),
            idle=torch.zeros(schedule.groups, dtype=torch.int64, device=codes.device),
            approach=Approach.none(len(codes), codes.device),
            weight=torch.tensor(weights, dtype=torch.float64, device=codes.device),
            distances=distances,
            step=0,
        )

    def step(self, state: MultistartState) -> tuple[MultistartState, Step]:
        """Evaluate the codes, take those that have arrived for samples and give them a new start; move the others.

        Raises:
            NonFiniteError: an activation, an encoding or the gradient is NaN or infinite.
        """
        problem, region, schedule = self.problem, self.region, self.schedule
        codes, group = state.chains.codes, self.group(state.chains.codes.device)
        active, had_samples = (in_phase(state.phases, wanted, codes.device) for wanted in (ACTIVE, ("sampling",)))

        evaluation, pull_back = problem.linearise(codes)
        encodings, activations = evaluation.encodings, evaluation.activations
        view = View.of(region, activations)
        filled, aimed = state.filled, fill.middle(region, activations)
        if self.even:
            filled, aimed = fill.emptiest(region, filled, activations, group)
        away = (aimed.violation(activations) / region.half_width).sum(dim=1)

        overdue = state.age >= schedule.inner_steps - 1
        at_rest = (away > NEARER * state.chains.violation) & (state.age >= (LONG_EVEN if self.even else LONG))
        asleep = ((activations == state.before) & (view.violation > 0)).any(dim=1)
        arrived = active[group] & view.feasible & ((away == 0) | at_rest | overdue)
        rows = arrived.nonzero().flatten()
        taken = moments(encodings[rows], group[rows], schedule.groups)
        samples, sampling = state.samples.merge(taken), had_samples | (taken.size > 0)
        if self.even:
            filled = fill.note_samples(region, filled, rows, activations, group)

        chains = steps.adapt(state.chains, away, RELAXED)
        everyone = moments(encodings, group, schedule.groups).merge(samples)
        weight = self._weight(state.weight, samples)[group]
        multipliers = Multipliers(chains.multipliers, torch.full_like(away, schedule.penalty))
        scales = Scales(weight[:, None].to(encodings), self._unit())
        apart = lagrangian.encoding_gradient(encodings, everyone.rows(group), None, scales)
        pulls = Pulls(
            _share(encodings, everyone.rows(group), away, state.distances)[:, None] * apart,
            lagrangian.activation_gradient(activations, multipliers, aimed, scales),
            pull_back,
        )
        resting = arrived | ~active[group]
        moved, lengths = steps.move(
            problem, chains, pulls, multipliers.penalty, scales.constraint, state.distances.codes, resting
        )
        step = Step.of(
            state.step, codes, evaluation, view, multipliers, samples=rows, lengths=lengths,
            sampling=sampling[group], begins=(sampling & ~had_samples)[group],
        )  # fmt: skip
        idle = (state.idle + 1).masked_fill(taken.size > 0, 0)
        window, left = max(LEAST_WINDOW, schedule.inner_steps // WINDOWS), STARTS * schedule.inner_steps - idle
        approach = state.approach.note(view.total, state.age, window, left[group])
        starts, hopeless = (each.view(-1, schedule.chains) for each in (chains.attempts + 1, approach.hopeless))
        lost = hopeless.all(dim=1) & (starts.sum(dim=1) >= TRIED)
        state = state._replace(
            phases=self._phases(state.phases, sampling, idle, lost),
            chains=chains._replace(codes=moved),
            samples=samples,
            age=state.age + 1,
            before=activations,
            filled=filled,
            idle=idle,
            approach=approach,
            step=state.step + 1,
        )
        return self._renew(state, codes, arrived, active[group] & (arrived | asleep | overdue)), step.only(
            active[group]
        )

    def renew(self, state: Any, which: Tensor) -> Any:
        """New starts for the chains `which` (k,) bool, whose codes give NaN or infinity."""
        return self._renew(state, state.chains.codes, torch.zeros_like(which), which)

    def _renew(self, state: MultistartState, sampled: Tensor, arrived: Tensor, renewed: Tensor) -> MultistartState:
        """New starts for those `renewed` (k,): `arrived` (k,), with a sample at `sampled` (k, c), or without one."""
        if not renewed.any():
            return state
        carry, way = state.carry.clone(), state.way.clone()
        codes, attempts = state.chains.codes.clone(), state.chains.attempts + renewed
        for number in renewed.nonzero().flatten().tolist():
            late = (int(state.age[number]) - STEPS) / STEPS if arrived[number] else 1.0
            if way[number].any():  # else there was nothing to take along
                factor = math.exp(ADAPTATION * max(-1.0, min(1.0, late)))
                carry[number] = max(LEAST_CARRY, min(MOST_CARRY, float(carry[number]) * factor))
            if arrived[number]:
                way[number] = sampled[number] - self.draw(number, int(state.chains.attempts[number]))
            start = self.draw(number, int(attempts[number]))
            codes[number] = self.problem.bound(start + float(carry[number]) * way[number])
        return state._replace(
            chains=state.chains.where(renewed, Chains.at(codes, len(self.region.lower), attempts)),
            age=state.age.masked_fill(renewed, 0),
            carry=carry,
            way=way,
            before=state.before.masked_fill(renewed[:, None], torch.nan),
            filled=state.filled._replace(goal=state.filled.goal.masked_fill(renewed[:, None], torch.nan)),
        )

    def _phases(self, phases: tuple[Phase, ...], sampling: Tensor, idle: Tensor, lost: Tensor) -> tuple[Phase, ...]:
        """A group that has had no sample for long is at its end; so is one that has had none and is `lost` (g,)."""
        following: list[Phase] = []
        columns = (values.tolist() for values in (sampling, idle >= STARTS * self.schedule.inner_steps, lost))
        for phase, draws, too_long, hopeless in zip(phases, *columns, strict=True):
            if phase in ACTIVE and draws:
                phase = "stalled" if too_long else "sampling"
            elif phase in ACTIVE:
                phase = "unreachable" if too_long or hopeless else "seeding"
            following.append(phase)
        return tuple(following)

    def _unit(self) -> Tensor:
        """r: as the paper prints it with a weight as it prints it, else half widths."""
        half_width = self.region.half_width
        return half_width if self.schedule.objective_scale is None else torch.ones_like(half_width)

    def _weight(self, weight: Tensor, samples: Moments) -> Tensor:
        """W (g,) with all samples in the group: a typical pair counts less as there are more."""
        chains = self.schedule.chains
        return weight * max(chains - 1, 1) / (chains + samples.size - 1).clamp(min=1)

    def _balance(self, codes: Tensor, distances: Distances, scales: Scales) -> float:
        """W for a group that starts at codes (k, c): what the objective comes to there, against the constraints.

        Distances between encodings, and activations, depend on the code in one network more, in others less: by a
        factor of 400 in some. Where no start's activation depends on its code, or the weight is given, it stays.
        Starts that are alike, or a single one, hardly push each other: then it is measured at the unrelated codes. What
        is not finite is left out.
        """
        problem, region = self.problem, self.region
        weight = usual = float(scales.objective)
        if self.schedule.objective_scale is not None:
            return usual
        count, linearise = len(codes), partial(problem.passes.linearise, keep_images=False)
        evaluation, pull_back = linearise(codes)
        everyone = moments(evaluation.encodings[evaluation.finite])
        if float(everyone.pairwise()) <= (ALIKE * distances.encodings * count) ** 2:
            codes = self.references
            evaluation, pull_back = linearise(codes)
            everyone = moments(evaluation.encodings[evaluation.finite])
            # A code's distances count as many times as there are others in its group.
            weight = usual * max(count - 1, 1) / (len(codes) - 1)
        encodings, activations = evaluation.encodings, evaluation.activations
        apart = lagrangian.encoding_gradient(encodings, everyone, None, Scales(weight, scales.constraint))
        objective = pull_back(apart, torch.zeros_like(activations)).norm(dim=1)
        outwards = (activations - region.project(activations)).sign() / region.half_width
        _, pull_back = linearise(codes)
        constraints = self.schedule.penalty * pull_back(torch.zeros_like(encodings), outwards).norm(dim=1)
        ratios = constraints / objective
        ratios = ratios[ratios.isfinite() & (ratios > 0)]
        return usual * PULL * float(ratios.median()) if len(ratios) else usual

    def _encoding_size(self, codes: Tensor) -> int:
        return self.problem.evaluate(codes[:1]).encodings.shape[1]


def _share(encodings: Tensor, everyone: Moments, away: Tensor, distances: Distances) -> Tensor:
    """How much of the objective each chain feels (k,): in proportion to the way it has left, and less far from others.

    So it is the same share of the constraints' pull all the way. Squared distances pull the more the farther; beyond
    what is usual between unrelated codes there is no need.
    """
    centre = (everyone.sum / everyone.size[:, None]).to(encodings)
    apart = (encodings - centre).norm(dim=1)
    usual = distances.encodings / apart.clamp_min(torch.finfo(apart.dtype).tiny)
    return away * usual.clamp(max=1).square()
