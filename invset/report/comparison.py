"""Runs side by side as rows of numbers: every measure at equal n, each with its interval where it has one.

Budgets (passes, steps, seconds, the share of codes in range) are of whole runs. All else is of n samples a run, drawn
at random without replacement where a run has more: the first n would be other samples than a run's usual ones, as they
lie closest to its starts. A run of fewer than n samples stands in the table with its budget alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from invset.metrics.agreement import agreement
from invset.metrics.duplicates import near_duplicates
from invset.metrics.estimate import Estimate
from invset.metrics.filling import uniform_distance
from invset.metrics.pairwise_interval import mean_pairwise_estimate
from invset.metrics.ratio import distance_ratio
from invset.metrics.saturation import ALIKE, Found
from invset.metrics.share import in_range, share
from invset.metrics.vendi import cosine_kernel, gaussian_kernel
from invset.report.kernels import pooled_bandwidth, vendi_estimates
from invset.report.measured import Cell, Measured, Row

TOPS = (1, 5)


def compared(runs: Sequence[Measured], unrelated_distance: float, near: float, random_seed: int = 0) -> list[Row]:
    """All rows of the table.

    Args:
        runs: one or more, of equal n ≥ 2 or of no samples, encoded by one encoder.
        unrelated_distance: between encodings of unrelated codes, in units of encoding; NaN where not known.
        near: share of it under which samples are near-duplicates.
        random_seed: of intervals.

    Raises:
        ValueError: there is no run, or they have not equal n.
    """
    sizes = {len(run.encodings) for run in runs} - {0}
    if not runs or len(sizes) > 1 or 1 in sizes:
        raise ValueError("runs are compared at equal n, 2 or more, and there is one or more")
    encodings = [run.encodings.detach().float().cpu() for run in runs]
    rows = [
        Row("method", "method", tuple(run.method for run in runs)),
        Row("samples", "samples in the folder", tuple(float(run.total) for run in runs)),
        Row("delivered", "share of the wanted samples", tuple(_delivered(run) for run in runs)),
        Row("n", "samples compared", tuple(float(len(own)) for own in encodings)),
        Row("share_in_range", "share of tried codes in range", tuple(_known(run.in_range) for run in runs)),
        *_within(runs),
        *_variety(encodings, near * unrelated_distance, ALIKE * unrelated_distance, random_seed),
        *_filling(runs),
        Row("passes_per_sample", "network passes per sample", tuple(_per_sample(run) for run in runs)),
        Row("passes", "network passes", tuple(None if run.passes is None else float(run.passes) for run in runs)),
        Row("gradient_steps", "gradient steps", tuple(_known(run.steps) for run in runs)),
        Row("seed_steps", "gradient steps for the seeds", tuple(_known(run.seed_steps) for run in runs)),
        Row(
            "sample_steps", "gradient steps after the seeds", tuple(_known(run.steps - run.seed_steps) for run in runs)
        ),
        Row("seconds", "seconds", tuple(_known(run.seconds) for run in runs)),
        Row("lowest_code", "lowest entry of a code", _codes(runs, torch.min)),
        Row("highest_code", "highest entry of a code", _codes(runs, torch.max)),
        Row("mean_code_norm", "mean norm of a code", _codes(runs, lambda codes: codes.norm(dim=1).mean())),
    ]
    return rows + _independent(runs, random_seed)


def _variety(encodings: Sequence[Tensor], near: float, alike: float, random_seed: int) -> list[Row]:
    """How varied the samples are; all dashes where no run has any."""
    bandwidth = pooled_bandwidth(encodings)
    return [
        Row(
            "mean_pairwise_distance",
            "mean pairwise distance",
            _each(encodings, lambda own: mean_pairwise_estimate(own, random_seed=random_seed)),
        ),
        Row("distance_ratio", "first run's distance / this one's", _ratios(encodings, random_seed)),
        Row("vendi_cosine", "Vendi score, cosine", vendi_estimates(encodings, cosine_kernel, random_seed)),
        Row(
            "vendi_gaussian",
            "Vendi score, Gaussian" + ("" if math.isnan(bandwidth) else f" of width {bandwidth:.3g}"),
            vendi_estimates(encodings, lambda own: gaussian_kernel(own, bandwidth), random_seed),
        ),
        Row("unlike_each_other", "samples unlike all before them", _each(encodings, lambda own: _unlike(own, alike))),
        Row("near_duplicate_share", "share of near-duplicates", _each(encodings, lambda own: _duplicates(own, near))),
    ]


def _within(runs: Sequence[Measured]) -> list[Row]:
    """How many samples lie in the first run's ranges, where some run has others, as one that aims at none."""
    first = runs[0]
    others = [run for run in runs if run.ranges != first.ranges and run.units == first.units]
    if not others:
        return []
    return [
        Row("share_within", "share of samples in the first run's range", tuple(_inside(run, first) for run in runs))
    ]


