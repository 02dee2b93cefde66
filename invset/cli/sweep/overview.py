"""`invset overview FOLDER`: a sweep as one picture and one table, overview.png and overview.csv in its folder."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console

from invset.cli.sweep.jobs import Job, read_jobs, settings_of
from invset.cli.terminal import say, shorten
from invset.errors import ConfigError, RunFolderError
from invset.report.sweep_page import Block, Swept, block, draw_overview, overview_csv, read_samples
from invset.run.config import read_config
from invset.run.files import read_json, write_atomically
from invset.run.layout import Layout
from invset.run.sheet import save_picture

LONG = 200  # characters of a unit's description, which comes from a file
RESULTS = ("complete", "incomplete", "unreachable", "interrupted")  # of which there may be samples to show
FAILED = ("failed", "cut short", "missing", "damaged", "interrupted")


def write_overview(folder: Path, console: Console) -> int:
    """Write both files, and say what became of the jobs; returns the exit code that it stands for.

    A column for each range if ranges are what the sweep ran over, a row for each combination of all else.

    Raises:
        ConfigError: there is no sweep in the folder.
        RunFolderError: its record cannot be read, or a file cannot be written.
    """
    jobs = read_jobs(folder)
    if not jobs:
        raise ConfigError(f"{folder}: there is no sweep here; give the folder that invset sample -m wrote.")
    overrides = [settings_of(job.overrides) for job in jobs]
    keys = dict.fromkeys(key for own in overrides for key in own)
    swept = [key for key in keys if len({own.get(key) for own in overrides}) > 1]
    ranges = [_range_of(job, own) for job, own in zip(jobs, overrides, strict=True)]
    columns = list(dict.fromkeys(ranges))
    if "range" not in swept and len(columns) > 1:  # an experiment brings its own
        columns = []
    shape = block(max(1, len(columns)))

    rows: dict[tuple[str, ...], list[Swept]] = {}
    cells: dict[tuple[int, int], Swept] = {}
    runs = []
    for job, own, its_range in zip(jobs, overrides, ranges, strict=True):
        others = {key: own.get(key, "").partition("=")[2] for key in swept if key != "range"}
        run = _read(folder, job, others, its_range, shape)
        runs.append(run)
        row = tuple(others.values())
        rows.setdefault(row, []).append(run)
        cells.setdefault((list(rows).index(row), columns.index(its_range) if columns else 0), run)
    titles = [_title(row, with_ranges=not columns) for row in rows.values()]
    heading = "  ".join([str(shorten(folder)), *(overrides[0][key] for key in overrides[0] if key not in swept)])
    write_atomically(folder / "overview.csv", overview_csv(runs).encode("utf-8", "replace"))
    save_picture(folder / "overview.png", draw_overview(heading, columns or [""], titles, cells, shape))
    return _say_statuses(folder, jobs, console)


def _say_statuses(folder: Path, jobs: Sequence[Job], console: Console) -> int:
    counts = Counter(job.status for job in jobs)
    say(console, f"{len(jobs)} jobs: {', '.join(f'{count} {status}' for status, count in counts.items())}")
    for job in jobs:
        if job.status in FAILED:
            where = shorten(job.folder) if job.folder is not None else " ".join(job.overrides)
            say(console, f"{where}: {job.status}{f': {job.reason}' if job.reason else ''}")
    if any(status in FAILED for status in counts):
        say(console, f"to do what is missing: invset sample resume={shorten(folder)}")
    say(console, f"{shorten(folder / 'overview.png')}")
    if any(status in FAILED for status in counts):
        return 1
    return 3 if counts["incomplete"] or counts["unreachable"] else 0


def _read(folder: Path, job: Job, others: dict[str, str], ranges: str, shape: Block) -> Swept:
    name = os.path.relpath(job.folder, folder) if job.folder is not None else ""
    neuron = others.get("neuron", "")
    status, reason = job.status, job.reason or None
    if job.folder is None or status not in RESULTS:
        return Swept(name, neuron, ranges, others, status, error=reason)
    try:
        summary, tiles = read_samples(job.folder, shape)
        units = read_json(Layout(job.folder).manifest).get("units")
    except RunFolderError as error:
        return Swept(name, neuron, ranges, others, "damaged", error=str(error))
    described = " and ".join(map(str, units))[:LONG] if isinstance(units, list) else neuron
    return Swept(name, described, ranges, others, status, summary, tiles, reason)


def _range_of(job: Job, overrides: Mapping[str, str]) -> str:
    """The ranges of a job, as its config has them, or else as they were given."""
    if job.folder is not None and Layout(job.folder).config.is_file():
        try:
            return str(read_config(job.folder).range)
        except RunFolderError:
            pass
    return overrides.get("range", "").partition("=")[2]


def _title(row: Sequence[Swept], with_ranges: bool) -> str:
    run = next((run for run in row if run.summary), row[0])  # it knows the names of its units' classes
    parts = [f"{key}={value}" for key, value in run.overrides.items() if key != "neuron"]
    return ", ".join([f"{run.units} in {run.ranges}" if with_ranges else run.units, *parts])
