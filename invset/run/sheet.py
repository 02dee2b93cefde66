"""Images laid out in rows and columns, with title, headings and captions: every picture of samples is such a sheet."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from invset.names import legible
from invset.run.images import encode_png, to_picture
from invset.run.json_files import write_atomically

TILE = 128  # pixels of an image's longer side, about
COLUMNS = 10
MARGIN, GAP, SPACE = 24, 12, 2  # around the sheet, between cells, between the tiles of a mosaic
NARROW = 112  # pixels that a caption needs, however small its picture is
NARROWEST = 3 * TILE  # a title needs some room even over a single image
LABEL = 150  # pixels for the labels at the left
LINES = 6  # of a caption at most
INK, GREY = "#111111", "#444444"
TITLE, HEADING, NAME, CAPTION = (17, INK), (14, INK), (13, INK), (12, GREY)  # pixels of letters, colour

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


class Cell(NamedTuple):
    """A picture, or None for an empty place, and the caption under it."""

    picture: Image.Image | None
    caption: str = ""


class Strip(NamedTuple):
    """Cells beside each other, under a heading and right of a label, which both may be empty."""

    cells: Sequence[Cell]
    heading: str = ""
    label: str = ""


def sheet(title: str, rows: Sequence[Strip], columns: int = COLUMNS) -> Image.Image:
    """The picture: rows under a title; a row of more cells than columns goes on below.

    Texts may hold line breaks, and wrap where they are wider than their place.
    """
    cells = [cell for row in rows for cell in row.cells]
    width = max((cell.picture.width for cell in cells if cell.picture), default=TILE)
    width = max(width, NARROW) if any(cell.caption for cell in cells) else width
    left = LABEL + GAP if any(row.label for row in rows) else 0
    across = max((min(columns, len(row.cells)) for row in rows), default=0)
    content = max(left + across * (width + GAP) - GAP, NARROWEST)
    parts = [_text(title, content, TITLE)]
    for row in rows:
        if row.heading:
            parts.append(_text(f"\n{row.heading}" if len(parts) > 1 else row.heading, content, HEADING))
        for start in range(0, len(row.cells), columns):
            label = _text(row.label, LABEL, NAME) if row.label and not start else None
            parts.append(_line(row.cells[start : start + columns], width, left, label))
    height = sum(part.height + GAP for part in parts) - GAP
    whole = Image.new("RGB", (content + 2 * MARGIN, height + 2 * MARGIN), "white")
    top = MARGIN
    for part in parts:
        whole.paste(part, (MARGIN, top))
        top += part.height + GAP
    return whole


def mosaic(pictures: Sequence[Image.Image], across: int) -> Image.Image:
    """One or more pictures of one size close together, row by row."""
    wide, high = (side + SPACE for side in pictures[0].size)
    used, down = min(across, len(pictures)), -(-len(pictures) // across)
    whole = Image.new("RGB", (used * wide - SPACE, down * high - SPACE), "white")
    for index, picture in enumerate(pictures):
        whole.paste(picture, (index % across * wide, index // across * high))
    return whole


def tile(image: Tensor, side: int = TILE) -> Image.Image:
    """A (3, h, w) image in [0, 1] at about `side` pixels on its longer side: enlarged by an integer, or reduced."""
    picture = to_picture(image)
    longer = max(picture.size)
    if longer > side * 5 // 4:
        size = (max(1, round(picture.width * side / longer)), max(1, round(picture.height * side / longer)))
        return picture.resize(size, Image.Resampling.LANCZOS)
    factor = max(1, round(side / longer))
    return picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)


def save_grid(
    path: Path, images: Sequence[Tensor], captions: Sequence[str], title: str, columns: int = COLUMNS
) -> None:
    """Write a sheet of (3, h, w) images in [0, 1], each over its caption, as a PNG; the file is whole or not there.

    Raises:
        RunFolderError: the file cannot be written.
        ValueError: there are not as many captions as images.
    """
    cells = [Cell(tile(image), caption) for image, caption in zip(images, captions, strict=True)]
    save_picture(path, sheet(title, [Strip(cells)], columns))


def save_picture(path: Path, picture: Image.Image) -> None:
    """Write a picture as a PNG; the file is whole or not there. Raises RunFolderError: it cannot be written."""
    write_atomically(path, encode_png(picture), flushed=True)


@cache
def font_of(size: int) -> Font:
    """The font of all pictures, at a size in pixels: that of matplotlib's plots, which need not be imported for it."""
    found = find_spec("matplotlib")
    try:
        path = Path(str(found and found.origin)).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"
        return ImageFont.truetype(str(path), size, layout_engine=ImageFont.Layout.BASIC)
    except OSError:
        return ImageFont.load_default(size)


def wrapped(text: str, width: int, font: Font) -> list[str]:
    """The lines of a text, broken at spaces where they would be wider than `width` pixels, or within longer words."""
    lines = []
    for paragraph in legible(text).split("\n"):
        line = ""
        # Split at single spaces, so that a double space between two parts stays where the line holds both.
        for word in paragraph.split(" "):
            first, *rest = _pieces(word, width, font)
            longer = f"{line} {first}" if line else first
            if line.strip() and font.getlength(longer) > width:
                lines.append(line.rstrip())
                longer = first
            lines += [longer, *rest[:-1]] if rest else []
            line = rest[-1] if rest else longer
        lines.append(line.rstrip())
    return lines


def _pieces(word: str, width: int, font: Font) -> list[str]:
    """A word in as many pieces as it takes for none to be wider than its place."""
    pieces = [""]
    for letter in word:
        if pieces[-1] and font.getlength(pieces[-1] + letter) > width:
            pieces.append("")
        pieces[-1] += letter
    return pieces


def _line(cells: Sequence[Cell], width: int, left: int, label: Image.Image | None) -> Image.Image:
    """Cells beside each other from column `left` on, their pictures on one base line; the label at column 0."""
    base = max((cell.picture.height for cell in cells if cell.picture), default=0)
    captions = [_text(cell.caption, width, CAPTION, LINES) if cell.caption else None for cell in cells]
    below = max((caption.height + 4 for caption in captions if caption), default=0)
    height = max(base + below, label.height if label else 0)
    whole = Image.new("RGB", (left + len(cells) * (width + GAP) - GAP, height), "white")
    if label:
        whole.paste(label, (0, 0))
    for index, (cell, caption) in enumerate(zip(cells, captions, strict=True)):
        x = left + index * (width + GAP)
        if cell.picture:
            whole.paste(cell.picture, (x, base - cell.picture.height))
        if caption:
            whole.paste(caption, (x, base + 4 if base else 0))
    return whole


def _text(text: str, width: int, style: tuple[int, str], most: int | None = None) -> Image.Image:
    """A text as a picture of that width, of so many lines at most."""
    (size, colour), font = style, font_of(style[0])
    lines, height = wrapped(text, width, font)[:most], round(size * 1.3)
    picture = Image.new("RGB", (width, height * len(lines)), "white")
    draw = ImageDraw.Draw(picture)
    for number, line in enumerate(lines):
        draw.text((0, number * height), line, fill=colour, font=font)
    return picture
