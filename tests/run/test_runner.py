"""From the first step to the last: counts, order of writing, going on, and where a run ends."""

from __future__ import annotations

import csv
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch

from invset.core.paper import Paper
from invset.core.problem import Problem
from invset.core.region import Region
from invset.core.seeding import Schedule
from invset.errors import NonFiniteError, RunFolderError
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

    def __init__(
        self, path: Path, wanted: int, ranges: tuple[float, float] = (0.85, 0.86), ahead: bool = False
    ) -> None:
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
        seeded = lambda info: self.seeds.append(info.step)  # noqa: E731
        self.runner = Runner(method, problem, self.recorder, wanted, seeded, ahead=ahead)

    def close(self) -> None:
        self.recorder.close()
        self.folder.close()


def go(path: Path, wanted: int, steps: int | None = None, **options: Any) -> tuple[Run, list[Progress]]:
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


@pytest.mark.parametrize("wanted", [5, 13, 18])
def test_with_steps_taken_ahead_a_run_is_the_same(tmp_path, wanted):
    """13 of 16: not all samples of the last step are wanted. To be left and gone on with, either way."""
    whole, _ = go(tmp_path / "whole", wanted)
    ahead, shown = go(tmp_path / "ahead", wanted, ahead=True)
    assert data(tmp_path / "ahead") == data(tmp_path / "whole")
    assert ahead.runner.tally._replace(seconds=0) == whole.runner.tally._replace(seconds=0)
    assert [progress.info.step for progress in shown] == list(range(whole.runner.state.step))
    for first, then in ((True, False), (False, True)):
        path = tmp_path / f"left{first}"
        go(path, wanted, 2, ahead=first)
        again, _ = go(path, wanted, ahead=then)
        assert data(path) == data(tmp_path / "whole")
        assert again.runner.tally._replace(seconds=0) == whole.runner.tally._replace(seconds=0)


def test_the_next_step_begins_before_the_last_is_written(tmp_path, monkeypatch):
    """Neither could end, were one to wait for the other's end."""
    both = threading.Barrier(2)
    with closing(Run(tmp_path / "run", 30, ahead=True)) as run:
        step, record = run.runner.method.step, run.recorder.record
        iterator = run.runner.steps()
        next(iterator)  # the first step cannot be ahead of any

        def stepping(state):
            both.wait(timeout=20)
            return step(state)

        def recording(info, room):
            both.wait(timeout=20)
            return record(info, room)

        monkeypatch.setattr(run.runner.method, "step", stepping)
        monkeypatch.setattr(run.recorder, "record", recording)
        next(iterator)
        assert run.runner.last.step == 1


def test_what_a_step_ahead_raises_comes_after_the_last_was_written(tmp_path, monkeypatch):
    for name, ahead in (("plain", False), ("ahead", True)):
        with closing(Run(tmp_path / name, 18, ahead=ahead)) as run:
            step = run.runner.method.step

            def failing(state, step=step):
                if state.step == 5:
                    raise NonFiniteError("NaN")
                return step(state)

            monkeypatch.setattr(run.runner.method, "step", failing)
            shown = []
            with pytest.raises(NonFiniteError):
                shown.extend(run.runner.steps())
            assert run.runner.state.step == 5
    assert data(tmp_path / "ahead") == data(tmp_path / "plain")
    go(tmp_path / "ahead", 18)
    go(tmp_path / "whole", 18)
    assert data(tmp_path / "ahead") == data(tmp_path / "whole")


def test_interrupted_in_a_step_ahead_what_is_being_written_is_finished(tmp_path, monkeypatch):
    with closing(Run(tmp_path / "run", 18, ahead=True)) as run:
        step, record, ended = run.runner.method.step, run.recorder.record, []

        def interrupted(state):
            if state.step == 5:
                raise KeyboardInterrupt
            return step(state)

        def recording(info, room):
            taken = record(info, room)
            ended.append(info.step)
            return taken

        monkeypatch.setattr(run.runner.method, "step", interrupted)
        monkeypatch.setattr(run.recorder, "record", recording)
        with pytest.raises(KeyboardInterrupt):
            list(run.runner.steps())
        assert ended == [0, 1, 2, 3, 4]
        assert run.runner.state.step == 5
        assert run.runner.tally.samples == run.runner.tally.candidates == run.recorder.count
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("invset-writer")]
    go(tmp_path / "run", 18)
    go(tmp_path / "whole", 18)
    assert data(tmp_path / "run") == data(tmp_path / "whole")
