"""Many samples in one picture: a title, rows of images of one size, a caption under each."""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from invset.run.files import write_atomically
from invset.run.images import to_picture

TILE = 128  # pixels of an image's longer side, about
MARGIN, GAP = 24, 12
TITLE_SIZE, TITLE_COLOUR = 19, "#111111"
CAPTION_SIZE, CAPTION_COLOUR = 14, "#444444"
NARROWEST = 3 * TILE  # a title needs some room even over a single image

_ASCII = {"–": "-", "—": "-", "−": "-", "≤": "<=", "≥": ">=", "∈": "in", "λ": "lambda", "μ": "mu"}

_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


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
    title_font, caption_font = _font(TITLE_SIZE), _font(CAPTION_SIZE)
    tiles = [_scaled(to_picture(image)) for image in images]
    tile_width = max((tile.width for tile in tiles), default=TILE)
    tile_height = max((tile.height for tile in tiles), default=TILE)
    captions = [_legible(caption, caption_font) for caption in captions]
    words = (word for caption in captions for word in caption.split())
    cell_width = max(tile_width, *(_width(word, caption_font) for word in words), 0)
    labels = [_wrapped(caption, cell_width, caption_font) for caption in captions]
    label_height = _line(CAPTION_SIZE) * max((len(label) for label in labels), default=0)

    used = min(columns, max(len(tiles), 1))
    content = max(used * (cell_width + GAP) - GAP, NARROWEST)
    heading = _wrapped(_legible(title, title_font), content, title_font)
    content = max(content, *(_width(line, title_font) for line in heading), 0)
    top = MARGIN + _line(TITLE_SIZE) * len(heading) + GAP
    row_height = tile_height + 4 + label_height + GAP
    rows = -(-len(tiles) // used)
    picture = Image.new("RGB", (content + 2 * MARGIN, top + rows * row_height - GAP + MARGIN), "white")
    draw = ImageDraw.Draw(picture)

    _write(draw, (MARGIN, MARGIN), heading, title_font, TITLE_SIZE, TITLE_COLOUR)
    for index, (tile, label) in enumerate(zip(tiles, labels, strict=True)):
        left = MARGIN + index % used * (cell_width + GAP)
        upper = top + index // used * row_height
        picture.paste(tile, (left, upper + tile_height - tile.height))
        _write(draw, (left, upper + tile_height + 4), label, caption_font, CAPTION_SIZE, CAPTION_COLOUR)
    return picture


def _scaled(picture: Image.Image) -> Image.Image:
    side = max(picture.size)
    if side > TILE * 5 // 4:
        size = (max(1, round(picture.width * TILE / side)), max(1, round(picture.height * TILE / side)))
        return picture.resize(size, Image.Resampling.LANCZOS)
    factor = max(1, round(TILE / side))
    return picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)


def _wrapped(text: str, width: int, font: _Font) -> list[str]:
    lines = []
    for paragraph in text.split("\n"):
        line = ""
        # Split at single spaces, so that a double space between two parts stays where the line holds both.
        for word in paragraph.split(" "):
            longer = f"{line} {word}" if line else word
            if line.strip() and _width(longer, font) > width:
                lines.append(line.rstrip())
                line = word
            else:
                line = longer
        lines.append(line.rstrip())
    return lines


def _legible(text: str, font: _Font) -> str:
    absent = bytes(font.getmask("\uffff"))
    present = {letter: letter in " \n" or bytes(font.getmask(letter)) != absent for letter in set(text)}
    return "".join(letter if present[letter] else _in_ascii(letter) for letter in text)


def _in_ascii(letter: str) -> str:
    plain = unicodedata.normalize("NFKD", letter).encode("ascii", "ignore").decode()
    return _ASCII.get(letter) or plain or "?"


def _write(
    draw: ImageDraw.ImageDraw, at: tuple[int, int], lines: Sequence[str], font: _Font, size: int, colour: str
) -> None:
    for number, line in enumerate(lines):
        draw.text((at[0], at[1] + number * _line(size)), line, fill=colour, font=font)


def _line(size: int) -> int:
    return round(size * 1.3)


def _width(text: str, font: _Font) -> int:
    return -int(-font.getlength(text) // 1)


def _font(size: int) -> _Font:
    return ImageFont.load_default(size=size)
