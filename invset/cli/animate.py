"""`invset animate`: a run's samples as a moving picture."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from invset.cli.animate_settings import Settings, parse
from invset.cli.finished import read_config, targets_of
from invset.cli.help import HELP
from invset.cli.report import shown
from invset.errors import ConfigError, RunFolderError

T = TypeVar("T")


def run(arguments: list[str], console: Console | None = None) -> int:
    """Do what the arguments say; returns the exit code.

    Raises:
        ConfigError: wrong usage, no such run, or MP4 is asked for and PyAV is not installed.
        RunFolderError: the run is not finished or damaged, or the file cannot be written.
    """
    console = console if console is not None else Console()
    if not arguments or any(argument in ("-h", "--help", "help") for argument in arguments):
        console.print(HELP["animate"].rstrip(), highlight=False, markup=False, soft_wrap=True)
        return 0
    settings = parse(arguments)
    config = read_config(settings.folder)
    targets = targets_of(settings.folder, config)
    if settings.unit >= len(targets.neurons):
        raise ConfigError(
            f"unit={settings.unit + 1}: this run has {len(targets.neurons)}, {', '.join(targets.neurons)}."
        )

    from invset.report.animation import draw_frames, evenly, in_order
    from invset.report.movie import has_mp4, write_movie
    from invset.report.runs import read_run

    kind = settings.kind or ("mp4" if has_mp4() else "webp")
    samples = read_run(settings.folder, config.method.name, targets.ranges)
    if samples.count < 2:
        count = "1 sample" if samples.count else "no samples"
        raise RunFolderError(f"{settings.folder}: this run has {count}, and a picture moves from 2 on.")
    rows = in_order(samples.activations, settings.order, settings.unit)
    rows = rows if settings.n is None else evenly(rows, settings.n)
    out = _place(settings, kind)
    if settings.kind is None and kind != "mp4":
        _say(console, "WebP, as MP4 needs the package av: pip install 'invset[video]'")
    with _bar(console) as bar:
        frames = _counted(bar, draw_frames(samples, rows, settings.size, config.constraint == "lower"), len(rows))
        write_movie(out, frames, len(rows), settings.fps, kind)
    size = out.stat().st_size / 1e6
    ordered = f"of {targets.neurons[settings.unit]}'s activation" if settings.order == "activation" else "of sampling"
    _say(console, f"{len(rows)} samples in order {ordered}, {float(len(rows) / settings.fps):.1f} s, {size:.2f} MB")
    _say(console, f"{shown(out)}")
    return 0


def _place(settings: Settings, kind: str) -> Path:
    """Where to write. Raises ConfigError: something else than a file is there. Raises RunFolderError: no folder."""
    if settings.out is None:
        return settings.folder / f"samples.{kind}"
    out = settings.out
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        other = out.exists() and not out.is_file()
    except OSError as error:
        raise RunFolderError(
            f"{out}: cannot be written there ({error.strerror}). Choose another place with out=."
        ) from error
    if other:
        raise ConfigError(f"out={out}: there is something there that is no file; choose another name.")
    return out


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn("frames"),
        BarColumn(bar_width=28),
        TextColumn("{task.completed:>4.0f} of {task.total:.0f}"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )


def _counted(bar: Progress, frames: Iterable[T], count: int) -> Iterator[T]:
    """The frames, each counted when it has been dealt with."""
    task = bar.add_task("frames", total=count)
    for frame in frames:
        yield frame
        bar.advance(task)


def _say(console: Console, line: str) -> None:
    console.print(line, highlight=False, markup=False, soft_wrap=True)
