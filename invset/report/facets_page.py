"""Groups of a run's samples in numbers, words and a picture: a row each, its medoid framed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from PIL import Image, ImageOps
from torch import Tensor

from invset.metrics.clusters import CLOUDS, MOST, Clusters
from invset.metrics.filling import evenly_spaced
from invset.report.readings import Measured
from invset.report.tables import csv_text
from invset.run.sheet import COLUMNS, Cell, Strip, sheet

FEW = 20  # chains that say little of how many kinds there are
FRAME, EDGE = "#c0392b", 4  # about a medoid, in pixels
ROWS = 20  # groups in the picture at most


@dataclass(frozen=True)
class Group:
    """One group.

    Attributes:
        number: from 1, the largest first.
        rows: (m,) int64, its samples among the n that were grouped, the medoid first, then from near to far.
        total: n.
        chains: how many chains it has samples of.
        of_chains: how many chains all n are of.
        silhouette: the mean of its samples, −1 to 1, or NaN.
        units: p texts.
        activations: (m, p).
        top_classes: what an independent network most often ranks first, with shares of the group; None without one.
    """

    number: int
    rows: Tensor
    total: int
    chains: int
    of_chains: int
    silhouette: float
    units: tuple[str, ...]
    activations: Tensor
    top_classes: str | None

    @property
    def spans(self) -> dict[str, tuple[float, float, float]]:
        """The lowest, highest and mean activation, by unit."""
        columns = zip(self.units, self.activations.double().T, strict=True)
        return {unit: (own.min().item(), own.max().item(), own.mean().item()) for unit, own in columns}

    @property
    def title(self) -> str:
        """`group 1: 132 of 500 samples (26%), 7 of 10 chains, activation 52.1 to 59.8, mean 56`."""
        share = len(self.rows) / self.total
        parts = [f"{len(self.rows)} of {self.total} samples ({share:.0%}), {self.chains} of {self.of_chains} chains"]
        for unit, (low, high, mean) in self.spans.items():
            name = "activation" if len(self.units) == 1 else unit
            parts.append(f"{name} {low:.4g} to {high:.4g}, mean {mean:.4g}")
        return f"group {self.number}: {', '.join(parts)}"


def groups_of(
    found: Clusters, samples: Measured, chains: Tensor, describe: Callable[[Tensor], str] | None = None
) -> list[Group]:
    """The groups of n samples, given the (n,) numbers of their chains; `describe` puts (m, classes) logits in words."""
    groups = []
    for index, medoid in enumerate(found.medoids.tolist()):
        rows = (found.labels == index).nonzero()[:, 0]
        apart = found.distances[rows].where(rows != medoid, -1.0)  # before copies of it
        rows = rows[apart.argsort(stable=True)]
        groups.append(
            Group(
                number=index + 1,
                rows=rows,
                total=len(found.labels),
                chains=len(chains[rows].unique()),
                of_chains=len(chains.unique()),
                silhouette=float(found.group_silhouettes[index]),
                units=samples.run.units,
                activations=samples.activations[rows],
                top_classes=None if samples.logits is None or describe is None else describe(samples.logits[rows]),
            )
        )
    return groups


def facets_verdict(found: Clusters, groups: Sequence[Group], own_starts: bool) -> str:
    """Whether the samples show one kind of thing or several, in a sentence; `own_starts` as of `facets_notes`."""
    n = len(found.labels)
    if not found.components:
        return "One kind of thing: all samples have the same encoding."
    if not own_starts and groups[0].of_chains == 1:
        return "Cannot tell whether it is one kind of thing or several: all samples are of one chain."
    if math.isnan(found.chance):
        return f"One kind of thing, as far as {n} samples show: no cut sets any of them apart."
    return {
        "clear": f"Several kinds of thing: {found.count} groups stand clearly apart.",
        "weak": f"Cannot tell whether it is one kind of thing or several: {found.count} groups overlap, yet are more "
        "apart than parts of one cloud.",
        "none": f"One kind of thing, as far as {n} samples show: groups are no more apart than parts of one cloud.",
    }[found.verdict]


def facets_notes(found: Clusters, groups: Sequence[Group], asked: int | None, own_starts: bool) -> list[str]:
    """How the groups were found, and what to think of them; none where nothing was cut.

    `own_starts`: each sample was compared with all others, not with those of other chains alone.
    """
    n, chains = len(found.labels), groups[0].of_chains
    if math.isnan(found.chance):
        return []
    best = f"{found.count} of 2 to {min(MOST, n)} groups stand apart best; any other number can be asked for."
    lines = [
        f"Mean silhouette {found.silhouette:.3f}, of a structureless cloud cut into as many "
        f"{found.expected:.3f}; of {CLOUDS} such clouds {round(found.chance * CLOUDS)} stand out as much.",
        f"{best if asked is None else f'{asked} groups, as asked.'} Ward's tree of {found.components} components.",
    ]
    if found.in_tree < n:
        lines.append(f"The tree is of {found.in_tree} samples; the others were given to the nearest group's mean.")
    if own_starts:
        lines.append("Every sample has a start of its own, so silhouettes are over all of them.")
    elif chains == 1:
        lines.append("All samples are of one chain, a walk: groups may be stretches of it.")
    else:
        lines.append("Silhouettes are over samples of other chains, as samples of one chain lie close together anyway.")
        if chains < FEW:
            lines.append(f"{chains} chains say little of how many kinds there are: sample with more, as 50.")
        if alone := [str(group.number) for group in groups if group.chains == 1]:
            lines.append(f"Of one chain alone, a walk and perhaps no kind of thing: group {', '.join(alone)}.")
    if len(groups) > ROWS:
        lines.append(f"The picture is of the {ROWS} largest groups.")
    return lines


def group_lines(groups: Sequence[Group], numbers: Tensor) -> list[dict[str, str | float]]:
    """A line a group, by column; `numbers` (n,) are the samples' own, as in activations.csv."""
    lines = []
    for group in groups:
        line: dict[str, str | float] = {
            "group": group.number, "samples": len(group.rows), "share": len(group.rows) / group.total,
            "chains": group.chains, "medoid": int(numbers[group.rows[0]]),
            "silhouette": "" if math.isnan(group.silhouette) else group.silhouette,
        }  # fmt: skip
        for unit, (low, high, mean) in group.spans.items():
            line |= {f"{unit} lowest": low, f"{unit} highest": high, f"{unit} mean": mean}
        lines.append(line | {"seen": group.top_classes or ""})
    return lines


