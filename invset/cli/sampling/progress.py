"""What is shown while a run goes: bars on a terminal, elsewhere a plain line every ten seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from invset.cli.terminal import say, write_time
from invset.metrics.saturation import WINDOW
from invset.run import runner

EVERY = 10.0  # seconds from line to line where there is no terminal


class Display(Progress):
    """Two bars: seeds (feasible of K, outer iteration, violation per constraint) and samples (k of n, acceptance).

    A method without seeds has chains that come into the range, until there is a first sample; then samples alone.

    Args:
        console: where to; one that is no terminal has lines instead of bars.
        units: names of the constraints.
        has_seeds: whether the method has seeds.
        clock: seconds since any moment.
    """

    def __init__(
        self,
        console: Console,
        units: Sequence[str],
        has_seeds: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(
            TextColumn("{task.description:<7}"),
            BarColumn(bar_width=28),
            TextColumn("{task.completed:>4.0f} of {task.total:.0f}"),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self.units = units
        self.has_seeds = has_seeds
        self.clock = clock
        self._began = self._said = clock()
        self._count: int | None = None  # samples at the last line, or when a run was first shown: it may go on
        self._seeds: TaskID | None = None
        self._samples: TaskID | None = None

    def show(self, progress: runner.Progress) -> None:
        """Show where the run stands."""
        if self.disable:
            self._say(progress)
            return
        step, tally = progress.step, progress.tally
        seeding = not bool(step.sampling.any())
        if seeding or (self._samples is None and self.has_seeds):
            if self._seeds is None:
                what = "seeds" if self.has_seeds else "chains in range"
                self._seeds = self.add_task(what, total=len(step.feasible), note="")
            note = seeding_note(progress, self.units, self.has_seeds)
            self.update(self._seeds, completed=int(step.feasible.sum()), note=note)
        elif self._seeds is not None and not self.has_seeds:
            self.update(self._seeds, visible=False)
        if not seeding:
            if self._samples is None:
                self._samples = self.add_task("samples", total=progress.wanted, note="")
            what = "accepted" if self.has_seeds else "of codes in range"
            note = f"{acceptance(progress):.0%} {what}, {tally.samples / max(tally.seconds, 1e-9):.0f}/s"
            if progress.new is not None:
                note += f", {sum(progress.new[-WINDOW:])} of the last {WINDOW} new"
            self.update(self._samples, completed=progress.samples, note=note)

    def _say(self, progress: runner.Progress) -> None:
        """Where there is no terminal: a line where the run stands, if it is time for one."""
        now, samples = self.clock(), progress.samples
        if self._count is None:
            self._count = samples
        since = now - self._said
        if since < EVERY:
            return
        line = f"{samples} of {progress.wanted} samples, {write_time(now - self._began)}"
        if drawn := samples - self._count:  # since the last line: the first samples are slow to come
            line += f", about {write_time(since * (progress.wanted - samples) / drawn)} more"
        say(self.console, line)
        self._said, self._count = now, samples


def seeding_note(progress: runner.Progress, units: Sequence[str], has_seeds: bool = True) -> str:
    """`outer 1, fc8:981 off by 3.2`: the outer iteration, from 1, and the worst violation of each constraint.

    Without seeds there are no outer iterations.
    """
    worst = zip(units, progress.worst_violation.tolist(), strict=True)
    off = ", ".join(f"{unit} off by {value:.3g}" if value else f"{unit} met" for unit, value in worst)
    return f"outer {int(progress.step.outer.max()) + 1}, {off}" if has_seeds else off


def acceptance(progress: runner.Progress) -> float:
    """The share of codes after the seeds that became samples."""
    tally = progress.tally
    return tally.accepted / tally.tried if tally.tried else 1.0
