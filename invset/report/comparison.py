"""Runs side by side as rows of numbers: every measure at equal n, each with its interval where it has one.

Budgets (passes, steps, seconds, the share of codes in range) are of whole runs, all else of n samples a run. A run of
fewer than n samples stands in the table with its budget alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor

from invset.metrics.duplicates import near_duplicates
from invset.metrics.estimate import Estimate
from invset.metrics.filling import uniform_distance
from invset.metrics.pairwise import distance_ratio, mean_pairwise_estimate
from invset.metrics.saturation import ALIKE, Found
from invset.metrics.share import in_range, in_top, share
from invset.metrics.vendi import cosine_kernel, gaussian_kernel, pooled_bandwidth, vendi_estimate
from invset.report.readings import Measured
from invset.report.runs import count_passes
from invset.report.tables import Cell, Row

TOPS = (1, 5)
Item = TypeVar("Item")


def compare(runs: Sequence[Measured], unrelated_distance: float, near: float, random_seed: int = 0) -> list[Row]:
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
    budgets = [run.run for run in runs]
    steps, seed_steps = ([run.number(name) for run in budgets] for name in ("gradient_steps", "seed_steps"))
    return [
        Row("method", "method", tuple(run.method for run in budgets)),
        Row("samples", "samples in the folder", _each(budgets, lambda run: run.count)),
        Row(
            "delivered",
            "share of the wanted samples",
            _each(budgets, lambda run: _over(run.count, run.number("wanted"))),
        ),
        Row("n", "samples compared", _each(runs, lambda run: len(run.encodings))),
        Row("share_in_range", "share of tried codes in range", _each(budgets, lambda run: run.number("acceptance"))),
        *_within(runs),
        *_variety([run.encodings for run in runs], near * unrelated_distance, ALIKE * unrelated_distance, random_seed),
        *_filling(runs),
        Row(
            "passes_per_sample",
            "network passes per sample",
            _each(budgets, lambda run: _over(count_passes(run.summary), run.count)),
        ),
        Row("passes", "network passes", _each(budgets, lambda run: count_passes(run.summary))),
        Row("gradient_steps", "gradient steps", _each(steps, float)),
        Row("seed_steps", "gradient steps for the seeds", _each(seed_steps, float)),
        Row(
            "sample_steps",
            "gradient steps after the seeds",
            _each(range(len(runs)), lambda i: steps[i] - seed_steps[i]),
        ),
        Row("seconds", "seconds", _each(budgets, lambda run: run.number("seconds"))),
        Row("lowest_code", "lowest entry of a code", _codes(runs, torch.min)),
        Row("highest_code", "highest entry of a code", _codes(runs, torch.max)),
        Row("mean_code_norm", "mean norm of a code", _codes(runs, lambda codes: codes.norm(dim=1).mean())),
        *_independent(runs, random_seed),
    ]


def _within(runs: Sequence[Measured]) -> list[Row]:
    """How many samples lie in the first run's ranges, where some run has others, as one that aims at none."""
    first = runs[0].run
    if all(one.run.ranges == first.ranges or one.run.units != first.units for one in runs):
        return []

    def within(one: Measured) -> Estimate | None:
        if one.run.units != first.units or not len(one.activations):
            return None
        inside = torch.stack([in_range(one.activations[:, index], *ends) for index, ends in enumerate(first.ranges)])
        return share(int(inside.all(dim=0).sum()), len(one.activations))

    return [Row("share_within", "share of samples in the first run's range", _each(runs, within))]


