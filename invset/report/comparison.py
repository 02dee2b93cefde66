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

from invset.metrics.estimate import Estimate
from invset.metrics.filling import uniform_distance
from invset.metrics.pairwise import distance_ratio, mean_pairwise_estimate, near_duplicates
from invset.metrics.saturation import ALIKE, Novelty
from invset.metrics.share import in_range, in_top, share
from invset.metrics.vendi import cosine_kernel, gaussian_kernel, pooled_bandwidth, vendi_estimate
from invset.report.readings import Measured
from invset.report.runs import FinishedRun, count_passes
from invset.report.tables import Row, Value

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

    def passes(run: FinishedRun) -> int | None:
        return count_passes(run.summary)

    def steps_after_seeds(run: FinishedRun) -> float:
        return run.number("gradient_steps") - run.number("seed_steps")

    return [
        _row("method", "method", budgets, lambda run: run.method),
        _row("samples", "samples in the folder", budgets, lambda run: run.count),
        _row("delivered", "share of the wanted samples", budgets, lambda run: _over(run.count, run.number("wanted"))),
        _row("n", "samples compared", runs, lambda run: len(run.encodings)),
        _row("share_in_range", "share of tried codes in range", budgets, lambda run: run.number("acceptance")),
        *_within(runs),
        *_variety([run.encodings for run in runs], near * unrelated_distance, ALIKE * unrelated_distance, random_seed),
        *_filling(runs),
        _row("passes_per_sample", "network passes per sample", budgets, lambda run: _over(passes(run), run.count)),
        _row("passes", "network passes", budgets, passes),
        _row("gradient_steps", "gradient steps", budgets, lambda run: run.number("gradient_steps")),
        _row("seed_steps", "gradient steps for the seeds", budgets, lambda run: run.number("seed_steps")),
        _row("sample_steps", "gradient steps after the seeds", budgets, steps_after_seeds),
        _row("seconds", "seconds", budgets, lambda run: run.number("seconds")),
        _of_codes("lowest_code", "lowest entry of a code", runs, torch.min),
        _of_codes("highest_code", "highest entry of a code", runs, torch.max),
        _of_codes("mean_code_norm", "mean norm of a code", runs, lambda codes: codes.norm(dim=1).mean()),
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

    return [_row("share_within", "share of samples in the first run's range", runs, within)]


def _variety(encodings: Sequence[Tensor], near: float, alike: float, random_seed: int) -> list[Row]:
    """How varied the samples are; all dashes where no run has any."""
    first, bandwidth = encodings[0], pooled_bandwidth(encodings)
    width = "" if math.isnan(bandwidth) else f" of width {bandwidth:.3g}"

    def row(key: str, title: str, measure: Callable[[Tensor], Value]) -> Row:
        return _row(key, title, encodings, lambda own: measure(own) if len(own) else None)

    def ratio(own: Tensor) -> Value:
        return distance_ratio(first, own, random_seed) if own is not first and len(first) else None

    def gaussian(own: Tensor) -> Estimate:
        return vendi_estimate(gaussian_kernel(own, bandwidth), random_seed)

    def unlike(own: Tensor) -> float:
        """How many are farther than the radius from each earlier one that was."""
        return math.nan if math.isnan(alike) else sum(Novelty.none(alike).extended(own).new)

    def duplicates(own: Tensor) -> float:
        return math.nan if math.isnan(near) else near_duplicates(own, near).float().mean().item()

    return [
        row("mean_pairwise_distance", "mean pairwise distance", lambda own: mean_pairwise_estimate(own, random_seed)),
        row("distance_ratio", "first run's distance / this one's", ratio),
        row("vendi_cosine", "Vendi score, cosine", lambda own: vendi_estimate(cosine_kernel(own), random_seed)),
        row("vendi_gaussian", f"Vendi score, Gaussian{width}", gaussian),
        row("unlike_each_other", "distinct images", unlike),
        row("near_duplicate_share", "share of near-duplicates", duplicates),
    ]


def _filling(runs: Sequence[Measured]) -> list[Row]:
    def filling(one: Measured, index: int) -> float | None:
        if index >= len(one.run.units) or not len(one.activations):
            return None
        return uniform_distance(one.activations[:, index], *one.run.ranges[index])

    return _of_units("uniform_distance", "distance from filling the range evenly", runs, filling)


def _of_codes(key: str, title: str, runs: Sequence[Measured], statistic: Callable[[Tensor], Tensor]) -> Row:
    return _row(
        key, title, runs, lambda run: None if run.codes is None or not len(run.codes) else statistic(run.codes).item()
    )


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
    rows = [_row("feature_vendi_gaussian", title, runs, vendi)]
    rows.append(_row("seen", "the independent network most often sees", runs, lambda run: run.top_classes))
    for k in TOPS:
        title = f"class in the top {k} of the independent network"
        rows += _of_units(f"agreement_top_{k}", title, runs, partial(agreement, k=k))
    return [row for row in rows if any(cell is not None for cell in row.cells)]


def _of_units(key: str, title: str, runs: Sequence[Measured], measure: Callable[[Measured, int], Value]) -> list[Row]:
    """A row for each unit; named by it, or by its place where runs have different ones, if some run has several."""
    rows = []
    most = max(len(one.run.units) for one in runs)
    for index in range(most):
        names = {one.run.units[index] for one in runs if index < len(one.run.units)}
        own_key = key if most == 1 else f"{key}_{index + 1}"
        own_title = title if most == 1 else f"{title}, {names.pop() if len(names) == 1 else f'unit {index + 1}'}"
        rows.append(_row(own_key, own_title, [(run, index) for run in runs], lambda pair: measure(*pair)))
    return rows


def _row(key: str, title: str, items: Sequence[Item], measure: Callable[[Item], Value]) -> Row:
    """A measure of every run, given the runs, or what is measured of them; nothing where it is NaN."""
    cells = (measure(item) for item in items)
    return Row(key, title, tuple(None if isinstance(cell, float) and math.isnan(cell) else cell for cell in cells))


def _over(part: float | None, whole: float) -> float | None:
    return None if part is None or not whole > 0 else part / whole
