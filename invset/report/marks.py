"""Marks of a plot with smooth edges: a dot, a ring, a polygon."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PIL import Image, ImageDraw

MARK = 5  # pixels from the middle of a mark to its edge
FINER = 8  # so many times finer a mark is drawn, and then reduced


def dot(picture: Image.Image, x: int, y: int, colour: str) -> None:
    """A full circle about the middle of a pixel."""
    box = (x - MARK, y - MARK, x + MARK + 1, y + MARK + 1)
    whole = (0, 0, (2 * MARK + 1) * FINER - 1, (2 * MARK + 1) * FINER - 1)
    _smooth(picture, box, colour, lambda draw: draw.ellipse(whole, fill=255))


def ring(picture: Image.Image, x: int, y: int, colour: str) -> None:
    """A hollow circle about the middle of a pixel, around a dot at the same place."""
    box = (x - MARK - 1, y - MARK - 1, x + MARK + 2, y + MARK + 2)
    whole = (0, 0, (2 * MARK + 3) * FINER - 1, (2 * MARK + 3) * FINER - 1)
    _smooth(picture, box, colour, lambda draw: draw.ellipse(whole, outline=255, width=3 * FINER // 2))


def polygon(picture: Image.Image, points: Sequence[tuple[int, int]], colour: str) -> None:
    """A full polygon through the middles of these pixels."""
    left, top = min(x for x, _ in points), min(y for _, y in points)
    box = (left, top, max(x for x, _ in points) + 1, max(y for _, y in points) + 1)
    inside = [((x - left + 0.5) * FINER, (y - top + 0.5) * FINER) for x, y in points]
    _smooth(picture, box, colour, lambda draw: draw.polygon(inside, fill=255))


def _smooth(
    picture: Image.Image, box: tuple[int, int, int, int], colour: str, paint: Callable[[ImageDraw.ImageDraw], None]
) -> None:
    """What is painted on a finer box, in a colour on the picture."""
    size = box[2] - box[0], box[3] - box[1]
    mask = Image.new("L", (size[0] * FINER, size[1] * FINER))
    paint(ImageDraw.Draw(mask))
    picture.paste(colour, box, mask.resize(size, Image.Resampling.BOX))
