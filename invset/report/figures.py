"""Runs side by side in pictures: a row of samples a run, and how each fills its range."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from invset.metrics.filling import BINS, histogram
from invset.run.grids import CAPTION_COLOUR, CAPTION_SIZE, GAP, MARGIN, TITLE_COLOUR, grid

COLUMNS = 10  # images in a row
PLOT = (480, 120)  # pixels of a histogram's area, width and height
BAR, EVEN = "#3b6ea5", "#c0392b"
PANELS = 3  # histograms in a row at most


class Panel(NamedTuple):
    """One histogram: a title, (n,) activations, and the range that they are meant to fill."""

    title: str
    activations: Tensor
    lower: float
    upper: float


def spread_rows(activations: Tensor, count: int = COLUMNS) -> list[int]:
    """(n,) activations -> at most `count` of their indices, evenly spaced in order of activation, ends included."""
    order = activations.argsort(stable=True)
    places = torch.linspace(0, len(order) - 1, min(count, len(order))).round().long()
    return [int(row) for row in order[places]]


def rows_of_images(
    titles: Sequence[str], images: Sequence[Sequence[Tensor]], captions: Sequence[Sequence[str]]
) -> Image.Image:
    """A picture of runs, one under the other: under its title a row of (3, h, w) images in [0, 1] with captions.

    Raises:
        ValueError: a row has not as many captions as images, or there is no row.
    """
    if not titles:
        raise ValueError("a picture of runs needs a run")
    rows = [
        grid(list(own), list(words), title, max(1, len(own)))
        for title, own, words in zip(titles, images, captions, strict=True)
    ]
    return stacked(rows)


def stacked(pictures: Sequence[Image.Image]) -> Image.Image:
    """Pictures one under the other, each at the left, on white."""
    width, height = max(picture.width for picture in pictures), sum(picture.height for picture in pictures)
    whole = Image.new("RGB", (width, height), "white")
    top = 0
    for picture in pictures:
        whole.paste(picture, (0, top))
        top += picture.height
    return whole


def histograms(panels: Sequence[Panel]) -> Image.Image:
    """Histograms side by side and below each other, all at one scale of shares; a line where an even filling would be.

    Raises:
        ValueError: there is no panel, or a range is not lower < upper and finite.
    """
    if not panels:
        raise ValueError("a picture of histograms needs one")
    counts = [histogram(panel.activations, panel.lower, panel.upper) for panel in panels]
    shares = [own.double() / max(1, len(panel.activations)) for own, panel in zip(counts, panels, strict=True)]
    highest = max(2 / BINS, *(float(own.max()) for own in shares))
    font = ImageFont.load_default(size=CAPTION_SIZE)
    drawn = [_panel(panel, own, highest, font) for panel, own in zip(panels, shares, strict=True)]
    across = min(PANELS, len(drawn))
    width, height = max(one.width for one in drawn), drawn[0].height
    whole = Image.new("RGB", (across * width, -(-len(drawn) // across) * height), "white")
    for index, one in enumerate(drawn):
        whole.paste(one, (index % across * width, index // across * height))
    return whole


def _panel(
    panel: Panel, shares: Tensor, highest: float, font: ImageFont.FreeTypeFont | ImageFont.ImageFont
) -> Image.Image:
    line = round(CAPTION_SIZE * 1.3)
    labels = [f"{panel.lower:g}", f"{panel.upper:g}", f"{highest:.0%}", "even"]
    left = MARGIN + max(int(font.getlength(text)) for text in labels[2:]) + GAP // 2
    top = MARGIN + line + GAP
    width, height = PLOT
    right, bottom = left + width, top + height
    size = max(right, MARGIN + int(font.getlength(panel.title))) + MARGIN, bottom + line + MARGIN
    picture = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(picture)
    draw.text((MARGIN, MARGIN), panel.title, fill=TITLE_COLOUR, font=font)
    for index, share in enumerate(shares.tolist()):
        x = left + index * width // len(shares)
        if share:
            upper = bottom - max(1, round(share / highest * height))
            draw.rectangle((x + 1, upper, left + (index + 1) * width // len(shares) - 1, bottom), fill=BAR)
    even = bottom - round(height / len(shares) / highest)
    draw.line((left, even, right, even), fill=EVEN)
    draw.line((left, top, left, bottom, right, bottom), fill=CAPTION_COLOUR)
    for text, x, y, anchor in (
        (labels[0], left, bottom + 4, "la"),
        (labels[1], right, bottom + 4, "ra"),
        (labels[2], left - 4, top, "rt"),
        (labels[3], left - 4, even, "rm"),
    ):
        draw.text((x, y), text, fill=EVEN if text == "even" else CAPTION_COLOUR, font=font, anchor=anchor)
    return picture