def samples_csv(found: Clusters, numbers: Tensor, chains: Tensor) -> str:
    """A line a sample, in order of sampling: its group, and the distance of its encoding to the group's medoid's."""
    medoids = torch.zeros(len(found.labels), dtype=torch.int64)
    medoids[found.medoids] = 1
    columns = numbers, chains, found.labels + 1, found.distances, medoids
    header = ["sample", "chain", "group", "distance_to_medoid", "medoid"]
    lines = zip(*(column.tolist() for column in columns), strict=True)
    return csv_text([dict(zip(header, line, strict=True)) for line in lines])


def draw_facets(samples: Measured, groups: Sequence[Group], title: str) -> Image.Image:
    """A row a group, the largest `ROWS` of them: its medoid, then samples evenly spaced from near it to far from it.

    Raises:
        RunFolderError: an image is missing or damaged.
    """
    run, rows = samples.run, []
    for group in groups[:ROWS]:
        shown = [samples.rows[row] for row in group.rows[evenly_spaced(len(group.rows), COLUMNS)].tolist()]
        cells: list[Cell] = []
        for row, (picture, caption) in zip(shown, run.cells(shown), strict=True):
            assert picture is not None
            medoid = "" if cells else ", medoid"
            framed = ImageOps.expand(picture, EDGE, FRAME if medoid else "white")
            cells.append(Cell(framed, f"{caption}\nchain {int(run.chains[row])}{medoid}"))
        rows.append(Strip(cells, f"{group.title}\nseen: {group.top_classes}" if group.top_classes else group.title))
    return sheet(title, rows)
