"""What the baselines share: K chains that start together, take so many steps, and start anew.

A round is `steps` steps from new starts. Each step evaluates the codes, takes those in range for samples by the rule
of the paper's own method, and moves them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from invset.core import scales
from invset.core.chains import Draw
from invset.core.lagrangian import Multipliers
from invset.core.method import Abilities, Phase, Step, View
from invset.core.problem import Evaluation, Problem
from invset.core.region import Region
from invset.core.scales import Distances
from invset.errors import ConfigError
from invset.settings import at_least, setting

PATIENCE = 3  # rounds without a sample after which sampling has stalled
HIGHEST = 30.0  # entry of a code of CaffeNet's fc6, for which published settings are made (PPGN clips there)
STARTS = ("normal", "given")


@dataclass(frozen=True)
class RoundSettings:
    """What every baseline in rounds can be asked for."""

    steps: int = setting(200, "of each chain in a round", at_least(1))
    rounds: int | None = setting(None, "how often chains start anew; null: until there are n samples", at_least(1))
    take: str = setting("every_step", "which codes count", ("every_step", "last_only"))


class RoundState(NamedTuple):
    """K chains in a round.

    Attributes:
        phase: of the run.
        codes: (k, c).
        attempts: (k,), starts used up before this one.
        inner: steps taken in this round.
        outer: rounds before this one.
        idle: steps since the last sample.
        distances: between unrelated codes.
        step: steps in all.
    """

    phase: Phase
    codes: Tensor
    attempts: Tensor
    inner: int
    outer: int
    idle: int
    distances: Distances
    step: int


class Rounds(Abilities, ABC):
    """A baseline: all but how it moves.

    Args:
        problem: codes to images, encodings, activations.
        region: the activation ranges.
        draw: (chain, attempt) -> a start code (c,).
        references: unrelated codes (m, c), m ≥ 2, on which distances are measured.
        settings: the method's own.
        chains: K.
        random_seed: of what it draws.
    """

    State: ClassVar[type] = RoundState
    Settings: ClassVar[type | None] = RoundSettings

    settings: Any

    def __init__(
        self,
        problem: Problem,
        region: Region,
        draw: Draw,
        references: Tensor,
        settings: RoundSettings,
        *,
        chains: int = 10,
        random_seed: int = 0,
    ) -> None:
        self.problem = problem
        self.region = region
        self.draw = draw
        self.references = references
        self.settings = settings
        self.chains = chains
        self.random_seed = random_seed

    def begin(self) -> RoundState:
        """The state before the first step: K start codes, distances measured."""
        attempts = torch.zeros(self.chains, dtype=torch.int64)
        distances = scales.measure(self.problem, self.references)
        return RoundState("sampling", self._starts(attempts), attempts, 0, 0, 0, distances, 0)

    def step(self, state: RoundState) -> tuple[RoundState, Step]:
        """Evaluate the codes, take what is a sample, and move on; after a round's last step, to new starts.

        Raises:
            NonFiniteError: an activation, an encoding or the gradient is NaN or infinite.
            ConfigError: the method does not fit the models.
        """
        evaluation, codes = self._move(state)
        codes = self.problem.bound(codes)
        last = state.inner + 1 >= self.settings.steps
        step = describe_step(self.region, state.step, state.codes, evaluation)
        if not last and self.settings.take == "last_only":
            step = step._replace(samples=step.samples[:0])
        step = step._replace(outer=torch.full_like(step.outer, state.outer), lengths=(codes - state.codes).norm(dim=1))
        idle = 0 if len(step.samples) else state.idle + 1
        state = state._replace(codes=codes, inner=state.inner + 1, idle=idle, step=state.step + 1)
        return (self._next_round(state) if last else state), step

    def renew(self, state: RoundState, which: Tensor) -> RoundState:
        """The state with new starts for the chains `which` (k,) bool."""
        attempts = state.attempts + which.cpu()
        return state._replace(codes=torch.where(which[:, None], self._starts(attempts), state.codes), attempts=attempts)

    @abstractmethod
    def _move(self, state: RoundState) -> tuple[Evaluation, Tensor]:
        """What the state's codes (k, c) give, and where they go (k, c)."""

    def _start(self, chain: int, attempt: int) -> Tensor:
        """Where a chain starts: a code (c,)."""
        return self.draw(chain, attempt)

    def _starts(self, attempts: Tensor) -> Tensor:
        starts = [self._start(chain, attempt) for chain, attempt in enumerate(attempts.tolist())]
        return self.problem.bound(torch.stack(starts))

    def _next_round(self, state: RoundState) -> RoundState:
        state = state._replace(outer=state.outer + 1)
        if self.settings.rounds is not None and state.outer >= self.settings.rounds:
            return state._replace(phase="done")
        if state.idle >= PATIENCE * self.settings.steps:
            return state._replace(phase="stalled")
        attempts = state.attempts + 1
        return state._replace(codes=self._starts(attempts), attempts=attempts, inner=0)

    def _share(self, state: RoundState) -> float:
        """How much of the round is over: 0 at its first step, below 1 at its last."""
        return state.inner / self.settings.steps


def describe_step(region: Region, number: int, codes: Tensor, evaluation: Evaluation) -> Step:
    """A step of a method without seeds and multipliers, all of whose codes in range are samples."""
    view = View.of(region, evaluation.activations)
    zeros = torch.zeros(len(codes), device=codes.device)
    multipliers = Multipliers(torch.zeros_like(view.violation), zeros)
    return Step.of(
        number, codes, evaluation, view, multipliers, samples=view.feasible.nonzero().flatten(),
        sampling=torch.ones_like(view.feasible),
    )  # fmt: skip


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
        raise ConfigError(f"a scale of {scale}: the unit of a code's entries is a positive number.")
    return scale


def normal_start(scale: float, like: Tensor, randomness: torch.Generator) -> Tensor:
    """N(0, scale²) for each entry of a code (c,), on its device."""
    return scale * torch.randn(len(like), generator=randomness, dtype=like.dtype).to(like.device)
