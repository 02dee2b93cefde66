"""What a run is called, and what is said of it at its end."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from rich.console import Console

from invset.cli.check import Targets
from invset.cli.coverage import in_words, without_a_plateau
from invset.cli.schema import SampleConfig
from invset.errors import OutOfMemoryError
from invset.run.files import read_json

if TYPE_CHECKING:
    from invset.cli.build import Sampling
    from invset.run.folder import RunFolder


DEFAULTS = {"network": "mini", "generator": "mini", "encoder": "auto"}
MODEL_OPTIONS = ("network.", "generator.", "encoder.", "code.", "position=", "starts=", "precision=", "channels_last=")


def title(sampling: Sampling, targets: Targets, config: SampleConfig) -> str:
    """Units with labels and ranges: `fc8:981 volcano in [50, 60]`."""
    parts = [
        f"{unit.describe()} in [{low:g}, {high:g}]" if config.constraint == "range" else f"{unit.describe()} >= {low:g}"
        for unit, (low, high) in zip(sampling.models.units, targets.ranges, strict=True)
    ]
    return " and ".join(parts)


def report(
    console: Console,
    outcome: dict[str, Any],
    sampling: Sampling,
    folder: RunFolder,
    targets: Targets,
    alone: bool = True,
) -> None:
    """Print what came out, how varied it is, what to do if it is not what was wanted, and where the picture is.

    How to go on is said of a run `alone`.
    """
    where = shown(folder.paths.root)
    at_plateau = outcome["until"] == "plateau" and outcome["plateau"]
    how_many = f"{outcome['samples']}" if at_plateau else f"{outcome['samples']} of {outcome['wanted']}"
    lines = [
        f"{how_many} samples in range as saved{' until the plateau' * at_plateau}, {outcome['seconds']:.1f} s "
        f"({_steps(outcome, sampling)})"
    ]
    if outcome["samples"] > 1:
        lines.append(
            f"mean distance{_where(sampling)} {outcome['mean_pairwise_distance']:.2f}, of unrelated images "
            f"{outcome['unrelated_distance']:.2f}; near-duplicates {outcome['near_duplicates']} "
            f"({outcome['near_duplicate_share']:.1%})"
        )
        lines.append(in_words(outcome))
    if outcome["status"] == "complete" and outcome["until"] == "plateau" and not at_plateau:
        lines.append(without_a_plateau(outcome, where))
    if outcome["status"] in ("unreachable", "incomplete"):
        what = "not reached" if outcome["status"] == "unreachable" else "too seldom reached"
        closest = ", ".join(
            f"{unit.describe()} {value:.4g} (wanted [{low:g}, {high:g}])"
            for unit, value, (low, high) in zip(
                sampling.models.units, outcome["closest"]["activations"], targets.ranges, strict=True
            )
        )
        names = ",".join(str(unit) for unit in sampling.models.units)
        lines.append(f"the range was {what}: the closest code gave {closest}")
        lines.append(f"to see what can be reached: invset probe 'neuron=[{names}]'{chosen_models()}")
    if outcome["status"] in ("interrupted", "failed") and alone:
        lines.append(f"to go on: invset sample {shlex.quote(f'resume={where}')}")
    picture = folder.paths.samples if outcome["samples"] else folder.paths.seeds
    lines.append(f"{where}/{picture.name}" if picture.exists() else f"{where}")
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def say_done(console: Console, config: SampleConfig, folder: RunFolder) -> None:
    """There is nothing to go on with, and how to get more."""
    paths = folder.paths
    summary = read_json(paths.summary)
    what, more = f"has all its {config.n} samples", f"n={2 * config.n}"
    if config.until == "plateau" and summary.get("plateau") is True:
        what, more = f"came to its plateau with {summary.get('samples')} samples", f"until=n n={config.n}"
    console.print(
        f"this run {what}; nothing to do. For more: invset sample {shlex.quote(f'resume={shown(paths.root)}')} {more}",
        highlight=False, markup=False, soft_wrap=True,
    )  # fmt: skip


def told_samples(folder: RunFolder) -> int:
    """How many samples a run's summary counts; 0 where it has none."""
    samples = read_json(folder.paths.summary).get("samples") if folder.paths.summary.exists() else 0
    return samples if isinstance(samples, int) else 0


def say_going_on(console: Console, samples: int, before: int) -> None:
    """From how many samples a run goes on; a step of which it wanted only some, and ended with, is done again."""
    again = f"; the step that gave those up to {before} is done again, for the same and more" * (before > samples)
    text = f"going on from the last checkpoint, with {samples} samples{again}"
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def say_smaller(console: Console, largest: int) -> None:
    """Memory ran out, and fewer at a time go through the networks from now on."""
    console.print(f"memory ran out: from here on {largest} at a time", highlight=False, markup=False)


def say_not_compiled(console: Console, how: str, reason: str) -> None:
    """The passes could not be made quicker in the way asked for, and are what they were."""
    text = f"compile={how} did not work, going on without ({reason})"
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def no_memory_left() -> OutOfMemoryError:
    """Of a run that memory does not suffice for, whatever the batch."""
    return OutOfMemoryError(
        "out of memory, and halving batches did not help: go on with device=cpu, or where there is more."
    )


def _where(sampling: Sampling) -> str:
    """In which layer distances are taken, where it is none of the network under study."""
    encoder = sampling.models.encoder
    if encoder is None or encoder.network is sampling.models.network:
        return ""
    return f" in {encoder.network.name}'s {encoder.layer}"


def chosen_models() -> str:
    """The overrides that a command to be pasted needs for the same models, each behind a space; '' for the defaults."""
    hydra = HydraConfig.get()
    choices = {group: hydra.runtime.choices[group] for group in DEFAULTS}
    names = [f"{group}={choice}" for group, choice in choices.items() if choice != DEFAULTS[group]]
    options = [override for override in hydra.overrides.task if override.lstrip("+").startswith(MODEL_OPTIONS)]
    return "".join(f" {shlex.quote(word)}" for word in [*names, *options])


def _steps(outcome: dict[str, Any], sampling: Sampling) -> str:
    if not sampling.has_seeds:
        return f"{outcome['gradient_steps']} steps of {sampling.chains} chains"
    seeds = outcome["seed_steps"] if outcome["seed_steps"] is not None else outcome["gradient_steps"]
    return (
        f"{seeds} steps for the seeds, {outcome['sampling_steps']} for the samples; "
        f"at least {outcome.get('minimum_sampling_steps', 0)} needed"
    )


def shown(path: Path) -> Path:
    """The path from where the user is, if it lies below."""
    try:
        return path.resolve().relative_to(Path.cwd())
    except ValueError:
        return path
