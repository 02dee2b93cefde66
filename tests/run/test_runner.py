"""From the first step to the last: counts, order of writing, going on, and where a run ends."""

from __future__ import annotations

import csv
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch

from invset.core.method import Step
from invset.core.paper import Paper
from invset.core.seeding import Schedule
from invset.errors import NonFiniteError, RunFolderError
from invset.run.runner import Progress
from tests.run.runs import Run, data, go

CHAINS = 4


def begin(path: Path, wanted: int, ranges: tuple[float, float] = (0.85, 0.86), groups: int = 1, **options: Any) -> Run:
    """The linear model sampled by the paper's method, or gone on with."""
    schedule = Schedule(chains=CHAINS, groups=groups, outer_iterations=2, inner_steps=30)
    return Run(
        path, wanted, lambda p, r, s: Paper(p, r, schedule, s.draw, s.reference_codes(8)), groups * CHAINS, ranges,
        **options,
    )  # fmt: skip


def sampled(path: Path, wanted: int, steps: int | None = None, **options: Any) -> tuple[Run, list[Progress]]:
    run = begin(path, wanted, **options)
    return run, go(run, steps)


def same_runs(one: Run, other: Run) -> bool:
    """The same bytes and the same counts, but for the time taken."""
    tallies = [run.runner.tally._replace(seconds=0) for run in (one, other)]
    return data(one.folder.paths.root) == data(other.folder.paths.root) and tallies[0] == tallies[1]


@pytest.mark.parametrize("groups", [1, 2])
def test_counts(tmp_path: Path, groups: int) -> None:
    seeds: list[Step] = []
    run, shown = sampled(tmp_path / "run", 18, groups=groups, on_seeds=seeds.append)
    tally = run.runner.tally
    assert run.runner.status == "complete"
    assert tally.samples == tally.candidates == tally.checked == run.recorder.count == 18
    assert [step.number for step in seeds] == [tally.seed_steps]
    assert all(step.sampling.all() for step in seeds), "none that is still sought"
    assert len(shown) == run.runner.state.step == tally.steps
    assert groups > 1 or tally.seed_steps + tally.sampling_steps + 1 == len(shown)
    with (tmp_path / "run" / "trace.csv").open() as file:
        rows = list(csv.DictReader(file))
    before = {row["chain"]: row["step"] for row in rows if row["phase"] == "seeding"}
    drawn = [r for r in rows if r["phase"] == "sampling" and int(r["step"]) > int(before.get(r["chain"], -1)) + 1]
    assert tally.tried == len(drawn)
    assert tally.accepted == sum(row["accepted"] == "1" for row in drawn)
    assert tally.backward == groups * CHAINS * (len(shown) + 1), "one more to see that no start is without a gradient"
    closest = min(rows, key=lambda row: float(row["output:1 violation"]))
    assert tally.closest == pytest.approx([float(closest["output:1 activation"])])
    assert tally.violation == pytest.approx(float(closest["output:1 violation"]) / 0.005, abs=1e-6)
    assert tally.seconds > 0
    assert [progress.samples for progress in shown] == sorted(progress.samples for progress in shown)
    assert all(progress.wanted == 18 for progress in shown)


def test_every_step_is_on_disk_when_it_is_yielded(tmp_path: Path) -> None:
    path = tmp_path / "run"
    with closing(begin(path, 14)) as run:
        for progress in run.runner.steps():
            assert len(list((path / "images").iterdir())) == progress.samples
            rows = (path / "trace.csv").read_text().splitlines()
            assert len(rows) == 1 + CHAINS * (progress.step.number + 1)
            assert (path / "codes.bin").stat().st_size == progress.samples * 192 * 4


@pytest.mark.parametrize("steps", [1, 2, 7])
@pytest.mark.parametrize("groups", [1, 2])
def test_left_at_a_step_and_gone_on_with(tmp_path: Path, steps: int, groups: int) -> None:
    seeds: list[Step] = []
    whole, _ = sampled(tmp_path / "whole", 25, groups=groups)
    left, _ = sampled(tmp_path / "left", 25, steps, groups=groups)
    assert (left.recorder.count < 25, left.runner.status) == (True, "incomplete")
    again, shown = sampled(tmp_path / "left", 25, groups=groups, on_seeds=seeds.append)
    assert shown[0].step.number == steps
    assert same_runs(again, whole)
    seed_steps = whole.runner.tally.seed_steps
    assert [step.number for step in seeds] == ([] if steps > seed_steps else [seed_steps])


def test_extended_it_equals_a_longer_run(tmp_path: Path) -> None:
    """13 of 16: a step of which not all samples were wanted is done again."""
    longer, _ = sampled(tmp_path / "longer", 23)
    for wanted in (5, 13, 23):
        run, _ = sampled(tmp_path / "grown", wanted)
        assert run.recorder.count == wanted
    assert same_runs(run, longer)
    again, shown = sampled(tmp_path / "grown", 23)
    assert (again.runner.status, len(shown) <= 1) == ("complete", True)
    assert data(tmp_path / "grown") == data(tmp_path / "longer")


