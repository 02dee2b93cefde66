"""A folder for every run and sweep that was given none: two of one second do not share one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from omegaconf import OmegaConf

RESOLVER = "invset.unique_folder"  # in configs/sample.yaml, around the folder that has the time as its name
ONLY_SHOW = ("-c", "--cfg", "-i", "--info")  # flags with which Hydra prints configs and does nothing


def register(arguments: Sequence[str]) -> None:
    """Make the resolver known, for one launch: at the first question it makes the folder that it answers with."""
    shows = any(argument.partition("=")[0] in ONLY_SHOW for argument in arguments)
    made: dict[str, str] = {}

    def unique(wanted: str) -> str:
        if wanted not in made:
            made[wanted] = wanted if shows else make_folder(wanted)
        return made[wanted]

    OmegaConf.register_new_resolver(RESOLVER, unique, replace=True)


def make_folder(wanted: str, number: int = 1) -> str:
    """Make the folder, or where there is one of that name, one with -2, -3 … behind it; returns its name.

    What stands in the way of making any is left to those who write into it: they say what is wrong.
    """
    name = wanted if number == 1 else f"{wanted}-{number}"
    try:
        Path(name).mkdir(parents=True)
    except FileExistsError:
        return make_folder(wanted, number + 1)
    except OSError:
        pass
    return name
