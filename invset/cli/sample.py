"""`invset sample`."""

from __future__ import annotations

import hashlib
import math
import platform
import time
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from invset import __version__
from invset.cli import resume
from invset.cli.schema import SampleConfig, Targets, check_sample
from invset.cli.signals import Interrupted
from invset.errors import InvsetError

if TYPE_CHECKING:
    from invset.cli.build import Sampling
    from invset.core.state import StepInfo
    from invset.run.folder import RunFolder
    from invset.run.recorder import Recorder
    from invset.run.runner import Runner

PACKAGES = ("torch", "torchvision", "hydra-core", "omegaconf", "pillow", "numpy", "safetensors")
NOT_REACHED = 3  # exit code


def task(composed: DictConfig) -> int:
    """One run: returns its exit code.

    Raises:
        InvsetError: a setting, weights or the disk are wrong, or a network gave NaN.
        Interrupted: by Ctrl-C or SIGTERM; what there is was kept.
    """
    config = cast(SampleConfig, OmegaConf.to_object(composed))
    targets = check_sample(config)

    from invset.cli import build  # torch: only now is there work for it

    console = Console(stderr=False)
    sampling = build.sampling(config, targets)
    with _created(config, sampling) if config.resume is None else _reopened(config, Path(config.resume)) as folder:
        return _run(config, targets, sampling, folder, console)


def _created(config: SampleConfig, sampling: Sampling) -> RunFolder:
    from invset.run.folder import RunFolder

    hydra_config = HydraConfig.get()
    path = Path(hydra_config.runtime.output_dir)
    text = OmegaConf.to_yaml(OmegaConf.structured(config), resolve=True)
    return RunFolder.create(path, text, _manifest(config, sampling, list(hydra_config.overrides.task)))


def _reopened(config: SampleConfig, path: Path) -> RunFolder:
    from invset.run.folder import RunFolder

    folder = RunFolder.reopen(path)
    try:
        resume.require_same(config, path, folder.config_text)
        _extend(config, folder)
    except BaseException:
        folder.close()
        raise
    return folder


def _extend(config: SampleConfig, folder: RunFolder) -> None:
    """Write down the new n: should this process die, `resume=` alone goes on to it."""
    from invset.run.files import write_atomically

    kept = [override for override in folder.manifest.get("overrides", []) if not override.startswith("n=")]
    overrides = [*kept, f"n={config.n}"]
    text = OmegaConf.to_yaml(OmegaConf.structured(replace(config, resume=None)), resolve=True)
    if text != folder.config_text:
        folder.update_manifest(overrides=overrides)
        write_atomically(folder.paths.config, text.encode())


def _is_complete(config: SampleConfig, folder: RunFolder) -> bool:
    from invset.run.files import read_json

    if config.resume is None or not folder.paths.summary.exists():
        return False
    summary = read_json(folder.paths.summary)
    return summary.get("status") == "complete" and summary.get("wanted") == config.n


