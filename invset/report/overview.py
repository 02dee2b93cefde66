"""A sweep in one picture: a row for each unit, a column for each range, a block of samples in each cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from PIL import Image, ImageDraw
from torch import Tensor

from invset.run.grids import (
    CAPTION_COLOUR,
    CAPTION_SIZE,
    GAP,
    MARGIN,
    NARROWEST,
    TITLE_COLOUR,
    TITLE_SIZE,
    scaled,
)
from invset.run.images import to_picture
from invset.run.lettering import Font, font_of, legible, line_height, text_width, wrapped, write

WIDE = 1600  # pixels that a picture of several columns should not exceed
SMALLEST, LARGEST = 64, 128  # pixels of an image's longer side
NARROW = 112  # pixels that a caption needs, however small the block is
SPACE = 2  # pixels between images of a block
EMPTY = "#e9edf1"
LINES = 5  # of a caption at most
EVERY = 5  # rows: then the columns' titles again, so that they are in sight


class Block(NamedTuple):
    """How a cell shows its samples: so many across and down, in tiles of so many pixels a side."""

    across: int
    down: int
    side: int

    @property
    def most(self) -> int:
        """The samples that it holds."""
        return self.across * self.down


class Cell(NamedTuple):
    """Pictures as `tile` gives them, block.most at most, and the words under them."""

    tiles: Sequence[Image.Image]
    caption: str


def block(columns: int) -> Block:
    """The block for so many columns: as large as they can be seen together, a single column's in one row."""
    if columns == 1:
        return Block(8, 1, 96)
    across = 3 if columns <= 8 else 2
    side = (WIDE - 2 * MARGIN) // columns - GAP
    return Block(across, 2, min(LARGEST, max(SMALLEST, side // across - SPACE)))


def tile(image: Tensor, side: int) -> Image.Image:
    """A (3, h, w) image in [0, 1] as it is shown where there are about `side` pixels for it."""
    return scaled(to_picture(image), side)


def overview(
    title: str,
    columns: Sequence[str],
    rows: Sequence[str],
    cells: Mapping[tuple[int, int], Cell],
    shape: Block,
) -> Image.Image:
    """The picture: columns under their titles, each row under its own; `cells` by (row, column), absent ones blank.

    A cell without tiles is a grey area over its caption. Characters that the font lacks are written in ASCII.

    Raises:
        ValueError: there is no row or no column, or a cell has more tiles than its block.
    """
    if not rows or not columns or any(len(cell.tiles) > shape.most for cell in cells.values()):
        raise ValueError("an overview has rows and columns, and cells no more tiles than their block")
    title_font, font = font_of(TITLE_SIZE), font_of(CAPTION_SIZE)
    line = line_height(CAPTION_SIZE)
    columns = [legible(text, font) for text in columns]
    tiles = [one.size for cell in cells.values() for one in cell.tiles] or [(shape.side, shape.side)]
    step = max(width for width, _ in tiles) + SPACE, max(height for _, height in tiles) + SPACE
    area = shape.across * step[0] - SPACE, shape.down * step[1] - SPACE
    width = max(area[0], NARROW, *(text_width(text, font) for text in columns))
    content = max(len(columns) * (width + GAP) - GAP, NARROWEST)
    heading = wrapped(legible(title, title_font), content, title_font)
    labels = {at: _caption(cell.caption, width, font) for at, cell in cells.items()}
    titles = [wrapped(legible(text, title_font), content, title_font) for text in rows]
    content = max(content, *(text_width(text, title_font) for lines in (heading, *titles) for text in lines))

    named = line + GAP if any(columns) else 0
    tops, top = [], MARGIN + line_height(TITLE_SIZE) * len(heading) + GAP
    for row, lines in enumerate(titles):
        top += named * (row % EVERY == 0)
        tops.append(top)
        deepest = max(
            (len(labels[row, column]) for column in range(len(columns)) if (row, column) in labels), default=0
        )
        top += line_height(TITLE_SIZE) * len(lines) + 4 + area[1] + 4 + line * deepest + 2 * GAP
    picture = Image.new("RGB", (content + 2 * MARGIN, top - 2 * GAP + MARGIN), "white")
    draw = ImageDraw.Draw(picture)

    write(draw, (MARGIN, MARGIN), heading, title_font, TITLE_SIZE, TITLE_COLOUR)
    lefts = [MARGIN + column * (width + GAP) for column in range(len(columns))]
    for upper in tops[::EVERY]:
        for left, text in zip(lefts, columns, strict=True):
            write(draw, (left, upper - named), [text], font, CAPTION_SIZE, TITLE_COLOUR)
    for row, (upper, lines) in enumerate(zip(tops, titles, strict=True)):
        write(draw, (MARGIN, upper), lines, title_font, TITLE_SIZE, TITLE_COLOUR)
        below = upper + line_height(TITLE_SIZE) * len(lines) + 4
        for column, left in enumerate(lefts):
            if (row, column) in cells:
                if not cells[row, column].tiles:
                    draw.rectangle((left, below, left + area[0] - 1, below + area[1] - 1), fill=EMPTY)
                for index, one in enumerate(cells[row, column].tiles):
                    down, across = divmod(index, shape.across)
                    picture.paste(one, (left + across * step[0], below + down * step[1]))
                at = left, below + area[1] + 4
                write(draw, at, labels[row, column], font, CAPTION_SIZE, CAPTION_COLOUR)
    return picture


def _caption(text: str, width: int, font: Font) -> list[str]:
    """The lines of a caption; a word that is wider than its place, as a path may be, is broken."""
    pieces = []
    for word in legible(text, font).split(" "):
        part = ""
        for letter in word:
            if letter != "\n" and text_width(part.rsplit("\n", 1)[-1] + letter, font) > width:
                part += "\n"
            part += letter
        pieces.append(part)
    return wrapped(" ".join(pieces), width, font)[:LINES]
