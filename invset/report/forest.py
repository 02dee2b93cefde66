"""A forest plot: many ratios with their intervals, one a line, against a line of no difference."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from PIL import Image, ImageDraw

from invset.metrics.estimate import Estimate
from invset.report.figures import BAR, EVEN, PLOT, stacked
from invset.report.labels import broken, cut
from invset.report.log_axis import BEYOND, Scale, limits, ticks
from invset.report.marks import MARK, dot, polygon, ring
from invset.run.grids import CAPTION_COLOUR, CAPTION_SIZE, GAP, MARGIN, TITLE_COLOUR, TITLE_SIZE
from invset.run.lettering import Font, font_of, line_height, text_width, write

ROW = 24  # pixels of a line
STEP = line_height(CAPTION_SIZE) + 6  # from one line of text under the axis to the next
BAND, UNDECIDED = "#f4f4f4", "#999999"
LABEL, NOTE = 300, 260  # pixels of a label and of a note at most


class Entry(NamedTuple):
    """One line of the plot.

    Attributes:
        label: at its left.
        estimate: a ratio and its interval; None, or NaN for its value, if there is none.
        note: at its right.
        paper: the paper's ratio, if it gives one.
    """

    label: str
    estimate: Estimate | None
    note: str = ""
    paper: float | None = None


class _Plot(NamedTuple):
    """What is drawn on, and where ratios stand on it."""

    picture: Image.Image
    draw: ImageDraw.ImageDraw
    font: Font
    scale: Scale
    reference: float


def forest(
    title: str, entries: Sequence[Entry], axis: str, reference: float = 1.0, summary: Entry | None = None
) -> Image.Image:
    """A picture: a line for each entry, as given, and set apart below them the summary.

    A dot is at the ratio, a bar is its interval, with an arrow where it goes on past the axis; in grey if it holds
    the reference. A hollow circle is at the paper's ratio. An entry without a ratio is its label and its note.

    Args:
        title: over it; wrapped where it is long.
        entries: one or more; labels and notes are cut where they are long.
        axis: what the ratio is of, under it.
        reference: where there is no difference, > 0: a red line.
        summary: a mean over the entries, say: a diamond as wide as its interval.

    Raises:
        ValueError: there is no entry, or the reference is not a finite number above 0.
    """
    if not entries:
        raise ValueError("a forest plot needs an entry")
    if not BEYOND[0] < reference < BEYOND[1]:
        raise ValueError(f"a reference is a finite number above 0, not {reference}")
    body = _body(list(entries), axis, reference, summary)
    font = font_of(TITLE_SIZE)
    lines = broken(title, body.width - 2 * MARGIN, font)
    heading = Image.new("RGB", (body.width, MARGIN + len(lines) * line_height(TITLE_SIZE) + GAP), "white")
    write(ImageDraw.Draw(heading), (MARGIN, MARGIN), lines, font, TITLE_SIZE, TITLE_COLOUR)
    return stacked([heading, body])


def _body(entries: list[Entry], axis: str, reference: float, summary: Entry | None) -> Image.Image:
    font = font_of(CAPTION_SIZE)
    lines = entries if summary is None else [*entries, summary]
    labels, notes = [cut(one.label, LABEL, font) for one in lines], [cut(one.note, NOTE, font) for one in lines]
    left = MARGIN + max(text_width(label, font) for label in labels) + 2 * GAP
    width = left + PLOT[0] + 2 * GAP + max(text_width(note, font) for note in notes) + MARGIN
    bottom = len(lines) * ROW + (0 if summary is None else GAP)
    picture = Image.new("RGB", (width, bottom + GAP + 2 * STEP), "white")
    draw = ImageDraw.Draw(picture)
    ends = limits(
        [one.estimate for one in lines if one.estimate is not None],
        [reference, *(one.paper for one in lines if one.paper is not None)],
    )
    plot = _Plot(picture, draw, font, Scale(*ends, left, PLOT[0]), reference)

    for upper in range(0, len(entries) * ROW, 2 * ROW):
        draw.rectangle((MARGIN - GAP // 2, upper, width - MARGIN + GAP // 2, upper + ROW - 1), fill=BAND)
    draw.line((plot.scale.x(reference), 0, plot.scale.x(reference), bottom), fill=EVEN)
    for index, (one, label, note) in enumerate(zip(lines, labels, notes, strict=True)):
        apart = index == len(entries)
        middle = index * ROW + ROW // 2 + (GAP if apart else 0)
        draw.text((left - 2 * GAP, middle), label, fill=TITLE_COLOUR, font=font, anchor="rm")
        draw.text((left + PLOT[0] + 2 * GAP, middle), note, fill=CAPTION_COLOUR, font=font, anchor="lm")
        (_diamond if apart else _bar)(plot, one, middle)
        if one.paper is not None and plot.scale.shows(one.paper):
            ring(picture, plot.scale.x(one.paper), middle, TITLE_COLOUR)
    if summary is not None:
        upper = len(entries) * ROW + GAP // 2
        draw.line((MARGIN - GAP // 2, upper, width - MARGIN + GAP // 2, upper), fill=CAPTION_COLOUR)
    _axis(plot, bottom)
    below = cut(axis, width - 2 * MARGIN, font)
    middle = min(
        max(left + PLOT[0] // 2, MARGIN + text_width(below, font) // 2), width - MARGIN - text_width(below, font) // 2
    )
    draw.text((middle, bottom + GAP + STEP), below, fill=CAPTION_COLOUR, font=font, anchor="ma")
    return stacked([picture, _legend(plot, lines)])


def _bar(plot: _Plot, entry: Entry, y: int) -> None:
    """A dot on its interval; an arrow at an end of the axis for what lies past it."""
    estimate = entry.estimate
    if estimate is None or math.isnan(estimate.value):
        return
    colour = UNDECIDED if _undecided(entry, plot.reference) else BAR
    first, last = plot.scale.x(0), plot.scale.x(math.inf)
    ends = [end for end in estimate[1:] if not math.isnan(end)]
    if len(ends) == 2:
        plot.draw.line((plot.scale.x(ends[0]), y, plot.scale.x(ends[1]), y), fill=colour, width=3)
    past = [number for number in (estimate.value, *ends) if not plot.scale.shows(number)]
    if any(number < plot.scale.low for number in past):
        polygon(plot.picture, [(first - MARK, y), (first + MARK, y - MARK), (first + MARK, y + MARK)], colour)
    if any(number > plot.scale.high for number in past):
        polygon(plot.picture, [(last + MARK, y), (last - MARK, y - MARK), (last - MARK, y + MARK)], colour)
    if plot.scale.shows(estimate.value):
        dot(plot.picture, plot.scale.x(estimate.value), y, colour)


def _diamond(plot: _Plot, entry: Entry, y: int) -> None:
    """From the lower end to the upper one, highest at the ratio; of a mark's width if there is no interval."""
    estimate = entry.estimate
    if estimate is None or math.isnan(estimate.value):
        return
    x = plot.scale.x(estimate.value)
    low, high = map(plot.scale.x, estimate[1:]) if not any(map(math.isnan, estimate)) else (x - MARK, x + MARK)
    colour = UNDECIDED if _undecided(entry, plot.reference) else BAR
    polygon(plot.picture, [(low, y), (x, y - MARK - 2), (high, y), (x, y + MARK + 2)], colour)


