"""Runs side by side as rows of numbers: every measure at equal n, each with its interval where it has one.

Budgets (passes, seconds, the share of codes in range) are of whole runs. All else is of n samples a run, drawn at
random without replacement where a run has more: the first n would be other samples than a run's usual ones, as they
lie closest to its starts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from invset.metrics.agreement import agreement
from invset.metrics.distances import blocks
from invset.metrics.duplicates import near_duplicates
from invset.metrics.estimate import Estimate
from invset.metrics.filling import uniform_distance
from invset.metrics.jackknife import jackknife
from invset.metrics.pairwise_interval import mean_pairwise_estimate
from invset.metrics.ratio import distance_ratio
from invset.metrics.vendi import half_median_bandwidth, vendi_score

POOLED = 2000  # encodings at most, of all runs together, whose distances settle the bandwidth
TOPS = (1, 5)


@dataclass(frozen=True)
class Measured:
    """One run's n samples, and what the whole run cost.

    Attributes:
        name: what the table calls it.
        method: of sampling.
        total: samples in its folder, n or more.
        encodings: (n, d), all runs' by one encoder.
        activations: (n, p).
        units: p texts.
        ranges: p of (lower, upper).
        codes: (n, c), or None.
        in_range: share of the tried codes that lay in range, 0 to 1, or NaN.
        passes: forward and backward ones of the run, or None.
        seconds: the run's, or NaN.
        features: (n, f) of an independent network, or None.
        logits: (n, classes) of it, or None.
        classes: for each unit its row in the logits, or None; () for none at all.
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
    seconds: float = math.nan
    features: Tensor | None = None
    logits: Tensor | None = None
    classes: tuple[int | None, ...] = ()


class Row(NamedTuple):
    """One measure of every run.

    Attributes:
        key: its name in files.
        title: its name for people.
        cells: one a run: a text, a number, or a number with its interval; None where there is none.
    """

    key: str
    title: str
    cells: tuple[str | float | Estimate | None, ...]


def chosen(total: int, n: int, random_seed: int) -> list[int]:
    """Which n of `total` samples are compared, from 0 and in order: all, or a random subset without replacement.

    Raises:
        ValueError: not 2 ≤ n ≤ total.
    """
    if not 2 <= n <= total:
        raise ValueError(f"n is 2 to {total}, not {n}")
    generator = torch.Generator().manual_seed(random_seed)
    return sorted(torch.randperm(total, generator=generator)[:n].tolist())


def compared(runs: Sequence[Measured], unrelated_distance: float, near: float, random_seed: int = 0) -> list[Row]:
    """All rows of the table.

    Args:
        runs: one or more, of equal n ≥ 2, encoded by one encoder.
        unrelated_distance: between encodings of unrelated codes, in units of encoding; NaN where not known.
        near: share of it under which samples are near-duplicates.
        random_seed: of intervals.

    Raises:
        ValueError: there is no run, or they have not equal n.
    """
    if len({len(run.encodings) for run in runs}) != 1:
        raise ValueError("runs are compared at equal n, and there is one or more")
    encodings = [run.encodings.detach().float().cpu() for run in runs]
    bandwidth = pooled_bandwidth(encodings)
    rows = [
        Row("method", "method", tuple(run.method for run in runs)),
        Row("samples", "samples in the folder", tuple(float(run.total) for run in runs)),
        Row("n", "samples compared", tuple(float(len(own)) for own in encodings)),
        Row("share_in_range", "share of tried codes in range", tuple(_known(run.in_range) for run in runs)),
        Row(
            "mean_pairwise_distance",
            "mean pairwise distance",
            tuple(mean_pairwise_estimate(own, random_seed=random_seed) for own in encodings),
        ),
        Row("distance_ratio", "first run's distance / this one's", _ratios(encodings, random_seed)),
        Row("vendi_cosine", "Vendi score, cosine", _vendi(encodings, cosine_kernel, random_seed)),
        Row(
            "vendi_gaussian",
            f"Vendi score, Gaussian of width {bandwidth:.3g}",
            _vendi(encodings, lambda own: gaussian_kernel(own, bandwidth), random_seed),
        ),
        Row(
            "near_duplicate_share",
            "share of near-duplicates",
            tuple(_duplicates(own, near * unrelated_distance) for own in encodings),
        ),
        *_filling(runs),
        Row("passes_per_sample", "network passes per sample", tuple(_per_sample(run) for run in runs)),
        Row("seconds", "seconds", tuple(_known(run.seconds) for run in runs)),
        Row("lowest_code", "lowest entry of a code", _codes(runs, torch.min)),
        Row("highest_code", "highest entry of a code", _codes(runs, torch.max)),
        Row("mean_code_norm", "mean norm of a code", _codes(runs, lambda codes: codes.norm(dim=1).mean())),
    ]
    return rows + _independent(runs, random_seed)