def _variety(encodings: Sequence[Tensor], near: float, alike: float, random_seed: int) -> list[Row]:
    """How varied the samples are; all dashes where no run has any."""
    first, bandwidth = encodings[0], pooled_bandwidth(encodings)
    width = "" if math.isnan(bandwidth) else f" of width {bandwidth:.3g}"

    def of_samples(key: str, title: str, measure: Callable[[Tensor], Cell]) -> Row:
        return Row(key, title, _each(encodings, lambda own: measure(own) if len(own) else None))

    def ratio(own: Tensor) -> Cell:
        return distance_ratio(first, own, random_seed) if own is not first and len(first) else None

    def duplicates(own: Tensor) -> float:
        return math.nan if math.isnan(near) else near_duplicates(own, near).float().mean().item()

    def unlike(own: Tensor) -> float:
        """How many are farther than the radius from each earlier one that was."""
        return math.nan if math.isnan(alike) else sum(Found.none(alike).extended(own).new)

    return [
        of_samples(
            "mean_pairwise_distance", "mean pairwise distance", lambda own: mean_pairwise_estimate(own, random_seed)
        ),
        of_samples("distance_ratio", "first run's distance / this one's", ratio),
        of_samples("vendi_cosine", "Vendi score, cosine", lambda own: vendi_estimate(cosine_kernel(own), random_seed)),
        of_samples(
            "vendi_gaussian",
            f"Vendi score, Gaussian{width}",
            lambda own: vendi_estimate(gaussian_kernel(own, bandwidth), random_seed),
        ),
        of_samples("unlike_each_other", "samples unlike all before them", unlike),
        of_samples("near_duplicate_share", "share of near-duplicates", duplicates),
    ]


def _filling(runs: Sequence[Measured]) -> list[Row]:
    def filling(one: Measured, index: int) -> float | None:
        if index >= len(one.run.units) or not len(one.activations):
            return None
        return uniform_distance(one.activations[:, index], *one.run.ranges[index])

    return _of_units("uniform_distance", "distance from filling the range evenly", runs, filling)


def _codes(runs: Sequence[Measured], statistic: Callable[[Tensor], Tensor]) -> tuple[Cell, ...]:
    return _each(runs, lambda run: None if run.codes is None or not run.codes.numel() else statistic(run.codes).item())


def _independent(runs: Sequence[Measured], random_seed: int) -> list[Row]:
    """What another network sees: how many kinds of sample, and whether the unit's class."""
    if all(run.features is None for run in runs) or any(run.features is None and len(run.encodings) for run in runs):
        return []
    bandwidth = pooled_bandwidth([run.features for run in runs if run.features is not None])

    def vendi(run: Measured) -> Estimate | None:
        features = run.features
        return None if features is None else vendi_estimate(gaussian_kernel(features, bandwidth), random_seed)

    def agreement(run: Measured, index: int, k: int) -> Estimate | None:
        row = run.classes[index] if index < len(run.classes) else None
        if run.logits is None or row is None or k > run.logits.shape[1]:
            return None
        return share(int(in_top(run.logits, row, k).sum()), len(run.logits))

    title = f"Vendi score of independent features, Gaussian of width {bandwidth:.3g}"
    rows = [Row("feature_vendi_gaussian", title, _each(runs, vendi))]
    rows.append(Row("seen", "the independent network most often sees", tuple(run.seen for run in runs)))
    for k in TOPS:
        title = f"class in the top {k} of the independent network"
        rows += _of_units(f"agreement_top_{k}", title, runs, partial(agreement, k=k))
    return [row for row in rows if any(cell is not None for cell in row.cells)]


def _of_units(key: str, title: str, runs: Sequence[Measured], measure: Callable[[Measured, int], Cell]) -> list[Row]:
    """A row for each unit; named by it, or by its place where runs have different ones, if some run has several."""
    rows = []
    most = max(len(one.run.units) for one in runs)
    for index in range(most):
        names = {one.run.units[index] for one in runs if index < len(one.run.units)}
        own_key = key if most == 1 else f"{key}_{index + 1}"
        own_title = title if most == 1 else f"{title}, {names.pop() if len(names) == 1 else f'unit {index + 1}'}"
        rows.append(Row(own_key, own_title, tuple(_known(measure(run, index)) for run in runs)))
    return rows


def _each(items: Sequence[Item], measure: Callable[[Item], Cell]) -> tuple[Cell, ...]:
    return tuple(_known(measure(item)) for item in items)


def _known(cell: Cell) -> Cell:
    return None if isinstance(cell, float) and math.isnan(cell) else cell


def _over(part: float | None, whole: float) -> float | None:
    return None if part is None or not whole > 0 else part / whole
