"""Runs of the linear model into a folder, made afresh for every process there might have been."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import torch

from invset.baselines.rounds import describe_step
from invset.core.method import Method, Phase, Step
from invset.core.problem import Pipeline, Problem
from invset.core.region import Region
from invset.models.linear import linear_network
from invset.models.pixels import pixel_generator
from invset.models.reader import Reader
from invset.models.starts import Starts
from invset.models.unit import parse_unit
from invset.passes.micro_batches import MicroBatches
from invset.passes.plain import Plain
from invset.run.folder import RunFolder
from invset.run.recorder import Recorder
from invset.run.runner import Progress, Runner

SHAPE, SIZE = (3, 8, 8), 192
Make = Callable[[Problem, Region, Starts], Method]


class Run:
    """A run in `path`, begun or gone on with; options are those of a `Runner`."""

    def __init__(
        self,
        path: Path,
        wanted: int,
        make: Make,
        chains: int,
        ranges: tuple[float, float],
        clock: Callable[[], float] = time.monotonic,
        **options: Any,
    ) -> None:
        network, generator = linear_network(), pixel_generator(SHAPE)
        reader = Reader(network, [parse_unit("output:1", network)])
        region = Region.two_sided([ranges])
        problem = Problem(MicroBatches(Plain(Pipeline(generator, reader))), generator.code_bounds)
        method = make(problem, region, Starts("normal", 0, chains, generator))
        new = not (path / "config.yaml").exists()
        self.folder = RunFolder.create(path, "n: 1\n", {}) if new else RunFolder.reopen(path)
        try:
            self.recorder = Recorder(
                self.folder, method.State, ["output:1"], SIZE, reader, region, torch.device("cpu"), generator, clock
            )
        except BaseException:
            self.folder.close()
            raise
        self.runner = Runner(method, problem, self.recorder, wanted, **options)

    def close(self) -> None:
        self.recorder.close()
        self.folder.close()


def go(run: Run, steps: int | None = None) -> list[Progress]:
    """The progress of all steps, or of so many; the run is closed."""
    with closing(run):
        iterator = run.runner.steps()
        return list(iterator) if steps is None else [next(iterator) for _ in range(steps)]


def data(path: Path) -> dict[str, bytes]:
    """What a run has written of its samples and steps."""
    files = [path / name for name in ("activations.csv", "trace.csv", "codes.bin", "checksums.bin")]
    return {file.name: file.read_bytes() for file in [*files, *sorted((path / "images").iterdir())]}


DRAWN = 7  # images that a `Drawing` gives at a step


class DrawingState(NamedTuple):
    phase: Phase
    step: int


class Drawing:
    """A method: each step gives images of a set of `kinds` of them, at random; None: images that never come again."""

    State: ClassVar[type] = DrawingState

    def __init__(self, problem: Problem, region: Region, kinds: int | None) -> None:
        self.problem, self.region, self.kinds = problem, region, kinds

    def begin(self) -> DrawingState:
        return DrawingState("sampling", 0)

    def step(self, state: DrawingState) -> tuple[DrawingState, Step]:
        codes = torch.stack([image(number) for number in drawn(self.kinds, state.step)])
        step = describe_step(self.region, state.step, codes, self.problem.evaluate(codes))
        return state._replace(step=state.step + 1), step


def drawing(kinds: int | None) -> Make:
    return lambda problem, region, starts: Drawing(problem, region, kinds)


def drawn(kinds: int | None, step: int) -> Sequence[int]:
    """Which images a step gives."""
    if kinds is None:
        return range(step * DRAWN, (step + 1) * DRAWN)
    dice = torch.Generator().manual_seed(1000 + step)
    return torch.randint(kinds, (DRAWN,), generator=dice).tolist()


def image(number: int) -> torch.Tensor:
    return torch.randint(2, (SIZE,), generator=torch.Generator().manual_seed(number)).float()
