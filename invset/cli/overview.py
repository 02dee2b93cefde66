"""`invset overview`: what became of the jobs of a sweep."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from invset.cli.compose import parse
from invset.errors import ConfigError


def run(arguments: list[str], console: Console | None = None) -> int:
    """Do what the arguments say; returns the exit code: 0 if all jobs are complete.

    Raises:
        ConfigError: wrong usage, or no sweep.
        RunFolderError: the sweep cannot be read, or its overview not written.
    """
    settings = parse("overview", arguments, "sweeps")
    if len(settings.sweeps) != 1:
        raise ConfigError("overview of what? Give the folder of one sweep, as invset overview multirun/DATE/TIME.")

    from invset.cli.sweep.overview import write_overview

    return write_overview(Path(settings.sweeps[0]), console or Console())
