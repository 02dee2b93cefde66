"""Recipes of figures: which runs one is made of, what is claimed of them, and how they are laid out."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError  # type: ignore[import-untyped]

from invset.cli.app import config_folder
from invset.cli.arguments import there
from invset.errors import ConfigError
from invset.names import hint
from invset.report.claims import RELATIONS
from invset.report.figure_page import Figure

ALL = ("fig1", "fig2", "table1", "fig3", "fig4", "fig5", "fig6", "fig7", "fig8", "fig9", "equations", "methods")
"""The figures of `all`, in the paper's order; what goes past it last."""
MORE = ("variety",)
"""Figures that are not in `all`, for they take an hour."""
PICTURES = ("rows", "forest")
PICKS = ("activation", "chains")


@dataclass
class RowRecipe:
    """A run of every group: its name beside the picture, and its settings of `invset sample`."""

    title: str = ""
    set: list[str] = field(default_factory=list)


@dataclass
class GroupRecipe:
    """Runs that are measured together, as those of one unit: a heading, settings of all of them.

    `paper` is the paper's number for the group, where the picture is a forest.
    """

    title: str = ""
    set: list[str] = field(default_factory=list)
    paper: float | None = None


@dataclass
class ModelRecipe:
    """A figure for one network: settings of all runs, groups, rows in place of the figure's, and a remark."""

    set: list[str] = field(default_factory=list)
    groups: dict[str, GroupRecipe] = field(default_factory=dict)
    rows: dict[str, RowRecipe] = field(default_factory=dict)
    features: str | None = None
    note: str = ""


@dataclass
class Recipe(Figure):
    """A figure, and the runs that it is made of.

    Attributes:
        compare: how many samples of a run are compared at most; null: as many as there are.
        least: runs of fewer samples are measured by their budget alone.
        rows: runs of every group.
        models: by name, as caffenet and mini.
    """

    compare: int | None = None
    least: int = 20
    rows: dict[str, RowRecipe] = field(default_factory=dict)
    models: dict[str, ModelRecipe] = field(default_factory=dict)


def folder() -> Path:
    """Where the recipes of the paper's figures are."""
    return config_folder() / "experiment" / "paper"


def is_file_name(name: str) -> bool:
    """Whether a figure is named by the file of its recipe."""
    return name.endswith((".yaml", ".yml"))


def load(name: str) -> Recipe:
    """A recipe of the paper's, by name, or one of a file that ends in .yaml.

    Raises:
        ConfigError: there is none of that name, or the file is none.
    """
    path = Path(name) if is_file_name(name) else folder() / f"{name}.yaml"
    if not there(path):
        known = sorted(found.stem for found in folder().glob("*.yaml"))
        raise ConfigError(f"{name}: there is no such figure: {hint(name, [*known, 'all'])}")
    try:
        values = OmegaConf.merge(OmegaConf.structured(Recipe), OmegaConf.create(path.read_text("utf-8")))
        recipe = OmegaConf.to_object(values)
    except (OSError, YAMLError, OmegaConfBaseException, UnicodeDecodeError, ValueError, TypeError) as error:
        reason = " ".join(f"{error}".split("\n")[0].split())
        raise ConfigError(f"{path}: this is no recipe of a figure: {reason}") from error
    assert isinstance(recipe, Recipe)
    _check(recipe, path)
    return recipe


def settings_of(one: ModelRecipe, rows: dict[str, RowRecipe]) -> list[str]:
    """All settings of a model's runs, as they are written in the recipe."""
    parts: list[ModelRecipe | GroupRecipe | RowRecipe] = [one, *one.groups.values(), *rows.values()]
    return [setting for part in parts for setting in part.set]


def _check(recipe: Recipe, path: Path) -> None:
    def refuse(what: str) -> NoReturn:
        raise ConfigError(f"{path}: {what}")

    if not recipe.models:
        refuse("models: a figure has runs for one model at least.")
    if recipe.picture not in PICTURES:
        refuse(f"picture: {recipe.picture}: {hint(recipe.picture, PICTURES)}")
    for name, least in (("images", 1), ("columns", 1), ("least", 2)):
        if getattr(recipe, name) < least:
            refuse(f"{name}: {getattr(recipe, name)}: give {least} or more.")
    if recipe.pick not in PICKS:
        refuse(f"pick: {recipe.pick}: {hint(recipe.pick, PICKS)}")
    if len({"." in measure for measure in recipe.measures}) > 1:
        refuse("measures: either all name their row, as ours.samples, or none does.")
    if recipe.compare is not None and recipe.compare < 2:
        refuse(f"compare: {recipe.compare}: give 2 or more, or null.")
    for claim in recipe.claims:
        if claim.relation not in RELATIONS:
            refuse(f'claim "{claim.says}": relation: {claim.relation}: {near_names(claim.relation, RELATIONS)}')
        if (claim.than is None) == (claim.value is None):
            refuse(f'claim "{claim.says}": give than, another row, or value, a number.')
    for model, one in recipe.models.items():
        rows = one.rows or recipe.rows
        if not rows:
            refuse(f"models.{model}: has no rows, and neither has the figure.")
        if recipe.picture == "forest" and len(rows) < 2:
            refuse(f"models.{model}: a forest is of two rows, and the first is compared with the second.")
        titles = [group.title or name for name, group in one.groups.items()]
        if len(set(titles)) < len(titles):
            refuse(f"models.{model}: two groups have one title.")
        if wrong := [measure for measure in recipe.measures if "." in measure and measure.split(".")[0] not in rows]:
            refuse(f"measures: {wrong[0]}: models.{model} has no such row.")
        for setting in settings_of(one, rows):
            if "=" not in setting:
                refuse(f"models.{model}: '{setting}': write a setting as key=value.")
        for row in (row for claim in recipe.claims for row in (claim.of, claim.than) if row is not None):
            if row not in rows:
                refuse(f"a claim is of the row '{row}', which models.{model} has not.")
