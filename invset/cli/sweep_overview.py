"""A finished sweep as one picture and one table: overview.png and overview.csv in its folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from invset.cli.finished import read_config, targets_of
from invset.cli.report import shown
from invset.cli.sweep import RESULTS, Job, ended, settings
from invset.errors import ConfigError, RunFolderError
from invset.report.overview import Block, Cell, block, overview
from invset.report.swept import Swept, as_csv, read_samples
from invset.run.files import read_json, write_atomically
from invset.run.grids import save_picture
from invset.run.layout import Layout

LONG = 200  # characters of a unit's description, which comes from a file


def write(folder: Path, jobs: Sequence[Job]) -> tuple[Path, list[RunFolderError]]:
    """Write both files; returns the picture's path, and what is wrong with runs that cannot be read.

    A column for each range if ranges are what the sweep ran over, a row for each combination of all else.

    Raises:
        RunFolderError: a file cannot be written.
    """
    overrides = [settings(job.overrides) for job in jobs]
    keys = dict.fromkeys(key for own in overrides for key in own)
    swept = [key for key in keys if len({own.get(key) for own in overrides}) > 1]
    others = [{key: own.get(key, "").partition("=")[2] for key in swept if key != "range"} for own in overrides]
    columns = list(dict.fromkeys(job.ranges for job in jobs))
    if "range" not in swept and len(columns) > 1:  # an experiment brings its own
        columns = []
    shape = block(max(1, len(columns)))
    wrong: list[RunFolderError] = []
    runs = [_read(folder, job, own, shape, wrong) for job, own in zip(jobs, others, strict=True)]

    rows: dict[tuple[str, ...], list[Swept]] = {}
    cells: dict[tuple[int, int], Cell] = {}
    for job, run in zip(jobs, runs, strict=True):
        key = tuple(run.overrides.values())
        rows.setdefault(key, []).append(run)
        column = columns.index(job.ranges) if columns else 0
        cells.setdefault((list(rows).index(key), column), run.cell())
    titles = [_title(row, with_ranges=not columns) for row in rows.values()]
    heading = "  ".join([str(shown(folder)), *(overrides[0][key] for key in overrides[0] if key not in swept)])
    picture = overview(heading, columns or [""], titles, cells, shape)
    write_atomically(folder / "overview.csv", as_csv(runs).encode("utf-8", "replace"))
    save_picture(folder / "overview.png", picture)
    return folder / "overview.png", wrong


def _read(folder: Path, job: Job, overrides: dict[str, str], block: Block, wrong: list[RunFolderError]) -> Swept:
    name, paths = os.path.relpath(job.folder, folder), Layout(job.folder)
    plain = Swept(name, job.neuron, job.ranges, overrides, "failed", error=job.error)
    try:
        if not paths.summary.is_file() or not paths.config.is_file():
            return plain
        if job.error is not None:
            ended(job.folder, job.overrides, extending=True)  # or the run in its folder is another
        summary, tiles = read_samples(job.folder, targets_of(job.folder, read_config(job.folder)).ranges, block)
        status = str(summary.get("status"))[:LONG]
        status = "failed" if job.error is not None and status in RESULTS else status
        told = read_json(paths.manifest).get("units")
    except ConfigError:
        return plain
    except RunFolderError as error:
        if job.error is None:
            wrong.append(error)
        return Swept(name, job.neuron, job.ranges, overrides, "damaged", error=job.error or str(error))
    units = " and ".join(map(str, told))[:LONG] if isinstance(told, list) else job.neuron
    return Swept(name, units, job.ranges, overrides, status, summary, tiles, job.error)


def _title(row: Sequence[Swept], with_ranges: bool) -> str:
    run = next((run for run in row if run.summary), row[0])  # it knows the names of its units' classes
    parts = [f"{key}={value}" for key, value in run.overrides.items() if key != "neuron"]
    return ", ".join([f"{run.units} in {run.ranges}" if with_ranges else run.units, *parts])
