"""`method=multistart`: a start of its own for every sample, where the paper's rule takes single steps from K seeds.

The K chains move by eq. 9, each on its own clock. Once a chain has given a sample it goes on from another start,

    c = c₀ + γ (c* − c₀*),

with c₀ a new start, and c* − c₀* the way that led the chain from its last start to its sample. What moves one start
into the range nearly moves another, so that a few steps are left where there would be many. The more of its way a
chain takes along, the sooner and the more alike are its samples: γ follows, chain by chain, from the steps that a
sample is to take, whatever the network and the range.

All samples so far count as members of the group whose distances are maximised; as moments, at no cost. Each chain aims
at the part of the range with the fewest samples, so that the range is filled evenly, or at the middle half of it.
"""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor

from invset.core import descent, lagrangian, seeding, steps
from invset.core.descent import View
from invset.core.diversity import Moments
from invset.core.problem import Evaluation, Problem
from invset.core.region import Region
from invset.core.seeding import Draw, Schedule
from invset.core.state import Lives, Phase, State, StepInfo
from invset.core.steps import Steps
from invset.core.together import Stepping, together

STEPS = 4.5  # that a sample is to take: with them a run makes about three times the passes of the paper's
FIRST_CARRY = 0.5
LEAST_CARRY, MOST_CARRY = 0.01, 0.9  # all of it would go on from start to start
ADAPTATION = 0.1  # how fast log γ follows the steps that samples take
RELAXED = steps.Aim(steps.SAMPLING.staying, steps.SAMPLING.smallest, relaxation=1.5)
PULL = 0.4  # of the objective, as a share of the constraints'
ALIKE = 0.1  # of the distance between unrelated encodings: the root mean square below which starts are alike
BINS = 10  # equal parts of a range
NEARER = 0.9  # a step that leaves more than this of the way to go has brought a chain no nearer
LONG = 2 * STEPS  # after which a chain in range, but not where it is to go, gives its sample if it gets no nearer
LONG_EVEN = 2 * LONG  # the same with the range to be filled evenly: parts are narrow, and those far in slow to reach
STARTS = 4  # of each chain without a single sample, after which it is given up


