"""`invset show`: opens the picture of a run, or of the latest one."""

from __future__ import annotations

import os
import sys
import webbrowser
from pathlib import Path

from rich.console import Console

from invset.cli.compose import parse
from invset.cli.finished import one_run
from invset.cli.runs import OUTPUTS, find_runs
from invset.cli.sweep.jobs import holds_sweep
from invset.cli.terminal import say, shorten
from invset.errors import ConfigError, RunFolderError

PICTURES = ("index.html", "samples.png", "seeds.png", "overview.png")  # of a run, or a sweep: the first that is there


def run(arguments: list[str], console: Console | None = None) -> int:
    """Print the path of the picture, and open it where there is a display; returns the exit code."""
    console = console or Console()
    settings = parse("show", arguments, "runs")
    folders = _choose(settings.runs)
    picture = next((one / name for one in folders for name in PICTURES if (one / name).is_file()), None)
    if picture is None:
        raise RunFolderError(
            f"{folders[0]}: has no picture yet: it comes at the end of a run; resume one that was stopped."
        )
    say(console, f"{shorten(picture)}")
    if has_display():
        webbrowser.open(picture.resolve().as_uri())  # with what the system opens such files with
    return 0


def has_display() -> bool:
    """Whether there is a screen to open a picture on."""
    return sys.platform in ("darwin", "win32") or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))


def _choose(words: list[str]) -> list[Path]:
    """The folder that was asked for, or all, newest first."""
    if words:
        return [Path(words[0]) if len(words) == 1 and holds_sweep(Path(words[0])) else one_run("show", words)]
    found = find_runs([OUTPUTS])
    if not found:
        raise ConfigError(f"there is no run in {OUTPUTS} yet: make one with invset sample, or give the folder of one.")
    return found
