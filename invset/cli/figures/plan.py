"""The runs that a figure is made of, from its recipe and what the user adds; each has a folder of its own."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from invset.cli.figures.recipe import GroupRecipe, Recipe, RowRecipe
from invset.cli.overrides import is_plain, key_of
from invset.cli.sampling.resume_run import NO_SETTINGS
from invset.cli.sweep.jobs import settings_of
from invset.errors import ConfigError
from invset.settings import SampleSettings, names

GROUPS = ("experiment", "target")  # of configs, beside those that are settings too
NOT_HERE = ("resume", "hydra")  # settings that say where a run is
READABLE = 60  # characters of a folder's name before its digest


@dataclass(frozen=True)
class Planned:
    """One run of a figure: its group and row by name, its title, and all its settings."""

    group: str
    row: str
    title: str
    overrides: tuple[str, ...]

    @property
    def folder_name(self) -> str:
        """What to call its folder: the values of its settings, and a digest of all of them, in whatever order.

        Where it is computed, as on which device, is no part of it.
        """
        settings = [setting for key, setting in settings_of(self.overrides).items() if key not in NO_SETTINGS]
        values = "_".join(setting.partition("=")[2] for setting in settings)
        readable = re.sub(r"[^A-Za-z0-9.]+", "-", values).strip("-.")[:READABLE]
        digest = hashlib.sha256("\n".join(sorted(settings)).encode("utf-8", "replace")).hexdigest()[:8]
        return f"{readable}_{digest}"


def plan_runs(recipe: Recipe, model: str, path: str, extra: Sequence[str] = ()) -> list[Planned]:
    """All runs of a figure, group by group; `extra` settings of the user come last.

    Raises ConfigError: the recipe has no such model, or settings that it may not have, for recipes are passed on.
    """
    if model not in recipe.models:
        raise ConfigError(f"model={model}: {path} has {', '.join(recipe.models)}.")
    one = recipe.models[model]
    rows, groups = one.rows or recipe.rows, one.groups or {"": GroupRecipe()}
    parts: list[GroupRecipe | RowRecipe] = [*groups.values(), *rows.values()]
    own = [setting for part in parts for setting in part.set]
    _require_same_runs(path, own, extra)
    _require_harmless(f"{path}: models.{model}", [*one.set, *own], {key_of(setting) for setting in extra})
    return [
        Planned(name, key, row.title or key, _latest((*one.set, *group.set, *row.set, *extra)))
        for name, group in groups.items()
        for key, row in rows.items()
    ]


def _require_same_runs(path: str, own: Sequence[str], extra: Sequence[str]) -> None:
    """Refuse what would change runs under their labels: their units and ranges, and what tells them apart."""
    fixed = {"neuron", "range", *map(key_of, own)} - {"n"}
    if changed := [setting for setting in extra if key_of(setting) in fixed]:
        raise ConfigError(
            f"{changed[0]}: {path} says itself what its runs are, and is labelled so. To change it, copy "
            f"its recipe to a file of yours, and reproduce that."
        )


def _require_harmless(where: str, settings: Sequence[str], given: set[str]) -> None:
    """Refuse settings that may run code, or say where runs are, unless the user gave them too."""
    known = {*GROUPS, *(name.split(".")[0] for name in names(SampleSettings))}
    for setting in settings:
        first = key_of(setting).split(".")[0]
        if first in NOT_HERE or setting.startswith("-"):
            raise ConfigError(f"{where}: '{setting}': a figure says itself where its runs are.")
        if first.split("@")[0] not in known:
            continue  # sample says what there is instead
        if (key_of(setting).endswith(".factory") or not is_plain(setting)) and key_of(setting) not in given:
            raise ConfigError(
                f"{where}: '{setting}' may run code or bring settings from elsewhere. If it is yours, add it to the "
                "command."
            )


def _latest(overrides: Sequence[str]) -> tuple[str, ...]:
    """Of settings that are given twice the last one."""
    by_key: dict[str, str] = {}
    for override in overrides:
        by_key.pop(key_of(override), None)
        by_key[key_of(override)] = override
    return tuple(by_key.values())
