"""A figure as the paper lays it out: rows of images, each with its range or name at the left, in groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from PIL import Image, ImageDraw
from torch import Tensor

from invset.run.grids import CAPTION_COLOUR, CAPTION_SIZE, GAP, MARGIN, TILE, TITLE_COLOUR, TITLE_SIZE, scaled
from invset.run.images import to_picture
from invset.run.lettering import font_of, legible, line_height, text_width, wrapped, write

LABEL = 120  # pixels beside the images, for the name of a row
CROWDED = 10  # columns; with more of them images are half as large, and have no captions


class Strip(NamedTuple):
    """One run: its name, (3, h, w) images in [0, 1], a caption for each; `empty` is said where there are none."""

    name: str
    images: Sequence[Tensor]
    captions: Sequence[str]
    empty: str = ""


class Group(NamedTuple):
    """Runs under one heading, which may be empty."""

    heading: str
    strips: Sequence[Strip]


def plate(title: str, groups: Sequence[Group], columns: int = CROWDED) -> Image.Image:
    """The picture of a figure.

    Raises:
        ValueError: a strip has not as many captions as images, or there are no columns.
    """
    if columns < 1:
        raise ValueError(f"a plate has 1 column or more, not {columns}")
    blocks = [_block(strip, columns) for group in groups for strip in group.strips]
    large, small = font_of(TITLE_SIZE), font_of(CAPTION_SIZE)
    content = max((block.width for block in blocks), default=TILE)
    heading = wrapped(legible(title, large), content, large)
    headings = [wrapped(legible(group.heading, small), content, small) if group.heading else [] for group in groups]
    content = max(content, *(text_width(text, large) for text in heading))
    height = MARGIN + line_height(TITLE_SIZE) * len(heading) + GAP
    height += sum(line_height(CAPTION_SIZE) * len(lines) + GAP for lines in headings)
    height += sum(block.height + GAP for block in blocks) + MARGIN
    whole = Image.new("RGB", (content + 2 * MARGIN, height), "white")
    draw = ImageDraw.Draw(whole)
    write(draw, (MARGIN, MARGIN), heading, large, TITLE_SIZE, TITLE_COLOUR)
    top = MARGIN + line_height(TITLE_SIZE) * len(heading) + GAP
    remaining = iter(blocks)
    for group, lines in zip(groups, headings, strict=True):
        write(draw, (MARGIN, top), lines, small, CAPTION_SIZE, TITLE_COLOUR)
        top += line_height(CAPTION_SIZE) * len(lines) + GAP // 2
        for _ in group.strips:
            block = next(remaining)
            whole.paste(block, (MARGIN, top))
            top += block.height + GAP
        top += GAP // 2
    return whole


def _block(strip: Strip, columns: int) -> Image.Image:
    """A run's rows of images beside its name."""
    if len(strip.images) != len(strip.captions):
        raise ValueError(f"{len(strip.images)} images and {len(strip.captions)} captions")
    font = font_of(CAPTION_SIZE)
    crowded = columns > CROWDED
    tiles = [scaled(to_picture(image), TILE // 2 if crowded else TILE) for image in strip.images]
    wide = max((tile.width for tile in tiles), default=TILE)
    high = max((tile.height for tile in tiles), default=line_height(CAPTION_SIZE))
    texts = [[] if crowded else wrapped(legible(text, font), wide, font) for text in strip.captions]
    below = line_height(CAPTION_SIZE) * max(map(len, texts), default=0)
    gap = GAP // 4 if crowded else GAP
    name = wrapped(legible(strip.name, font), LABEL, font)
    beside = max(LABEL, *(text_width(text, font) for text in name)) + GAP
    rows = -(-len(tiles) // columns)
    height = max(rows * (high + below + gap), line_height(CAPTION_SIZE) * max(1, len(name)))
    picture = Image.new("RGB", (beside + columns * (wide + gap), height), "white")
    draw = ImageDraw.Draw(picture)
    write(draw, (0, 0), name, font, CAPTION_SIZE, TITLE_COLOUR)
    if not tiles:
        write(draw, (beside, 0), [legible(strip.empty, font)], font, CAPTION_SIZE, CAPTION_COLOUR)
    for index, (tile, lines) in enumerate(zip(tiles, texts, strict=True)):
        left, top = beside + index % columns * (wide + gap), index // columns * (high + below + gap)
        picture.paste(tile, (left, top + high - tile.height))
        write(draw, (left, top + high), lines, font, CAPTION_SIZE, CAPTION_COLOUR)
    return picture
