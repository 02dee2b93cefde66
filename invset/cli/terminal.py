"""How commands print: lines as they are, paths from where the user is."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console


def say(console: Console, text: str) -> None:
    """Print a text as it is: nothing in it is highlighted, marked up, or broken where the terminal ends."""
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def shorten(path: Path) -> Path:
    """The path from where the user is, if it lies below."""
    try:
        return path.resolve().relative_to(Path.cwd())
    except ValueError:
        return path
