"""The jobs of a sweep: which of them earlier runs have done already, and what all came to."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from invset import __version__
from invset.cli import goal
from invset.cli.finished import read_config
from invset.cli.report import shown
from invset.cli.signals import Interrupted
from invset.errors import ConfigError, RunFolderError
from invset.run.files import read_json
from invset.run.layout import Layout

RESULTS = ("complete", "incomplete", "unreachable")  # what a run can come to; all else can be gone on with
NO_SETTINGS = ("resume", "batch_size", "compile", "device", "threads")  # where, and in what portions, a run is computed


def ended(folder: Path, overrides: Sequence[str], *, extending: bool = False) -> str | None:
    """The status of the run in a folder, if this version of invset finished it with just these overrides; else None.

    The status is complete, incomplete or unreachable. Overrides are compared in no order, and without what is
    Hydra's or says only where a run is computed. With `extending`, how far it goes and files of weights may differ:
    None then.

    Raises:
        ConfigError: the folder holds a run of other settings.
        RunFolderError: a file of the run cannot be read.
    """
    paths = Layout(folder)
    if not paths.config.is_file():
        return None
    manifest = read_json(paths.manifest)
    saved, asked = settings(_texts(manifest.get("overrides"), paths.manifest)), settings(overrides)
    keys = [key for key in {**saved, **asked} if key not in NO_SETTINGS]
    differing = [key for key in keys if saved.get(key) != asked.get(key)]
    other = [key for key in differing if not (extending and (key in goal.KEYS or key.endswith(".weights")))]
    if other:
        wrong = [f"-{saved[key]}" for key in other if key in saved]
        wrong += [f"+{asked[key]}" for key in other if key in asked]
        raise ConfigError(
            f"{folder} holds a run of other settings ('-' the run's, '+' yours): {'; '.join(wrong)}. "
            "Choose another folder, or leave these settings out."
        )
    if differing or manifest.get("invset") != __version__ or not paths.summary.is_file():
        return None
    summary = read_json(paths.summary)
    status, config = summary.get("status"), read_config(folder)
    # An extension writes down the new n before it begins: then the summary is still that of the shorter run.
    given = asked.get("n", f"n={config.n}")
    finished = status in RESULTS and goal.is_of(summary, config) and given == f"n={config.n}"
    return status if finished else None


def settings(overrides: Iterable[str]) -> dict[str, str]:
    """Overrides by their keys, in one way of writing them, without Hydra's own; of several for a key the last."""
    parser = OverridesParser.create()
    found = {}
    for text in overrides:
        try:
            override = parser.parse_override(text)
            key = override.get_key_element().lstrip("+")
            swept = override.is_sweep_override()
            value = override.get_value_element_as_str() if swept else _plain(override.value())
        except (HydraException, RecursionError):
            key, _, value = text.lstrip("+").partition("=")
        if not key.lstrip("~").startswith("hydra"):
            found[key] = f"{key}={value}"
    return found


def _plain(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_plain, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {_plain(entry)}' for key, entry in value.items())}}}"
    return "null" if value is None else str(value)


def job_overrides() -> list[str]:
    """The overrides of the run that Hydra is at, as they were given."""
    values = OmegaConf.to_container(HydraConfig.get().overrides.task, resolve=False)
    assert isinstance(values, list)
    return [str(value) for value in values]


def job_begun() -> Path | None:
    """The folder of the job that Hydra is at, if it is one of a sweep, and holds a run already."""
    hydra = HydraConfig.get()
    folder = Path(hydra.runtime.output_dir)
    return folder if hydra.mode == RunMode.MULTIRUN and Layout(folder).config.is_file() else None


def in_sweep() -> bool:
    """Whether Hydra is at a job of a sweep."""
    return bool(HydraConfig.get().mode == RunMode.MULTIRUN)


class Job(NamedTuple):
    """A job of a sweep.

    Attributes:
        folder: where its run is, if it came to that.
        overrides: as given.
        neuron, ranges: as composed, for people; empty where they could not be.
        error: what went wrong, or None.
    """

    folder: Path
    overrides: tuple[str, ...]
    neuron: str
    ranges: str
    error: str | None

    def tell(self, code: int, error: str | None) -> None:
        """Print a line on what came of it in another process."""
        if error is None:
            print(f"{shown(self.folder)}: {self.neuron} in {self.ranges}: {'done' if code == 0 else 'not reached'}")
        else:
            print(f"invset: {shown(self.folder)}: {error}", file=sys.stderr)


def job_of(config: DictConfig, folder: Path, overrides: Sequence[str], error: str | None) -> Job:
    """The job of a composed config."""
    return Job(folder, tuple(map(str, overrides)), _shown(config, "neuron"), _shown(config, "range"), error)


class Sweep:
    """Takes notes of the jobs of a launch; where that was no sweep, there is nothing to conclude.

    `worst` is the highest exit code of jobs in other processes, which `launcher` ran.
    """

    def __init__(self) -> None:
        self.folder: Path | None = None
        self.jobs: list[Job] = []
        self.worst = 0
        self.launcher: str | None = None

    def begin(self) -> None:
        """A job is about to begin."""
        if in_sweep():
            self.folder = Path(str(HydraConfig.get().sweep.dir))

    def end(self, config: DictConfig, error: str | None) -> None:
        """It came to its end."""
        if in_sweep():
            folder = Path(HydraConfig.get().runtime.output_dir)
            self.jobs.append(job_of(config, folder, job_overrides(), error))

    def note(self, job: Job, code: int) -> None:
        """A job in another process came to its end."""
        self.jobs.append(job)
        self.worst = max(self.worst, code)

    def say_how_to_go_on(self) -> None:
        """After an interruption: print the command that does what is missing."""
        if self.folder is not None:
            launcher = f" hydra/launcher={self.launcher}" if self.launcher else ""
            print(f"to go on: invset sample {shlex.quote(f'resume={shown(self.folder)}')}{launcher}")

    def conclude(self) -> list[RunFolderError]:
        """Write overview.png and overview.csv, and print where; returns what is wrong with them, or with runs."""
        if self.folder is None or not self.jobs:
            return []
        from invset.cli.sweep_overview import write  # torch

        try:
            path, wrong = write(self.folder, self.jobs)
        except RunFolderError as error:
            return [error]
        except Interrupted:
            self.say_how_to_go_on()
            raise
        print(shown(path))
        return wrong


def _shown(config: DictConfig, name: str) -> str:
    try:
        value: Any = OmegaConf.select(config, name, throw_on_missing=False)
        value = OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
    except OmegaConfBaseException:
        value = None
    return "" if value is None else str(value)


def _texts(values: object, path: Path) -> list[str]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise RunFolderError(f"{path}: damaged: its overrides are no list of texts. Put it back as the run left it.")
    return values