def _inside(run: Measured, first: Measured) -> Estimate | None:
    if run.units != first.units or not len(run.activations):
        return None
    inside = torch.stack([in_range(run.activations[:, index], *ends) for index, ends in enumerate(first.ranges)])
    return share(int(inside.all(dim=0).sum()), len(run.activations))


def _each(encodings: Sequence[Tensor], measure: Callable[[Tensor], Cell]) -> tuple[Cell, ...]:
    return tuple(measure(own) if len(own) else None for own in encodings)


def _ratios(encodings: Sequence[Tensor], random_seed: int) -> tuple[Cell, ...]:
    first, *others = encodings
    if not len(first):
        return (None,) * len(encodings)
    return None, *_each(others, lambda other: distance_ratio(first, other, random_seed=random_seed))


def _duplicates(encodings: Tensor, threshold: float) -> float | None:
    return None if math.isnan(threshold) else near_duplicates(encodings, threshold).float().mean().item()


def _unlike(encodings: Tensor, radius: float) -> float | None:
    """How many are farther than the radius from each earlier one that was."""
    return None if math.isnan(radius) else float(sum(Found.none(radius).and_these(encodings).new))


def _filling(runs: Sequence[Measured]) -> list[Row]:
    rows = []
    for index in range(max(len(run.units) for run in runs)):
        key, title = _of_unit("uniform_distance", "distance from filling the range evenly", runs, index)
        cells = tuple(
            _known(uniform_distance(run.activations[:, index], *run.ranges[index]))
            if index < len(run.units) and len(run.activations)
            else None
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
    if all(run.features is None for run in runs) or any(run.features is None and len(run.encodings) for run in runs):
        return []
    features = [torch.empty(0, 1) if run.features is None else run.features.detach().float().cpu() for run in runs]
    bandwidth = pooled_bandwidth(features)
    scores = vendi_estimates(features, lambda own: gaussian_kernel(own, bandwidth), random_seed)
    rows = [
        Row("feature_vendi_gaussian", f"Vendi score of independent features, Gaussian of width {bandwidth:.3g}", scores)
    ]
    if any(run.seen is not None for run in runs):
        rows.append(Row("seen", "the independent network most often sees", tuple(run.seen for run in runs)))
    for index in range(max(len(run.classes) for run in runs)):
        for k in TOPS:
            cells = tuple(_agreement(run, index, k) for run in runs)
            if any(cell is not None for cell in cells):
                rows.append(
                    Row(
                        *_of_unit(
                            f"agreement_top_{k}", f"class in the top {k} of the independent network", runs, index
                        ),
                        cells,
                    )
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


def _delivered(run: Measured) -> float | None:
    return run.total / run.wanted if run.wanted > 0 else None


def _per_sample(run: Measured) -> float | None:
    return None if run.passes is None or not run.total else run.passes / run.total


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
