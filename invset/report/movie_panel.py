"""What stands under a sample of a moving picture: where its activations lie, and how far the picture has come."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from PIL import ImageDraw
from torch import Tensor

from invset.metrics.share import in_range
from invset.report.figures import BAR, EVEN
from invset.report.runs import FinishedRun
from invset.run.grids import CAPTION_COLOUR, CAPTION_SIZE, TITLE_COLOUR
from invset.run.lettering import Font, font_of, legible, line_height, text_width

SIDE = 256  # pixels of the longer side of an image, under which letters are of the size of captions
NARROWEST = 17  # widths of a letter: what a label and a number need, even under a narrow image
BLOCK = 4  # pixels that video compresses together: a bar at the foot that fills some of them whole stays sharp
PAPER, TRACK, OUTSIDE = "#ffffff", "#dddddd", EVEN
COLOURS = (PAPER, TRACK, OUTSIDE, BAR, TITLE_COLOUR, CAPTION_COLOUR)  # all there is under an image, but for soft edges


class Axis(NamedTuple):
    """What is told of a unit: its name, the ends of its range, the samples outside it, and decimals of its numbers."""

    name: str
    lower: float
    upper: float
    outside: tuple[bool, ...]
    decimals: int

    def number(self, value: float) -> str:
        """As many decimals for each sample, so that numbers stand still."""
        return f"{value:.{self.decimals}f}" if abs(value) < 1e6 else f"{value:.3e}"

    def share(self, value: float) -> float:
        """Where in the range, from 0 to 1; beyond its ends, the end. Halves, as a difference may be infinite."""
        whole = self.upper / 2 - self.lower / 2
        return min(1.0, max(0.0, (value / 2 - self.lower / 2) / whole)) if whole > 0 else 0.0


def axes(run: FinishedRun, only_lower: bool = False) -> list[Axis]:
    """An axis for each unit; with `only_lower` a range has no upper end, and the highest activation stands there."""
    found = []
    for index, (unit, label, (lower, upper)) in enumerate(zip(run.units, run.labels, run.ranges, strict=True)):
        values = run.activations[:, index]
        bound = upper
        if only_lower:
            bound, highest = math.inf, float(values.max())
            upper = highest if highest > lower else upper
        outside = (~in_range(values, lower, bound)).tolist()
        name = f"{unit} {label}" if label else unit
        found.append(Axis(name, lower, upper, tuple(outside), _decimals(lower, upper)))
    return found


class Measures(NamedTuple):
    """Sizes in pixels, all from that of a letter: text grows with the image."""

    em: int
    small: int
    line: int
    small_line: int
    gap: int
    thin: int
    foot: int

    @classmethod
    def of(cls, tile: tuple[int, int]) -> Measures:
        """For images of that width and height."""
        em = max(CAPTION_SIZE, CAPTION_SIZE * max(tile) // SIDE)
        small = em * 6 // 7
        thin = max(3, em // 4)
        return cls(em, small, line_height(em), line_height(small), em // 2, thin, thin + -thin % BLOCK)

    def height(self, units: int) -> int:
        """The height of what is under an image."""
        each = self.line + self.small_line + self.gap
        return self.gap + units * each + self.small_line + self.gap // 2 + self.foot


@dataclass(frozen=True)
class Panel:
    """Draws the part of a frame under its image.

    Attributes:
        axes: one for each unit.
        activations: (n, p), of all samples of the run.
        measures: sizes.
        top: of the panel in the frame.
        size: width and height of the frame.
    """

    axes: Sequence[Axis]
    activations: Tensor
    measures: Measures
    top: int
    size: tuple[int, int]

    def draw(self, draw: ImageDraw.ImageDraw, row: int, place: int, count: int) -> None:
        """Sample `row` of the run, which is frame `place` of `count`; both from 0."""
        measures, (left, right) = self.measures, self._sides
        top = self.top + measures.gap
        for axis, name, value in zip(self.axes, self._names, self.activations[row].tolist(), strict=True):
            outside = axis.outside[row]
            number, colour = axis.number(value), OUTSIDE if outside else TITLE_COLOUR
            draw.text((left, top), name, fill=TITLE_COLOUR, font=self._font)
            draw.text((right, top), number, fill=colour, font=self._font, anchor="ra")
            top += measures.line
            self._draw_range(draw, top, axis, value, OUTSIDE if outside else BAR)
            top += measures.small_line + measures.gap
        draw.text((left, top), f"sample {row + 1}", fill=CAPTION_COLOUR, font=self._small)
        draw.text((right, top), f"{place + 1} of {count}", fill=CAPTION_COLOUR, font=self._small, anchor="ra")
        done = max(1, round(self.size[0] * (place + 1) / count))
        upper = self.size[1] - measures.foot
        draw.rectangle((0, upper, self.size[0], self.size[1]), fill=TRACK)
        draw.rectangle((0, upper, done - 1, self.size[1]), fill=CAPTION_COLOUR)

    def _draw_range(self, draw: ImageDraw.ImageDraw, top: int, axis: Axis, value: float, colour: str) -> None:
        """The range with its ends in numbers, filled up to the activation, and a mark there."""
        font, measures, (left, right) = self._small, self.measures, self._sides
        ends = [f"{axis.lower:.4g}", f"{axis.upper:.4g}"]
        draw.text((left, top), ends[0], fill=CAPTION_COLOUR, font=font)
        draw.text((right, top), ends[1], fill=CAPTION_COLOUR, font=font, anchor="ra")
        left += text_width(ends[0], font) + measures.gap
        right = max(left, right - text_width(ends[1], font) - measures.gap)
        middle, half, mark = top + measures.small_line // 2, measures.thin // 2, measures.thin
        at = left + round(axis.share(value) * max(0, right - left - mark))
        draw.rectangle((left, middle - half, right, middle + half), fill=TRACK)
        draw.rectangle((left, middle - half, at, middle + half), fill=colour)
        draw.rectangle((at, middle - 2 * mark + half, at + mark, middle + 2 * mark - half), fill=colour)

    @property
    def _sides(self) -> tuple[int, int]:
        return self.measures.gap, self.size[0] - self.measures.gap

    @cached_property
    def _font(self) -> Font:
        return font_of(self.measures.em)

    @cached_property
    def _small(self) -> Font:
        return font_of(self.measures.small)

    @cached_property
    def _names(self) -> list[str]:
        """As much of each as there is room for beside the widest number."""
        room = self._sides[1] - self._sides[0] - self.measures.gap
        widest = [
            max(text_width(axis.number(value), self._font) for value in column)
            for axis, column in zip(self.axes, self.activations.T.tolist(), strict=True)
        ]
        return [_fitted(axis.name, self._font, room - width) for axis, width in zip(self.axes, widest, strict=True)]


def _decimals(lower: float, upper: float) -> int:
    """Such that the range holds some hundred numbers."""
    width = upper / 2 - lower / 2
    return min(6, max(0, 2 - math.floor(math.log10(2 * width)))) if 0 < width < 1e300 else 0


def _fitted(text: str, font: Font, width: int) -> str:
    text = legible(" ".join(text.split())[:200], font)
    if text_width(text, font) <= width:
        return text
    end = legible("…", font)
    while text and text_width(text + end, font) > width:
        text = text[:-1].rstrip()
    return text + end
