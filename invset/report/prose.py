"""Words for Markdown that come from elsewhere: names, titles and lists of them."""

from __future__ import annotations

import re
from collections.abc import Sequence

_MARKS = re.compile(r"[\\`*\[\]<>|~$&]|(?<![^\W_])_|_(?![^\W_])")  # of Markdown; an underscore within a word is none


def in_markdown(text: str) -> str:
    """A text to be read as it is, on one line, within a paragraph or a table; "?" for what cannot be printed."""
    legible = "".join(letter if letter.isprintable() else "?" for letter in " ".join(text.split()))
    return _MARKS.sub(lambda found: f"\\{found[0]}", legible)


def as_read(markdown: str) -> str:
    """What a reader of a text of `in_markdown` sees: on a terminal its escapes would stand there."""
    return re.sub(r"\\([\\`*\[\]<>|~$&_])", r"\1", markdown)


def listed(names: Sequence[str], last: str = "and") -> str:
    """`a`, `a and b`, `a, b and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {last} {names[-1]}"
