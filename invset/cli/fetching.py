"""What is shown while weights are fetched, for a run or by hand."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, TaskID, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.progress import Progress as Bars

from invset.weights import cache, disk
from invset.weights.known import Weights

if TYPE_CHECKING:
    from invset.weights.progress import Progress


def fetch_for_run(weights: Weights, errors: Console | None = None) -> Path:
    """The file, for a run that needs it: silent if it is here, else fetched, with a line of what from where.

    Raises:
        WeightsError: it is not here and cannot be fetched; says what to do by hand.
    """
    from invset.weights.fetch import fetch  # requests takes its time to import

    found = cache.checked(weights)
    if found is not None:
        return found
    if cache.offline():
        return cache.require(weights)
    console = errors if errors is not None else Console(stderr=True)
    say(console, announcement(weights))
    with Display(console, weights) as display:
        return fetch(weights, display.show)


def announcement(weights: Weights) -> str:
    """What is about to be fetched, from where, on which terms, and who vouches for it."""
    size = "" if weights.size is None else f" ({disk.in_words(weights.size)})"
    host = urlsplit(weights.sources[0].url).hostname if weights.sources else "nowhere"
    trust = "" if weights.checksums else "; no checksum is published: trusted on first use"
    return f"fetching {weights.name}{size} from {host}; terms: {weights.terms}{trust}"


class Display:
    """A bar on a terminal; elsewhere a line when it waits, or goes on to another source."""

    def __init__(self, console: Console, weights: Weights) -> None:
        self._console = console
        self._before = ("downloading", weights.sources[0] if weights.sources else None, "")
        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(bar_width=28),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        if not self._bars.disable:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._bars.disable:  # an older rich would print an empty line
            self._bars.stop()

    def show(self, progress: Progress) -> None:
        """Show where fetching stands."""
        now = (progress.phase, progress.source, progress.note)
        if now != self._before and progress.phase not in ("checking", "unpacking"):
            if progress.phase != "downloading":
                say(self._console, "  " + progress.phase + (f": {progress.note}" if progress.note else ""))
            elif progress.source != self._before[1] and progress.source is not None:
                say(self._console, f"  from {progress.source.url}")
            self._before = now
        if self._bars.disable:
            return
        if self._task is None:
            self._task = self._bars.add_task(progress.phase, total=progress.total)
        self._bars.update(
            self._task, description=progress.phase, completed=progress.done, total=progress.total, refresh=False
        )


def say(console: Console, text: str) -> None:
    """Print a text as it is."""
    console.out(text, highlight=False)