def _manifest(config: SampleConfig, sampling: Sampling, overrides: list[str]) -> dict[str, Any]:
    import torch

    models = sampling.models
    device = models.device
    files = [*models.network.files, *models.generator.files]
    return {
        "invset": __version__,
        "overrides": overrides,
        "units": [unit.describe() for unit in models.units],
        "random_seed": config.seed,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in PACKAGES},
        "weights": [{"file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()} for path in files],
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _run(config: SampleConfig, targets: Targets, sampling: Sampling, folder: RunFolder, console: Console) -> int:
    from invset.cli.progress import Display
    from invset.run import summary
    from invset.run.recorder import Recorder
    from invset.run.runner import Runner

    models = sampling.models
    units = [str(unit) for unit in models.units]
    title = _title(sampling, targets, config)
    console.print(title, highlight=False, markup=False)
    if _is_complete(config, folder):
        shown = _shown(folder.paths.root)
        console.print(
            f"this run has all its {config.n} samples; nothing to do. "
            f"For more: invset sample resume={shown} n={2 * config.n}",
            highlight=False, markup=False, soft_wrap=True,
        )  # fmt: skip
        return 0
    recorder = Recorder(folder, units, models.generator.code_size, sampling.reader, sampling.region, models.device)

    def write_seeds(seeds: StepInfo) -> None:
        summary.write_seeds(recorder, seeds, f"{title}\nseeds")

    runner = Runner(sampling.method, sampling.problem, recorder, config.n, write_seeds)
    if recorder.state is not None:
        console.print(f"going on from the last checkpoint, with {recorder.count} samples", highlight=False)
    outcome: dict[str, Any] = {}
    ended: BaseException | None = None
    try:
        with Display(console, units) as display:
            for progress in runner.steps():
                display.show(progress)
    except (Interrupted, InvsetError) as error:
        ended = error
    finally:
        status = runner.status if ended is None else _status(ended)
        try:
            outcome = _finish(config, sampling, recorder, runner, status, title)
        finally:
            recorder.close()
    _report(console, outcome, sampling, folder, targets)
    if ended is not None:
        raise ended
    return 0 if outcome["status"] == "complete" else NOT_REACHED


def _finish(
    config: SampleConfig, sampling: Sampling, recorder: Recorder, runner: Runner, status: str, title: str
) -> dict[str, Any]:
    from invset.run import summary

    units = [str(unit) for unit in sampling.models.units]
    if runner.seeds is None and runner.last is not None and not recorder.count:
        summary.write_seeds(recorder, runner.last, f"{title}\nas far as the chains came")
    state = runner.state
    distance = state.distances.encodings if state is not None else math.nan
    outcome = summary.summarise(recorder, state, runner.tally, config.n, status, distance)
    summary.write_codes(recorder, sampling.models.generator.code_size)
    summary.write_samples(recorder, units, title)
    recorder.folder.write_summary(outcome)
    recorder.folder.update_manifest(ended=time.strftime("%Y-%m-%dT%H:%M:%S%z"), seconds=outcome["seconds"])
    return outcome


def _status(ended: BaseException) -> str:
    return "interrupted" if isinstance(ended, Interrupted) else "failed"


def _title(sampling: Sampling, targets: Targets, config: SampleConfig) -> str:
    parts = [
        f"{unit.describe()} in [{low:g}, {high:g}]" if config.constraint == "range" else f"{unit.describe()} >= {low:g}"
        for unit, (low, high) in zip(sampling.models.units, targets.ranges, strict=True)
    ]
    return " and ".join(parts)


def _report(console: Console, outcome: dict[str, Any], sampling: Sampling, folder: RunFolder, targets: Targets) -> None:
    root = folder.paths.root
    shown = _shown(root)
    lines = [
        f"{outcome['samples']} of {outcome['wanted']} samples in range as saved, {outcome['seconds']:.1f} s "
        f"({_seed_steps(outcome)} steps for the seeds, {outcome['sampling_steps']} for the samples; "
        f"at least {outcome.get('minimum_sampling_steps', 0)} needed)"
    ]
    if outcome["samples"] > 1:
        lines.append(
            f"mean distance {outcome['mean_pairwise_distance']:.2f}, of unrelated images "
            f"{outcome['unrelated_distance']:.2f}; near-duplicates {outcome['near_duplicates']} "
            f"({outcome['near_duplicate_share']:.1%})"
        )
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
        lines.append(f"to see what can be reached: invset probe 'neuron=[{names}]'")
    if outcome["status"] in ("interrupted", "failed"):
        lines.append(f"to go on: invset sample resume={shown}")
    picture = folder.paths.samples if outcome["samples"] else folder.paths.seeds
    lines.append(f"{shown}/{picture.name}" if picture.exists() else f"{shown}")
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _seed_steps(outcome: dict[str, Any]) -> int:
    steps = outcome["seed_steps"] if outcome["seed_steps"] is not None else outcome["gradient_steps"]
    return int(steps)


def _shown(path: Path) -> Path:
    try:
        return path.resolve().relative_to(Path.cwd())
    except ValueError:
        return path