def test_unreachable(tmp_path: Path) -> None:
    """What came closest is what the last step did, here: σ ≤ 1, and the range begins at 1.5."""
    run, shown = sampled(tmp_path / "run", 8, ranges=(1.5, 2.0))
    assert (run.runner.status, run.runner.tally.candidates) == ("unreachable", 0)
    assert run.runner.last is shown[-1].step
    tally = run.runner.tally
    assert tally.seed_steps == -1
    assert float(shown[-1].worst_violation) >= 0.5 - 1e-6
    best = torch.cat([progress.step.evaluation.activations for progress in shown]).max()
    assert tally.closest == (float(best),)
    assert tally.violation == pytest.approx((1.5 - float(best)) / 0.25)
    again, shown = sampled(tmp_path / "run", 8, ranges=(1.5, 2.0))
    assert (again.runner.status, shown) == ("unreachable", [])


def test_an_error_of_the_disk_leaves_the_last_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, _ = sampled(tmp_path / "whole", 14)
    with closing(begin(tmp_path / "run", 14)) as run:
        iterator = run.runner.steps()
        next(iterator)
        with monkeypatch.context() as patch:

            def full(*_: object) -> None:
                raise RunFolderError("full")

            patch.setattr(run.recorder.trace, "append", full)
            with pytest.raises(RunFolderError):
                next(iterator)
    again, _ = sampled(tmp_path / "run", 14)
    assert same_runs(again, whole)


# Pipelined: the next step is taken while the last is written.


@pytest.mark.parametrize("wanted", [5, 13, 18])
def test_pipelined_a_run_is_the_same(tmp_path: Path, wanted: int) -> None:
    """13 of 16: not all samples of the last step are wanted. To be left and gone on with, either way."""
    whole, _ = sampled(tmp_path / "whole", wanted)
    pipelined, shown = sampled(tmp_path / "pipelined", wanted, pipelined=True)
    assert same_runs(pipelined, whole)
    assert [progress.step.number for progress in shown] == list(range(whole.runner.state.step))
    for first, then in ((True, False), (False, True)):
        path = tmp_path / f"left{first}"
        sampled(path, wanted, 2, pipelined=first)
        again, _ = sampled(path, wanted, pipelined=then)
        assert same_runs(again, whole)


def test_where_threads_cannot_be_started_a_run_is_the_same(tmp_path: Path, few_threads: None) -> None:
    whole, _ = sampled(tmp_path / "whole", 18)
    pipelined, _ = sampled(tmp_path / "pipelined", 18, pipelined=True)
    assert same_runs(pipelined, whole)


def test_the_next_step_begins_before_the_last_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither could end, were one to wait for the other's end."""
    both = threading.Barrier(2)
    with closing(begin(tmp_path / "run", 30, pipelined=True)) as run:
        step, record = run.runner.method.step, run.recorder.record
        iterator = run.runner.steps()
        next(iterator)  # the first step cannot be taken early

        def stepping(state: Any) -> Any:
            both.wait(timeout=20)
            return step(state)

        def recording(taken: Step, room: int) -> int:
            both.wait(timeout=20)
            return record(taken, room)

        monkeypatch.setattr(run.runner.method, "step", stepping)
        monkeypatch.setattr(run.recorder, "record", recording)
        next(iterator)
        assert run.runner.last.number == 1


@pytest.mark.parametrize("pipelined", [False, True])
@pytest.mark.parametrize("error", [NonFiniteError("NaN"), KeyboardInterrupt()], ids=lambda error: type(error).__name__)
def test_what_a_step_raises_comes_after_the_last_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pipelined: bool, error: BaseException
) -> None:
    """An interrupt too; nothing is lost, and no thread is left."""
    whole, _ = sampled(tmp_path / "whole", 18)
    with closing(begin(tmp_path / "run", 18, pipelined=pipelined)) as run:
        step, record, ended = run.runner.method.step, run.recorder.record, []

        def failing(state: Any) -> Any:
            if state.step == 5:
                raise error
            return step(state)

        def recording(taken: Step, room: int) -> int:
            count = record(taken, room)
            ended.append(taken.number)
            return count

        monkeypatch.setattr(run.runner.method, "step", failing)
        monkeypatch.setattr(run.recorder, "record", recording)
        with pytest.raises(type(error)):
            list(run.runner.steps())
        assert ended == [0, 1, 2, 3, 4]
        assert run.runner.state.step == 5
        assert run.runner.tally.samples == run.runner.tally.candidates == run.recorder.count
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("invset-writer")]
    monkeypatch.undo()
    again, _ = sampled(tmp_path / "run", 18)
    assert same_runs(again, whole)
