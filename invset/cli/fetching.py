"""What is shown while weights are fetched, for a run or by hand."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from urllib.parse import urlsplit

from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

from invset.weights import cache
from invset.weights.known import Weights


def fetch_for_run(weights: Weights, errors: Console | None = None) -> Path:
    """The file, for a run that needs it: silent if it is here, else fetched, with a line of what from where.

    Raises:
        WeightsError: it is not here and cannot be fetched; says what to do by hand.
    """
    console = errors if errors is not None else Console(stderr=True)
    return fetch_shown(weights, console, console)


def fetch_shown(weights: Weights, out: Console, errors: Console) -> Path:
    """The file; if it has to be fetched, `out` says what, from where, on which terms, and `errors` how it goes."""
    from invset.weights.fetch import fetch  # requests takes its time to import

    found = cache.require(weights) if cache.offline() else cache.checked(weights)
    if found is not None:
        return found
    size = "" if weights.size is None else f" ({decimal(weights.size)})"
    host = urlsplit(weights.sources[0].url).hostname
    trust = "" if weights.checksums else "; no checksum is published: trusted on first use"
    say(out, f"fetching {weights.name}{size} from {host}; terms: {weights.terms}{trust}")
    columns = (BarColumn(bar_width=28), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=errors, transient=True)
    task = bar.add_task("", total=None)
    with bar if errors.is_terminal else nullcontext():
        path = fetch(
            weights,
            lambda text: say(errors, f"  {text}"),
            lambda done, total: bar.update(task, completed=done, total=total),
        )
    say(out, f"  {cache.describe_trust(weights, None)}")
    return path


def say(console: Console, text: str) -> None:
    """Print a text as it is."""
    console.out(text, highlight=False)
