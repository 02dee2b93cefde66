"""A run from its first step, or its last checkpoint, to its end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any, Literal, NamedTuple

from torch import Tensor

from invset.core.method import ACTIVE, Method, Step
from invset.core.problem import Problem
from invset.core.region import Region
from invset.passes.micro_batches import Batches
from invset.run.growth import Growth
from invset.run.pipelined import Pipelined
from invset.run.recorder import Recorder, Tally

Status = Literal["complete", "incomplete", "unreachable"]


class Progress(NamedTuple):
    """Where a run stands after a step.

    Attributes:
        step: the step.
        tally: counts so far.
        samples: images in range so far.
        wanted: n.
        new: of each sample, whether it was new, unlike all new ones before it; None where the run does not ask.
    """

    step: Step
    tally: Tally
    samples: int
    wanted: int
    new: Sequence[bool] | None = None

    @property
    def worst_violation(self) -> Tensor:
        """(p,): the largest violation of each constraint over the chains, in units of activation."""
        return self.step.violation.amax(dim=0)


class Runner:
    """Drives a method and records what it gives.

    Args:
        method: what to step.
        problem: the method's problem, whose passes are counted.
        recorder: of the folder; if it holds a checkpoint, the run goes on from there.
        wanted: n, the number of samples.
        batches: what is halved when memory runs out; it begins with what the run has learned before.
        on_seeds: is given the chains that begin to sample in the first step that does, before its checkpoint.
        growth: of the samples; the run ends with the first step after which they have come to a plateau. None: at n.
        pipelined: take the next step while the last is written: for a device that computes beside the processor.
    """

    def __init__(
        self,
        method: Method,
        problem: Problem,
        recorder: Recorder,
        wanted: int,
        *,
        batches: Batches | None = None,
        on_seeds: Callable[[Step], None] | None = None,
        growth: Growth | None = None,
        pipelined: bool = False,
    ) -> None:
        self.method = method
        self.problem = problem
        self.recorder = recorder
        self.wanted = wanted
        self.batches = batches or Batches()
        self.on_seeds = on_seeds
        self.growth = growth
        self.pipelined = pipelined
        self.last: Step | None = None
        self.state: Any = recorder.state
        self.tally: Tally = recorder.tally

    def steps(self) -> Iterator[Progress]:
        """Step until there are n samples, a plateau, or the method gives up; every step is on disk when yielded.

        Raises:
            NonFiniteError: a network gave NaN or infinity; what was written stays.
            RunFolderError: the disk; what was written stays.
        """
        with Pipelined(self.method, self.recorder.device) as method:
            yield from self._steps(method)

    def _steps(self, method: Pipelined) -> Iterator[Progress]:
        counts, recorder = self.problem.passes.counts, self.recorder
        clock = time.perf_counter()
        state, tally = recorder.state, recorder.tally
        counts.forward, counts.backward, counts.not_finite = tally.forward, tally.backward, tally.not_finite
        if tally.at_once:  # the same bits as without the interruption
            self.batches.learn(tally.at_once)
        if state is None:
            state = self.method.begin()
        while recorder.count < self.wanted and not self._is_at_plateau(state) and state.phase in ACTIVE:
            following, step = method.step(state)
            tally = tally._replace(**asdict(counts), at_once=self.batches.largest or 0)
            room = self.wanted - recorder.count
            first = tally.seed_steps < 0 and bool(step.sampling.any())
            last = len(step.samples) >= room
            write = partial(recorder.record, step, room)
            taken = method.write(write, following if self.pipelined and not last else None)
            if first and self.on_seeds is not None:
                self.on_seeds(step.only(step.sampling))
            now = time.perf_counter()
            tally = _count(tally, step, following.step, recorder.region, taken, recorder.count, now - clock)
            clock = now
            # A step of which not all samples were wanted is done again if the run is extended: no checkpoint of it.
            if taken == len(step.samples):
                recorder.checkpoint(following, tally)
            state, self.state, self.last = following, following, step
            self.tally = tally
            yield Progress(step, tally, recorder.count, self.wanted, None if self.growth is None else self.growth.new)

    def _is_at_plateau(self, state: Any) -> bool:
        """Looked at between steps alone, with every sample of the last: where a run may be killed and resumed."""
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


def _count(tally: Tally, step: Step, steps: int, region: Region, taken: int, samples: int, seconds: float) -> Tally:
    """The tally after a step, the last of `steps`; `taken` of its samples were wanted, `samples` are in all."""
    drawn = step.sampling & ~step.begins  # not of seeds
    away = (step.violation / region.half_width).sum(dim=1)
    nearest = int(away.argmin())
    if float(away[nearest]) < tally.violation:
        closest = tuple(step.evaluation.activations[nearest].tolist())
        tally = tally._replace(closest=closest, violation=float(away[nearest]))
    if not tally.first:
        tally = tally._replace(first=tuple(step.evaluation.activations.median(dim=0).values.tolist()))
    return tally._replace(
        samples=samples,
        candidates=tally.candidates + taken,
        steps=steps,
        seed_steps=step.number if tally.seed_steps < 0 and bool(step.sampling.any()) else tally.seed_steps,
        sampling_steps=tally.sampling_steps + int(drawn.any()),
        outer=int(step.outer.max()),
        tried=tally.tried + int(drawn.sum()),
        accepted=tally.accepted + int((drawn & step.feasible).sum()),
        checked=tally.checked + taken,
        seconds=tally.seconds + seconds,
    )
