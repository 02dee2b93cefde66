"""The folder of `invset sample`: a new one, or that of a run which is gone on with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf
from rich.console import Console

from invset.cli import goal, resume, sweep
from invset.cli.manifest import manifest, require_same_weights
from invset.cli.schema import SampleConfig

if TYPE_CHECKING:
    from invset.cli.build import Sampling
    from invset.run.folder import RunFolder


def created(config: SampleConfig, sampling: Sampling) -> RunFolder:
    """A new folder, where Hydra says. Raises RunFolderError: there is a run in it, or it cannot be written."""
    from invset.run.folder import RunFolder

    hydra_config = HydraConfig.get()
    path = Path(hydra_config.runtime.output_dir)
    text = OmegaConf.to_yaml(OmegaConf.structured(config), resolve=True)
    return RunFolder.create(path, text, manifest(config, sampling, sweep.job_overrides()))


def reopened(config: SampleConfig, sampling: Sampling, console: Console) -> RunFolder:
    """The folder of the run that is gone on with; what may change the last bits of its samples is said.

    Raises:
        ConfigError: the run is of another config, or of other weights.
        RunFolderError: there is no run in it, or it cannot be written.
    """
    from invset.run.folder import RunFolder

    path = Path(config.resume or "")
    folder = RunFolder.reopen(path)
    try:
        resume.require_same(config, path, folder.config_text)
        differences = require_same_weights(path, folder.manifest, manifest(config, sampling, []))
        if differences:
            note = f"the last bits of samples may differ: {'; '.join(differences)}"
            console.print(note, highlight=False, markup=False, soft_wrap=True)
        _extend(config, folder)
    except BaseException:
        folder.close()
        raise
    return folder


def _extend(config: SampleConfig, folder: RunFolder) -> None:
    """Write down the new n, until or gain: should this process die, `resume=` alone goes on to it."""
    from invset.run.files import write_atomically

    overrides = folder.manifest.get("overrides", [])
    if new := resume.new_goal(config, folder.config_text, folder.paths.root):
        kept = [override for override in overrides if resume.key(override) not in new]
        overrides = [*kept, *(f"{key}={value}" for key, value in new.items())]
    text = OmegaConf.to_yaml(OmegaConf.structured(replace(config, resume=None)), resolve=True)
    if text != folder.config_text:
        folder.update_manifest(overrides=overrides)
        write_atomically(folder.paths.config, text.encode())


def is_complete(config: SampleConfig, folder: RunFolder) -> bool:
    """Whether the run in a reopened folder has come as far as the config asks."""
    from invset.run.files import read_json

    if config.resume is None or not folder.paths.summary.exists():
        return False
    summary = read_json(folder.paths.summary)
    return summary.get("status") == "complete" and goal.is_of(summary, config)
