"""A run from its first step, or its last checkpoint, to its end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Literal, NamedTuple

from torch import Tensor

from invset.core.problem import Problem
from invset.core.state import ACTIVE, Method, State, StepInfo
from invset.run.ahead import Ahead
from invset.run.growth import Growth
from invset.run.recorder import Recorder, Tally

Status = Literal["complete", "incomplete", "unreachable"]


class Progress(NamedTuple):
    """Where a run stands after a step.

    Attributes:
        info: the step.
        tally: counts so far.
        samples: images in range so far.
        wanted: n.
        new: of each sample, whether it was unlike all before; None where the run does not ask.
    """

    info: StepInfo
    tally: Tally
    samples: int
    wanted: int
    new: Sequence[bool] | None = None

    @property
    def worst_violation(self) -> Tensor:
        """(p,): the largest violation of each constraint over the chains, in units of activation."""
        return self.info.violation.amax(dim=0)


class Runner:
    """Drives a method and records what it gives.

    Args:
        method: what to step.
        problem: the method's problem, whose passes are counted.
        recorder: of the folder; if it holds a checkpoint, the run goes on from there.
        wanted: n, the number of samples.
        on_seeds: is given the step with which sampling begins, of the group that does, before that step's checkpoint.
        growth: of the samples; the run ends with the first step after which they have come to a plateau. None: at n.
        ahead: take the next step while the last is written, which pays where a device computes beside the processor.
    """

    def __init__(
        self,
        method: Method,
        problem: Problem,
        recorder: Recorder,
        wanted: int,
        on_seeds: Callable[[StepInfo], None] | None = None,
        growth: Growth | None = None,
        ahead: bool = False,
    ) -> None:
        self.method = method
        self.problem = problem
        self.recorder = recorder
        self.wanted = wanted
        self.on_seeds = on_seeds
        self.growth = growth
        self.ahead = ahead
        self.seeds: StepInfo | None = None
        self.last: StepInfo | None = None
        self.state: State | None = recorder.state
        self.tally: Tally = recorder.tally

    def steps(self) -> Iterator[Progress]:
        """Step until there are n samples, a plateau, or the method gives up; every step is on disk when yielded.

        Raises:
            NonFiniteError: a network gave NaN or infinity; what was written stays.
            RunFolderError: the disk; what was written stays.
        """
        with Ahead(self.method) as method:
            yield from self._steps(method)

    def _steps(self, method: Ahead) -> Iterator[Progress]:
        problem, recorder = self.problem, self.recorder
        clock = time.perf_counter()
        state, tally = recorder.state, recorder.tally
        problem.forward_passes, problem.backward_passes = tally.forward, tally.backward
        if tally.at_once:  # the same bits as without the interruption
            problem.batches.learn(tally.at_once)
        if state is None:
            state = self.method.begin()
        while recorder.count < self.wanted and not self._at_plateau(state) and state.phase in ACTIVE:
            following, info = method.step(state)
            forward, backward = problem.forward_passes, problem.backward_passes
            room = self.wanted - recorder.count
            if info.phase == "sampling" and tally.seed_steps < 0:
                self.seeds = info
            last = len(info.samples) >= room
            taken = method.write(partial(recorder.record, info, room), following if self.ahead and not last else None)
            if info is self.seeds and self.on_seeds is not None:
                self.on_seeds(next(part for part in info.groups or (info,) if part.phase == "sampling"))
            now = time.perf_counter()
            budget = Budget(forward, backward, problem.batches.largest or 0)
            tally = _counted(tally, state, info, taken, recorder.count, budget, now - clock)
            clock = now
            # A step of which not all samples were wanted is done again if the run is extended: no checkpoint of it.
            if taken == len(info.samples):
                recorder.checkpoint(following, tally)
            state, self.state, self.last = following, following, info
            self.tally = tally
            yield Progress(info, tally, recorder.count, self.wanted, None if self.growth is None else self.growth.new)

    def _at_plateau(self, state: State) -> bool:
        """Looked at between steps alone, with every sample of the last: where a run may be killed and gone on with."""
        if self.growth is None:
            return False
        self.growth.follow(self.recorder, state)
        return self.growth.plateaued

    @property
    def status(self) -> Status:
        """How the run stands."""
        if self.recorder.count >= self.wanted or (self.growth is not None and self.growth.plateaued):
            return "complete"
        return "unreachable" if self.state is not None and self.state.phase == "unreachable" else "incomplete"


class Budget(NamedTuple):
    """What a problem has counted once a step is done; see `Tally`."""

    forward: int
    backward: int
    at_once: int


def _counted(
    tally: Tally, before: State, info: StepInfo, taken: int, samples: int, budget: Budget, seconds: float
) -> Tally:
    sampling = info.phase == "sampling"
    first = sampling and tally.seed_steps < 0
    after = sampling and not first
    tried = [part.feasible for part in _without_seeds(before, info)] if after else []
    return tally._replace(
        samples=samples,
        candidates=tally.candidates + taken,
        seed_steps=info.step if first else tally.seed_steps,
        sampling_steps=tally.sampling_steps + int(after),
        tried=tally.tried + sum(map(len, tried)),
        accepted=tally.accepted + sum(int(feasible.sum()) for feasible in tried),
        checked=tally.checked + taken,
        seconds=tally.seconds + seconds,
        **budget._asdict(),
    )


def _without_seeds(before: State, info: StepInfo) -> list[StepInfo]:
    """Those groups' parts of a step in which they went on from their seeds."""
    if not info.groups:
        return [info]
    return [part for part in info.groups if before.groups[int(part.chains[0]) // len(part.chains)].phase == "sampling"]
