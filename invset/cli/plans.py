"""The runs that a figure is made of, from its recipe and what the user adds."""

from __future__ import annotations

from dataclasses import dataclass

from invset.cli.recipes import GroupRecipe, Recipe, RowRecipe, settings_of
from invset.cli.resume import is_plain, key
from invset.cli.schema import SampleConfig, keys
from invset.errors import ConfigError

GROUPS = ("experiment", "target")  # of configs, beside those that are settings too
NOT_HERE = ("resume", "hydra")  # settings that say where a run is


@dataclass(frozen=True)
class Planned:
    """One run of a figure: its group and row by name, its title, and all its settings."""

    group: str
    row: str
    title: str
    overrides: tuple[str, ...]


def planned(recipe: Recipe, model: str, path: str, extra: tuple[str, ...] = ()) -> list[Planned]:
    """All runs of a figure, group by group; `extra` settings of the user come last.

    Raises:
        ConfigError: the recipe has no such model, or settings that a recipe may not have: recipes are passed on.
    """
    if model not in recipe.models:
        raise ConfigError(f"model={model}: {path} has {', '.join(recipe.models)}.")
    one = recipe.models[model]
    rows = one.rows or recipe.rows
    given, known = {key(setting) for setting in extra}, {*GROUPS, *(name.split(".")[0] for name in keys(SampleConfig))}
    parts: list[GroupRecipe | RowRecipe] = [*one.groups.values(), *rows.values()]
    fixed = {"neuron", "range", *(key(setting) for part in parts for setting in part.set)} - {"n"}
    if telling := [setting for setting in extra if key(setting) in fixed]:
        raise ConfigError(
            f"{telling[0]}: {path} says itself what its runs are, and is labelled so. To change it, copy "
            f"its recipe to a file of yours, and reproduce that."
        )
    for setting in settings_of(one, rows):
        if key(setting).split(".")[0] in NOT_HERE or setting.startswith("-"):
            raise ConfigError(f"{path}: models.{model}: '{setting}': a figure says itself where its runs are.")
        if key(setting).split(".")[0].split("@")[0] not in known:
            continue  # sample says what there is instead
        if (key(setting).endswith(".factory") or not is_plain(setting)) and key(setting) not in given:
            raise ConfigError(
                f"{path}: models.{model}: '{setting}' may run code or bring settings from elsewhere. If it is yours, "
                "add it to the command."
            )
    groups = one.groups or {"": GroupRecipe()}
    return [
        Planned(name, key, row.title or key, _latest((*one.set, *group.set, *row.set, *extra)))
        for name, group in groups.items()
        for key, row in rows.items()
    ]


def _latest(overrides: tuple[str, ...]) -> tuple[str, ...]:
    """Of settings that are given twice the last one."""
    by_key: dict[str, str] = {}
    for override in overrides:
        by_key.pop(key(override), None)
        by_key[key(override)] = override
    return tuple(by_key.values())
