"""A sweep that was begun before, from `resume=SWEEP` or from its own command given again: what is missing is done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import OmegaConf

from invset.cli.finished import read_config
from invset.cli.goal import KEYS
from invset.cli.resume import MAY_DIFFER, describes, key, obeyed, quoted
from invset.cli.sweep import settings
from invset.errors import ConfigError, RunFolderError
from invset.run.layout import Layout

RECORD = "multirun.yaml"  # Hydra writes it before the first job
LONGEST = 2**20  # bytes of a record that is read; one has about 5000
SWEEP_DIR, SUBDIR = "hydra.sweep.dir", "${hydra.job.num}"

_AGAIN = f"Remove the file, and give the sweep's own command again, with {SWEEP_DIR}= this folder."


def holds_sweep(folder: Path) -> bool:
    """Whether a folder is a sweep's."""
    return (folder / RECORD).is_file() and not Layout(folder).config.is_file()


def resumed(folder: Path, given: Sequence[str]) -> list[str]:
    """Hydra's arguments for going on with the sweep in a folder, with larger n or on another device if that is given.

    Raises:
        ConfigError: the sweep is of other settings than those given, or needs some that no folder may give.
        RunFolderError: its record cannot be read.
    """
    hydra = _record(folder)
    saved = [override for override in hydra["overrides"]["task"] if describes(override)]
    if hydra["sweep"]["subdir"] != SUBDIR and not any(key(argument) == "hydra.sweep.subdir" for argument in given):
        raise ConfigError(
            f"resume={folder}: the folders of this sweep were named by hydra.sweep.subdir={hydra['sweep']['subdir']}: "
            "give that again."
        )
    kept = obeyed(saved, given, folder)
    flags = ("-m", "--multirun")
    others = [argument for argument in given if argument not in flags and key(argument) not in ("resume", SWEEP_DIR)]
    _require_same(folder, saved, [*kept, *others])
    return [*kept, *others, f"{SWEEP_DIR}={quoted(str(folder))}", *_record_once(given), "--multirun"]


def repeated(given: list[str]) -> list[str]:
    """Hydra's arguments for a command line that may be that of a sweep that is already in its folder.

    Raises:
        ConfigError: the folder holds the runs of a sweep of other settings.
        RunFolderError: its record cannot be read.
    """
    folders = [argument for argument in given if key(argument) == SWEEP_DIR]
    if not folders or not {"-m", "--multirun"} & set(given):
        return given
    folder = Path(_value(folders[-1]))
    if not holds_sweep(folder) or not any(folder.glob("[!.]*/config.yaml")):
        return given
    _require_same(folder, _record(folder)["overrides"]["task"], given)
    return [*given, *_record_once(given)]


def _require_same(folder: Path, saved: Sequence[str], now: Sequence[str]) -> None:
    """Hydra writes its record anew before the first job: it must stay that of the runs that are there."""
    saved, now = ([one for one in overrides if describes(one) and "=" in one] for overrides in (saved, now))
    before, after = settings(saved), settings(now)
    swept = [[key(override) for override in overrides if _is_swept(override)] for overrides in (saved, now)]
    free = {name for name in MAY_DIFFER if name not in (*swept[0], *swept[1]) and (name not in KEYS or name in after)}
    other = [name for name in {**before, **after} if before.get(name) != after.get(name) and name not in free]
    wrong = _difference(before, after, other)
    if not other and swept[0] != swept[1]:  # runs are numbered in this order
        wrong = f"it sweeps over {', '.join(swept[0])}, in this order"
    if wrong:
        raise ConfigError(
            f"{folder} holds a sweep of other settings ('-' the sweep's, '+' yours): {wrong}. Leave these settings "
            "out, or sweep into another folder."
        )
    n, first = after.get("n", "").removeprefix("n="), next(iter(sorted(folder.glob("[!.]*/config.yaml"))), None)
    if n.isdecimal() and first is not None and int(n) < (least := read_config(first.parent).n):
        raise ConfigError(f"{folder} is a sweep of runs of n={least} samples: n may grow, not shrink to {n}.")


def _difference(before: Mapping[str, str], after: Mapping[str, str], names: Sequence[str]) -> str:
    gone, new = ([f"{sign}{own[name]}" for name in names if name in own] for sign, own in (("-", before), ("+", after)))
    return "; ".join([*gone, *new])


def _value(override: str) -> str:
    try:
        return str(OverridesParser.create().parse_override(override).value())
    except (HydraException, RecursionError):
        return override.partition("=")[2]


def _is_swept(override: str) -> bool:
    try:
        return bool(OverridesParser.create().parse_override(override).is_sweep_override())
    except (HydraException, RecursionError):
        return False


def _record(folder: Path) -> dict[str, Any]:
    """What Hydra wrote of a sweep: `overrides.task` a list of texts, `sweep.subdir` a text."""
    path = folder / RECORD
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(LONGEST + 1)
        # All values as texts: this loader expands nothing, however often a document refers to its own parts.
        hydra: dict[str, Any] = yaml.load(text if len(text) <= LONGEST else "", Loader=yaml.BaseLoader)["hydra"]
        task, subdir = hydra["overrides"]["task"], hydra["sweep"]["subdir"]
    except OSError as error:
        raise RunFolderError(f"{path}: cannot be read ({error.strerror}). {_AGAIN}") from error
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError, RecursionError) as error:
        raise RunFolderError(f"{path}: damaged: not as Hydra writes it. {_AGAIN}") from error
    if not isinstance(subdir, str) or not isinstance(task, list) or not all(isinstance(one, str) for one in task):
        raise RunFolderError(f"{path}: damaged: its overrides are no list of texts. {_AGAIN}")
    return hydra


def _record_once(given: Sequence[str]) -> list[str]:
    """Let Hydra write its record of a job only into a folder that holds no run yet."""
    if any(key(argument) == "hydra.output_subdir" for argument in given):
        return []
    OmegaConf.register_new_resolver(
        "invset.record", lambda folder: None if Layout(Path(folder)).config.exists() else ".hydra", replace=True
    )
    return ["hydra.output_subdir='${invset.record:${hydra.runtime.output_dir}}'"]
