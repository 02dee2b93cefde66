"""A figure of the paper from finished runs: its picture, its numbers, and a note with the claims beside them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from PIL import Image

from invset.metrics.estimate import Estimate, ratio_over_groups
from invset.metrics.share import in_top
from invset.report.claims import Claim, claim_line, judge, spread
from invset.report.measurement import DISTANCE, Measurement, difference_text, ratio_text
from invset.report.runs import FinishedRun, spread_rows
from invset.report.tables import csv_line, csv_text, format_value, markdown, markdown_table
from invset.run.sheet import COLUMNS, TILE, Cell, Strip, mosaic, sheet

TOP, LOW = 5, 0.05  # classes of an independent network, and the share of samples with the unit's class among them


@dataclass
class Figure:
    """What a figure is to look like, and what is claimed of it.

    Attributes:
        title: its heading.
        shows: what is to be seen in it.
        images: how many samples of a run are shown.
        pick: which: activation, evenly spaced in its order, or chains, one of each, from its middle. All in order of
            sampling, where there are no more.
        columns: in how many columns; above 10 they are small, close together, and without captions.
        picture: rows of images, or forest: a ratio with its interval for each group.
        forest: of which measure the ratio is, the first row's over the second's.
        ratios, differences: measures of which the note gives the first row over, or minus, each other, for all groups.
        measures: keys of the comparison that the note shows; as row.measure for a table of a line a group.
        claims: of the paper.
    """

    title: str = ""
    shows: str = ""
    images: int = 10
    pick: str = "activation"
    columns: int = COLUMNS
    picture: str = "rows"
    forest: str = DISTANCE
    ratios: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    measures: list[str] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)


def draw_figure(figure: Figure, groups: Sequence[Measurement]) -> Image.Image:
    """The picture. Raises RunFolderError: an image is missing or damaged."""
    if figure.picture == "forest":
        return _forest(figure, groups)
    rows = []
    for group in groups:
        heading = group.title
        for title, one in zip(group.titles, group.samples, strict=True):
            rows.append(Strip(_cells(figure, one.run), heading, title))
            heading = ""
    return sheet(figure.title, rows, figure.columns)


def figure_numbers(groups: Sequence[Measurement]) -> str:
    """CSV, a line for each run: its group, its name, and every measure in full."""
    return csv_text(
        [
            {"group": group.title, "run": name, "folder": one.run.root.name, **csv_line(group.rows, index)}
            for group in groups
            for index, (name, one) in enumerate(zip(group.names, group.samples, strict=True))
        ]
    )


def figure_note(figure: Figure, groups: Sequence[Measurement], remarks: Sequence[str], image: str) -> str:
    """Markdown: the picture, the paper's claims beside what was measured, and the numbers."""
    title = markdown(figure.title)
    parts = [f"## {title}", f"![{title}]({image})", *map(markdown, (figure.shows, *remarks))]
    for ours, heading in ((False, "the paper says"), (True, "asked beyond the paper")):
        lines = claim_lines(figure, groups, ours)
        parts += [markdown_table([heading, "measure", "here", "wanted", "holds"], lines)] if lines else []
    parts += map(markdown, unrecognised(groups))
    if figure.ratios or figure.differences:
        parts.append(_first_row_over_others(figure, groups))
    parts.append(_numbers(figure.measures, groups))
    parts.append("\n".join(f"- {remark}" for remark in dict.fromkeys(_remarks(figure, groups))))
    return "\n\n".join(parts) + "\n"


def claim_lines(figure: Figure, groups: Sequence[Measurement], ours: bool) -> list[list[str]]:
    """A line for each claim of the paper, or question of ours: what is claimed, and the numbers that decide it."""
    titles, rows, lines = _titles(groups), dict(zip(groups[0].names, groups[0].titles, strict=True)), []
    for claim in figure.claims:
        if claim.ours == ours:
            cells = [{name: group.cell(name, claim.measure) for name in group.names} for group in groups]
            title = titles.get(claim.measure, claim.measure)
            lines.append(claim_line(claim, title, rows, [judge(claim, own) for own in cells]))
    return lines


def unrecognised(groups: Sequence[Measurement]) -> list[str]:
    """A line on classes that no run of the figure makes to be recognised, however well claims hold of them.

    An independent network has them among its first five for a share of `LOW` of any run's samples at most; or, where
    there is no such network, runs said themselves that the class is hardly known.
    """
    shares: dict[str, float] = {}
    hardly_known: dict[str, None] = {}
    for one in (one for group in groups for one in group.samples):
        for unit, label, row in zip(one.run.units, one.run.labels, one.classes, strict=False):
            if one.logits is not None and row is not None:
                seen = float(in_top(one.logits, row, min(TOP, one.logits.shape[1])).float().mean())
                name = f"{unit} {label}"
                shares[name] = max(seen, shares.get(name, 0.0))
        hardly_known |= dict.fromkeys(one.run.hardly_known)
    lines = [
        f"Nobody can recognise {name} here: an independent network has it among its first {TOP} for {share:.0%} of a "
        "run's samples at most. What holds of it holds of images that do not look like it."
        for name, share in shares.items()
        if share <= LOW
    ]
    return lines + [f"{line}." for line in hardly_known if not any(line.startswith(f"{name} ") for name in shares)]