def pooled_bandwidth(encodings: Sequence[Tensor]) -> float:
    """Half the median distance between encodings of all the (n, d) sets together, an equal share of each.

    Of large sets it is that of evenly spaced samples, `POOLED` in all.
    """
    each = max(2, POOLED // len(encodings))
    thinned = [own[torch.linspace(0, len(own) - 1, min(each, len(own))).round().long()] for own in encodings]
    return half_median_bandwidth(torch.cat(thinned))


def cosine_kernel(encodings: Tensor) -> Tensor:
    """(n, d) -> (n, n) float64 cosines, as in `cosine_vendi`; NaN for an encoding that is zero."""
    unit = encodings.detach().double()
    unit = unit / unit.abs().amax(dim=1, keepdim=True)
    unit = unit / torch.linalg.vector_norm(unit, dim=1, keepdim=True)
    return unit @ unit.T


def gaussian_kernel(encodings: Tensor, bandwidth: float) -> Tensor:
    """(n, d) -> (n, n) float64, exp(−‖a − b‖²/(2h²)), as in `gaussian_vendi`; at h = 0 only equals are alike."""
    kernel = torch.zeros(len(encodings), len(encodings), dtype=torch.float64)
    for block, distances in blocks(encodings.double()):
        kernel[block, : block.stop] = (distances / bandwidth).square().div(-2).exp().where(distances != 0, 1.0)
    return kernel.tril() + kernel.tril(-1).T


def _vendi(
    encodings: Sequence[Tensor], kernel_of: Callable[[Tensor], Tensor], random_seed: int
) -> tuple[Estimate, ...]:
    """The scores with jackknife intervals: a kernel is computed once, and a part of it is the kernel of a part."""
    estimates = []
    for own in encodings:
        kernel = kernel_of(own)

        def score(rows: Tensor, kernel: Tensor = kernel) -> float:
            return vendi_score(kernel[rows][:, rows])

        estimates.append(jackknife(torch.arange(len(own)), score, random_seed=random_seed))
    return tuple(estimates)


def _ratios(encodings: Sequence[Tensor], random_seed: int) -> tuple[Estimate | None, ...]:
    first, *others = encodings
    return None, *(distance_ratio(first, other, random_seed=random_seed) for other in others)


def _duplicates(encodings: Tensor, threshold: float) -> float | None:
    return None if math.isnan(threshold) else near_duplicates(encodings, threshold).float().mean().item()


def _filling(runs: Sequence[Measured]) -> list[Row]:
    rows = []
    for index in range(max(len(run.units) for run in runs)):
        key, title = _of_unit("uniform_distance", "distance from filling the range evenly", runs, index)
        cells = tuple(
            _known(uniform_distance(run.activations[:, index], *run.ranges[index])) if index < len(run.units) else None
            for run in runs
        )
        rows.append(Row(key, title, cells))
    return rows


def _codes(runs: Sequence[Measured], statistic: Callable[[Tensor], Tensor]) -> tuple[float | None, ...]:
    return tuple(
        None if run.codes is None or not run.codes.numel() else _known(float(statistic(run.codes))) for run in runs
    )


def _independent(runs: Sequence[Measured], random_seed: int) -> list[Row]:
    """What another network sees: how many kinds of sample, and whether the unit's class."""
    features = [run.features.detach().float().cpu() for run in runs if run.features is not None]
    if len(features) < len(runs):
        return []
    bandwidth = pooled_bandwidth(features)
    scores = _vendi(features, lambda own: gaussian_kernel(own, bandwidth), random_seed)
    rows = [Row("feature_vendi_gaussian", f"features: Vendi, Gaussian of width {bandwidth:.3g}", scores)]
    for index in range(max(len(run.classes) for run in runs)):
        for k in TOPS:
            cells = tuple(_agreement(run, index, k) for run in runs)
            if any(cell is not None for cell in cells):
                rows.append(
                    Row(*_of_unit(f"agreement_top_{k}", f"features: class among the top {k}", runs, index), cells)
                )
    return rows


def _agreement(run: Measured, index: int, k: int) -> Estimate | None:
    row = run.classes[index] if index < len(run.classes) else None
    if run.logits is None or row is None or k > run.logits.shape[1]:
        return None
    return agreement(run.logits, row, k)


def _of_unit(key: str, title: str, runs: Sequence[Measured], index: int) -> tuple[str, str]:
    """A row's names: with the unit, or its place where runs have different ones, if some run has several."""
    if max(len(run.units) for run in runs) == 1:
        return key, title
    names = {run.units[index] for run in runs if index < len(run.units)}
    return f"{key}_{index + 1}", f"{title}, {names.pop() if len(names) == 1 else f'unit {index + 1}'}"


def _per_sample(run: Measured) -> float | None:
    return None if run.passes is None else run.passes / run.total


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
