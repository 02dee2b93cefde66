"""`resume=FOLDER`: the overrides of the run that is there, or of the sweep, with the new ones after them."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError  # type: ignore[import-untyped]

from invset.cli.goal import KEYS, changed
from invset.cli.schema import SampleConfig, keys
from invset.errors import ConfigError, RunFolderError
from invset.run.files import read_json
from invset.run.layout import Layout

# What a run that goes on may change: how far it goes, and where and in what portions it is computed.
# Files of weights may have moved: the manifest knows them by their checksums.
MAY_DIFFER = (
    *KEYS, "resume", "batch_size", "compile", "device", "threads",
    "network.weights", "generator.weights", "encoder.weights",
)  # fmt: skip


def arguments(given: list[str]) -> list[str]:
    """Hydra's arguments for a command line; as given, unless it goes on with a run or a sweep.

    Raises:
        ConfigError: it resumes several folders, there is nothing in one to go on with, or it is of other settings.
        RunFolderError: the run's manifest, or the sweep's record, cannot be read.
    """
    from invset.cli import sweep_again

    folders = [argument.removeprefix("resume=") for argument in given if argument.startswith("resume=")]
    if not folders or folders[-1] in ("", "null"):
        return sweep_again.repeated(given)
    folder = Path(folders[0])
    if len(folders) == 1 and sweep_again.holds_sweep(folder):
        return sweep_again.resumed(folder, given)
    if len(folders) > 1 or "-m" in given or "--multirun" in given:
        raise ConfigError("resume= goes on with one run, or one sweep: give one folder, and no -m.")
    paths = Layout(folder)
    if not paths.config.is_file():
        if any(folder.glob("[!.]*/config.yaml")):
            raise ConfigError(
                f"resume={folder}: there are runs in this folder, but no record of their sweep (multirun.yaml). Give "
                f"the sweep's own command again, with hydra.sweep.dir={folder}, or go on with the runs one by one."
            )
        raise ConfigError(
            f"resume={folder}: there is no run here to continue (no config.yaml). Mend the path; "
            "a run that was killed as it began is to be started anew."
        )
    saved = [str(override) for override in read_json(paths.manifest).get("overrides", [])]
    kept = obeyed(saved, given, folder)
    # Hydra's own output goes nowhere: the folder has what it wrote the first time.
    others = [argument for argument in given if not argument.startswith("resume=")]
    name = quoted(str(folder))
    return [*kept, *others, f"resume={name}", f"hydra.run.dir={name}", "hydra.output_subdir=null"]


def obeyed(saved: Sequence[str], given: Sequence[str], folder: Path) -> list[str]:
    """Those overrides that a folder holds that the command line does not give itself.

    Folders of runs are passed on: what one says to Hydra is left out, and what could call a function, or read a
    config from elsewhere, is to be given by the user.

    Raises:
        ConfigError: it is not.
    """
    new = {key(argument) for argument in given if "=" in argument}
    kept = [override for override in saved if key(override) not in new and describes(override)]
    for override in kept:
        if key(override).endswith(".factory"):
            raise ConfigError(
                f"resume={folder}: this run calls a function, {override}. If it is yours, run it by adding "
                f"{override} to the command."
            )
        if not is_plain(override):
            raise ConfigError(
                f"resume={folder}: this run was made with {override}, which may bring settings from elsewhere. If it "
                f"is yours, add {shlex.quote(override)} to the command."
            )
    return kept


def require_same(config: SampleConfig, folder: Path, saved_text: str) -> None:
    """Refuse to go on with a run under another config than its own; n may grow, until and gain change.

    Raises:
        ConfigError: with the differences.
        RunFolderError: the run's config cannot be read.
    """
    values = _loaded(saved_text, folder)
    if difference := differences(values, config):
        raise ConfigError(
            f"{folder} is a run with another config ('-' the run's, '+' yours): {'; '.join(difference)}. "
            "Leave these settings out, or start a new run."
        )
    before = values.get("n", 0)
    if config.method.name == "full" and config.n != before:
        raise ConfigError(
            f"{folder} is a run of method=full, which optimises its n={before} samples together: it cannot be "
            f"extended. Start a new run with n={config.n}."
        )
    if config.n < before:
        raise ConfigError(f"{folder} is a run of n={before} samples: n may grow, not shrink to {config.n}.")


def differences(saved: object, now: SampleConfig) -> list[str]:
    """In what two configs differ, but for how far a run goes and where it is computed: `-seed=0`, `+seed=1`."""
    before = saved if isinstance(saved, DictConfig) else OmegaConf.structured(saved)
    lines = difflib.unified_diff(_lines(before), _lines(OmegaConf.structured(now)), n=0, lineterm="")
    return [line for line in lines if not line.startswith(("---", "+++", "@@"))]


def new_goal(config: SampleConfig, saved_text: str, folder: Path) -> dict[str, Any]:
    """How far a run is to go, where its config has it otherwise. Raises RunFolderError: that cannot be read."""
    return changed(_loaded(saved_text, folder), config)


def _loaded(text: str, folder: Path) -> DictConfig:
    try:
        values = OmegaConf.create(text)
    except (YAMLError, OmegaConfBaseException) as error:
        raise RunFolderError(f"{folder}/config.yaml: not YAML ({' '.join(f'{error}'.split())}). Mend it.") from error
    if not isinstance(values, DictConfig):
        raise RunFolderError(f"{folder}/config.yaml: holds no settings. Put it back as the run left it.")
    return values


def _lines(config: object) -> list[str]:
    values = OmegaConf.to_container(config, resolve=True)
    assert isinstance(values, dict)
    found: list[str] = []

    def walk(node: dict, prefix: str) -> None:
        for key in sorted(node, key=str):
            value, name = node[key], f"{prefix}{key}"
            if isinstance(value, dict) and value:
                walk(value, f"{name}.")
            elif name not in MAY_DIFFER:
                found.append(f"{name}={value}")

    walk(values, "")
    return found


def describes(override: str) -> bool:
    """Whether a saved override is a setting of ours."""
    return not override.startswith("-") and not key(override).startswith("hydra")


def is_plain(override: str) -> bool:
    """Whether an override sets a value, or chooses among the configs that are in their places by name."""
    name = key(override)
    if not re.fullmatch(r"[A-Za-z_][\w.]*", name):  # group@package puts a config where it does not belong
        return False
    settings = keys(SampleConfig)
    value = name in settings and not any(setting.startswith(f"{name}.") for setting in settings)
    if value or "." in name:
        return True
    choice = override.partition("=")[2]
    return bool(re.fullmatch(r"[\w.,/-]*", choice)) and not re.search(r"\.\.|(^|,)/", choice)


def key(override: str) -> str:
    """What an override sets."""
    return override.split("=", 1)[0].lstrip("+~")


def quoted(text: str) -> str:
    """A text as Hydra's grammar takes any: a backslash is one, but before a quote and at the end it takes two."""
    return "'" + re.sub(r"(\\*)('|$)", lambda found: 2 * found[1] + found[2].replace("'", "\\'"), text) + "'"
