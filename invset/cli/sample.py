"""`invset sample`."""

from __future__ import annotations

from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import cast

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from invset.assemble.manifest import describe_run, require_same_weights
from invset.assemble.methods import settle
from invset.assemble.running import Run
from invset.assemble.sampling import Sampling, check_targets
from invset.cli import processes
from invset.cli.app import NOT_REACHED
from invset.cli.overrides import job_overrides
from invset.cli.sampling import resume_run
from invset.cli.sampling.notes import describe_finished, describe_outcome, describe_settings
from invset.cli.sampling.progress import Display
from invset.cli.signals import Interrupted
from invset.cli.sweep import jobs
from invset.cli.terminal import say, shorten
from invset.errors import InvsetError
from invset.run.config import read_config, write_config
from invset.run.folder import RunFolder
from invset.run.json_files import read_json, write_atomically
from invset.run.layout import Layout
from invset.run.sheet import save_picture
from invset.settings import SampleSettings


def task(composed: DictConfig) -> int:
    """One run: returns its exit code."""
    settings = cast(SampleSettings, OmegaConf.to_object(composed))
    console = Console(stderr=False)
    begun = jobs.begun_job()
    if begun is not None:
        settings = resume_run.merge(begun, settings)
        if (status := resume_run.finished_status(begun, settings)) is not None:
            say(console, _describe_done(begun, status, settings))
            return 0 if status == "complete" else NOT_REACHED
    elif settings.resume is not None:
        settings = resume_run.merge(Path(settings.resume), settings, job_overrides())
    check_targets(settings)
    settings = settle(settings)
    sampling = processes.assemble(settings)
    # config.yaml records what `auto` became, so that resuming does not depend on what `auto` means later.
    settings = sampling.settle(settings)
    with _open_folder(settings, sampling, console) as folder:
        return _run(settings, sampling, folder, console)


def _describe_done(folder: Path, status: str, settings: SampleSettings) -> str:
    units = " and ".join(read_json(Layout(folder).manifest).get("units", ["?"]))
    left = "" if status == "complete" else f", {read_json(Layout(folder).summary).get('samples')} of {settings.n}"
    return f"{shorten(folder)}: {units} in {settings.range}: done already: {status}{left}"


def _open_folder(settings: SampleSettings, sampling: Sampling, console: Console) -> RunFolder:
    """A new folder, where Hydra says, or that of the run which is resumed."""
    manifest = describe_run(settings, sampling, job_overrides())
    config = write_config(replace(settings, resume=None))
    if settings.resume is None:
        return RunFolder.create(Path(HydraConfig.get().runtime.output_dir), config, manifest)
    folder = RunFolder.reopen(Path(settings.resume))
    try:
        if differences := require_same_weights(folder.paths.root, folder.manifest, manifest):
            say(console, f"the last bits of samples may differ: {'; '.join(differences)}")
        if replace(settings, resume=None) != read_config(folder.paths.root):
            # Should this process die, resume= alone continues to the new n.
            write_atomically(folder.paths.config, config.encode(), flushed=True)
    except BaseException:
        folder.close()
        raise
    return folder


def _run(settings: SampleSettings, sampling: Sampling, folder: RunFolder, console: Console) -> int:
    say(console, sampling.title)
    if settings.resume is None:
        for note in describe_settings(settings, sampling):
            say(console, note)
    elif resume_run.finished_status(folder.paths.root, settings) == "complete":
        say(console, describe_finished(settings, folder))
        return 0
    summary = read_json(folder.paths.summary) if folder.paths.summary.exists() else {}
    if (fused := sampling.fused) is not None:
        fused.on_failure = lambda reason: say(console, f"compile={fused.how} did not work, going on without ({reason})")
    run = Run(
        settings, sampling, folder,
        on_smaller=lambda largest: say(console, f"memory ran out: from here on {largest} at a time"),
    )  # fmt: skip
    with closing(run):
        if run.recorder.state is not None:
            say(console, _describe_going_on(run.recorder.count, summary.get("samples") or 0))
        if run.recorder.mended:
            say(console, run.recorder.mended)
        ended: InvsetError | Interrupted | None = None
        status = None
        try:
            with Display(console, run.units, sampling.kind.seeds) as display:
                for progress in run.steps():
                    display.show(progress)
        except Interrupted as error:
            ended, status = error, "interrupted"
        except InvsetError as error:
            ended, status = error, "failed"
        except BaseException:
            with suppress(Exception):  # it shall not hide the error
                run.finish("failed")
            raise
        figures = run.finish(status)
        _plot_coverage(run)
    if run.runner.growth is not None and run.runner.growth.plateaued and run.runner.last is None:
        say(console, describe_finished(settings, folder))  # it had come to its plateau already
    # After Ctrl-C in a sweep, how to go on is said of the whole sweep.
    alone = status != "interrupted" or not jobs.in_sweep()
    for line in describe_outcome(figures, sampling, folder, alone):
        say(console, line)
    if ended is not None:
        raise ended
    return 0 if figures["status"] == "complete" else NOT_REACHED


def _describe_going_on(samples: int, before: int) -> str:
    """From how many samples a run goes on; a step of which it wanted only some, and ended with, is done again."""
    again = f"; the step that gave those up to {before} is done again, for the same and more" * (before > samples)
    return f"going on from the last checkpoint, with {samples} samples{again}"


def _plot_coverage(run: Run) -> None:
    if run.settings.until != "plateau" or not run.growth.new:
        return
    from invset.report.plots import coverage_curve

    plot = coverage_curve(run.sampling.title, run.growth.curve(), run.growth.new, run.settings.gain)
    save_picture(run.folder.paths.coverage_plot, plot)
