"""How coverage grew with the samples, and how many of them are unlike each other: two curves, one below the other."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from PIL import Image, ImageDraw

from invset.metrics.estimate import Estimate
from invset.report.figures import BAR, EVEN, PLOT, stacked
from invset.report.labels import broken
from invset.run.grids import CAPTION_COLOUR, CAPTION_SIZE, GAP, MARGIN, TITLE_COLOUR, TITLE_SIZE
from invset.run.lettering import font_of, line_height, text_width, write

BAND = "#dbe6f1"  # the interval about a curve
FINER = 4  # so many times finer a curve is drawn, and then reduced
LEFT = MARGIN + 48  # pixels to the left of a curve, for numbers


def coverage_plot(title: str, curve: Sequence[Estimate], new: Sequence[bool], gain: float) -> Image.Image:
    """A picture: coverage after each of n samples with its interval, over the number of new samples.

    Args:
        title: over it; wrapped where it is long.
        curve: coverage after each sample, 0 to 1.
        new: of each sample, whether it was unlike all new ones before.
        gain: the share of new ones below which there is a plateau; a red line is at 1 − gain.

    Raises:
        ValueError: there are no samples, or not as many in both.
    """
    if not curve or len(curve) != len(new):
        raise ValueError(f"a plot needs samples, as many of both: not {len(curve)} and {len(new)}")
    counts = list(itertools.accumulate(map(int, new)))
    coverage = _panel("coverage of the last 100", [one.value for one in curve], curve, 1.0, 1 - gain)
    found = _panel("samples unlike all before", [float(count) for count in counts], (), float(counts[-1]), None)
    font = font_of(TITLE_SIZE)
    lines = broken(title, coverage.width - 2 * MARGIN, font)
    heading = Image.new("RGB", (coverage.width, MARGIN + len(lines) * line_height(TITLE_SIZE)), "white")
    write(ImageDraw.Draw(heading), (MARGIN, MARGIN), lines, font, TITLE_SIZE, TITLE_COLOUR)
    return stacked([heading, coverage, found])


def _panel(
    title: str, values: Sequence[float], intervals: Sequence[Estimate], highest: float, line: float | None
) -> Image.Image:
    """A curve of values 0 to `highest` over 1 … n on its intervals, and a red line."""
    width, height = PLOT
    font = font_of(CAPTION_SIZE)
    top = GAP + line_height(CAPTION_SIZE) + GAP
    right, bottom = LEFT + width, top + height
    picture = Image.new("RGB", (right + MARGIN, bottom + line_height(CAPTION_SIZE) + MARGIN), "white")
    draw = ImageDraw.Draw(picture)
    picture.paste(_curve(values, intervals, highest), (LEFT, top))
    draw.text((LEFT, GAP), title, fill=TITLE_COLOUR, font=font)
    labels = [(f"{highest:g}", top), ("0", bottom)]
    if line is not None:
        y = bottom - round(line / highest * height)
        draw.line((LEFT, y, right, y), fill=EVEN)
        text = f"{line:g}"
        draw.text((right - text_width(text, font) - 4, y + 2), text, fill=EVEN, font=font)
    draw.line((LEFT, top, LEFT, bottom, right, bottom), fill=CAPTION_COLOUR)
    for label, y in labels:
        draw.text((LEFT - 6, y), label, fill=CAPTION_COLOUR, font=font, anchor="rm")
    draw.text((LEFT, bottom + 4), "1", fill=CAPTION_COLOUR, font=font, anchor="la")
    draw.text((right, bottom + 4), f"n = {len(values)}", fill=CAPTION_COLOUR, font=font, anchor="ra")
    return picture


def _curve(values: Sequence[float], intervals: Sequence[Estimate], highest: float) -> Image.Image:
    width, height = (side * FINER for side in PLOT)
    last = max(1, len(values) - 1)

    def points(numbers: Sequence[float]) -> list[tuple[float, float]]:
        return [(index / last * width, (1 - number / highest) * height) for index, number in enumerate(numbers)]

    picture = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(picture)
    if len(intervals) > 1:
        low, high = points([one.low for one in intervals]), points([one.high for one in intervals])
        draw.polygon(low + high[::-1], fill=BAND)
    draw.line(points(values) if len(values) > 1 else points([*values, *values]), fill=BAR, width=2 * FINER)
    return picture.resize(PLOT, Image.Resampling.BOX)