def _axis(plot: _Plot, y: int) -> None:
    """The line and its numbers; the reference's is red, and others give way to it."""
    scale, font = plot.scale, plot.font
    plot.draw.line((scale.left, y, scale.left + scale.width, y), fill=CAPTION_COLOUR)
    taken: list[tuple[float, float]] = []
    for number in dict.fromkeys([plot.reference, *ticks(scale.low, scale.high)]):
        text, x = f"{number:g}", scale.x(number)
        half = text_width(text, font) / 2 + 4
        colour = EVEN if number == plot.reference else CAPTION_COLOUR
        plot.draw.line((x, y, x, y + 5), fill=colour)
        if all(x + half <= left or x - half >= right for left, right in taken):
            taken.append((x - half, x + half))
            plot.draw.text((x, y + GAP // 2 + 2), text, fill=colour, font=font, anchor="ma")


def _legend(plot: _Plot, entries: Sequence[Entry]) -> Image.Image:
    """What a grey dot and a hollow circle are, if there are any; and the margin below."""
    grey = any(_undecided(entry, plot.reference) for entry in entries)
    hollow = any(entry.paper is not None and plot.scale.shows(entry.paper) for entry in entries)
    picture = Image.new("RGB", (plot.picture.width, (STEP if grey or hollow else 0) + MARGIN), "white")
    draw = ImageDraw.Draw(picture)
    x, y = plot.scale.left + MARK, STEP // 2
    if grey:
        dot(picture, x, y, UNDECIDED)
        text = f"the interval holds {plot.reference:g}"
        draw.text((x + MARK + 6, y), text, fill=CAPTION_COLOUR, font=plot.font, anchor="lm")
        x += MARK + 6 + text_width(text, plot.font) + 3 * GAP
    if hollow:
        ring(picture, x, y, TITLE_COLOUR)
        draw.text((x + MARK + 6, y), "the paper", fill=CAPTION_COLOUR, font=plot.font, anchor="lm")
    return picture


def _undecided(entry: Entry, reference: float) -> bool:
    estimate = entry.estimate
    return estimate is not None and not math.isnan(estimate.value) and estimate.low <= reference <= estimate.high
