"""Runs of the linear model into a folder, made afresh for every process there might have been."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import torch

from invset.core.method import Method
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
        self, path: Path, wanted: int, make: Make, chains: int, ranges: tuple[float, float], **options: Any
    ) -> None:
        network, generator = linear_network(), pixel_generator(SHAPE)
        reader = Reader(network, [parse_unit("output:1", network)])
        region = Region.two_sided([ranges])
        problem = Problem(MicroBatches(Plain(Pipeline(generator, reader))), generator.code_bounds)
        method = make(problem, region, Starts("normal", 0, chains, generator))
        new = not (path / "config.yaml").exists()
        self.folder = RunFolder.create(path, "n: 1\n", {}) if new else RunFolder.reopen(path)
        self.recorder = Recorder(self.folder, method.State, ["output:1"], SIZE, reader, region, torch.device("cpu"))
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
    files = [path / name for name in ("activations.csv", "trace.csv", "codes.bin")]
    return {file.name: file.read_bytes() for file in [*files, *sorted((path / "images").iterdir())]}


def contents(path: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}
