"""From the first step to the last: counts, order of writing, going on, and where a run ends."""

from __future__ import annotations

import csv
from contextlib import closing
from pathlib import Path

import pytest
import torch

from invset.core.paper import Paper
from invset.core.problem import Problem
from invset.core.region import Region
from invset.core.seeding import Schedule
from invset.errors import RunFolderError
from invset.models.linear import linear_network
from invset.models.pixels import pixel_generator
from invset.models.reader import Reader
from invset.models.starts import Starts
from invset.models.unit import parse_unit
from invset.run.folder import RunFolder
from invset.run.recorder import Recorder
from invset.run.runner import Progress, Runner

CPU = torch.device("cpu")
CHAINS = 4


class Run:
    """The linear model, sampled into a folder; made afresh for every process there might have been."""

    def __init__(self, path: Path, wanted: int, ranges: tuple[float, float] = (0.85, 0.86)) -> None:
        network, generator = linear_network(), pixel_generator((3, 8, 8))
        reader = Reader(network, [parse_unit("output:1", network)])
        region = Region.two_sided([ranges])
        problem = Problem(generator.module, reader, objective="encodings", code_bounds=(0, 1))
        starts = Starts("normal", 0, CHAINS, generator)
        method = Paper(
            problem, region, Schedule(chains=CHAINS, outer_iterations=2, inner_steps=30), starts.draw,
            starts.reference_codes(8),
        )  # fmt: skip
        new = not (path / "config.yaml").exists()
        self.folder = RunFolder.create(path, "n: 1\n", {}) if new else RunFolder.reopen(path)
        self.recorder = Recorder(self.folder, ["output:1"], generator.code_size, reader, region, CPU)
        self.seeds: list[int] = []
        self.runner = Runner(method, problem, self.recorder, wanted, lambda info: self.seeds.append(info.step))

    def close(self) -> None:
        self.recorder.close()
        self.folder.close()


def go(path: Path, wanted: int, steps: int | None = None, **options: tuple[float, float]) -> tuple[Run, list[Progress]]:
    with closing(Run(path, wanted, **options)) as run:
        iterator = run.runner.steps()
        shown = list(iterator) if steps is None else [next(iterator) for _ in range(steps)]
    return run, shown


def data(path: Path) -> dict[str, bytes]:
    names = ("activations.csv", "trace.csv", "codes.bin")
    files = [path / name for name in names] + sorted((path / "images").iterdir())
    return {file.name: file.read_bytes() for file in files}


def test_counts(tmp_path):
    run, shown = go(tmp_path / "run", 18)
    tally = run.runner.tally
    assert run.runner.status == "complete"
    assert tally.samples == run.recorder.count == 18
    assert tally.candidates == 18
    assert run.seeds == [tally.seed_steps]
    assert tally.seed_steps + tally.sampling_steps + 1 == len(shown) == run.runner.state.step
    with (tmp_path / "run" / "trace.csv").open() as file:
        lines = [line for line in csv.DictReader(file) if int(line["step"]) > tally.seed_steps]
    assert tally.tried == len(lines)
    assert tally.accepted == sum(line["accepted"] == "1" for line in lines)
    assert tally.backward == CHAINS * (len(shown) + 1), "one more to see that no start is without a gradient"
    assert tally.checked == 18
    assert tally.seconds > 0
    assert [progress.samples for progress in shown] == sorted(progress.samples for progress in shown)
    assert all(progress.wanted == 18 for progress in shown)


def test_every_step_is_on_disk_when_it_is_yielded(tmp_path):
    path = tmp_path / "run"
    with closing(Run(path, 14)) as run:
        for progress in run.runner.steps():
            assert len(list((path / "images").iterdir())) == progress.samples
            rows = (path / "trace.csv").read_text().splitlines()
            assert len(rows) == 1 + CHAINS * (progress.info.step + 1)
            assert (path / "codes.bin").stat().st_size == progress.samples * 192 * 4


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_left_at_a_step_and_gone_on_with(tmp_path, steps):
    whole, _ = go(tmp_path / "whole", 18)
    left, _ = go(tmp_path / "left", 18, steps)
    assert left.recorder.count < 18
    assert left.runner.status == "incomplete"
    again, shown = go(tmp_path / "left", 18)
    assert shown[0].info.step == steps
    assert data(tmp_path / "left") == data(tmp_path / "whole")
    assert again.runner.tally._replace(seconds=0) == whole.runner.tally._replace(seconds=0)
    assert again.seeds == ([] if steps > whole.runner.tally.seed_steps else whole.seeds)


def test_extended_it_equals_a_longer_run(tmp_path):
    """13 of 16: a step of which not all samples were wanted is done again."""
    longer, _ = go(tmp_path / "longer", 23)
    for wanted in (5, 13, 23):
        run, _ = go(tmp_path / "grown", wanted)
        assert run.recorder.count == wanted
    assert data(tmp_path / "grown") == data(tmp_path / "longer")
    assert run.runner.tally._replace(seconds=0) == longer.runner.tally._replace(seconds=0)


def test_a_finished_run_takes_no_step(tmp_path):
    go(tmp_path / "run", CHAINS)
    before = data(tmp_path / "run")
    again, shown = go(tmp_path / "run", CHAINS)
    assert again.runner.status == "complete"
    assert len(shown) <= 1
    assert data(tmp_path / "run") == before


def test_unreachable(tmp_path):
    run, shown = go(tmp_path / "run", 8, ranges=(1.5, 2.0))
    assert run.runner.status == "unreachable"
    assert run.seeds == []
    assert run.runner.last is shown[-1].info
    assert run.runner.tally.seed_steps == -1
    assert float(shown[-1].worst_violation) >= 0.5 - 1e-6
    again, shown = go(tmp_path / "run", 8, ranges=(1.5, 2.0))
    assert shown == []
    assert again.runner.status == "unreachable"


def test_an_error_of_the_disk_leaves_the_last_checkpoint(tmp_path, monkeypatch):
    whole, _ = go(tmp_path / "whole", 14)
    with closing(Run(tmp_path / "run", 14)) as run:
        iterator = run.runner.steps()
        next(iterator)
        with monkeypatch.context() as patch:

            def full(*_: object) -> None:
                raise RunFolderError("full")

            patch.setattr(run.recorder.trace, "append", full)
            with pytest.raises(RunFolderError):
                next(iterator)
    assert whole.runner.status == "complete"
    go(tmp_path / "run", 14)
    assert data(tmp_path / "run") == data(tmp_path / "whole")
