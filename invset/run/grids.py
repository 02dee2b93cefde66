"""Many samples in one picture: a title, rows of images of one size, a caption under each."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw
from torch import Tensor

from invset.run.files import write_atomically
from invset.run.images import to_picture
from invset.run.lettering import font_of, legible, line_height, text_width, wrapped, write

TILE = 128  # pixels of an image's longer side, about
MARGIN, GAP = 24, 12
TITLE_SIZE, TITLE_COLOUR = 19, "#111111"
CAPTION_SIZE, CAPTION_COLOUR = 14, "#444444"
NARROWEST = 3 * TILE  # a title needs some room even over a single image


def save_grid(path: Path, images: Sequence[Tensor], captions: Sequence[str], title: str, columns: int = 10) -> None:
    """Write `grid(...)` as a PNG; the file is whole or not there.

    Raises:
        RunFolderError: the file cannot be written.
        ValueError: as `grid`.
    """
    save_picture(path, grid(images, captions, title, columns))


def save_picture(path: Path, picture: Image.Image) -> None:
    """Write a picture as a PNG; the file is whole or not there. Raises RunFolderError: it cannot be written."""
    encoded = io.BytesIO()
    picture.save(encoded, format="PNG")
    write_atomically(path, encoded.getvalue())


def grid(images: Sequence[Tensor], captions: Sequence[str], title: str, columns: int = 10) -> Image.Image:
    """A picture of (3, h, w) images in [0, 1], row by row, each over its caption, under a title.

    Small images are enlarged by an integer, large ones reduced, to about 128 pixels. Captions and title may
    hold line breaks, and wrap at spaces where they are wider than their place; a character that the font
    lacks is written in ASCII, or as "?". With no images there is only the title.

    Raises:
        ValueError: there are not as many captions as images, or fewer than one column.
    """
    if len(images) != len(captions):
        raise ValueError(f"{len(images)} images and {len(captions)} captions")
    if columns < 1:
        raise ValueError(f"a grid has 1 column or more, not {columns}")
    title_font, caption_font = font_of(TITLE_SIZE), font_of(CAPTION_SIZE)
    tiles = [scaled(to_picture(image)) for image in images]
    tile_width = max((tile.width for tile in tiles), default=TILE)
    tile_height = max((tile.height for tile in tiles), default=TILE)
    captions = [legible(caption, caption_font) for caption in captions]
    words = (word for caption in captions for word in caption.split())
    cell_width = max(tile_width, *(text_width(word, caption_font) for word in words), 0)
    labels = [wrapped(caption, cell_width, caption_font) for caption in captions]
    label_height = line_height(CAPTION_SIZE) * max((len(label) for label in labels), default=0)

    used = min(columns, max(len(tiles), 1))
    content = max(used * (cell_width + GAP) - GAP, NARROWEST)
    heading = wrapped(legible(title, title_font), content, title_font)
    content = max(content, *(text_width(line, title_font) for line in heading), 0)
    top = MARGIN + line_height(TITLE_SIZE) * len(heading) + GAP
    row_height = tile_height + 4 + label_height + GAP
    rows = -(-len(tiles) // used)
    picture = Image.new("RGB", (content + 2 * MARGIN, top + rows * row_height - GAP + MARGIN), "white")
    draw = ImageDraw.Draw(picture)

    write(draw, (MARGIN, MARGIN), heading, title_font, TITLE_SIZE, TITLE_COLOUR)
    for index, (tile, label) in enumerate(zip(tiles, labels, strict=True)):
        left = MARGIN + index % used * (cell_width + GAP)
        upper = top + index // used * row_height
        picture.paste(tile, (left, upper + tile_height - tile.height))
        write(draw, (left, upper + tile_height + 4), label, caption_font, CAPTION_SIZE, CAPTION_COLOUR)
    return picture


def scaled(picture: Image.Image, side: int = TILE) -> Image.Image:
    """A picture at about `side` pixels on its longer side: enlarged by an integer, or reduced."""
    longer = max(picture.size)
    if longer > side * 5 // 4:
        size = (max(1, round(picture.width * side / longer)), max(1, round(picture.height * side / longer)))
        return picture.resize(size, Image.Resampling.LANCZOS)
    factor = max(1, round(side / longer))
    return picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)
