"""Names of units: those of a file, ImageNet's 1000 and Places205's 205 in the order of Caffe's networks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from invset.errors import WeightsError
from invset.files import read_regular, user_path
from invset.names import legible

DATA_FOLDER = Path(__file__).parents[1] / "data"
IMAGENET = DATA_FOLDER / "mini" / "imagenet_classes.txt"
LONGEST = 2**24  # bytes of a file of names


def class_names(path: str | Path | None = None) -> tuple[str, ...]:
    """The name of each unit, in order; None: ImageNet's 1000, in Caffe's order.

    Raises:
        WeightsError: the file cannot be read.
    """
    return tuple(name for _, name in _lines(path))


def class_folders(path: str | Path | None = None) -> tuple[str, ...]:
    """The folder (ImageNet: the wnid, "n01443537") of each unit, in order; see `class_names`."""
    return tuple(folder for folder, _ in _lines(path))


def labels_for(layers: Mapping[str, int], path: str | Path | None) -> dict[str, tuple[str, ...]]:
    """Names for the layers (name -> units) of a network's classes: those of the file, or ImageNet's where they fit.

    Raises:
        WeightsError: the file cannot be read.
    """
    names = class_names(path)
    return {layer: names for layer, units in layers.items() if path is not None or units == len(names)}


def _lines(path: str | Path | None) -> tuple[tuple[str, str], ...]:
    path = IMAGENET if path is None else user_path(path)
    try:
        with read_regular(path.resolve(), LONGEST) as file:
            lines = file.read().decode().splitlines()
    except (OSError, ValueError) as error:  # a null in a path, or what is no UTF-8
        hint = "Give a text file with a line for each unit: folder, tab, name, or the name alone."
        raise WeightsError(f"{path}: cannot read the class names ({error}). {hint}") from error
    folders_names = (line.partition("\t") for line in lines if line)
    return tuple((folder, legible(name or folder)) for folder, _, name in folders_names)
