"""`invset sample`."""

from __future__ import annotations

import math
import time
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from invset.cli import goal, opening, several, sweep, unsaid
from invset.cli.check import Targets, check_sample
from invset.cli.report import (
    no_memory_left,
    report,
    say_done,
    say_going_on,
    say_not_compiled,
    say_smaller,
    title,
    told_samples,
)
from invset.cli.schema import SampleConfig
from invset.cli.signals import Interrupted
from invset.errors import InvsetError
from invset.run.layout import Layout

if TYPE_CHECKING:
    from invset.cli.build import Sampling
    from invset.core.state import StepInfo
    from invset.run.folder import RunFolder
    from invset.run.growth import Growth
    from invset.run.recorder import Recorder
    from invset.run.runner import Runner

NOT_REACHED = 3  # exit code


def task(composed: DictConfig) -> int:
    """One run: returns its exit code.

    Raises:
        InvsetError: a setting, weights or the disk are wrong, or a network gave NaN.
        Interrupted: by Ctrl-C or SIGTERM; what there is was kept.
    """
    config = cast(SampleConfig, OmegaConf.to_object(composed))
    targets = check_sample(config)
    if (begun := sweep.job_begun()) is not None:
        status = sweep.ended(begun, sweep.job_overrides(), extending=True)
        if status is not None:
            return _done_already(begun, status, targets, config)
        config = replace(config, resume=str(begun))

    console = Console(stderr=False)
    sampling = several.sampling(config, targets)
    # A run's folder says what `auto` was, and is gone on with whatever `auto` will mean by then.
    config = replace(config, encoder=sampling.models.settled, starts=sampling.models.starts)
    with (
        opening.created(config, sampling)
        if config.resume is None
        else opening.reopened(config, sampling, console) as folder
    ):
        return _run(config, targets, sampling, folder, console)


def _done_already(folder: Path, status: str, targets: Targets, config: SampleConfig) -> int:
    from invset.run.files import read_json

    units = read_json(Layout(folder).manifest).get("units")
    units = units if isinstance(units, list) and len(units) == len(targets.ranges) else targets.neurons
    ends = [
        f"in [{low:g}, {high:g}]" if config.constraint == "range" else f">= {low:g}" for low, high in targets.ranges
    ]
    told = "done already"
    if status != "complete":  # it gave up by itself, and would again
        told += f": {status}, {read_json(Layout(folder).summary).get('samples')} of {config.n}"
    print(f"{' and '.join(f'{unit} {end}' for unit, end in zip(units, ends, strict=True))}: {told}")
    return 0 if status == "complete" else NOT_REACHED


def _run(config: SampleConfig, targets: Targets, sampling: Sampling, folder: RunFolder, console: Console) -> int:
    from invset.cli.progress import Display
    from invset.core.fused import Fused
    from invset.core.memory import Batches, out_of_memory
    from invset.run import summary
    from invset.run.growth import Growth
    from invset.run.recorder import Recorder
    from invset.run.runner import Runner

    models = sampling.models
    units = [str(unit) for unit in models.units]
    heading = title(sampling, targets, config)
    console.print(heading, highlight=False, markup=False)
    for note in unsaid.notes(config, sampling) if config.resume is None else ():
        console.print(note, highlight=False, markup=False, soft_wrap=True)
    if opening.is_complete(config, folder):
        say_done(console, config, folder)
        return 0
    batches = sampling.problem.batches
    batches.on_smaller = partial(say_smaller, console)
    if isinstance(fused := sampling.problem.networks, Fused):
        fused.on_failure = partial(say_not_compiled, console, fused.how)
    reading = Batches()  # on a GPU on another thread than the problem's
    reading.on_smaller = batches.on_smaller
    read = reading.over(sampling.reader)
    before = told_samples(folder)  # before the folder is taken back to its checkpoint
    recorder = Recorder(folder, units, models.generator.code_size, read, sampling.region, models.device)

    def write_seeds(seeds: StepInfo) -> None:
        summary.write_seeds(recorder, seeds, f"{heading}\nseeds")

    on_seeds = write_seeds if sampling.has_seeds else None
    growth = Growth(sampling.unrelated_distance, config.gain)
    until = growth if config.until == "plateau" else None
    ahead = models.device.type != "cpu"  # where both would want the same cores
    runner = Runner(sampling.method, sampling.problem, recorder, config.n, on_seeds, until, ahead)
    if recorder.state is not None:
        say_going_on(console, recorder.count, before)
    ended: BaseException | None = None
    try:
        with Display(console, units, sampling.has_seeds) as display:
            for progress in runner.steps():
                display.show(progress)
    except (Interrupted, InvsetError) as error:
        ended = error
    except BaseException as error:
        if not (isinstance(error, RuntimeError | MemoryError) and out_of_memory(error)):
            with closing(recorder), suppress(Exception):  # it shall not hide the error
                _finish(config, sampling, recorder, runner, growth, "failed", heading)
            raise
        ended = no_memory_left()
    status = runner.status if ended is None else _status(ended)
    with closing(recorder):
        outcome = _finish(config, sampling, recorder, runner, growth, status, heading)
    if until is not None and growth.plateaued and runner.last is None:  # it had come to its plateau already
        say_done(console, config, folder)
    # After Ctrl-C in a sweep, how to go on is said of the whole sweep.
    report(console, outcome, sampling, folder, targets, alone=not (isinstance(ended, Interrupted) and sweep.in_sweep()))
    if ended is not None:
        raise ended
    return 0 if outcome["status"] == "complete" else NOT_REACHED


def _finish(
    config: SampleConfig,
    sampling: Sampling,
    recorder: Recorder,
    runner: Runner,
    growth: Growth,
    status: str,
    heading: str,
) -> dict[str, Any]:
    from invset.cli.coverage import write_coverage
    from invset.run import summary

    units = [str(unit) for unit in sampling.models.units]
    if runner.seeds is None and runner.last is not None and not recorder.count:
        summary.write_seeds(recorder, runner.last, f"{heading}\nas far as the chains came")
    state = runner.state
    distance = sampling.unrelated_distance(state) if state is not None else math.nan
    growth.follow(recorder, state)
    told = goal.told(config, recorder.count, growth.plateaued)
    outcome = summary.summarise(
        recorder, state, runner.tally, told["wanted"], status, distance, has_seeds=sampling.has_seeds
    )
    outcome |= {**told, **growth.figures()}
    if config.until != "plateau":  # of a run that was not asked for one
        del outcome["plateau"], outcome["gain"]
    write_coverage(config, recorder, growth, heading)
    summary.write_codes(recorder, sampling.models.generator.code_size)
    summary.write_samples(recorder, units, heading)
    recorder.folder.write_summary(outcome)
    recorder.folder.update_manifest(ended=time.strftime("%Y-%m-%dT%H:%M:%S%z"), seconds=outcome["seconds"])
    return outcome


def _status(ended: BaseException) -> str:
    return "interrupted" if isinstance(ended, Interrupted) else "failed"
