"""The jobs of a sweep, and what became of each, read from its folder alone, whichever launcher ran them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import yaml  # type: ignore[import-untyped]
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.types import RunMode

from invset.cli.overrides import key_of
from invset.cli.terminal import shorten
from invset.errors import RunFolderError
from invset.run import goal
from invset.run.config import read_config
from invset.run.files import read_json, write_atomically
from invset.run.folder import is_locked
from invset.run.layout import Layout

RECORD = "multirun.yaml"  # Hydra writes it before the first job
OVERRIDES = Path(".hydra") / "overrides.yaml"  # Hydra writes it as a job begins
FAILURE = "failure.txt"  # what stopped a job, in a line
LONGEST = 2**20  # bytes of such a file that are read; one has about 5000
LAUNCHER = "hydra/launcher="


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


def current_sweep() -> Path | None:
    """The folder of the sweep that Hydra is at, if it is at one."""
    if not HydraConfig.initialized() or HydraConfig.get().mode != RunMode.MULTIRUN:
        return None
    return Path(str(HydraConfig.get().sweep.dir))


def begun_job() -> Path | None:
    """The folder of the job that Hydra is at, if it is one of a sweep, and holds a run already."""
    if current_sweep() is None:
        return None
    folder = Path(HydraConfig.get().runtime.output_dir)
    (folder / FAILURE).unlink(missing_ok=True)
    return folder if Layout(folder).config.is_file() else None


def write_failure(reason: str) -> None:
    """Leave in the folder of the job that Hydra is at what stopped it. Raises RunFolderError: it cannot be written."""
    write_atomically(Path(HydraConfig.get().runtime.output_dir) / FAILURE, reason.encode())


def say_how_to_go_on(sweep: Path, arguments: Sequence[str]) -> None:
    """After an interruption: print the command that does what is missing."""
    launcher = "".join(f" {argument}" for argument in arguments if argument.startswith(LAUNCHER))
    print(f"to go on: invset sample {shlex.quote(f'resume={shorten(sweep)}')}{launcher}")


def holds_sweep(folder: Path) -> bool:
    """Whether a folder is a sweep's."""
    return (folder / RECORD).is_file() and not Layout(folder).config.is_file()


def read_record(folder: Path) -> dict[str, Any]:
    """What Hydra wrote of a sweep: `overrides.task` a list of texts, `sweep.subdir` a text.

    Raises:
        RunFolderError: it cannot be read, or is none.
    """
    path = folder / RECORD
    again = "Remove the file, and give the sweep's own command again, with hydra.sweep.dir= this folder."
    values = _read_yaml(path)
    hydra: dict[str, Any] = values.get("hydra", {}) if isinstance(values, dict) else {}
    try:
        task, subdir = hydra["overrides"]["task"], hydra["sweep"]["subdir"]
    except (KeyError, TypeError) as error:
        raise RunFolderError(f"{path}: damaged: not as Hydra writes it. {again}") from error
    if not isinstance(subdir, str) or not isinstance(task, list) or not all(isinstance(one, str) for one in task):
        raise RunFolderError(f"{path}: damaged: its overrides are no list of texts. {again}")
    return hydra


def read_jobs(folder: Path) -> list[Job]:
    """All jobs of the sweep in a folder: those that were begun, then those of its record that have no folder.

    Raises:
        RunFolderError: the record cannot be read.
    """
    begun = sorted((path.parents[1] for path in folder.glob(f"*/{OVERRIDES}")), key=_number)
    jobs = [_read_job(path) for path in begun]
    known = [sorted(job.overrides) for job in jobs]
    expected = expand(read_record(folder)["overrides"]["task"]) if (folder / RECORD).is_file() else []
    return jobs + [Job(None, job, "missing") for job in expected if sorted(job) not in known]


def expand(overrides: Sequence[str]) -> list[tuple[str, ...]]:
    """The overrides of each job of a sweep over values, in Hydra's order."""
    lists = []
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        if override.is_discrete_sweep():
            key = override.get_key_element()
            lists.append([f"{key}={value}" for value in override.sweep_string_iterator()])
        else:
            lists.append([f"{override.get_key_element()}={override.get_value_element_as_str()}"])
    return list(product(*lists))


def settings_of(overrides: Sequence[str]) -> Mapping[str, str]:
    """Overrides by their keys, in one way of writing them, without Hydra's own; of several for a key the last."""
    found = {}
    for text in overrides:
        try:
            override = OverridesParser.create().parse_override(text)
            swept = override.is_sweep_override()
            value = override.get_value_element_as_str() if swept else _write(override.value())
        except (HydraException, RecursionError):
            value = text.partition("=")[2]
        if not key_of(text).startswith("hydra"):
            found[key_of(text)] = f"{key_of(text)}={value}"
    return found


def _read_job(folder: Path) -> Job:
    task = _read_yaml(folder / OVERRIDES)
    overrides = tuple(map(str, task)) if isinstance(task, list) else ()
    paths, failure = Layout(folder), folder / FAILURE
    if paths.lock.exists() and is_locked(paths.lock):
        return Job(folder, overrides, "running")
    if failure.is_file():
        reason = failure.read_text("utf-8", "replace")[:LONGEST]
        return Job(folder, overrides, "failed", reason)
    if not paths.summary.is_file():
        return Job(folder, overrides, "cut short")
    try:
        summary = read_json(paths.summary)
        reached = goal.is_reached(summary, read_config(folder))
    except RunFolderError as error:
        return Job(folder, overrides, "damaged", str(error))
    return Job(folder, overrides, str(summary.get("status")) if reached else "cut short")


def _read_yaml(path: Path) -> Any:
    try:
        with path.open(encoding="utf-8") as file:
            # All values as texts: this loader expands nothing, however often a document refers to its own parts.
            return yaml.load(file.read(LONGEST), Loader=yaml.BaseLoader)
    except OSError as error:
        raise RunFolderError(f"{path}: cannot be read ({error.strerror}). Put it back as it was.") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise RunFolderError(f"{path}: damaged: not as Hydra writes it. Put it back as it was.") from error


def _number(folder: Path) -> tuple[int, str]:
    return (int(folder.name) if folder.name.isdecimal() else -1, folder.name)


def _write(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_write, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {_write(entry)}' for key, entry in value.items())}}}"
    return "null" if value is None else str(value)
