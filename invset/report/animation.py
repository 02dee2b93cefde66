"""A run as a moving picture: one sample a frame, and under it where its activations lie in their ranges.

Frames are drawn when they are asked for: a run of 10,000 samples is never in memory as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw
from torch import Tensor

from invset.report.movie import Look
from invset.report.movie_panel import BLOCK, COLOURS, NARROWEST, PAPER, SIDE, Measures, Panel, axes
from invset.report.runs import FinishedRun
from invset.run.grids import scaled
from invset.run.images import to_picture


def in_order(activations: Tensor, order: str = "activation", unit: int = 0) -> list[int]:
    """(n, p) activations -> all rows, from 0, by the activation of a unit, lowest first; or as they were sampled.

    Equal activations stay in order of sampling.

    Raises:
        ValueError: there is no such order or unit.
    """
    if order == "sampling":
        return list(range(len(activations)))
    if order != "activation" or not 0 <= unit < activations.shape[1]:
        raise ValueError(f"no order by {order}, unit {unit} of {activations.shape[1]}")
    return [int(row) for row in activations[:, unit].argsort(stable=True)]


def evenly(rows: Sequence[int], count: int) -> list[int]:
    """At most `count` of the rows, evenly spaced, first and last included; `count` is 2 or more."""
    if len(rows) <= count:
        return list(rows)
    return [rows[round(place * (len(rows) - 1) / (count - 1))] for place in range(count)]


@dataclass(frozen=True)
class Film:
    """The frames of a run's samples.

    Attributes:
        run: whose samples.
        rows: of which, from 0, in the order they are shown.
        side: what `scaled` brings images to.
        saved_width: of an image as it was saved.
        tile: width and height of an image in a frame.
        panel: what draws the rest.
        size: width and height of a frame, even numbers: video stores colours at half the resolution.
    """

    run: FinishedRun
    rows: tuple[int, ...]
    side: int
    saved_width: int
    tile: tuple[int, int]
    panel: Panel
    size: tuple[int, int]

    @classmethod
    def of(cls, run: FinishedRun, rows: Sequence[int], side: int = SIDE, only_lower: bool = False) -> Film:
        """Lay out frames for images that are enlarged by a whole factor, or reduced, to about `side` pixels.

        Raises:
            RunFolderError: the first image cannot be read.
        """
        first = to_picture(next(run.images(rows[:1]))[0])
        tile = scaled(first, side).size
        measures = Measures.of(tile)
        whole = max(tile[0], measures.em * NARROWEST), tile[1] + measures.height(len(run.units))
        even = whole[0] + whole[0] % 2, whole[1] + -whole[1] % BLOCK
        panel = Panel(axes(run, only_lower), run.activations, measures, tile[1], even)
        return cls(run, tuple(rows), side, first.width, tile, panel, even)

    @property
    def look(self) -> Look:
        """Where the image is in each frame, and in what colours the rest is."""
        left = (self.size[0] - self.tile[0]) // 2
        box = left, 0, left + self.tile[0], self.tile[1]
        return Look(box, max(1, self.tile[0] // self.saved_width), COLOURS)

    def frames(self) -> Iterator[Image.Image]:
        """Yields a picture (RGB) for each row.

        Raises:
            RunFolderError: an image is missing, damaged, or not of the size of the first.
        """
        corner = self.look.box[:2]
        for place, image in enumerate(self.run.images(self.rows, batch=1)):
            frame = Image.new("RGB", self.size, PAPER)
            frame.paste(scaled(to_picture(image[0]), self.side), corner)
            self.panel.draw(ImageDraw.Draw(frame), self.rows[place], place, len(self.rows))
            yield frame
