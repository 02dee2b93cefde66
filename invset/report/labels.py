"""Text that has to fit a picture: one line cut to a width, or lines wrapped to it, whatever it holds."""

from __future__ import annotations

from bisect import bisect_right

from invset.run.lettering import Font, legible, text_width, wrapped

LONGEST = 1000  # letters that are looked at: more never fit
DOTS = "..."


def cut(text: str, width: int, font: Font) -> str:
    """The text on one line, with dots for what does not fit in so many pixels; "?" for what cannot be printed."""
    line = " ".join(text[:LONGEST].split())
    whole = legible("".join(letter if letter.isprintable() else "?" for letter in line), font)
    if text_width(whole, font) <= width:
        return whole
    kept = bisect_right(range(len(whole)), width, key=lambda count: text_width(whole[:count] + DOTS, font)) - 1
    return whole[: max(0, kept)].rstrip() + DOTS


def broken(text: str, width: int, font: Font) -> list[str]:
    """The text in lines, broken at spaces; a word that is wider than so many pixels is cut."""
    words = [cut(word, width, font) for word in text[:LONGEST].split()]
    return wrapped(" ".join(words), width, font) if words else []