def shown_rows(run: FinishedRun, figure: Figure) -> list[int]:
    """Which of a run's samples the figure shows, from 0."""
    if run.count <= figure.images:
        return list(range(run.count))
    if figure.pick == "activation":
        return spread_rows(run.activations[:, 0], figure.images)
    chains = run.chains.unique()[: figure.images]
    own = [(run.chains == chain).nonzero().flatten().tolist() for chain in chains]
    return [rows[len(rows) // 2] for rows in own]


def _cells(figure: Figure, run: FinishedRun) -> list[Cell]:
    rows = shown_rows(run, figure)
    if not rows:
        return [Cell(None, "no samples in this range")]
    if figure.columns > COLUMNS:
        return [Cell(mosaic(run.pictures(rows, TILE // 2), figure.columns))]
    return run.cells(rows)


def _forest(figure: Figure, groups: Sequence[Measurement]) -> Image.Image:
    from invset.report.plots import Line, forest

    first, second = groups[0].titles[:2]
    lines = []
    for group in groups:
        ratio, within = group.ratio(group.names[1], figure.forest), group.cell(group.names[1], "share_within")
        note = f"{second} in range: {within.value:.0%}" if isinstance(within, Estimate) else ""
        lines.append(Line(group.title, ratio, "no ratio" if ratio is None else note, group.paper))
    known = [line.ratio.value for line in lines if line.ratio is not None]
    mean = Line(f"geometric mean of {len(known)}", ratio_over_groups(known)) if len(known) > 1 else None
    return forest(
        figure.title, lines, f"{_titles(groups).get(figure.forest, '')}: {first} / {second} (logarithmic)", mean
    )


def _first_row_over_others(figure: Figure, groups: Sequence[Measurement]) -> str:
    """A line a measure, a column for each row but the first; means over the groups that have both."""
    first, titles = groups[0], _titles(groups)
    lines = []
    for keys, text in ((figure.ratios, ratio_text), (figure.differences, difference_text)):
        lines += [[titles.get(key, key), *(text(groups, name, key) for name in first.names[1:])] for key in keys]
    return markdown_table(["", *(f"{first.titles[0]} against {title}" for title in first.titles[1:])], lines)


def _numbers(measures: Sequence[str], groups: Sequence[Measurement]) -> str:
    """A line a run, over all groups; or a line a group, where measures name their row: `row.measure`."""
    titles, names = _titles(groups), dict(zip(groups[0].names, groups[0].titles, strict=True))
    if any("." in measure for measure in measures):
        pairs = [measure.split(".", 1) for measure in measures]
        header = ["", *(f"{names.get(row, row)}: {titles.get(key, key)}" for row, key in pairs)]
        lines = [[group.title, *(format_value(group.cell(row, key)) for row, key in pairs)] for group in groups]
        if any(group.paper is not None for group in groups):
            header.append("the paper's")
            lines = [[*line, format_value(group.paper)] for line, group in zip(lines, groups, strict=True)]
        return markdown_table(header, lines)
    lines = [
        [title, *(spread([group.cell(name, key) for group in groups]) for key in measures)]
        for name, title in names.items()
    ]
    heading = f"median of {len(groups)} (lowest to highest)" if len(groups) > 1 else ""
    return markdown_table([heading, *(titles.get(key, key) for key in measures)], lines)


def _titles(groups: Sequence[Measurement]) -> dict[str, str]:
    """The titles of measures, by key; without their last part where groups do not agree on it, as on a width."""
    found: dict[str, set[str]] = {}
    for row in (row for group in groups for row in group.rows):
        found.setdefault(row.key, set()).add(row.title)
    titles = {key: min(own) if len(own) == 1 else min(own).rsplit(" of width ", 1)[0] for key, own in found.items()}
    return titles | {"distance_ratio": f"mean distance of {groups[0].titles[0]} over this one's"}


def _remarks(figure: Figure, groups: Sequence[Measurement]) -> Iterator[str]:
    if figure.picture == "forest" and len(groups) > 1:
        title = _titles(groups).get(figure.forest, figure.forest)
        yield f"Geometric mean of the ratios ({title}): {ratio_text(groups, groups[0].names[1], figure.forest)}."
    if figure.claims:
        yield "A claim is unclear where intervals overlap, or a number is missing."
    n = sorted({len(one.encodings) for group in groups for one in group.samples if len(one.encodings)})
    if n:
        count = f"{n[0]}" if len(n) == 1 else f"{n[0]} to {n[-1]}"
        yield f"{count} samples of each run are compared; brackets hold 95 % intervals, for independent samples."
    yield from (f"Distances are {group.where}." for group in groups)
    for group in groups:
        for title, one in zip(group.titles, group.samples, strict=True):
            name, status = markdown(" ".join(filter(None, (group.title, title)))), one.run.summary.get("status")
            if status != "complete":
                yield f"{name} is {status}: {one.run.count} of {one.run.summary.get('wanted')} samples."
            elif not len(one.encodings):
                yield f"{name} has {one.run.count} samples, too few to compare."
