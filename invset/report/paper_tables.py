"""The numbers of a figure in Markdown: laid out by how many runs there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from invset.metrics.estimate import Estimate
from invset.report.measured import Cell
from invset.report.prose import in_markdown
from invset.report.tables import shown

if TYPE_CHECKING:
    from invset.report.paper import Measurement

ACROSS = 6  # runs side by side at most


def table(measures: Sequence[str], groups: Sequence[Measurement]) -> str:
    """The chosen measures of all runs.

    With `row.measure`: a line a group. Of one group of few runs: a line a measure, runs side by side. Of several
    groups: a line a row, with the median, lowest and highest of all groups.
    """
    titles = titles_of(groups)
    if any("." in measure for measure in measures):
        return _a_line_a_group(measures, groups, titles)
    measures = [measure for measure in measures if measure in titles]
    if len(groups) == 1 and len(groups[0].names) <= ACROSS:
        (group,) = groups
        lines = [[titles[key], *(shown(group.cell(name, key)) for name in group.names)] for key in measures]
        return markdown(["", *group.titles], lines)
    if sum(len(group.names) for group in groups) <= ACROSS:
        lines = [
            [f"{group.title}: {title}", *(shown(group.cell(name, key)) for key in measures)]
            for group in groups
            for name, title in zip(group.names, group.titles, strict=True)
        ]
        return markdown(["", *(titles[key] for key in measures)], lines)
    first = groups[0]
    lines = [
        [title, *(spread([group.cell(name, key) for group in groups if name in group.names]) for key in measures)]
        for name, title in zip(first.names, first.titles, strict=True)
    ]
    heading = f"median of {len(groups)} (lowest to highest)" if len(groups) > 1 else ""
    return markdown([heading, *(titles[key] for key in measures)], lines)


def titles_of(groups: Sequence[Measurement]) -> dict[str, str]:
    """The titles of measures, by key; without their last part where groups do not agree on it, as on a width."""
    found: dict[str, set[str]] = {}
    for row in (row for group in groups for row in group.rows):
        found.setdefault(row.key, set()).add(row.title)
    titles = {
        key: next(iter(own)) if len(own) == 1 else min(own).rsplit(" of width ", 1)[0] for key, own in found.items()
    }
    return titles | {"distance_ratio": f"mean distance of {groups[0].titles[0]} over this one's"}


def spread(cells: Sequence[Cell]) -> str:
    """Several groups' numbers as one, `11.2 (9.8 to 12.5)`: median, lowest and highest; of one group it alone."""
    if len(cells) == 1:
        return shown(cells[0])
    values = [cell.value if isinstance(cell, Estimate) else cell for cell in cells if not isinstance(cell, str)]
    numbers = torch.tensor([value for value in values if value is not None], dtype=torch.float64)
    numbers = numbers[~numbers.isnan()]
    if not len(numbers):
        return shown(None)
    return f"{shown(float(numbers.quantile(0.5)))} ({shown(float(numbers.min()))} to {shown(float(numbers.max()))})"


def _a_line_a_group(measures: Sequence[str], groups: Sequence[Measurement], titles: dict[str, str]) -> str:
    pairs = [measure.split(".", 1) for measure in measures]
    names = dict(zip(groups[0].names, groups[0].titles, strict=True))
    header = ["", *(f"{names.get(row, row)}: {titles.get(key, key)}" for row, key in pairs)]
    lines = [[group.title, *(shown(group.cell(row, key)) for row, key in pairs)] for group in groups]
    if any(group.paper is not None for group in groups):
        header.append("the paper's")
        for line, group in zip(lines, groups, strict=True):
            line.append(shown(group.paper))
    return markdown(header, lines)


def markdown(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table; all columns but the first are numbers."""
    rule = ["---", *("---:" for _ in header[1:])]
    whole = [[in_markdown(cell) for cell in header], rule, *([in_markdown(cell) for cell in line] for line in lines)]
    return "\n".join(f"| {' | '.join(line)} |" for line in whole)
