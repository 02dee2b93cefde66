"""A figure of the paper from finished runs: its picture, its numbers, and a note with the claims beside them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from PIL import Image

from invset.metrics.across import ratio_over_groups
from invset.metrics.estimate import Estimate
from invset.report.chains import chains_of
from invset.report.claims import Claim
from invset.report.figures import spread_rows
from invset.report.forest import Entry, forest
from invset.report.judgements import Judgement, judge
from invset.report.measured import Cell, Measured, Row
from invset.report.paper_ratios import DISTANCE, across, mean_ratio, ratio
from invset.report.paper_tables import table, titles_of
from invset.report.plates import Group, Strip, plate
from invset.report.prose import in_markdown
from invset.report.readings import pictured
from invset.report.runs import FinishedRun
from invset.report.tables import csv_line


@dataclass(frozen=True)
class Figure:
    """What a figure is to look like, and what is claimed of it.

    Attributes:
        title: its heading.
        shows: what is to be seen in it.
        images: how many samples of a run are shown.
        pick: which: evenly spaced in order of activation, or one of each chain, from its middle. All in order of
            sampling, where there are no more.
        columns: in how many columns.
        picture: rows of images, or forest: the first row's measure over the second's, for each group.
        forest: which measure.
        ratios, differences: measures of which the note gives the first row over, or minus, the others, for all groups.
        measures: keys of the comparison that the note shows; `row.measure` for a table of a line a group.
        claims: of the paper.
        remarks: what differs here, in words.
    """

    title: str
    shows: str
    images: int
    pick: Literal["activation", "chains"]
    columns: int
    picture: Literal["rows", "forest"]
    forest: str
    ratios: tuple[str, ...]
    differences: tuple[str, ...]
    measures: tuple[str, ...]
    claims: tuple[Claim, ...]
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class Measurement:
    """The runs of one group, measured together.

    Attributes:
        title: of the group, or empty.
        names: of the runs, as claims call them.
        titles: of the runs, for people.
        runs: as their folders have them.
        samples: of each.
        rows: the comparison's, a cell a run.
        where: what encodings are, as "in fc6 of mini".
        paper: the paper's number for the group, or None.
    """

    title: str
    names: tuple[str, ...]
    titles: tuple[str, ...]
    runs: Sequence[FinishedRun]
    samples: Sequence[Measured]
    rows: Sequence[Row]
    where: str
    paper: float | None = None

    def cell(self, name: str, key: str) -> Cell:
        """A run's measure; None if there is none."""
        index = self.names.index(name)
        return next((row.cells[index] for row in self.rows if row.key == key), None)


def judged(figure: Figure, groups: Sequence[Measurement]) -> list[Judgement]:
    """The figure's claims beside what was measured."""
    cells = {
        group.title or f"group {number}": {
            name: {row.key: group.cell(name, row.key) for row in group.rows} for name in group.names
        }
        for number, group in enumerate(groups, 1)
    }
    titles = titles_of(groups)
    return [judge(claim, cells, titles) for claim in figure.claims]


def picture(figure: Figure, groups: Sequence[Measurement]) -> Image.Image:
    """The figure.

    Raises:
        RunFolderError: an image is missing or damaged.
    """
    if figure.picture == "forest":
        return _forest(figure, groups)
    plates = [
        Group(group.title, [_strip(figure, group, index) for index in range(len(group.runs))]) for group in groups
    ]
    return plate(figure.title, plates, figure.columns)


def note(figure: Figure, groups: Sequence[Measurement], judgements: Sequence[Judgement], image: str) -> str:
    """Markdown: the picture, the paper's claims beside what was measured, and the numbers."""
    lines = [f"## {in_markdown(figure.title)}", "", f"![{in_markdown(figure.title)}]({image})", ""]
    lines += [in_markdown(figure.shows), ""]
    for remark in figure.remarks:
        lines += [in_markdown(remark), ""]
    for ours, heading in ((False, "the paper says"), (True, "asked beyond the paper")):
        told = [judgement for judgement in judgements if judgement.claim.ours == ours]
        lines += [f"| {heading} | here |", "| --- | --- |", *map(_line, told), ""] if told else []
    if figure.ratios or figure.differences:
        lines += [across(figure.ratios, figure.differences, groups), ""]
    lines += [table(figure.measures, groups), ""]
    means = mean_ratio(groups, figure.forest, _of(figure, groups)) if figure.picture == "forest" else ()
    remarks = [*means, *_notes(groups)]
    lines += [f"- {remark}" for remark in dict.fromkeys([*remarks, *_unknown(figure, groups)])]
    return "\n".join(lines) + "\n"


