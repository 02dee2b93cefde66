"""A run as a moving picture: one sample a frame, and under it where its activations lie in their ranges."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from PIL import Image, ImageDraw
from torch import Tensor

from invset.metrics.share import in_range
from invset.report.runs import FinishedRun
from invset.run.sheet import CAPTION, GREY, INK, font_of, tile, wrapped

SIDE = 256  # pixels of the longer side of an image, under which letters are of the size of captions
NARROWEST = 18  # widths of a letter: what a label and a number need, even under a narrow image
TRACK, INSIDE, OUTSIDE = "#dddddd", "#3b6ea5", "#c0392b"


def in_order(activations: Tensor, order: str = "activation", unit: int = 0) -> list[int]:
    """(n, p) activations -> all rows, from 0, by the activation of a unit, lowest first; or as they were sampled."""
    rows = activations[:, unit].argsort(stable=True).tolist()
    return rows if order == "activation" else sorted(rows)


def evenly(rows: Sequence[int], count: int) -> list[int]:
    """At most `count` of the rows, evenly spaced, first and last included; `count` is 2 or more."""
    if len(rows) <= count:
        return list(rows)
    return [rows[round(place * (len(rows) - 1) / (count - 1))] for place in range(count)]


class Axis(NamedTuple):
    """A unit: its name, the ends of its range, which samples are outside it, and decimals of its numbers."""

    name: str
    lower: float
    upper: float
    outside: tuple[bool, ...]
    decimals: int


def axes(run: FinishedRun, only_lower: bool = False) -> list[Axis]:
    """An axis for each unit; with `only_lower` a range has no upper end, and the highest activation stands there."""
    found = []
    for index, (unit, label, (lower, upper)) in enumerate(zip(run.units, run.labels, run.ranges, strict=True)):
        values = run.activations[:, index]
        outside = ~in_range(values, lower, math.inf if only_lower else upper)
        highest = float(values.max())
        upper = highest if only_lower and highest > lower else upper
        decimals = min(6, max(0, 2 - math.floor(math.log10(upper - lower))))  # so that a range holds some 100 numbers
        found.append(Axis(f"{unit} {label}" if label else unit, lower, upper, tuple(outside.tolist()), decimals))
    return found


def draw_frames(
    run: FinishedRun, rows: Sequence[int], side: int = SIDE, only_lower: bool = False
) -> Iterator[Image.Image]:
    """Yields a picture (RGB, its sides even, as video needs) for each row, drawn when it is asked for.

    Images are enlarged by a whole factor, or reduced, to about `side` pixels; text grows with them.

    Raises:
        RunFolderError: an image is missing, damaged, or not of the size of the first.
    """
    units = axes(run, only_lower)
    for place, (row, image) in enumerate(zip(rows, run.images(rows, batch=1), strict=True)):
        picture = tile(image[0], side)
        em = max(CAPTION[0], CAPTION[0] * max(picture.size) // SIDE)
        gap, line, foot = em // 2, em * 4 // 3, max(4, em // 3)
        width = max(picture.width, em * NARROWEST)
        height = picture.height + gap + len(units) * (2 * line + gap) + line + gap + foot
        width, height = width + width % 2, height + height % 2
        frame = Image.new("RGB", (width, height), "white")
        frame.paste(picture, ((width - picture.width) // 2, 0))
        draw, small, top = ImageDraw.Draw(frame), font_of(em * 6 // 7), picture.height + gap
        for axis, value in zip(units, run.activations[row].tolist(), strict=True):
            _draw_axis(draw, axis, value, axis.outside[row], (gap, top, width - gap), em)
            top += 2 * line + gap
        draw.text((gap, top), f"sample {row + 1}", fill=GREY, font=small)
        draw.text((width - gap, top), f"{place + 1} of {len(rows)}", fill=GREY, font=small, anchor="ra")
        done = max(1, round(width * (place + 1) / len(rows)))
        draw.rectangle((0, height - foot, width, height), fill=TRACK)
        draw.rectangle((0, height - foot, done - 1, height), fill=GREY)
        yield frame


def _draw_axis(
    draw: ImageDraw.ImageDraw, axis: Axis, value: float, outside: bool, box: tuple[int, int, int], em: int
) -> None:
    """The unit and its activation; below them the range, filled up to the activation, in a box (left, top, right)."""
    (left, top, right), font, small = box, font_of(em), font_of(em * 6 // 7)
    number = f"{value:.{axis.decimals}f}" if abs(value) < 1e6 else f"{value:.3e}"
    name, *cut_off = wrapped(axis.name, right - left - int(font.getlength(number)) - 2 * em, font)
    draw.text((left, top), f"{name}…" if cut_off else name, fill=INK, font=font)
    draw.text((right, top), number, fill=OUTSIDE if outside else INK, font=font, anchor="ra")
    top, ends = top + em * 4 // 3, (f"{axis.lower:.4g}", f"{axis.upper:.4g}")
    draw.text((left, top), ends[0], fill=GREY, font=small)
    draw.text((right, top), ends[1], fill=GREY, font=small, anchor="ra")
    left, right = (round(x) for x in (left + small.getlength(ends[0]) + em, right - small.getlength(ends[1]) - em))
    share = min(1.0, max(0.0, (value - axis.lower) / (axis.upper - axis.lower)))
    at, middle, thin = left + round(share * (right - left)), top + em // 2, em // 8 + 1
    colour = OUTSIDE if outside else INSIDE
    draw.rectangle((left, middle - thin, right, middle + thin), fill=TRACK)
    draw.rectangle((left, middle - thin, at, middle + thin), fill=colour)
    draw.rectangle((at - thin, middle - em // 2, at + thin, middle + em // 2), fill=colour)
