"""Which run is to be grouped, and how: from the command line of `invset facets`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from invset.cli.arguments import read, whole
from invset.errors import ConfigError

SETTINGS = ("out", "groups", "n", "features", "seed", "factory")


@dataclass(frozen=True)
class Settings:
    """What the command line asked for."""

    folder: Path
    out: Path
    groups: int | None
    n: int | None
    features: str | None
    seed: int
    factory: str | None


def parse(arguments: Sequence[str]) -> Settings:
    """A folder and settings.

    Raises:
        ConfigError: a setting or the folder does not exist, or is given twice, or is none.
    """
    folders, given = read(arguments, SETTINGS, "groups=6")
    if len(folders) != 1:
        many = "one run at a time" if folders else "facets of what? Give the folder of a finished run"
        raise ConfigError(f"{many}, as invset facets outputs/DATE/TIME.")
    out = Path(given["out"]) if given.get("out") else Path(time.strftime("facets/%Y-%m-%d/%H-%M-%S"))
    groups, n = (whole(name, given[name], 2) if name in given else None for name in ("groups", "n"))
    seed = whole("seed", given.get("seed", "0"), 0)
    return Settings(folders[0], out, groups, n, given.get("features") or None, seed, given.get("factory"))
