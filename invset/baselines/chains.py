"""What the baselines share: K chains that start together, take so many steps, and start anew.

A round is `steps` steps from new starts. Each step evaluates the codes, takes those in range for samples by the rule
of the paper's own method, and moves them. All that a step depends on is in the `State`: `inner` counts the steps of the
round, `outer` the rounds, `attempts` the starts, `idle` the steps since the last sample; λ stays 0.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from invset.core import lagrangian, scales
from invset.core.diversity import Moments
from invset.core.problem import Evaluation, Problem
from invset.core.region import Region
from invset.core.seeding import Draw
from invset.core.state import Lives, State, StepInfo
from invset.core.steps import Steps
from invset.errors import ConfigError

Take = Literal["every_step", "last_only"]
"""Which codes can be samples: those of every step, or those that a round ends with."""

PATIENCE = 3  # rounds without a sample after which sampling has stalled
HIGHEST = 30.0  # entry of a code of CaffeNet's fc6, for which published settings are made (PPGN clips there)


class Plan(NamedTuple):
    """K chains, steps a round, rounds (None: until there are samples enough), what is taken, the random seed."""

    chains: int = 10
    steps: int = 200
    rounds: int | None = None
    take: Take = "every_step"
    random_seed: int = 0
    batch_size: int | None = None


class Chains(ABC):
    """A baseline as a `Method`: all but how it moves.

    Args:
        problem: codes to images, encodings, activations.
        region: the activation ranges.
        draw: (chain, attempt) -> a start code (c,).
        references: unrelated codes (m, c), m ≥ 2, on which distances are measured.
        plan: see `Plan`.

    Raises:
        ConfigError: the plan makes no sense.
    """

    def __init__(self, problem: Problem, region: Region, draw: Draw, references: Tensor, plan: Plan) -> None:
        if plan.chains < 1 or plan.steps < 1 or (plan.rounds is not None and plan.rounds < 1):
            raise ConfigError(
                f"chains={plan.chains}, steps={plan.steps}, rounds={plan.rounds}: each has to be 1 or more; "
                "rounds may also be null, for as many as it takes."
            )
        if plan.take not in get_args(Take):
            raise ConfigError(f"take={plan.take}: write every_step or last_only.")
        self.problem = problem
        self.region = region
        self.draw = draw
        self.references = references
        self.plan = plan

    def begin(self) -> State:
        """The state before the first step: K start codes, distances measured."""
        attempts = torch.zeros(self.plan.chains, dtype=torch.int64)
        return first_state(self.problem, self.region, self._starts(attempts), self.references, self.plan.batch_size)

    def step(self, state: State) -> tuple[State, StepInfo]:
        """Evaluate the codes, take what is a sample, and move on; after a round's last step, to new starts.

        Raises:
            NonFiniteError: an activation, an encoding or the gradient is NaN or infinite.
            ConfigError: the method does not fit the models.
        """
        evaluation, codes = self._move(state)
        codes = self.problem.bound(codes)
        last = state.inner + 1 >= self.plan.steps
        info = report(state, evaluation, self.region, take=last or self.plan.take == "every_step")
        info = info._replace(lengths=(codes - state.codes).norm(dim=1))
        state = noted(state, info, self.region)._replace(codes=codes, inner=state.inner + 1)
        return (self._next_round(state) if last else state), info

    @abstractmethod
    def _move(self, state: State) -> tuple[Evaluation, Tensor]:
        """What the state's codes (k, c) give, and where they go (k, c)."""

    def _start(self, chain: int, attempt: int) -> Tensor:
        """Where a chain starts: a code (c,)."""
        return self.draw(chain, attempt)

    def _starts(self, attempts: Tensor) -> Tensor:
        starts = [self._start(chain, attempt) for chain, attempt in enumerate(attempts.tolist())]
        return self.problem.bound(torch.stack(starts))

    def _next_round(self, state: State) -> State:
        state = state._replace(outer=state.outer + 1)
        if self.plan.rounds is not None and state.outer >= self.plan.rounds:
            return state._replace(phase="done")
        if state.idle >= PATIENCE * self.plan.steps:
            return state._replace(phase="stalled")
        attempts = state.attempts + 1
        return state._replace(codes=self._starts(attempts), attempts=attempts, inner=0)

    def _share(self, state: State) -> float:
        """How much of the round is over: 0 at its first step, below 1 at its last."""
        return state.inner / self.plan.steps


