"""Many chains: groups of K, each sampled as if it were alone, that go through the networks together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch

from invset.core.lagrangian import Multipliers
from invset.core.problem import Evaluation, Problem
from invset.core.state import ACTIVE, Method, Phase, State, StepInfo
from invset.core.together import Stepping, together


class Stepped(Method, Protocol):
    """A method whose steps can be answered together with others'."""

    def stepping(self, state: State) -> Stepping:
        """One gradient step, as it asks."""


class Groups:
    """Several samplers of one problem; a group that can go no further rests while the others go on.

    What it gives at a step is first the first group's, then the second's. Chains are counted through.

    Args:
        problem: the same that the methods have.
        methods: a group each, of equally many chains.
        batch_size: codes that go through the networks at once; None: all.
    """

    def __init__(self, problem: Problem, methods: Sequence[Stepped], batch_size: int | None = None) -> None:
        self.problem = problem
        self.methods = methods
        self.batch_size = batch_size

    def begin(self) -> State:
        """The state before the first step; each group's own is in its `groups`."""
        return _joined([method.begin() for method in self.methods])

    def step(self, state: State) -> tuple[State, StepInfo]:
        """One step of each group that is not at its end.

        Raises:
            NonFiniteError: an activation, an encoding or the gradient is NaN or infinite.
        """
        states = list(state.groups)
        active = [number for number, one in enumerate(states) if one.phase in ACTIVE]
        under_way = [self.methods[number].stepping(states[number]) for number in active]
        infos = []
        for number, (following, info) in zip(active, together(self.problem, under_way, self.batch_size), strict=True):
            states[number] = following
            infos.append(info._replace(chains=info.chains + number * len(following.codes)))
        joined = _joined(states)._replace(step=state.step + 1)
        return joined, _seen(infos)._replace(step=state.step)


def _joined(states: Sequence[State]) -> State:
    """The groups as one: their codes, how far the best of them came, and each by itself."""
    best = min(states, key=lambda one: one.closest_violation)
    return states[0]._replace(
        phase=_phase([one.phase for one in states]),
        codes=torch.cat([one.codes for one in states]),
        step=max(one.step for one in states),
        closest=best.closest,
        closest_violation=best.closest_violation,
        groups=tuple(states),
    )


def _phase(phases: Sequence[Phase]) -> Phase:
    """Sampling as soon as one group is; at its end when all are, and as unreachable only if none had a sample."""
    order: tuple[Phase, ...] = ("sampling", "seeding", "stalled", "done", "unreachable")
    return min(phases, key=order.index)


def _seen(infos: Sequence[StepInfo]) -> StepInfo:
    """A step of all groups as one; λ of all, μ of the first."""
    firsts = torch.tensor([0, *(len(info.codes) for info in infos)]).cumsum(0).tolist()
    samples = [info.samples + first for info, first in zip(infos, firsts, strict=False)]
    values = torch.cat([info.multipliers.values for info in infos])
    return infos[0]._replace(
        phase=_phase([info.phase for info in infos]),
        chains=torch.cat([info.chains for info in infos]),
        codes=torch.cat([info.codes for info in infos]),
        evaluation=Evaluation(*map(torch.cat, zip(*(info.evaluation for info in infos), strict=True))),
        violation=torch.cat([info.violation for info in infos]),
        feasible=torch.cat([info.feasible for info in infos]),
        samples=torch.cat(samples),
        multipliers=Multipliers(values, infos[0].multipliers.penalty),
        lengths=torch.cat([info.lengths for info in infos]),
        groups=tuple(infos),
    )
