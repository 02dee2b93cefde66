"""Recipes of figures: which runs one is made of, what is claimed of them, and how they are laid out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from invset.cli.help import config_folder
from invset.errors import ConfigError
from invset.names import hint
from invset.report.claims import RELATIONS
from invset.report.figure_page import Figure

ALL = ("fig1", "fig2", "table1", "fig3", "fig4", "fig5", "fig6", "fig7", "fig8", "fig9", "equations", "methods")
"""The figures of `all`, in the paper's order; what goes past it last."""
MORE = ("variety",)
"""Figures that are not in `all`, for they take an hour."""
ENDINGS = (".yaml", ".yml")
CHOICES = {"picture": ("rows", "forest"), "pick": ("activation", "chains")}


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


def recipe_folder() -> Path:
    """Where the recipes of the paper's figures are."""
    return config_folder() / "recipe"


def load_recipe(name: str) -> Recipe:
    """A recipe of the paper's, by name, or one of a file that ends in .yaml.

    Raises ConfigError: there is none of that name, or the file is not a recipe.
    """
    path = Path(name) if name.endswith(ENDINGS) else recipe_folder() / f"{name}.yaml"
    try:
        data = path.read_bytes()
    except OSError as error:
        known = sorted(found.stem for found in recipe_folder().glob("*.yaml"))
        raise ConfigError(f"{name}: there is no such figure: {hint(name, [*known, 'all'])}") from error
    try:
        if b"${" in data:
            raise ValueError("it looks values up elsewhere, with ${")
        recipe = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Recipe), OmegaConf.create(data.decode())))
    except (YAMLError, OmegaConfBaseException, ValueError, TypeError) as error:
        reason = " ".join(f"{error}".split("\n")[0].split())
        raise ConfigError(f"{path}: not a recipe of a figure: {reason}") from error
    assert isinstance(recipe, Recipe)
    if wrong := next(_mistakes(recipe), None):
        raise ConfigError(f"{path}: {wrong}")
    return recipe


def _mistakes(recipe: Recipe) -> Iterator[str]:
    for name, choices in CHOICES.items():
        if getattr(recipe, name) not in choices:
            yield f"{name}: {hint(getattr(recipe, name), choices)}"
    if len({"." in measure for measure in recipe.measures}) > 1:
        yield "measures: either all name their row, as ours.samples, or none does."
    for claim in recipe.claims:
        if claim.relation not in RELATIONS:
            yield f'claim "{claim.says}": relation: {claim.relation}: {hint(claim.relation, RELATIONS)}'
        if (claim.than is None) == (claim.value is None):
            yield f'claim "{claim.says}": give than, another row, or value, a number.'
    named = [(measure, measure.split(".")[0]) for measure in recipe.measures if "." in measure]
    named += [(claim.says, row) for claim in recipe.claims for row in (claim.of, claim.than) if row is not None]
    for model, one in recipe.models.items():
        rows = one.rows or recipe.rows
        if len(rows) < (2 if recipe.picture == "forest" else 1):
            yield f"models.{model}: has not enough rows: a forest compares two, another picture shows one or more."
        yield from (f'"{what}": models.{model} has no row {row}.' for what, row in named if row not in rows)
