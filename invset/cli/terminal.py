"""How commands print: lines as they are, paths from where the user is."""

from __future__ import annotations

import shlex
from pathlib import Path

from rich.console import Console
from rich.text import Text

from invset.names import legible


def say(console: Console, text: str) -> None:
    """Print a text as it is: nothing in it is highlighted, marked up, or broken where the terminal ends.

    But for control characters, which could have come from a file.
    """
    console.out(legible(text), highlight=False)


def cell(text: str) -> Text:
    """A text of a table, likewise."""
    return Text(legible(text))


def shorten(path: Path) -> Path:
    """The path from where the user is, if it lies below."""
    try:
        return path.resolve().relative_to(Path.cwd())
    except ValueError:
        return path


def resume_command(folder: Path, *more: str) -> str:
    """The command that resumes a run or a sweep, to be pasted."""
    return " ".join(["invset sample", shlex.quote(f"resume={shorten(folder)}"), *more])


def write_time(seconds: float) -> str:
    """How long, to what matters of it: `2.5 s`, `26 s`, `14 min`, `2 h 5 min`."""
    minutes = round(seconds / 60)
    if seconds < 120:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
