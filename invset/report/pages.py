"""What goes round the table: notes on how to read it, and pictures of the samples compared."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from invset.report.figures import Panel, histograms, rows_of_images, spread_rows
from invset.report.measured import Measured, chosen
from invset.report.readings import pictured
from invset.report.runs import FinishedRun


def notes(
    runs: Sequence[FinishedRun],
    names: Sequence[str],
    n: int,
    where: str,
    random_seed: int,
) -> list[str]:
    """What has to be known to read the table: how samples were chosen, and in what runs differ from the first.

    `where` says in what distances are taken, as "in fc6 of mini".
    """
    lines = [
        f"Distances are {where}; {n} samples of each run.",
        "Brackets hold 95 % intervals, for independent samples: those of one chain are alike, and know less.",
    ]
    for run, name in zip(runs, names, strict=True):
        if run.count < max(n, 2):
            lines.append(f"{name} has {_too_few(run)}: its budget alone is compared.")
    if drawn := [name for run, name in zip(runs, names, strict=True) if run.count > n >= 2]:
        lines.append(f"A random subset (seed={random_seed}) stands for {', '.join(drawn)}; budgets are of whole runs.")
    for run, name in zip(runs[1:], names[1:], strict=True):
        if run.units != runs[0].units:
            lines.append(f"{name} is of another unit: {', '.join(run.units)} instead of {', '.join(runs[0].units)}.")
        elif run.ranges != runs[0].ranges:
            lines.append(f"{name} has another range: {_in_words(run)} instead of {_in_words(runs[0])}.")
    for run, name in zip(runs, names, strict=True):
        if run.summary.get("status") != "complete" and run.count:
            wanted = run.summary.get("wanted")
            lines.append(f"{name} is {run.summary.get('status')}: {run.count} of {wanted} samples.")
    return lines


def _too_few(run: FinishedRun) -> str:
    if run.count:
        return f"{run.count} sample{'s' if run.count > 1 else ''}"
    closest = run.summary.get("closest")
    reached = closest.get("activations") if isinstance(closest, dict) else None
    if not isinstance(reached, list) or not all(type(value) in (int, float) for value in reached):
        return "no samples"
    return f"no samples (the closest code gave {', '.join(f'{value:.4g}' for value in reached)})"


def _in_words(run: FinishedRun) -> str:
    return ", ".join(f"[{low:g}, {high:g}]" for low, high in run.ranges)


def pictures(runs: Sequence[FinishedRun], samples: Sequence[Measured], n: int, random_seed: int) -> list[Image.Image]:
    """For each run a row of images in order of activation; and for each run and unit a histogram.

    Raises:
        RunFolderError: an image is missing or damaged.
    """
    titles, images, captions, panels = [], [], [], []
    for run, one in zip(runs, samples, strict=True):
        all_rows = chosen(run.count, n, random_seed) if len(one.encodings) else []
        picked = spread_rows(one.activations[:, 0])
        targets = " and ".join(
            f"{unit} in [{z1:g}, {z2:g}]" for unit, (z1, z2) in zip(run.units, run.ranges, strict=True)
        )
        titles.append(f"{one.name} ({one.method})\n{targets}")
        images.append(pictured(run, [all_rows[row] for row in picked]))
        captions.append(["  ".join(f"{value:.4g}" for value in one.activations[row].tolist()) for row in picked])
        panels += [
            Panel(f"{one.name} ({one.method})  {unit}", one.activations[:, index], *run.ranges[index])
            for index, unit in enumerate(run.units)
        ]
    return [rows_of_images(titles, images, captions), histograms(panels)]
