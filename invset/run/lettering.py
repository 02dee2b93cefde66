"""Text in pictures: what a font lacks is replaced, long lines are broken."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from PIL import ImageDraw, ImageFont

_ASCII = {"–": "-", "—": "-", "−": "-", "≤": "<=", "≥": ">=", "∈": "in", "×": "x", "λ": "lambda", "μ": "mu"}

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def wrapped(text: str, width: int, font: Font) -> list[str]:
    """The lines of a text, broken at spaces where they would be wider than `width` pixels; its own breaks stay."""
    lines = []
    for paragraph in text.split("\n"):
        line = ""
        # Split at single spaces, so that a double space between two parts stays where the line holds both.
        for word in paragraph.split(" "):
            longer = f"{line} {word}" if line else word
            if line.strip() and text_width(longer, font) > width:
                lines.append(line.rstrip())
                line = word
            else:
                line = longer
        lines.append(line.rstrip())
    return lines


def legible(text: str, font: Font) -> str:
    """The text with what the font lacks written in ASCII, or as a question mark."""
    absent = bytes(font.getmask("\uffff"))
    present = {letter: letter in " \n" or bytes(font.getmask(letter)) != absent for letter in set(text)}
    return "".join(letter if present[letter] else _in_ascii(letter) for letter in text)


def _in_ascii(letter: str) -> str:
    plain = unicodedata.normalize("NFKD", letter).encode("ascii", "ignore").decode()
    return _ASCII.get(letter) or plain or "?"


def write(
    draw: ImageDraw.ImageDraw, at: tuple[int, int], lines: Sequence[str], font: Font, size: int, colour: str
) -> None:
    """Draw lines of text downwards from their upper left corner."""
    for number, line in enumerate(lines):
        draw.text((at[0], at[1] + number * line_height(size)), line, fill=colour, font=font)


def line_height(size: int) -> int:
    """The height of a line of text of that size, in pixels."""
    return round(size * 1.3)


def text_width(text: str, font: Font) -> int:
    """The width of a text in pixels, rounded up."""
    return -int(-font.getlength(text) // 1)


def font_of(size: int) -> Font:
    """The font of all pictures, at a size in pixels."""
    return ImageFont.load_default(size=size)
