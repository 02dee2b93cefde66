"""A run of a sweep: what it came to, in the words of a caption and in the numbers of a table."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from invset.errors import RunFolderError
from invset.report.figures import spread_rows
from invset.report.overview import Block, Cell, tile
from invset.report.runs import FinishedRun, read_run
from invset.run.files import read_json
from invset.run.layout import Layout

FAILED = 120  # characters of an error in a caption
DIGITS = 30  # of a number in a summary at most: a folder may be anybody's
MOST = 20  # units whose activations are told


@dataclass(frozen=True)
class Swept:
    """One run of a sweep.

    Attributes:
        name: its folder, within the sweep's.
        units, ranges: for people; units with the names of their classes where the run knows them.
        overrides: what else the sweep ran over, by key.
        status: as in its summary; failed where the run came to none, damaged where it cannot be read.
        summary: summary.json; empty where there is none.
        tiles: samples in order of activation, no more than the block of a cell holds.
        error: what went wrong, or None.
    """

    name: str
    units: str
    ranges: str
    overrides: Mapping[str, str]
    status: str
    summary: Mapping[str, Any] = field(default_factory=dict)
    tiles: Sequence[Image.Image] = ()
    error: str | None = None

    def cell(self) -> Cell:
        """Its cell in the overview."""
        return Cell(self.tiles, _caption(self))


def read_samples(
    root: Path, ranges: Sequence[tuple[float, float]], block: Block
) -> tuple[dict[str, Any], Sequence[Image.Image]]:
    """The summary of a run, and as many of its samples as a cell shows, evenly spread in order of activation.

    The order is that of the first unit's activations, of the samples as saved.

    Raises:
        RunFolderError: the run has no summary, or a file is damaged.
    """
    summary = read_json(Layout(root).summary)
    count = summary.get("samples")
    if type(count) is not int or count < 0:
        raise RunFolderError(f"{Layout(root).summary}: damaged: it has no number of samples. Put the file back.")
    if count == 0:
        return summary, ()
    run, rows = FinishedRun(root, "", (), (), (), torch.zeros(1, 1), None, summary), [0]
    if count > 1:
        run = read_run(root, "", ranges)
        rows = spread_rows(run.activations[:, 0], block.most)
    return summary, [tile(images[0], block.side) for images in run.images(rows, batch=1)]


def as_csv(runs: Sequence[Swept]) -> str:
    """A line for each run; what the sweep ran over in columns of its own. Numbers in full."""
    swept = list(dict.fromkeys(key for run in runs for key in run.overrides if key != "neuron"))  # that is `units`
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = ["status", "samples", "wanted", "mean_pairwise_distance", "near_duplicates", "gradient_steps", "passes"]
    writer.writerow(["run", "units", "ranges", *(f"{key}=" for key in swept), *columns, "seconds", "closest", "error"])
    for run in runs:
        summary = run.summary
        told = summary.get("passes")
        passes = [told.get(name) for name in ("forward", "backward")] if isinstance(told, dict) else []
        known = [number for number in passes if type(number) is int]
        numbers = [_exact(summary.get(column)) for column in columns[1:-1]]
        numbers += [str(sum(known)) if len(known) == 2 else "", _exact(summary.get("seconds"))]
        settings = [run.overrides.get(key, "") for key in swept]
        closest = " ".join(repr(value) for value in _closest(summary))
        writer.writerow([run.name, run.units, run.ranges, *settings, run.status, *numbers, closest, run.error or ""])
    return text.getvalue()


def _caption(run: Swept) -> str:
    samples, wanted = _exact(run.summary.get("samples")), _exact(run.summary.get("wanted"))
    samples = "" if samples == "0" else samples
    lines = [f"{samples} of {wanted} samples"] if samples else []
    if run.status == "unreachable" or (run.status == "incomplete" and not samples):
        closest = ", ".join(f"{value:.4g}" for value in _closest(run.summary))
        lines = [f"not reached: closest {closest}" if closest else "not reached", *lines]
    elif run.status == "incomplete":
        lines.append("too seldom reached")
    elif run.status != "complete":
        error = run.error or ""
        told = error if len(error) <= FAILED else f"{error[:FAILED].rstrip()} …"
        lines.append(f"{run.status}: {told}" if told else run.status)
    distance = run.summary.get("mean_pairwise_distance")
    if type(distance) is float and math.isfinite(distance):
        lines.insert(1, f"distance {distance:.4g}")
    return "\n".join(lines)


def _closest(summary: Mapping[str, Any]) -> list[float]:
    told = summary.get("closest")
    values = told.get("activations") if isinstance(told, dict) else None
    return [value for value in values if _exact(value)][:MOST] if isinstance(values, list) else []


def _exact(value: object) -> str:
    known = type(value) in (int, float) and -math.inf < value < math.inf  # type: ignore[operator]
    return repr(value) if known and len(repr(value)) <= DIGITS else ""
