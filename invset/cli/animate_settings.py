"""What is to be animated, and how: from the command line of `invset animate`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from invset.cli.arguments import read, whole
from invset.errors import ConfigError
from invset.names import hint

SETTINGS = ("format", "out", "order", "fps", "size", "unit", "n")
FORMATS = ("mp4", "webp", "gif")
ORDERS = ("activation", "sampling")
FASTEST = {"mp4": 60, "webp": 60, "gif": 50}  # browsers slow down GIFs whose frames stand less than 0.02 s
SLOWEST = Fraction(1, 10)
SIZES = (16, 4096)  # pixels


@dataclass(frozen=True)
class Settings:
    """What the command line asked for; `kind` is None where it did not say, `unit` counts from 0."""

    folder: Path
    kind: str | None
    out: Path | None
    order: str
    fps: Fraction
    size: int
    unit: int
    n: int | None


def parse(arguments: Sequence[str]) -> Settings:
    """A folder and settings.

    Raises:
        ConfigError: a setting or the folder does not exist, or is given twice, or is none.
    """
    folders, given = read(arguments, SETTINGS, "fps=4")
    if len(folders) != 1:
        wrong = "animate what?" if not folders else f"{len(folders)} runs are given:"
        raise ConfigError(f"{wrong} Give the folder of one run, as invset animate outputs/DATE/TIME.")
    order = _one_of("order", given.get("order", ORDERS[0]), ORDERS)
    if order == "sampling" and "unit" in given:
        raise ConfigError("unit= says whose activation orders, and order=sampling goes by none: leave out one of them.")
    kind, out = _kind(given)
    return Settings(
        folders[0],
        kind,
        out,
        order,
        _speed(given.get("fps", "8"), kind),
        whole("size", given.get("size", "256"), *SIZES),
        whole("unit", given.get("unit", "1"), 1) - 1,
        whole("n", given["n"], 2) if "n" in given else None,
    )


def _kind(given: Mapping[str, str]) -> tuple[str | None, Path | None]:
    """The format and the file, which have to agree."""
    kind = _one_of("format", given["format"].lower(), FORMATS) if "format" in given else None
    if "out" not in given:
        return kind, None
    out = Path(given["out"])
    ending = out.suffix.lower().removeprefix(".")
    if ending not in FORMATS:
        raise ConfigError(f"out={out}: give a file whose name ends in .mp4, .webp or .gif.")
    if kind not in (None, ending):
        raise ConfigError(f"format={kind} does not go with out={out}: leave out one of them.")
    return ending, out


def _one_of(name: str, text: str, choices: Sequence[str]) -> str:
    if text not in choices:
        raise ConfigError(f"{name}={text}: {hint(text, choices)}")
    return text


def _speed(text: str, kind: str | None) -> Fraction:
    most = FASTEST[kind or "mp4"]
    wrong = ConfigError(f"fps={text}: give frames a second, from 0.1 to {most}{' in a GIF' if kind == 'gif' else ''}.")
    if not re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,3})?", text):
        raise wrong
    if not SLOWEST <= Fraction(text) <= most:
        raise wrong
    return Fraction(text)
