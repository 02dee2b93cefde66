"""What is shown while weights are fetched, for a run or by hand."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

from invset.cli.terminal import say
from invset.weights import cache
from invset.weights.known import Weights


def fetch_for_run(weights: Weights, console: Console | None = None) -> Path:
    """The file; if it has to be fetched, the console shows what, from where, on which terms, and how it goes.

    Raises:
        WeightsError: it is not here and cannot be fetched; says what to do by hand.
    """
    from invset.weights.fetch import fetch  # requests takes its time to import

    found = cache.checked(weights)
    if found is not None:
        return found
    console = console or Console(stderr=True)
    columns = (BarColumn(bar_width=28), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=console, transient=True)
    task = bar.add_task("", total=None)
    with bar if console.is_terminal else nullcontext():
        return fetch(
            weights,
            lambda text: say(console, text),
            lambda done, total: bar.update(task, completed=done, total=total),
        )
