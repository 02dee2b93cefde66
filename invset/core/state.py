"""What the next step needs (`State`) and what we want to know of the last one (`StepInfo`)."""

from __future__ import annotations

from typing import Literal, NamedTuple, Protocol

import torch
from torch import Tensor

from invset.core.diversity import Moments
from invset.core.lagrangian import Multipliers, Scales
from invset.core.problem import Evaluation
from invset.core.scales import Distances
from invset.core.steps import Steps

Phase = Literal["seeding", "sampling", "unreachable", "stalled", "done"]
"""`unreachable`: no code reached the ranges. `stalled`: sampling went on for long without a new sample."""

ACTIVE = ("seeding", "sampling")


class Lives(NamedTuple):
    """What `multistart` keeps beside; empty for other methods.

    Attributes:
        age: (k,), each chain's steps since its last start.
        way: (k, c), what led each chain from its start to its last sample; 0 as long as it has none.
        carry: (k,), γ: how much of its way a chain takes along to its next start, 0 … 1.
        seen: (k, p), the activations before each chain's last step; NaN at a new start.
        goal: (k, p), the activation in the middle of where each chain is to go; NaN at a new start.
        filled: (p, bins), how many samples lie in each equal part of each range.
        missed: (p, bins), how many chains in a row were to go to a part and gave their sample elsewhere.
    """

    age: Tensor
    way: Tensor
    carry: Tensor
    seen: Tensor
    goal: Tensor
    filled: Tensor
    missed: Tensor

    @classmethod
    def none(cls) -> Lives:
        """Of a method that has no use for them."""
        return cls(*(torch.zeros(0) for _ in cls._fields))


class State(NamedTuple):
    """All that a run's next step depends on: saved and restored, the run goes on to the same bits.

    Shapes: codes (k, c); multipliers.values (k, p); steps, attempts and outer_violation (k,); closest (p,).

    Attributes:
        phase: see `Phase`.
        codes: where the chains are.
        previous: C₀ as moments: the last accepted set (eq. 7), empty while seeding; for `multistart`, all samples.
        scales: weight of the objective and unit of each constraint; measured once.
        distances: between unrelated codes; measured once.
        attempts: how many starts each chain has used up.
        outer: outer iteration, from 0.
        inner: gradient steps in this outer iteration; while sampling, since the seeds.
        step: gradient steps in all.
        idle: sampling steps since the last new sample; for `multistart`, from the first step on.
        outer_violation: each chain's violation when the outer iteration began.
        outer_objective: the objective when the outer iteration began.
        closest: the activations of the code that came closest to the ranges, and how close (in half widths).
        lives: see `Lives`.
        groups: the states of several groups of chains, of which this one is the sum; see `groups.py`.
    """

    phase: Phase
    codes: Tensor
    multipliers: Multipliers
    steps: Steps
    previous: Moments
    scales: Scales
    distances: Distances
    attempts: Tensor
    outer: int
    inner: int
    step: int
    idle: int
    outer_violation: Tensor
    outer_objective: float
    closest: Tensor
    closest_violation: float
    lives: Lives
    groups: tuple[State, ...] = ()


class StepInfo(NamedTuple):
    """One step: the codes it began from, what they gave, which became samples, and how far each then went.

    Shapes: chains (k,), from 0; codes (k, c); violation (k, p), in units of activation; feasible (k,) bool;
    lengths (k,), in units of code; samples (m,): the rows that are new samples. While seeding, none is. Where there are
    several groups of chains this is all of them, and `groups` is each by itself.
    """

    phase: Phase
    outer: int
    step: int
    chains: Tensor
    codes: Tensor
    evaluation: Evaluation
    violation: Tensor
    feasible: Tensor
    samples: Tensor
    multipliers: Multipliers
    lengths: Tensor
    groups: tuple[StepInfo, ...] = ()


class Method(Protocol):
    """A way to sample an inverse set; `method=paper` is one."""

    def begin(self) -> State:
        """The state before the first step."""

    def step(self, state: State) -> tuple[State, StepInfo]:
        """One gradient step; only for a state whose phase is active."""
