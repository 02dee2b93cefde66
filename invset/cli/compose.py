"""Settings of a command as Hydra composes them: schemas from `invset.settings`, configs from the folder of configs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from os.path import isfile
from pathlib import Path
from typing import Any

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from invset.cli.help import config_folder
from invset.cli.hydra_errors import advise, describe_error
from invset.cli.overrides import OPTIONS, key_of, normalise, quote
from invset.errors import ConfigError
from invset.run.layout import Layout
from invset.settings import SETTINGS, check, names

WITH_CONFIGS = ("sample", "probe", "units")  # commands whose settings come from a file in the folder of configs too


def register_schemas() -> None:
    """Make the settings of all commands known to Hydra."""
    store = ConfigStore.instance()
    for command, kind in SETTINGS.items():
        store.store(name=f"{command}_schema" if command in WITH_CONFIGS else command, node=kind)


def compose(command: str, overrides: Sequence[str]) -> Any:
    """The settings that a command would have with these overrides; inside a job, with the job's own config folders.

    Raises:
        ConfigError: there is no such setting, or it cannot have that value.
    """
    register_schemas()
    begun = GlobalHydra.instance().is_initialized()
    where = nullcontext() if begun else hydra.initialize_config_dir(str(config_folder()), version_base="1.3")
    try:
        with where:
            return OmegaConf.to_object(hydra.compose(command, [normalise(override) for override in overrides]))
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        raise ConfigError(describe_error(error, command)) from error


def parse(command: str, arguments: Sequence[str], words: str) -> Any:
    """The settings of a command that reads its arguments itself, checked; what is no key=value is of the list `words`.

    A folder of a run may have an equals sign in its name, as one of a sweep.
    """
    alone: list[str] = []
    overrides: list[str] = []
    for argument in arguments:
        if argument.startswith("-"):
            raise ConfigError(f"there is no flag {argument}: settings are written key=value.")
        is_word = "=" not in argument or isfile(Layout(Path(argument)).config)  # noqa: PTH113 - of any length
        (alone if is_word else overrides).append(argument)
    if alone:
        if any(key_of(override) == words for override in overrides):
            raise ConfigError(f"{' '.join(alone)}: give either these or {words}=, not both.")
        overrides.append(f"{words}=[{','.join(map(quote, alone))}]")
    settings = compose(command, overrides)
    check(settings)
    return settings


def require_known(config: DictConfig, command: str) -> None:
    """Hydra adds any key behind a plus and takes any away behind a tilde. Raises ConfigError."""
    known = names(SETTINGS[command])
    given = list(_keys(OmegaConf.to_container(config)))
    for name in given:
        if name not in known and not name.startswith(OPTIONS):
            raise ConfigError(f"there is no setting '{name}': {advise(name, known)}")
    for name in known:
        if name not in given:
            raise ConfigError(f"{name}: cannot be removed (~{name}): every setting needs a value.")


def _keys(values: Any, prefix: str = "") -> Iterator[str]:
    for key, value in values.items():
        yield f"{prefix}{key}"
        if isinstance(value, dict):
            yield from _keys(value, f"{prefix}{key}.")
