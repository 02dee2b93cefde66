"""`invset sample`."""

from __future__ import annotations

from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from invset.cli import processes
from invset.cli.app import NOT_REACHED
from invset.cli.overrides import job_overrides
from invset.cli.sampling import resume
from invset.cli.signals import Interrupted
from invset.cli.sweep import jobs
from invset.cli.terminal import say, shorten
from invset.errors import InvsetError
from invset.run.files import read_json, write_atomically
from invset.run.layout import Layout
from invset.settings import SampleSettings

if TYPE_CHECKING:
    from invset.assemble.running import Run
    from invset.assemble.sampling import Sampling
    from invset.run.folder import RunFolder


def task(composed: DictConfig) -> int:
    """One run: returns its exit code.

    Raises:
        InvsetError: a setting, weights or the disk are wrong, or a network gave NaN.
        Interrupted: by Ctrl-C or SIGTERM; what there is was kept.
    """
    from invset.assemble.sampling import check_targets

    settings = cast(SampleSettings, OmegaConf.to_object(composed))
    console = Console(stderr=False)
    begun = jobs.begun_job()
    if begun is not None:
        settings = resume.merge(begun, settings)
        if (status := resume.finished_status(begun, settings)) is not None:
            say(console, _describe_done(begun, status, settings))
            return 0 if status == "complete" else NOT_REACHED
    elif settings.resume is not None:
        settings = resume.merge(Path(settings.resume), settings, job_overrides())
    check_targets(settings)
    settings = resume.settle(settings)
    sampling = processes.assemble(settings)
    # A run's folder says what `auto` was, and is gone on with whatever `auto` will mean by then.
    settings = replace(settings, encoder=sampling.models.settled, starts=sampling.models.starts)
    with _open_folder(settings, sampling, console) as folder:
        return _run(settings, sampling, folder, console)


def _describe_done(folder: Path, status: str, settings: SampleSettings) -> str:
    units = read_json(Layout(folder).manifest).get("units")
    names = " and ".join(map(str, units)) if isinstance(units, list) else str(settings.neuron)
    left = "" if status == "complete" else f", {read_json(Layout(folder).summary).get('samples')} of {settings.n}"
    return f"{shorten(folder)}: {names} in {settings.range}: done already: {status}{left}"


def _open_folder(settings: SampleSettings, sampling: Sampling, console: Console) -> RunFolder:
    """A new folder, where Hydra says, or that of the run which is gone on with."""
    from invset.assemble.manifest import describe_run, require_same_weights
    from invset.run.config import read_config, write_config
    from invset.run.folder import RunFolder

    manifest = describe_run(settings, sampling, job_overrides())
    config = write_config(replace(settings, resume=None))
    if settings.resume is None:
        return RunFolder.create(Path(HydraConfig.get().runtime.output_dir), config, manifest)
    folder = RunFolder.reopen(Path(settings.resume))
    try:
        if differences := require_same_weights(folder.paths.root, folder.manifest, manifest):
            say(console, f"the last bits of samples may differ: {'; '.join(differences)}")
        if replace(settings, resume=None) != read_config(folder.paths.root):
            # Should this process die, resume= alone goes on to the new n.
            write_atomically(folder.paths.config, config.encode())
    except BaseException:
        folder.close()
        raise
    return folder


def _run(settings: SampleSettings, sampling: Sampling, folder: RunFolder, console: Console) -> int:
    from invset.assemble.running import Run, describe_target
    from invset.cli.sampling.notes import notes
    from invset.cli.sampling.outcome import describe_finished, describe_outcome
    from invset.cli.sampling.progress import Display

    say(console, describe_target(settings, sampling))
    if settings.resume is None:
        for note in notes(settings, sampling):
            say(console, note)
    elif resume.finished_status(folder.paths.root, settings) == "complete":
        say(console, describe_finished(settings, folder))
        return 0
    before = _counted_samples(folder)  # before the folder is taken back to its checkpoint
    if (fused := sampling.fused) is not None:
        fused.on_failure = lambda reason: say(console, f"compile={fused.how} did not work, going on without ({reason})")
    run = Run(
        settings, sampling, folder,
        on_smaller=lambda largest: say(console, f"memory ran out: from here on {largest} at a time"),
    )  # fmt: skip
    with closing(run):
        if run.recorder.state is not None:
            say(console, _describe_going_on(run.recorder.count, before))
        ended: InvsetError | Interrupted | None = None
        try:
            with Display(console, run.units, sampling.kind.seeds) as display:
                for progress in run.steps():
                    display.show(progress)
        except (Interrupted, InvsetError) as error:
            ended = error
        except BaseException:
            with suppress(Exception):  # it shall not hide the error
                run.finish("failed")
            raise
        figures = run.finish(_status_of(ended))
        _plot_coverage(run)
    if run.runner.growth is not None and run.growth.plateaued and run.runner.last is None:
        say(console, describe_finished(settings, folder))  # it had come to its plateau already
    # After Ctrl-C in a sweep, how to go on is said of the whole sweep.
    alone = not (isinstance(ended, Interrupted) and jobs.current_sweep() is not None)
    for line in describe_outcome(figures, sampling, folder, alone):
        say(console, line)
    if ended is not None:
        raise ended
    return 0 if figures["status"] == "complete" else NOT_REACHED


def _status_of(ended: BaseException | None) -> str | None:
    return None if ended is None else "interrupted" if isinstance(ended, Interrupted) else "failed"


def _counted_samples(folder: RunFolder) -> int:
    """How many samples a run's summary counts; 0 where it has none."""
    samples = read_json(folder.paths.summary).get("samples") if folder.paths.summary.exists() else 0
    return samples if isinstance(samples, int) else 0


def _describe_going_on(samples: int, before: int) -> str:
    """From how many samples a run goes on; a step of which it wanted only some, and ended with, is done again."""
    again = f"; the step that gave those up to {before} is done again, for the same and more" * (before > samples)
    return f"going on from the last checkpoint, with {samples} samples{again}"


def _plot_coverage(run: Run) -> None:
    if run.settings.until != "plateau" or not run.growth.new:
        return
    from invset.report.plots import coverage_curve
    from invset.run.sheet import save_picture

    growth = run.growth
    plot = coverage_curve(run.title, growth.curve(), growth.new, run.settings.gain)
    save_picture(run.folder.paths.coverage_plot, plot)