class Multistart:
    """Samples of the inverse set, each from its own start.

    Args:
        problem: codes to images, encodings, activations.
        region: the activation ranges.
        schedule: K, μ₀, the steps after which a chain that has given no sample starts anew, the objective's weight.
        draw: (chain, attempt) -> a start code (c,); the same one whenever it is asked for.
        references: unrelated codes (m, c), m ≥ 2, on which scales are measured.
        even: fill the ranges evenly; only for ranges with two ends.
    """

    def __init__(
        self, problem: Problem, region: Region, schedule: Schedule, draw: Draw, references: Tensor, even: bool = False
    ) -> None:
        self.problem = problem
        self.region = region
        self.schedule = schedule
        self.draw = draw
        self.references = references
        self.even = even

    def begin(self) -> State:
        """The state before the first step: start codes, λ = 0, μ = μ₀, scales measured."""
        state = seeding.begin(self.problem, self.region, self.schedule, self.draw, self.references)
        age, codes, constraints = torch.zeros_like(state.attempts), state.codes, len(self.region.lower)
        carry = torch.full(age.shape, FIRST_CARRY, dtype=torch.float64)
        seen = torch.full((len(codes), constraints), torch.nan, dtype=codes.dtype, device=codes.device)
        filled = torch.zeros(constraints, BINS, device=codes.device)
        lives = Lives(age, torch.zeros_like(codes), carry, seen, goal=seen, filled=filled, missed=filled)
        return self._balanced(state)._replace(lives=lives)

    def step(self, state: State) -> tuple[State, StepInfo]:
        """Evaluate the codes, take those that have arrived for samples and give them a new start; move the others.

        Raises:
            NonFiniteError: an activation, an encoding or the gradient is NaN or infinite.
        """
        return together(self.problem, [self.stepping(state)], self.schedule.batch_size)[0]

    def stepping(self, state: State) -> Stepping:
        """The same, as it asks."""
        problem, before = self.problem, state.steps.violation
        part = partial(self._wanting, state.lives) if self.even else self._middle
        evaluation: Evaluation = yield state.codes
        group = Moments.of(evaluation.encodings)
        state, view = descent.seen(self.region, state, RELAXED, evaluation, group, part=part)
        age, seen = state.lives.age.to(state.codes.device), state.lives.seen
        overdue = age >= self.schedule.inner_steps - 1
        at_rest = (view.total > NEARER * before) & (age >= (LONG_EVEN if self.even else LONG))
        asleep = ((view.evaluation.activations == seen) & (view.violation > 0)).any(dim=1)
        arrived = view.feasible & ((view.total == 0) | at_rest | overdue)
        samples = arrived.nonzero().flatten()
        state = self._counted(state, view, samples)
        view = view._replace(group=view.group.merge(state.previous))
        pulls = descent.pulls(problem, self._weighed(state), view, self._share(state, view))
        gradient: Tensor = yield pulls
        codes, lengths = descent.moved(problem, state, pulls, gradient)
        info = descent.report(state, view, samples, lengths.masked_fill(arrived, 0))
        lives = state.lives._replace(
            age=state.lives.age + 1, seen=view.evaluation.activations, goal=view.aimed.aim_lower
        )
        state = state._replace(codes=codes, lives=lives, step=state.step + 1)
        return self._renewed(state, info.codes, arrived.cpu(), (arrived | asleep | overdue).cpu()), info

    def _balanced(self, state: State) -> State:
        """The state with the objective weighed by what it comes to in the codes, against what constraints come to.

        Distances between encodings, and activations, depend on the code in one network more, in others less: by a
        factor of 400 in some. Where no start's activation depends on its code, or the weight is given, it stays.
        Starts that are alike, or a single one, hardly push each other: then it is measured at the unrelated codes.
        """
        region, scales, batch_size, codes = self.region, state.scales, self.schedule.batch_size, state.codes
        if self.schedule.objective_scale is not None:
            return state
        evaluation, pull_back = self.problem.linearise(codes, batch_size=batch_size, keep_images=False)
        group = Moments.of(evaluation.encodings)
        if float(group.pairwise()) <= (ALIKE * state.distances.encodings * len(codes)) ** 2:
            codes = self.references
            evaluation, pull_back = self.problem.linearise(codes, batch_size=batch_size, keep_images=False)
            group = Moments.of(evaluation.encodings)
            # A code's distances count as many times as there are others in its group.
            scales = scales._replace(objective=scales.objective * max(len(state.codes) - 1, 1) / (len(codes) - 1))
        encodings, activations = evaluation.encodings, evaluation.activations
        apart = lagrangian.encoding_gradient(encodings, group, None, scales)
        objective = pull_back(apart, torch.zeros_like(activations)).norm(dim=1)
        outwards = (activations - region.project(activations)).sign() / region.half_width
        _, pull_back = self.problem.linearise(codes, batch_size=batch_size, keep_images=False)
        constraints = self.schedule.penalty * pull_back(torch.zeros_like(encodings), outwards).norm(dim=1)
        ratios = (constraints / objective)[(constraints > 0) & (objective > 0)]
        if not len(ratios):
            return state
        weight = state.scales.objective * PULL * float(ratios.median())
        return state._replace(scales=scales._replace(objective=weight))

    def _middle(self, activations: Tensor) -> Region:
        """The middle half of the range, where seeds aim too, with slack at its middle (k, p).

        A step made for a point just inside would mostly end just outside: activations flatten as they grow.
        """
        region, reach = self.region, self.region.half_width / 2
        middle = activations.clamp(region.aim_lower + reach, region.aim_upper - reach)
        lower, upper = region.aim_lower.expand_as(activations), region.aim_upper.expand_as(activations)
        return Region(lower, upper, middle, middle, region.half_width)

    def _wanting(self, lives: Lives, activations: Tensor) -> Region:
        """The part of the range that each chain is to go to (k, p): its own, which a new start is given here.

        It is the nearest of those with the fewest samples, those counted that other chains are on their way to. A part
        missed m times in a row counts as m (m + 1) / 2 samples fuller, so that nobody waits for what is not reached.
        """
        region, goal = self.region, lives.goal.clone()
        width = 2 * region.half_width / BINS
        middles = region.lower[:, None] + width[:, None] * (torch.arange(BINS, device=width.device) + 0.5)
        filled = lives.filled + lives.missed * (lives.missed + 1) / 2
        for chain in goal.isnan().any(dim=1).nonzero().flatten().tolist():
            taken = filled + self._count(goal[~goal.isnan().any(dim=1)])
            away = (activations[chain][:, None] - middles).abs()
            nearest = away.masked_fill(taken > taken.amin(dim=1, keepdim=True), torch.inf).argmin(dim=1, keepdim=True)
            goal[chain] = middles.gather(1, nearest)[:, 0]
        return region.around(goal, 1 / BINS)

    def _count(self, activations: Tensor) -> Tensor:
        """How many of activations (m, p) lie in each of the equal parts of each range: (p, bins)."""
        parts = ((activations - self.region.lower) / (2 * self.region.half_width) * BINS).long().clamp(0, BINS - 1)
        none = torch.zeros(parts.shape[1], BINS, device=parts.device)
        return none.scatter_add(1, parts.T, torch.ones_like(parts.T, dtype=none.dtype))

    def _counted(self, state: State, view: View, samples: Tensor) -> State:
        """The state with rows `samples` (m,) of the view among the samples."""
        if not len(samples):
            return state._replace(idle=state.idle + 1)
        got, meant = self._count(view.evaluation.activations[samples]), self._count(view.aimed.aim_lower[samples])
        filled, missed = state.lives.filled + got, (state.lives.missed + meant).masked_fill(got > 0, 0)
        return state._replace(
            phase="sampling",
            previous=state.previous.merge(Moments.of(view.evaluation.encodings[samples])),
            lives=state.lives._replace(filled=filled, missed=missed),
            idle=0,
        )

    def _share(self, state: State, view: View) -> Tensor:
        """How much of the objective each chain feels (k,): as much less as is left of its way, and far from all others.

        So it is the same share of the constraints' pull all the way. Squared distances pull the more the farther;
        beyond what is usual between unrelated codes there is no need.
        """
        everyone, encodings = view.group, view.evaluation.encodings
        away = (encodings - (everyone.sum / everyone.size).to(encodings.dtype)).norm(dim=1)
        usual = state.distances.encodings / away.clamp_min(torch.finfo(away.dtype).tiny)
        return view.total * usual.clamp(max=1).square()

    def _weighed(self, state: State) -> State:
        """The state for a step of eq. 9 with all samples in the group: a typical pair counts less as there are more."""
        chains, samples = len(state.codes), state.previous.size
        weight = state.scales.objective * max(chains - 1, 1) / max(chains + samples - 1, 1)
        nothing = Moments(0, torch.zeros_like(state.previous.sum), torch.zeros_like(state.previous.squares))
        return state._replace(scales=state.scales._replace(objective=weight), previous=nothing)

    def _renewed(self, state: State, sampled: Tensor, arrived: Tensor, renewed: Tensor) -> State:
        """New starts for those `renewed` (k,): `arrived` (k,), with a sample at `sampled` (k, c), or without one."""
        if not renewed.any():
            return state._replace(phase=self._phase(state))
        codes, attempts = state.codes.clone(), state.attempts.clone()
        age, carry, way = state.lives.age.clone(), state.lives.carry.clone(), state.lives.way.clone()
        for chain in renewed.nonzero().flatten().tolist():
            late = (int(age[chain]) - STEPS) / STEPS if arrived[chain] else 1.0
            if way[chain].any():  # else there was nothing to take along
                factor = math.exp(ADAPTATION * max(-1.0, min(1.0, late)))
                carry[chain] = max(LEAST_CARRY, min(MOST_CARRY, float(carry[chain]) * factor))
            if arrived[chain]:
                way[chain] = sampled[chain] - self.draw(chain, int(attempts[chain]))
            attempts[chain] += 1
            age[chain] = 0
            start = self.draw(chain, int(attempts[chain]))
            codes[chain] = self.problem.bound(start + float(carry[chain]) * way[chain])
        first, fresh = Steps.first(len(codes), codes.device), renewed.to(codes.device)
        state = state._replace(
            codes=codes,
            attempts=attempts,
            steps=Steps(*(torch.where(fresh, new, old) for new, old in zip(first, state.steps, strict=True))),
            lives=state.lives._replace(
                age=age,
                way=way,
                carry=carry,
                seen=state.lives.seen.masked_fill(fresh[:, None], torch.nan),
                goal=state.lives.goal.masked_fill(fresh[:, None], torch.nan),
            ),
        )
        return state._replace(phase=self._phase(state))

    def _phase(self, state: State) -> Phase:
        if state.idle < STARTS * self.schedule.inner_steps:
            return state.phase
        return "unreachable" if state.phase == "seeding" else "stalled"
