"""A sweep in one picture and one table: a row for each unit, a column for each range, some samples in each cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from invset.report.runs import closest_activations, count_passes, read_run, spread_rows
from invset.report.tables import csv_text
from invset.run.sheet import GAP, MARGIN, SPACE, Cell, Strip, mosaic, sheet

WIDE = 1600  # pixels that a picture of several columns should not exceed
SMALLEST, LARGEST = 64, 128  # pixels of an image's longer side
EMPTY = "#e9edf1"
EVERY = 5  # rows: then the columns' titles again, so that they are in sight
LONGEST_REASON = 120  # characters of an error in a caption


class Block(NamedTuple):
    """How a cell shows its samples: so many across and down, in tiles of so many pixels a side."""

    across: int
    down: int
    side: int


def block(columns: int) -> Block:
    """The block for so many columns: as large as they can be seen together, a single column's in one row."""
    if columns == 1:
        return Block(8, 1, 96)
    across = 3 if columns <= 8 else 2
    side = (WIDE - 2 * MARGIN) // columns - GAP
    return Block(across, 2, min(LARGEST, max(SMALLEST, side // across - SPACE)))


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


def read_samples(root: Path, shape: Block) -> tuple[Mapping[str, Any], Sequence[Image.Image]]:
    """The summary of a run, and as many of its samples as a cell shows, evenly spread in order of activation.

    The order is that of the first unit's activations, of the samples as saved.

    Raises:
        RunFolderError: the run has not come to its end, or a file is damaged.
    """
    run = read_run(root)
    return run.summary, run.pictures(spread_rows(run.activations[:, 0], shape.across * shape.down), shape.side)


def draw_overview(
    title: str, columns: Sequence[str], rows: Sequence[str], runs: Mapping[tuple[int, int], Swept], shape: Block
) -> Image.Image:
    """The picture: columns under their titles, each row under its own; `runs` by (row, column), absent ones blank.

    A run without samples is a grey area over its caption.
    """
    tiles = [one.size for run in runs.values() for one in run.tiles] or [(shape.side, shape.side)]
    wide, high = (max(sides) + SPACE for sides in zip(*tiles, strict=True))
    empty = Image.new("RGB", (shape.across * wide - SPACE, shape.down * high - SPACE), EMPTY)
    lines = []
    for row, heading in enumerate(rows):
        if row % EVERY == 0 and any(columns):
            lines.append(Strip([Cell(None, text) for text in columns]))
        cells = []
        for column in range(len(columns)):
            run = runs.get((row, column))
            picture = None if run is None else mosaic(run.tiles, shape.across) if run.tiles else empty
            cells.append(Cell(picture, "" if run is None else caption_of(run)))
        lines.append(Strip(cells, heading))
    return sheet(title, lines, len(columns))


def overview_csv(runs: Sequence[Swept]) -> str:
    """A line for each run; what the sweep ran over in columns of its own. Numbers in full."""
    swept = list(dict.fromkeys(key for run in runs for key in run.overrides if key != "neuron"))  # that is `units`
    lines = []
    for run in runs:
        line: dict[str, object] = {"run": run.name, "units": run.units, "ranges": run.ranges}
        line |= {f"{key}=": run.overrides.get(key) for key in swept} | {"status": run.status}
        for column in ("samples", "wanted", "mean_pairwise_distance", "near_duplicates", "gradient_steps"):
            line[column] = run.summary.get(column)
        line |= {"passes": count_passes(run.summary), "seconds": run.summary.get("seconds")}
        line |= {"closest": " ".join(map(repr, closest_activations(run.summary))), "error": run.error}
        lines.append(line)
    return csv_text(lines)


def caption_of(run: Swept) -> str:
    """What stands under a run's samples: how many there are, how far apart, and what went wrong."""
    samples, distance = run.summary.get("samples"), run.summary.get("mean_pairwise_distance")
    lines = [f"{samples} of {run.summary.get('wanted')} samples"] if samples else []
    if distance is not None:
        lines.append(f"distance {distance:.4g}")
    if run.status == "unreachable" or (run.status == "incomplete" and not samples):
        closest = ", ".join(f"{value:.4g}" for value in closest_activations(run.summary))
        lines.insert(0, f"not reached: closest {closest}" if closest else "not reached")
    elif run.status == "incomplete":
        lines.append("too seldom reached")
    elif run.status != "complete":
        error = run.error or ""
        short = error if len(error) <= LONGEST_REASON else f"{error[:LONGEST_REASON].rstrip()} …"
        lines.append(f"{run.status}: {short}" if short else run.status)
    return "\n".join(lines)
