"""What is said of a run: of its settings as it begins; at its end how many samples, how varied, and what to do."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from invset.assemble.reach import suggest_instead, write_ranges
from invset.assemble.sampling import Sampling
from invset.cli.overrides import chosen_models, key_of
from invset.cli.terminal import resume_command, shorten
from invset.run.folder import RunFolder
from invset.run.json_files import read_json
from invset.settings import SampleSettings

UNEVEN = 0.1  # from a range filled evenly, of Kolmogorov and Smirnov
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
    """Lines on what came out, how varied it is, what to do if it is not what was wanted, and where the picture is.

    `figures` are those of summary.json; how to go on is said of a run `alone`, not of one in a sweep.
    """
    where = shorten(folder.paths.root)
    at_plateau = figures["until"] == "plateau" and figures["plateau"]
    how_many = f"{figures['samples']}" if at_plateau else f"{figures['samples']} of {figures['wanted']}"
    lines = [
        f"{how_many} samples in range as saved{' until the plateau' * at_plateau}, {figures['seconds']:.1f} s "
        f"({_describe_steps(figures, sampling)})"
    ]
    if figures["samples"] > 1:
        lines.append(
            f"mean distance{_describe_encoder(sampling)} {figures['mean_pairwise_distance']:.2f}, of unrelated images "
            f"{figures['unrelated_distance']:.2f}; near-duplicates {figures['near_duplicates']} "
            f"({figures['near_duplicate_share']:.1%})"
        )
        lines.append(_describe_coverage(figures))
        lines += _describe_filling(figures, sampling)
    if figures["status"] == "complete" and figures["until"] == "plateau" and not at_plateau:
        more = f"n={2 * figures['n']}"
        lines.append(
            f"no plateau by n={figures['n']}: it takes fewer than {100 * figures['gain']:g} such samples of 100 "
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


def _describe_coverage(figures: Mapping[str, Any]) -> str:
    """Coverage with its interval, and how it was counted; it is of what a method finds: another may find more."""
    coverage, samples = figures["coverage"], figures["samples"]
    last = f"the last {coverage['last']}" if coverage["last"] < samples else f"all {coverage['last']}"
    whole = f", of {samples} in all {coverage['new']}" if coverage["last"] < samples else ""
    value = f"{coverage['value']:.2f} ({coverage['low']:.2f} to {coverage['high']:.2f})"
    return (
        f"coverage {value} of what this method finds: of {last} samples {coverage['new_of_last']} were unlike all "
        f"before{whole}"
    )


def _describe_filling(figures: Mapping[str, Any], sampling: Sampling) -> list[str]:
    """Lines on ranges that were to be filled evenly and are not, by more than chance."""
    if not sampling.even:
        return []
    chance = CHANCE / math.sqrt(figures["samples"])
    return [
        f"the range is not filled evenly: half of the samples lie below {filled['median']:.4g}, and the middle of "
        f"[{low:g}, {high:g}] is {(low + high) / 2:g}"
        for (low, high), filled in zip(sampling.targets.ranges, figures["filling"], strict=True)
        if filled["uniform_distance"] > max(UNEVEN, chance)
    ]


def _describe_shortfall(figures: Mapping[str, Any], sampling: Sampling, folder: RunFolder) -> list[str]:
    what = "not reached" if figures["status"] == "unreachable" else "too seldom reached"
    units, ranges = sampling.models.units, sampling.targets.ranges
    activations = figures.get("closest", {}).get("activations", [])
    closest = ", ".join(
        f"{unit.describe()} {value:.4g} (wanted [{low:g}, {high:g}])"
        for unit, value, (low, high) in zip(units, activations, ranges, strict=False)
    )
    names = ",".join(map(str, units))
    lines = [f"the range was {what}: the closest code gave {closest}"]
    if figures["status"] == "unreachable" and (instead := _suggest_instead(figures, sampling, folder)):
        lines.append(f"what it came past on its way: {instead}")
    return [*lines, f"to see what can be reached: invset probe 'neuron=[{names}]'{chosen_models()}"]


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


def _describe_encoder(sampling: Sampling) -> str:
    """In which layer distances are taken, where it is none of the network under study."""
    encoder = sampling.models.encoder
    if encoder is None or encoder.network is sampling.models.network:
        return ""
    return f" in {encoder.network.name}'s {encoder.layer}"


def _describe_steps(figures: Mapping[str, Any], sampling: Sampling) -> str:
    if not sampling.kind.seeds:
        return f"{figures['gradient_steps']} steps of {sampling.chains} chains"
    seeds = figures["seed_steps"] if figures["seed_steps"] is not None else figures["gradient_steps"]
    if sampling.kind.joint:
        return f"{seeds} steps"
    least = figures["minimum_sampling_steps"]
    steps = f"{seeds} steps for the seeds, {figures['sampling_steps']} for the samples"
    return f"{steps}; at least {least} needed" if least else steps
