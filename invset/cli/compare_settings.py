"""Which runs are to be compared, and how: from the command line of `invset compare`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from invset.cli.arguments import read, whole
from invset.errors import ConfigError

SETTINGS = ("out", "n", "features", "seed", "factory")


@dataclass(frozen=True)
class Settings:
    """What the command line asked for."""

    folders: tuple[Path, ...]
    out: Path
    n: int | None
    features: str | None
    seed: int
    factory: str | None


def parse(arguments: Sequence[str]) -> Settings:
    """Folders and settings.

    Raises:
        ConfigError: a setting or folder does not exist, or is given twice, or is none.
    """
    folders, given = read(arguments, SETTINGS, "n=100")
    if not folders:
        raise ConfigError("compare what? Give the folders of finished runs, as invset compare RUN RUN.")
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise ConfigError("the same run is given twice: give each once.")
    out = Path(given["out"]) if given.get("out") else Path(time.strftime("compare/%Y-%m-%d/%H-%M-%S"))
    n, seed = given.get("n"), whole("seed", given.get("seed", "0"), 0)
    count = None if n is None else whole("n", n, 2)
    return Settings(tuple(folders), out, count, given.get("features") or None, seed, given.get("factory"))


def run_names(folders: Sequence[Path]) -> list[str]:
    """What to call runs: the fewest last parts of their paths that tell them apart."""
    parts = [folder.resolve().parts for folder in folders]
    for count in range(1, max(map(len, parts)) + 1):
        names = ["/".join(own[-count:]) for own in parts]
        if len(set(names)) == len(names):
            return names
    return [str(folder) for folder in folders]
