"""What is measured of a run, and how a measure of several runs is put down."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from invset.metrics.estimate import Estimate

Cell = str | float | Estimate | None
"""A text, a number, a number with its interval, or nothing."""


@dataclass(frozen=True)
class Measured:
    """One run's n samples, or none where it has too few, and what the whole run cost.

    Attributes:
        name: what the table calls it.
        method: of sampling.
        total: samples in its folder.
        encodings: (n, d), all runs' by one encoder; (0, d) of a run with fewer than n.
        activations: (n, p), or (0, p).
        units: p texts.
        ranges: p of (lower, upper).
        codes: (n, c), or None.
        in_range: share of the tried codes that lay in range, 0 to 1, or NaN.
        passes: forward and backward ones of the run, or None.
        steps: gradient steps of the run, or NaN.
        seed_steps: those of them until the seeds were there, or NaN.
        seconds: the run's, or NaN.
        wanted: how many samples were asked for, or NaN.
        features: (n, f) of an independent network, or None.
        logits: (n, classes) of it, or None.
        classes: for each unit its row in the logits, or None; () for none at all.
        seen: what the independent network most often takes the samples for, or None.
    """

    name: str
    method: str
    total: int
    encodings: Tensor
    activations: Tensor
    units: tuple[str, ...]
    ranges: tuple[tuple[float, float], ...]
    codes: Tensor | None = None
    in_range: float = math.nan
    passes: int | None = None
    steps: float = math.nan
    seed_steps: float = math.nan
    seconds: float = math.nan
    wanted: float = math.nan
    features: Tensor | None = None
    logits: Tensor | None = None
    classes: tuple[int | None, ...] = ()
    seen: str | None = None


class Row(NamedTuple):
    """One measure of every run.

    Attributes:
        key: its name in files.
        title: its name for people.
        cells: one a run: a text, a number, or a number with its interval; None where there is none.
    """

    key: str
    title: str
    cells: tuple[Cell, ...]


def chosen(total: int, n: int, random_seed: int) -> list[int]:
    """Which n of `total` samples are compared, from 0 and in order: all, or a random subset without replacement.

    Raises:
        ValueError: not 2 ≤ n ≤ total.
    """
    if not 2 <= n <= total:
        raise ValueError(f"n is 2 to {total}, not {n}")
    generator = torch.Generator().manual_seed(random_seed)
    return sorted(torch.randperm(total, generator=generator)[:n].tolist())
