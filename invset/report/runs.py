"""A finished run's folder, read for comparison: what its journals, its summary and its images say."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors import safe_open
from torch import Tensor

from invset.assemble.sampling import check_targets, describe_target
from invset.errors import ConfigError, RunFolderError
from invset.metrics.filling import evenly_spaced
from invset.run.config import read_config
from invset.run.images import load_png
from invset.run.journals import read_samples
from invset.run.json_files import damaged, read_json, reading
from invset.run.layout import Layout
from invset.run.sheet import TILE, Cell, tile
from invset.settings import SampleSettings

BATCH = 32  # images in memory at once: as a run reads its own


@dataclass(frozen=True)
class FinishedRun:
    """What is on disk of a run that came to its end; images are read when asked for.

    Attributes:
        root: its folder.
        settings: as its config has them.
        units: the p units, as `fc8:2`.
        labels: the name of each unit's class, where it is a unit of a vector layer with names; else None.
        ranges: (lower, upper) of each unit.
        activations: (n, p) float32, of the samples as saved, in order of sampling.
        chains: (n,) int64, the number of each sample's chain, from 1.
        codes: (n, c) float32, or None where the run kept none.
        summary: summary.json.
        hardly_known: a line on each class that the generator hardly knows, as the run found before it began.
    """

    root: Path
    settings: SampleSettings
    units: tuple[str, ...]
    labels: tuple[str | None, ...]
    ranges: tuple[tuple[float, float], ...]
    activations: Tensor
    chains: Tensor
    codes: Tensor | None
    summary: Mapping[str, Any]
    hardly_known: tuple[str, ...] = ()

    @property
    def method(self) -> str:
        """The name of the method that drew the samples."""
        return self.settings.method.name

    @property
    def count(self) -> int:
        """n, the samples in the folder."""
        return len(self.activations)

    @property
    def target(self) -> str:
        """`fc8:2 goldfish in [40, 50] and conv5:97 in [2, 3]`."""
        units = (" ".join(filter(None, pair)) for pair in zip(self.units, self.labels, strict=True))
        return describe_target(units, self.ranges, self.settings.constraint)

    def number(self, name: str) -> float:
        """A number of the summary; NaN where it has none of that name."""
        value = self.summary.get(name)
        return float(value) if isinstance(value, int | float) else math.nan

    def cells(self, rows: Sequence[int]) -> list[Cell]:
        """The images of these rows over their activations. Raises RunFolderError if one is missing or damaged."""
        values = (self.activations[row].tolist() for row in rows)
        captions = ["  ".join(f"{value:.4g}" for value in own) for own in values]
        return [Cell(*pair) for pair in zip(self.pictures(rows), captions, strict=True)]

    def pictures(self, rows: Sequence[int], side: int = TILE) -> list[Image.Image]:
        """The images of these rows, at about `side` pixels. Raises RunFolderError if one is missing or damaged."""
        return [tile(image, side) for batch in self.images(rows) for image in batch]

    def images(self, rows: Sequence[int], batch: int = BATCH) -> Iterator[Tensor]:
        """Yields the samples of these rows (from 0) as they were saved: (≤ batch, 3, h, w) in [0, 1].

        Raises:
            RunFolderError: an image is missing, damaged, or not of the size of the first.
        """
        paths = [Layout(self.root).image(row + 1) for row in rows]
        size: torch.Size | None = None
        for start in range(0, len(paths), batch):
            images = []
            for path in paths[start : start + batch]:
                images.append(load_png(path, size))
                size = images[0].shape[1:]
            yield torch.stack(images)


def read_run(root: Path) -> FinishedRun:
    """The run in a folder, with samples or without.

    Raises:
        RunFolderError: the run has not come to its end, or a file is damaged.
    """
    paths, settings = Layout(root), read_config(root)
    try:
        ranges = check_targets(settings).ranges
    except ConfigError as error:
        raise damaged(paths.config, error) from error
    if not paths.summary.is_file():
        raise RunFolderError(f"{root}: this run has not come to its end (no summary.json): resume it first.")
    summary = read_json(paths.summary)
    units, activations, chains = _read_activations(paths.activations)
    if len(ranges) != len(units):
        raise damaged(paths.config, f"it has {len(ranges)} ranges, and there are {len(units)} units")
    if summary.get("samples") != len(activations):
        raise RunFolderError(
            f"{root}: summary.json counts {summary.get('samples')} samples, activations.csv {len(activations)}: the "
            "run is going on, or was stopped. Let it end, or resume it."
        )
    manifest = read_json(paths.manifest) if paths.manifest.exists() else {}
    codes, labels = _read_codes(paths.codes, len(activations)), _labels_of(manifest, units)
    hardly_known = tuple(map(str, manifest.get("hardly_known") or ()))
    return FinishedRun(root, settings, units, labels, ranges, activations, chains, codes, summary, hardly_known)


def count_passes(summary: Mapping[str, Any]) -> int | None:
    """Codes that went forward and codes whose gradient was taken, together; images read back are not counted."""
    passes = summary.get("passes")
    return None if passes is None else passes["forward"] + passes["backward"]


def closest_activations(summary: Mapping[str, Any]) -> list[float]:
    """The activations of the code that came closest to the ranges; none where the summary does not say."""
    return summary.get("closest", {}).get("activations", [])


def spread_rows(activations: Tensor, count: int) -> list[int]:
    """(n,) activations -> at most `count` of their indices, evenly spaced in order of activation, ends included."""
    return activations.argsort(stable=True)[evenly_spaced(len(activations), count)].tolist()


def _read_activations(path: Path) -> tuple[tuple[str, ...], Tensor, Tensor]:
    try:
        columns, rows = read_samples(path)
        columns = [name for name in columns if name.endswith(" saved")]
        saved = torch.tensor([[float(row[column]) for column in columns] for row in rows])
        saved = saved.reshape(len(rows), len(columns))
        chains = torch.tensor([int(row["chain"]) for row in rows], dtype=torch.int64)
        numbers = [int(row["sample"]) for row in rows]
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise damaged(path, "a line is not as a run writes it") from error
    if not columns or numbers != list(range(1, len(rows) + 1)) or not saved.isfinite().all():
        raise damaged(path, "samples are to be numbered 1, 2, 3 …, each with its activations as saved")
    return tuple(column.removesuffix(" saved") for column in columns), saved, chains


def _read_codes(path: Path, count: int) -> Tensor | None:
    if not path.exists():
        return None
    with reading(path), safe_open(path, framework="pt") as file:
        if len(shape := file.get_slice("codes").get_shape()) != 2 or shape[0] != count:
            raise ValueError(f"it holds no codes of {count} samples")
        return file.get_tensor("codes").float().clone()


def _labels_of(manifest: Mapping[str, Any], units: Sequence[str]) -> tuple[str | None, ...]:
    """Names of classes from the manifest, `fc8:2 goldfish`; units with a position (`conv5:97:8:8`) are none."""
    described = manifest.get("units") or ()
    names = dict(text.split(" ", 1) for text in described if " " in text)
    return tuple(names.get(unit) if unit.count(":") == 1 else None for unit in units)
