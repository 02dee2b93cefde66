"""A sweep that was begun before, from `resume=SWEEP` or from its own command given again: what is missing is done."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from invset.cli.overrides import is_plain, key_of, plain_value, quote
from invset.cli.sampling.resume_run import MAY_DIFFER
from invset.cli.sweep.jobs import RECORD, holds_sweep, read_record, settings_of
from invset.errors import ConfigError
from invset.run.layout import Layout

SWEEP_DIR, SUBDIR = "hydra.sweep.dir", "${hydra.job.num}"
FLAGS = ("-m", "--multirun")


def complete_arguments(given: list[str]) -> list[str]:
    """Hydra's arguments for a command line of `invset sample`: as given, unless it goes on with a run or a sweep.

    Raises:
        ConfigError: it resumes several folders, or a sweep of other settings than those given.
    """
    folders = [argument.removeprefix("resume=") for argument in given if argument.startswith("resume=")]
    if not folders or folders[-1] in ("", "null"):
        _check_repeated(given)
        return given
    folder = Path(folders[0])
    if len(folders) == 1 and holds_sweep(folder):
        return _resume_sweep(folder, given)
    if len(folders) > 1 or set(FLAGS) & set(given):
        raise ConfigError("resume= goes on with one run, or one sweep: give one folder, and no -m.")
    if not Layout(folder).config.is_file():
        raise ConfigError(
            f"resume={folder}: there is no run here to continue (no config.yaml), and no sweep (no {RECORD}). Mend the "
            "path; a run that was killed as it began is to be started anew."
        )
    # Hydra's own output goes nowhere: the folder has what it wrote the first time.
    others = [argument for argument in given if not argument.startswith("resume=")]
    name = quote(str(folder))
    return [*others, f"resume={name}", f"hydra.run.dir={name}", "hydra.output_subdir=null"]


def _resume_sweep(folder: Path, given: Sequence[str]) -> list[str]:
    task, subdir = read_record(folder)
    new = {key_of(argument) for argument in given if "=" in argument}
    if subdir != SUBDIR and "hydra.sweep.subdir" not in new:
        raise ConfigError(
            f"resume={folder}: the folders of this sweep were named by hydra.sweep.subdir={subdir}: give that again."
        )
    saved = [override for override in task if not key_of(override).startswith("hydra") and override[:1] != "-"]
    kept = [override for override in saved if key_of(override) not in new]
    for override in kept:
        if key_of(override).endswith(".factory") or not is_plain(override):
            raise ConfigError(
                f"resume={folder}: this sweep was made with {override}, which may run code or bring settings from "
                f"elsewhere. If it is yours, add {shlex.quote(override)} to the command."
            )
    others = [argument for argument in given if argument not in FLAGS and key_of(argument) not in ("resume", SWEEP_DIR)]
    _require_same(folder, saved, [*kept, *others])
    return [*kept, *others, f"{SWEEP_DIR}={quote(str(folder))}", "--multirun"]


def _check_repeated(given: Sequence[str]) -> None:
    """Refuse the command of another sweep for a folder that holds one."""
    folders = [argument for argument in given if key_of(argument) == SWEEP_DIR]
    if folders and set(FLAGS) & set(given):
        folder = Path(plain_value(folders[-1]))
        if holds_sweep(folder) and any(folder.glob("[!.]*/config.yaml")):
            _require_same(folder, read_record(folder)[0], given)


def _require_same(folder: Path, saved: Sequence[str], now: Sequence[str]) -> None:
    """Jobs are numbered by what is swept over, in its order: that stays; single settings may differ as a run's may."""
    before, after = settings_of(saved), settings_of([override for override in now if "=" in override])
    may_differ = {key for key in MAY_DIFFER if "," not in before.get(key, "") + after.get(key, "")}
    kept = [[setting for key, setting in own.items() if key not in may_differ] for own in (before, after)]
    swept = [[setting for setting in own if "," in setting] for own in kept]
    if sorted(kept[0]) != sorted(kept[1]) or swept[0] != swept[1]:
        raise ConfigError(
            f"{folder} holds a sweep of other settings: {' '.join(kept[0])}, not {' '.join(kept[1])}. Give the same, "
            "in the same order, or sweep into another folder."
        )
