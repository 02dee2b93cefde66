"""What is said of a run: of its settings as it begins; at its end how many samples, how many distinct, what to do."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from invset.assemble.reach import suggest_instead, write_ranges
from invset.assemble.sampling import Sampling
from invset.cli.overrides import chosen_models, key_of
from invset.cli.terminal import resume_command, shorten, write_time
from invset.metrics.saturation import WINDOW
from invset.run.folder import RunFolder
from invset.run.json_files import read_json
from invset.settings import SampleSettings

UNEVEN = 0.1  # from a range filled evenly, of Kolmogorov and Smirnov
FEW = 0.1  # share of new ones among the last samples, up to which few more would come
CHANCE = 1.36  # over √n: what one in twenty sets of n numbers drawn evenly exceeds


def describe_settings(settings: SampleSettings, sampling: Sampling) -> Iterator[str]:
    """Lines on ranges that were found, on classes that are hardly known, and on settings that are passed over."""
    if sampling.found:
        yield sampling.found
    yield from sampling.unknown
    if sampling.unused:
        yield f"{' and '.join(sampling.unused)}: not used by method={settings.method.name}"


def describe_outcome(
    figures: Mapping[str, Any], sampling: Sampling, folder: RunFolder, alone: bool = True
) -> list[str]:
    """Lines on what came out, how much of it is distinct, what to do if it is not what was wanted, and the picture.

    `figures` are those of summary.json; how to go on is said of a run `alone`, not of one in a sweep.
    """
    where = shorten(folder.paths.root)
    at_plateau = figures["until"] == "plateau" and figures["plateau"]
    how_many = f"{figures['samples']}" if at_plateau else f"{figures['samples']} of {figures['wanted']}"
    lines = [f"{how_many} samples in range{' until the plateau' * at_plateau}, {write_time(figures['seconds'])}"]
    if figures["samples"] > 1:
        lines.append(_describe_distinct(figures["coverage"]))
        lines += _describe_filling(figures, sampling)
    if figures["chains_not_finite"]:
        lines.append(f"{figures['chains_not_finite']} times a code gave NaN or infinity, and its chain started anew")
    if figures["status"] == "complete" and figures["until"] == "plateau" and not at_plateau:
        more = f"n={2 * figures['n']}"
        lines.append(
            f"no plateau by n={figures['n']}: it takes fewer than {100 * figures['gain']:g} new of 100 "
            f"(gain={figures['gain']:g}); to go on: {resume_command(folder.paths.root, more)}"
        )
    if figures["status"] in ("unreachable", "incomplete"):
        lines += _describe_shortfall(figures, sampling, folder)
    if figures["status"] in ("interrupted", "failed") and alone:
        lines.append(f"to go on: {resume_command(folder.paths.root)}")
    picture = folder.paths.samples if figures["samples"] else folder.paths.seeds
    return [*lines, f"{where}/{picture.name}" if picture.exists() else f"{where}"]


def describe_finished(settings: SampleSettings, folder: RunFolder) -> str:
    """That there is nothing to go on with, and how to get more."""
    paths = folder.paths
    summary = read_json(paths.summary)
    what, more = f"has all its {settings.n} samples", f"n={2 * settings.n}"
    if settings.until == "plateau" and summary.get("plateau") is True:
        what, more = f"came to its plateau with {summary.get('samples')} samples", f"until=n n={settings.n}"
    return f"this run {what}; nothing to do. For more: {resume_command(paths.root, more)}"


def _describe_distinct(counts: Mapping[str, Any]) -> str:
    """How many distinct images there are, and whether a larger n would bring more, where there are enough to tell."""
    distinct = f"{counts['new']} distinct image{'s' * (counts['new'] != 1)}"
    if counts["last"] < WINDOW:
        return distinct
    more = "few more would come" if counts["new_of_last"] <= FEW * WINDOW else "more would come"
    return f"{distinct}; {more} with a larger n: {counts['new_of_last'] or 'none'} of the last {WINDOW} were new"


def _describe_filling(figures: Mapping[str, Any], sampling: Sampling) -> list[str]:
    """A line on ranges that were to be filled evenly and are not, by more than chance."""
    if not sampling.even:
        return []
    chance = CHANCE / math.sqrt(figures["samples"])
    parts = [
        f"half of the samples lie below {filled['median']:.4g}, and the middle of [{low:g}, {high:g}] is "
        f"{(low + high) / 2:g}"
        for (low, high), filled in zip(sampling.targets.ranges, figures["filling"], strict=True)
        if filled["uniform_distance"] > max(UNEVEN, chance)
    ]
    return [f"the range is not filled evenly: {'; '.join(parts)}"] if parts else []


def _describe_shortfall(figures: Mapping[str, Any], sampling: Sampling, folder: RunFolder) -> list[str]:
    what = "not reached" if figures["status"] == "unreachable" else "too seldom reached"
    units, region = sampling.models.units, sampling.region
    activations = figures.get("closest", {}).get("activations", [])
    closest = ", ".join(
        f"{unit.describe()} {value:.4g} (wanted {f'[{low:g}, {high:g}]' if high < math.inf else f'>= {low:g}'})"
        for unit, value, low, high in zip(
            units, activations, region.lower.tolist(), region.upper.tolist(), strict=False
        )
    )
    names = ",".join(map(str, units))
    neuron = f"neuron={names}" if len(units) == 1 else f"'neuron=[{names}]'"
    lines = [f"the range was {what}: the closest code gave {closest}"]
    if figures["status"] == "unreachable" and (instead := _suggest_instead(figures, sampling, folder)):
        lines.append(f"what it came past on its way: {instead}")
    return [*lines, f"to see what can be reached: invset probe {neuron}{chosen_models()}"]


def _suggest_instead(figures: Mapping[str, Any], sampling: Sampling, folder: RunFolder) -> str | None:
    """The run's own command with ranges that its chains came past."""
    ranges: list[tuple[float, float]] = []
    activations = [figures.get(name, {}).get("activations", []) for name in ("first", "closest")]
    outside = sampling.region.to("cpu").violation(torch.tensor([activations[1]]))[0].tolist() if activations[1] else []
    for first, closest, wanted, away in zip(*activations, sampling.targets.ranges, outside, strict=False):
        found = suggest_instead(first, closest) if away else wanted
        if found is None:
            return None
        ranges.append(found)
    units = [str(unit) for unit in sampling.models.units]
    neuron = f"[{','.join(units)}]" if len(units) > 1 else units[0]
    given = [word for word in folder.manifest["overrides"] if key_of(word) not in ("neuron", "range", "position")]
    kept = [word for word in given if not key_of(word).startswith(("resume", "hydra"))]
    words = [f"neuron={neuron}", f"range={write_ranges(ranges)}", *(word.removeprefix("++") for word in kept)]
    return f"invset sample {' '.join(map(shlex.quote, words))}"
