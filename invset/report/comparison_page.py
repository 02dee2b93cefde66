"""What goes round the table of a comparison: notes on how to read it, and pictures of the samples compared."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from invset.report.readings import Measured
from invset.report.runs import FinishedRun, closest_activations, spread_rows
from invset.run.sheet import COLUMNS, Strip, sheet


def comparison_notes(samples: Sequence[Measured], n: int, where: str, random_seed: int) -> list[str]:
    """What has to be known to read the table: how samples were chosen, and in what runs differ from the first.

    `where` says in what distances are taken, as "in fc6 of mini".
    """
    lines = [
        f"Distances are {where}; {n} samples of each run.",
        "Brackets hold 95 % intervals, for independent samples: those of one chain are alike, and know less.",
    ]
    first = samples[0].run
    subset = [one.name for one in samples if one.run.count > n >= 2]
    if subset:
        lines.append(
            f"A random subset (random seed {random_seed}) stands for {', '.join(subset)}; budgets are of whole runs."
        )
    for one in samples:
        run, status = one.run, one.run.summary.get("status")
        if run.count < max(n, 2):
            lines.append(f"{one.name} has {_too_few(run)}: its budget alone is compared.")
        if run.units != first.units:
            lines.append(f"{one.name} is of another unit: {', '.join(run.units)} instead of {', '.join(first.units)}.")
        elif (run.ranges, run.settings.constraint) != (first.ranges, first.settings.constraint):
            lines.append(f"{one.name} has another range: {run.target} instead of {first.target}.")
        if status != "complete" and run.count:
            lines.append(f"{one.name} is {status}: {run.count} of {run.summary.get('wanted')} samples.")
    return lines


def comparison_rows(samples: Sequence[Measured]) -> Image.Image:
    """For each run a row of images in order of activation. Raises RunFolderError: one is missing or damaged."""
    rows = []
    for one in samples:
        picked = [one.rows[row] for row in spread_rows(one.activations[:, 0], COLUMNS)]
        rows.append(Strip(one.run.cells(picked), f"{one.name} ({one.run.method})\n{one.run.target}"))
    return sheet(f"{len(rows)} runs, samples in order of activation", rows)


def comparison_histograms(samples: Sequence[Measured]) -> Image.Image:
    """For each run and unit a histogram of activations."""
    from invset.report.plots import Panel, histograms

    return histograms(
        [
            Panel(f"{one.name} ({one.run.method})  {unit}", one.activations[:, index], *one.run.ranges[index])
            for one in samples
            for index, unit in enumerate(one.run.units)
        ]
    )


def _too_few(run: FinishedRun) -> str:
    if run.count:
        return f"{run.count} sample{'s' if run.count > 1 else ''}"
    closest = ", ".join(f"{value:.4g}" for value in closest_activations(run.summary))
    return f"no samples (the closest code gave {closest})" if closest else "no samples"
