"""`invset overview`: what became of the jobs of a sweep, as one picture and one table in its folder."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from rich.console import Console

from invset.cli.compose import parse
from invset.cli.sweep.jobs import RECORD, Job, read_jobs, settings_of
from invset.cli.terminal import resume_command, say, shorten
from invset.errors import ConfigError, RunFolderError
from invset.files import remove_temporary
from invset.report.sweep_page import Block, Swept, block, draw_overview, overview_csv, read_samples
from invset.run.config import read_config
from invset.run.json_files import read_json, write_atomically, writing
from invset.run.layout import Layout
from invset.run.sheet import save_picture

WITH_SAMPLES = ("complete", "incomplete", "unreachable", "interrupted")
UNFINISHED = ("failed", "cut short", "missing", "damaged", "interrupted")


def run(arguments: list[str], console: Console | None = None) -> int:
    """Do what the arguments say; returns the exit code: 0 if all jobs are complete."""
    settings = parse("overview", arguments, "sweeps")
    if len(settings.sweeps) != 1:
        raise ConfigError(
            "overview of what? Give the folder of one sweep, as invset overview outputs/sweeps/DATE/TIME."
        )
    return write_overview(Path(settings.sweeps[0]), console or Console())


def write_overview(folder: Path, console: Console) -> int:
    """Write overview.png and overview.csv, and say what became of the jobs; returns the exit code that it stands for.

    A column for each range if the sweep ran over ranges, a row for each combination of all else; over ranges alone, a
    row for each.
    """
    jobs = read_jobs(folder)
    if not jobs:
        raise ConfigError(f"{folder}: there is no sweep here; give the folder that invset sample -m wrote.")
    overrides = [settings_of(job.overrides) for job in jobs]
    keys = dict.fromkeys(key for own in overrides for key in own)
    swept = [key for key in keys if len({own.get(key) for own in overrides}) > 1]
    ranges = [_range_of(job, own) for job, own in zip(jobs, overrides, strict=True)]
    by_range = ("range" in swept and len(swept) > 1) or len(set(ranges)) == 1  # an experiment brings its own
    columns = list(dict.fromkeys(ranges)) if by_range else [""]
    shape = block(len(columns))

    rows: dict[tuple[str, ...], list[Swept]] = {}
    cells: dict[tuple[int, int], Swept] = {}
    runs = []
    for job, own, its_range in zip(jobs, overrides, ranges, strict=True):
        others = {key: own.get(key, "").partition("=")[2] for key in swept if key != "range" or not by_range}
        run = _read(folder, job, others, its_range, shape)
        runs.append(run)
        row = tuple(others.values())
        rows.setdefault(row, []).append(run)
        cells.setdefault((list(rows).index(row), columns.index(its_range) if by_range else 0), run)
    titles = [_title(row, with_ranges=not by_range) for row in rows.values()]
    heading = "  ".join([str(shorten(folder)), *(overrides[0][key] for key in overrides[0] if key not in swept)])
    with writing(folder):
        remove_temporary(folder)
    write_atomically(folder / "overview.csv", overview_csv(runs).encode("utf-8", "replace"))
    save_picture(folder / "overview.png", draw_overview(heading, columns, titles, cells, shape))
    return _say_statuses(folder, jobs, console)


def _say_statuses(folder: Path, jobs: Sequence[Job], console: Console) -> int:
    counts = Counter(job.status for job in jobs)
    failed = [job for job in jobs if job.status in UNFINISHED]
    say(console, f"{len(jobs)} jobs: {', '.join(f'{count} {status}' for status, count in counts.items())}")
    for job in failed:
        where = shorten(job.folder) if job.folder is not None else " ".join(settings_of(job.overrides).values())
        say(console, f"{where}: {job.status}{f': {job.reason}' if job.reason else ''}")
    if failed and (folder / RECORD).exists():
        say(console, f"to do what is missing: {resume_command(folder)}")
    say(console, f"{shorten(folder / 'overview.png')}")
    return 1 if failed else 3 if counts["incomplete"] or counts["unreachable"] else 0


def _read(folder: Path, job: Job, others: dict[str, str], ranges: str, shape: Block) -> Swept:
    name = os.path.relpath(job.folder, folder) if job.folder is not None else ""
    neuron, reason = others.get("neuron", ""), job.reason or None
    if job.folder is None or job.status not in WITH_SAMPLES:
        return Swept(name, neuron, ranges, others, job.status, error=reason)
    try:
        summary, tiles = read_samples(job.folder, shape)
        units = " and ".join(read_json(Layout(job.folder).manifest).get("units", [neuron]))
    except RunFolderError as error:
        return Swept(name, neuron, ranges, others, "damaged", error=str(error))
    return Swept(name, units, ranges, others, job.status, summary, tiles, reason)


def _range_of(job: Job, overrides: Mapping[str, str]) -> str:
    """The ranges of a job, as its config has them, or else as they were given."""
    with suppress(RunFolderError):
        if job.folder is not None:
            return str(read_config(job.folder).range)
    return overrides.get("range", "").partition("=")[2]


def _title(row: Sequence[Swept], with_ranges: bool) -> str:
    run = next((run for run in row if run.summary), row[0])  # it knows the names of its units' classes
    parts = [f"{key}={value}" for key, value in run.overrides.items() if key not in ("neuron", "range")]
    return ", ".join([f"{run.units} in {run.ranges}" if with_ranges else run.units, *parts])
