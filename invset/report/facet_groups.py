"""Groups of a run's samples in numbers and words: a line a group, a line a sample, and what to think of them."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from invset.metrics.facets import CLOUDS, MOST, Facets
from invset.report.measured import Measured

FEW = 20  # chains that say little of how many kinds there are


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
        lowest, highest, mean: p activations each.
        seen: what an independent network most often ranks first, with shares of the group; None without one.
    """

    number: int
    rows: Tensor
    total: int
    chains: int
    of_chains: int
    silhouette: float
    units: tuple[str, ...]
    lowest: tuple[float, ...]
    highest: tuple[float, ...]
    mean: tuple[float, ...]
    seen: str | None

    @property
    def title(self) -> str:
        """`group 1: 132 of 500 samples (26%), 7 of 10 chains, activation 52.1 to 59.8, mean 56`."""
        share = len(self.rows) / self.total
        parts = [f"{len(self.rows)} of {self.total} samples ({share:.0%}), {self.chains} of {self.of_chains} chains"]
        for unit, low, high, mean in zip(self.units, self.lowest, self.highest, self.mean, strict=True):
            name = "activation" if len(self.units) == 1 else unit
            parts.append(f"{name} {low:.4g} to {high:.4g}, mean {mean:.4g}")
        return f"group {self.number}: {', '.join(parts)}"


def groups_of(
    found: Facets, samples: Measured, chains: Tensor, seen: Callable[[Tensor], str] | None = None
) -> list[Group]:
    """The groups of n samples, given the (n,) numbers of their chains; `seen` puts (m, classes) logits in words."""
    groups = []
    for index, medoid in enumerate(found.medoids.tolist()):
        rows = (found.labels == index).nonzero()[:, 0]
        apart = found.distances[rows].where(rows != medoid, -1.0)  # before copies of it
        rows = rows[apart.argsort(stable=True)]
        own = samples.activations[rows]
        groups.append(
            Group(
                number=index + 1,
                rows=rows,
                total=len(found.labels),
                chains=len(chains[rows].unique()),
                of_chains=len(chains.unique()),
                silhouette=float(found.group_silhouettes[index]),
                units=samples.units,
                lowest=tuple(own.amin(dim=0).tolist()),
                highest=tuple(own.amax(dim=0).tolist()),
                mean=tuple(own.double().mean(dim=0).tolist()),
                seen=None if samples.logits is None or seen is None else seen(samples.logits[rows]),
            )
        )
    return groups


def told(found: Facets, groups: Sequence[Group], asked: int | None, own_starts: bool = False) -> list[str]:
    """How the groups were found, and what to think of them; the verdict first.

    `own_starts`: each sample was compared with all others, not with those of other chains alone.
    """
    n, chains = len(found.labels), groups[0].of_chains
    if math.isnan(found.chance):
        same = "all samples have the same encoding" if not found.components else "no cut sets any samples apart"
        return [f"No groups: {same}."]
    excess = found.silhouette - found.expected
    verdict = {
        "clear": "Clear groups.",
        "weak": "Weak groups: more apart than parts of one cloud, yet they overlap.",
        "none": "No clear groups: no more apart than parts of one cloud.",
    }[found.verdict]
    if asked is None:
        how = f"{found.count} of 2 to {min(MOST, n)} groups stand apart best; groups=NUMBER for another number."
    else:
        how = f"{asked} groups, as asked."
    side = "above" if excess >= 0 else "below"
    lines = [
        f"{verdict} Mean silhouette {found.silhouette:.3f}, {abs(excess):.3f} {side} that of a structureless cloud cut "
        f"into as many; of {CLOUDS} such clouds {round(found.chance * CLOUDS)} stand out as much.",
        f"{how} Ward's tree of {found.components} principal components.",
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
            lines.append(f"{chains} chains say little of how many kinds there are: sample with more, as schedule.K=50.")
        if alone := [str(group.number) for group in groups if group.chains == 1]:
            which = f"Group {alone[0]} is" if len(alone) == 1 else f"Groups {', '.join(alone)} are"
            lines.append(f"{which} of one chain alone: a walk, perhaps no kind of thing.")
    return lines


def table_of(groups: Sequence[Group], numbers: Tensor) -> list[list[str]]:
    """A header and a line a group, for people; `numbers` as in `groups_csv`. What is seen comes last, if anything."""
    units = groups[0].units
    header = ["group", "samples", "share", "chains", "medoid", "silhouette"]
    for unit in units:
        header += ["activation" if len(units) == 1 else unit, "mean"]
    lines = [[*header, "seen" if any(group.seen for group in groups) else ""]]
    for group in groups:
        size, silhouette = len(group.rows), "-" if math.isnan(group.silhouette) else f"{group.silhouette:.2f}"
        line = [f"{group.number}", f"{size}", f"{size / group.total:.0%}", f"{group.chains} of {group.of_chains}"]
        line += [f"{int(numbers[group.rows[0]])}", silhouette]
        for low, high, mean in zip(group.lowest, group.highest, group.mean, strict=True):
            line += [f"{low:.4g} to {high:.4g}", f"{mean:.4g}"]
        lines.append([*line, group.seen or ""])
    return lines


def groups_csv(groups: Sequence[Group], numbers: Tensor) -> str:
    """A line a group; `numbers` (n,) are the samples' own, as in activations.csv."""
    units = groups[0].units
    header = ["group", "samples", "share", "chains", "medoid", "silhouette"]
    header += [f"{unit} {what}" for unit in units for what in ("lowest", "highest", "mean")]
    header.append("seen")
    lines: list[Sequence[object]] = [header]
    for group in groups:
        silhouette = "" if math.isnan(group.silhouette) else group.silhouette
        line: list[object] = [group.number, len(group.rows), len(group.rows) / group.total, group.chains]
        line += [int(numbers[group.rows[0]]), silhouette]
        line += [value for three in zip(group.lowest, group.highest, group.mean, strict=True) for value in three]
        lines.append([*line, group.seen or ""])
    return _as_csv(lines)


def samples_csv(found: Facets, numbers: Tensor, chains: Tensor) -> str:
    """A line a sample, in order of sampling: its group, and the distance of its encoding to the group's medoid's."""
    medoids = torch.zeros(len(found.labels), dtype=torch.int64)
    medoids[found.medoids] = 1
    columns = numbers, chains, found.labels + 1, found.distances, medoids
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return _as_csv([["sample", "chain", "group", "distance_to_medoid", "medoid"], *map(list, rows)])


def _as_csv(lines: Sequence[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue()
