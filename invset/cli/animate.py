"""`invset animate`: a run's samples as a moving picture."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from invset.cli.compose import parse
from invset.cli.finished import one_run
from invset.cli.terminal import say, shorten
from invset.errors import ConfigError, RunFolderError
from invset.files import describing
from invset.report.animation import draw_frames, evenly, in_order
from invset.report.movie import has_mp4, write_movie
from invset.report.runs import read_run
from invset.settings import AnimateSettings

FORMATS = ("mp4", "webp", "gif")
FASTEST_GIF = 50  # frames a second: browsers slow down GIFs whose frames stand less than 0.02 s


def run(arguments: list[str], console: Console | None = None) -> int:
    """Do what the arguments say; returns the exit code."""
    console = console or Console()
    settings = parse("animate", arguments, "runs")
    folder, kind = one_run("animate", settings.runs), _format(settings)
    samples = read_run(folder)
    if settings.unit > len(samples.units):
        raise ConfigError(f"unit={settings.unit}: this run has {len(samples.units)}, {', '.join(samples.units)}.")
    if samples.count < 2:
        raise RunFolderError(f"{folder}: a picture moves from 2 samples on, and this run has {samples.count}.")
    if kind is None and not has_mp4():
        say(console, "WebP, as MP4 needs the package av: pip install 'invset[video]'")
    kind = kind or ("mp4" if has_mp4() else "webp")
    rows = in_order(samples.activations, settings.order, settings.unit - 1)
    rows = rows if settings.n is None else evenly(rows, settings.n)
    out, fps = Path(settings.out or folder / f"samples.{kind}"), Fraction(f"{settings.fps:g}")
    with describing(RunFolderError, out, ", or choose another place with out="):
        out.parent.mkdir(parents=True, exist_ok=True)
    frames = draw_frames(samples, rows, settings.size, samples.settings.constraint == "lower")
    with _bar(console) as bar:
        write_movie(out, bar.track(frames, total=len(rows)), len(rows), fps, kind)
    size = out.stat().st_size / 1e6
    by = f"of {samples.units[settings.unit - 1]}'s activation" if settings.order == "activation" else "of sampling"
    say(console, f"{len(rows)} samples in order {by}, {float(len(rows) / fps):.1f} s, {size:.2f} MB")
    say(console, f"{shorten(out)}")
    return 0


def _format(settings: AnimateSettings) -> str | None:
    """What was asked for, by format= or by the ending of out=; None if neither says."""
    kind = settings.format if settings.out is None else Path(settings.out).suffix.lower().removeprefix(".")
    if settings.out is not None and kind not in FORMATS:
        raise ConfigError(f"out={settings.out}: give a file whose name ends in .mp4, .webp or .gif.")
    if settings.format not in (None, kind):
        raise ConfigError(f"format={settings.format} does not go with out={settings.out}: leave out one of them.")
    if kind == "gif" and settings.fps > FASTEST_GIF:
        raise ConfigError(f"fps={settings.fps:g}: give {FASTEST_GIF} at most in a GIF.")
    return kind


def _bar(console: Console) -> Progress:
    columns = (TextColumn("frames"), BarColumn(bar_width=28), TextColumn("{task.completed:.0f} of {task.total:.0f}"))
    return Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal, transient=True)