def _line(judgement: Judgement) -> str:
    paper = f" ({in_markdown(judgement.claim.paper)})" if judgement.claim.paper else ""
    return f"| {in_markdown(judgement.claim.says)}{paper} | {judgement.words()} |"


def numbers_csv(groups: Sequence[Measurement]) -> str:
    """A line for each run: its group, its name, and every measure in full."""
    lines = [
        {"group": group.title, "run": name, "folder": run.root.name, **csv_line(group.rows, index)}
        for group in groups
        for index, (name, run) in enumerate(zip(group.names, group.runs, strict=True))
    ]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(key for line in lines for key in line)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def _strip(figure: Figure, group: Measurement, index: int) -> Strip:
    run = group.runs[index]
    if not run.count:
        return Strip(group.titles[index], [], [], "no samples in this range")
    rows = shown_rows(run, figure)
    captions = ["  ".join(f"{value:.4g}" for value in run.activations[row].tolist()) for row in rows]
    return Strip(group.titles[index], pictured(run, rows), captions)


def shown_rows(run: FinishedRun, figure: Figure) -> list[int]:
    """Which of a run's samples the figure shows, from 0. Raises RunFolderError: the run does not say their chains."""
    if run.count <= figure.images:
        return list(range(run.count))
    if figure.pick == "activation":
        return spread_rows(run.activations[:, 0], figure.images)
    chains = chains_of(run)
    own = [(chains == chain).nonzero().flatten().tolist() for chain in chains.unique()[: figure.images]]
    return [rows[len(rows) // 2] for rows in own]


def _forest(figure: Figure, groups: Sequence[Measurement]) -> Image.Image:
    found = [ratio(group, figure.forest, group.names[1]) for group in groups]
    entries = []
    for group, one in zip(groups, found, strict=True):
        within = group.cell(group.names[1], "share_within")
        told = f"{group.titles[1]} in range: {within.value:.0%}" if isinstance(within, Estimate) else ""
        entries.append(Entry(group.title, one, "no ratio" if one is None else told, group.paper))
    first, second = groups[0].titles[:2]
    known = [one for one in found if one is not None]
    summary = Entry(f"geometric mean of {len(known)}", ratio_over_groups(known)) if len(known) > 1 else None
    axis = f"{_of(figure, groups)}: {first} / {second} (logarithmic)"
    return forest(figure.title, entries, axis, summary=summary)


def _of(figure: Figure, groups: Sequence[Measurement]) -> str:
    """What a forest's ratios are of."""
    return "mean distance" if figure.forest == DISTANCE else titles_of(groups).get(figure.forest, figure.forest)


def _unknown(figure: Figure, groups: Sequence[Measurement]) -> Iterator[str]:
    """Measures that were asked for and are none; those of an independent network may be missing."""
    there = titles_of(groups)
    for measure in (measure.rsplit(".", 1)[-1] for measure in figure.measures):
        if measure not in there and not measure.startswith(("agreement", "feature", "seen", "share_within")):
            yield f"There is no measure {in_markdown(measure)}."


def _notes(groups: Sequence[Measurement]) -> Iterator[str]:
    n = sorted({len(one.encodings) for group in groups for one in group.samples if len(one.encodings)})
    if n:
        told = f"{n[0]}" if len(n) == 1 else f"{n[0]} to {n[-1]}"
        yield f"{told} samples of each run are compared; brackets hold 95 % intervals, for independent samples."
    yield from (f"Distances are {group.where}." for group in groups)
    for group in groups:
        for title, run, one in zip(group.titles, group.runs, group.samples, strict=True):
            name = in_markdown(" ".join(filter(None, (group.title, title))))
            status = run.summary.get("status")
            if status != "complete":
                yield f"{name} is {status}: {run.count} of {run.summary.get('wanted')} samples."
            elif not len(one.encodings):
                yield f"{name} has {run.count} samples, too few to compare."
