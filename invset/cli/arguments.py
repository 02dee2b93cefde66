"""Folders of runs, and settings as key=value: the command lines of what works on finished runs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from invset.cli.finished import run_folder
from invset.errors import ConfigError
from invset.names import hint
from invset.run.layout import Layout

OF_A_SWEEP = ("multirun.yaml", "overview.csv", "overview.png")  # files that multirun/DATE/TIME/* finds too


def read(arguments: Sequence[str], known: Sequence[str], example: str) -> tuple[list[Path], dict[str, str]]:
    """The folders, and the settings that were given. A run's folder may have an equals sign in it, as a sweep's.

    Args:
        arguments: as typed.
        known: names of the settings there are.
        example: a setting as it is written, for messages.

    Raises:
        ConfigError: a setting or folder does not exist, or a setting is given twice.
    """
    folders: list[Path] = []
    given: dict[str, str] = {}
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if equals and name in known and not there(Layout(Path(argument)).config):
            if name in given:
                raise ConfigError(f"{name}= is given twice: give it once.")
            given[name] = value
        elif equals and "/" not in name and not there(Path(argument)):
            raise ConfigError(f"there is no setting '{name}': {hint(name, known)}")
        elif argument.startswith("-"):
            raise ConfigError(f"there is no flag {argument}: settings are {', '.join(known)}, as {example}.")
        elif Path(argument).name not in OF_A_SWEEP or Path(argument).is_dir():
            folders.append(_folder(Path(argument)))
    return folders, given


def whole(name: str, text: str, least: int, most: int | None = None) -> int:
    """A whole number from `least` to `most`. Raises ConfigError: the text is none."""
    if re.fullmatch("[0-9]{1,18}", text) and least <= int(text) <= (most or int(text)):
        return int(text)
    wanted = f"from {least} to {most}" if most is not None else f"{least} or more"
    raise ConfigError(f"{name}={text}: give a whole number, {wanted}.")


def there(path: Path) -> bool:
    """Whether there is a file or folder of that name, which may be none that a file can have."""
    try:
        return path.exists()
    except OSError:  # as of a name that is too long
        return False


def _folder(path: Path) -> Path:
    try:
        return run_folder(path)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be looked at ({error.strerror}); give the folder of a run.") from error
