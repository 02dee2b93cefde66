"""Which runs are to be compared, and how: from the command line of `invset compare`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from invset.cli.check import near_names
from invset.cli.finished import run_folder
from invset.errors import ConfigError
from invset.run.layout import Layout

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
    """Folders and settings. A run's folder may have an equals sign in it, as those of a sweep.

    Raises:
        ConfigError: a setting or folder does not exist, or is given twice, or is none.
    """
    folders: list[Path] = []
    given: dict[str, str] = {}
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if equals and name in SETTINGS and not Layout(Path(argument)).config.is_file():
            if name in given:
                raise ConfigError(f"{name}= is given twice: give it once.")
            given[name] = value
        elif equals and not Path(argument).exists() and "/" not in name:
            raise ConfigError(f"there is no setting '{name}': {near_names(name, SETTINGS)}")
        elif argument.startswith("-"):
            raise ConfigError(f"there is no flag {argument}: settings are {', '.join(SETTINGS)}, as n=100.")
        else:
            folders.append(run_folder(Path(argument)))
    if not folders:
        raise ConfigError("compare what? Give the folders of finished runs, as invset compare RUN RUN.")
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise ConfigError("the same run is given twice: give each once.")
    out = Path(given["out"]) if given.get("out") else Path(time.strftime("compare/%Y-%m-%d/%H-%M-%S"))
    n, seed = given.get("n"), _whole("seed", given.get("seed", "0"), 0)
    count = None if n is None else _whole("n", n, 2)
    return Settings(tuple(folders), out, count, given.get("features") or None, seed, given.get("factory"))


def run_names(folders: Sequence[Path]) -> list[str]:
    """What to call runs: the fewest last parts of their paths that tell them apart."""
    parts = [folder.resolve().parts for folder in folders]
    for count in range(1, max(map(len, parts)) + 1):
        names = ["/".join(own[-count:]) for own in parts]
        if len(set(names)) == len(names):
            return names
    return [str(folder) for folder in folders]


def _whole(name: str, text: str, least: int) -> int:
    if not text.isascii() or not text.isdecimal() or not least <= int(text) < 2**63:
        raise ConfigError(f"{name}={text}: give a whole number, {least} or more.")
    return int(text)
