"""The jobs of a sweep, and what became of each, read from its folder alone, whichever launcher ran them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice, product
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import RangeSweep
from hydra.errors import HydraException, OverrideParseException
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig

from invset.cli.overrides import key_of, plain_value
from invset.cli.terminal import resume_command
from invset.errors import RunFolderError
from invset.run import goal
from invset.run.config import read_config
from invset.run.folder import is_locked
from invset.run.json_files import LONGEST, TEXTS, damaged, read_json, read_yaml, reading, write_atomically
from invset.run.layout import Layout

RECORD = "multirun.yaml"  # Hydra writes it before the first job
OVERRIDES = Path(".hydra") / "overrides.yaml"  # Hydra writes it as a job begins
FAILURE = "failure.txt"  # what stopped a job, in a line
MOST_JOBS = 100_000
ENDS = ("complete", "incomplete", "unreachable", "interrupted", "failed")
launched: Path | None = None  # the folder of the sweep that this process has launched, if it has


class NoteSweep(Callback):
    """Hydra tells it that a sweep begins, whichever launcher runs the jobs; configs/sample.yaml names it."""

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Note the sweep's folder."""
        global launched
        launched = Path(str(config.hydra.sweep.dir))


class Job(NamedTuple):
    """A job of a sweep.

    Attributes:
        folder: where its run is, None if it has none yet.
        overrides: as Hydra expanded them.
        status: complete, incomplete or unreachable; running; interrupted, failed, cut short; missing; damaged.
        reason: what went wrong, if that is known.
    """

    folder: Path | None
    overrides: tuple[str, ...]
    status: str
    reason: str = ""


def in_sweep() -> bool:
    """Whether Hydra is at a job of a sweep."""
    return HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN


def begun_job() -> Path | None:
    """The folder of the job that Hydra is at, if it is one of a sweep, and holds a run already."""
    if not in_sweep():
        return None
    folder = Path(HydraConfig.get().runtime.output_dir)
    (folder / FAILURE).unlink(missing_ok=True)
    return folder if Layout(folder).config.is_file() else None


def write_failure(reason: str) -> None:
    """Leave in the folder of the job that Hydra is at what stopped it."""
    write_atomically(Path(HydraConfig.get().runtime.output_dir) / FAILURE, reason.encode())


def say_how_to_go_on(sweep: Path, arguments: Sequence[str]) -> None:
    """After an interruption: print the command that does what is missing."""
    launcher = [argument for argument in arguments if argument.startswith("hydra/launcher=")]
    print(f"to go on: {resume_command(sweep, *launcher)}")


def holds_sweep(folder: Path) -> bool:
    """Whether a folder is a sweep's."""
    return (folder / RECORD).is_file() and not Layout(folder).config.is_file()


def read_record(folder: Path) -> tuple[list[str], str]:
    """What Hydra wrote of a sweep: its overrides, and how its jobs' folders are named.

    Raises:
        RunFolderError: it cannot be read, or is damaged.
    """
    values = read_yaml(folder / RECORD, TEXTS)
    try:
        task, subdir = values["hydra"]["overrides"]["task"], values["hydra"]["sweep"]["subdir"]
    except (KeyError, TypeError) as error:
        raise damaged(folder / RECORD, "no record of a sweep") from error
    return _overrides(folder / RECORD, task), str(subdir)


def read_jobs(folder: Path) -> list[Job]:
    """All jobs of the sweep in a folder: those that were begun, then those of its record that have no folder.

    Raises RunFolderError: a file of Hydra's is damaged.
    """
    begun = sorted((path.parents[1] for path in folder.glob(f"*/{OVERRIDES}")), key=_number)
    jobs = [_read_job(path) for path in begun]
    known = [sorted(job.overrides) for job in jobs]
    try:
        expected = expand(read_record(folder)[0]) if (folder / RECORD).is_file() else []
    except (OverrideParseException, ValueError) as error:
        raise damaged(folder / RECORD, error) from error
    except HydraException:  # of a glob: what it finds, only a launch knows
        expected = []
    return jobs + [Job(None, job, "missing") for job in expected if sorted(job) not in known]


def expand(overrides: Sequence[str]) -> list[tuple[str, ...]]:
    """The overrides of each job of a sweep over values, in Hydra's order. Raises ValueError: there are too many."""
    lists = []
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        if isinstance(value := override.value(), RangeSweep):
            value.shuffle = False  # Hydra would list the whole range
        swept = override.is_discrete_sweep()
        values = override.sweep_string_iterator() if swept else [override.get_value_element_as_str()]
        lists.append([f"{override.get_key_element()}={value}" for value in islice(values, MOST_JOBS)])
    if prod(map(len, lists)) >= MOST_JOBS:
        raise ValueError(f"a sweep of {MOST_JOBS} jobs or more")
    return list(product(*lists))


def settings_of(overrides: Sequence[str]) -> Mapping[str, str]:
    """Overrides by their keys, in one way of writing them, without Hydra's own; of several for a key the last."""
    settings = [override for override in overrides if not key_of(override).startswith("hydra")]
    return {key_of(override): f"{key_of(override)}={plain_value(override)}" for override in settings}


def read_status(folder: Path) -> tuple[str, str]:
    """What became of the run in a folder, as `Job` has it, and what went wrong, if that is known."""
    paths, failure = Layout(folder), folder / FAILURE
    if paths.lock.exists() and is_locked(paths.lock):
        return "running", ""
    if failure.is_file():
        with reading(failure, LONGEST) as file:
            return "failed", file.read().decode("utf-8", "replace")
    if not paths.summary.is_file():
        return "cut short", ""
    try:
        summary = read_json(paths.summary)
        reached = goal.is_reached(summary, read_config(folder))
    except RunFolderError as error:
        return "damaged", str(error)
    status = summary.get("status") if reached else "cut short"
    return (status, "") if status in (*ENDS, "cut short") else ("damaged", "")


def _read_job(folder: Path) -> Job:
    path = folder / OVERRIDES
    return Job(folder, tuple(_overrides(path, read_yaml(path, TEXTS))), *read_status(folder))


def _overrides(path: Path, values: Any) -> list[str]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise damaged(path, "no list of overrides")
    return values


def _number(folder: Path) -> tuple[int, str]:
    return (int(folder.name) if folder.name.isdecimal() else -1, folder.name)