def first_state(
    problem: Problem, region: Region, codes: Tensor, references: Tensor, batch_size: int | None = None
) -> State:
    """A state that samples from the first step, at codes (k, c)."""
    chains, constraints, device = len(codes), len(region.lower), codes.device
    distances = scales.measure(problem, references, batch_size)
    return State(
        phase="sampling",
        codes=codes,
        multipliers=lagrangian.no_multipliers(chains, constraints, 0.0, device),
        steps=Steps.first(chains, device),
        previous=Moments.of(codes[:0]),
        scales=scales.automatic(distances, region, chains),
        distances=distances,
        attempts=torch.zeros(chains, dtype=torch.int64),
        outer=0,
        inner=0,
        step=0,
        idle=0,
        outer_violation=torch.full((chains,), torch.inf, device=device),
        outer_objective=0.0,
        closest=torch.full((constraints,), torch.nan, device=device),
        closest_violation=torch.inf,
        lives=Lives.none(),
    )


def report(state: State, evaluation: Evaluation, region: Region, *, take: bool = True) -> StepInfo:
    """What is to be known of a step from `state`; with `take`, the codes in range are samples."""
    feasible = region.contains(evaluation.activations)
    return StepInfo(
        phase="sampling",
        outer=state.outer,
        step=state.step,
        chains=torch.arange(len(state.codes)),
        codes=state.codes,
        evaluation=evaluation,
        violation=region.violation(evaluation.activations),
        feasible=feasible,
        samples=(feasible if take else torch.zeros_like(feasible)).nonzero().flatten(),
        multipliers=state.multipliers,
        lengths=torch.zeros(len(state.codes), device=state.codes.device),
    )


def noted(state: State, info: StepInfo, region: Region) -> State:
    """The state with a step counted: what came closest to the ranges, and how long there was no sample."""
    total = (info.violation / region.half_width).sum(dim=1)
    best = int(torch.argmin(total))
    if float(total[best]) < state.closest_violation:
        state = state._replace(closest=info.evaluation.activations[best], closest_violation=float(total[best]))
    return state._replace(step=state.step + 1, idle=0 if len(info.samples) else state.idle + 1)


def along(direction: Tensor, length: float) -> Tensor:
    """The step length / mean|d| · d for each row d of a direction (k, c): entries change by `length` on average.

    A row of zeros gives zeros. The step of Nguyen et al. and of DeepDream (google/deepdream:dream.ipynb).
    """
    mean = direction.abs().mean(dim=1, keepdim=True)
    return torch.where(mean > 0, length * (direction / mean.clamp_min(torch.finfo(mean.dtype).tiny)), 0)


def between(first: float, last: float | None, share: float) -> float:
    """A setting that goes linearly from `first` to `last` (None: stays) as a round goes on."""
    return first if last is None else first + (last - first) * share


def code_scale(problem: Problem, scale: float | None) -> float:
    """The unit of a code's entries: 1 for CaffeNet's fc6, for which settings are published.

    None: the problem's highest entry over the 30 that PPGN allows one of fc6, if the problem has bounds; else 1.

    Raises:
        ConfigError: it is not positive.
    """
    if scale is None:
        highest = HIGHEST if problem.code_bounds is None else problem.code_bounds[1]
        scale = highest / HIGHEST if 0 < highest < torch.inf else 1.0
    if not 0 < scale < torch.inf:
        raise ConfigError(f"scale={scale}: the unit of a code's entries is a positive number; null finds one.")
    return scale
