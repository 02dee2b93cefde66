"""Recipes: every run of every figure of the paper composes, says what it is, and is told apart from the others."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from invset.assemble.methods import own_settings
from invset.assemble.sampling import check_targets
from invset.cli.compose import register_schemas
from invset.cli.figures.plan import plan_runs
from invset.cli.figures.recipe import ALL, MORE, GroupRecipe, ModelRecipe, Recipe, RowRecipe, load_recipe, recipe_folder
from invset.cli.help import config_folder
from invset.errors import ConfigError
from invset.models.labels import class_names
from invset.report.comparison import compare
from invset.report.readings import Measured
from invset.report.runs import FinishedRun
from invset.settings import SampleSettings

FIGURES = sorted(path.stem for path in recipe_folder().glob("*.yaml"))
PAIRS = [(name, model) for name in FIGURES for model in load_recipe(name).models]
"""Of figure and model."""


@pytest.fixture(scope="module")
def composed():
    register_schemas()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        yield cache(lambda overrides: OmegaConf.to_object(compose("sample", list(overrides))))


def test_all_are_all():
    assert sorted((*ALL, *MORE)) == FIGURES
    assert {"fig1", "fig2", "fig3", "fig4", "fig5", "fig6", "fig7", "fig8", "fig9", "table1"} <= set(FIGURES)
    assert {model for name, model in PAIRS if name in ALL} == {"caffenet", "mini"}


@pytest.mark.parametrize(("name", "model"), PAIRS)
def test_every_run_is_one_that_sample_accepts(composed, name, model):
    for run in plan_runs(load_recipe(name), model, name):
        targets = check_targets(composed(run.overrides))
        assert len(targets.ranges) >= 1


@pytest.mark.parametrize(("name", "model"), PAIRS)
def test_titles_name_the_units_and_ranges_that_are_sampled(composed, name, model):
    recipe = load_recipe(name)
    groups = recipe.models[model].groups
    for run in plan_runs(recipe, model, name):
        told = f"{groups[run.group].title if run.group else ''} {run.title}"
        config = composed(run.overrides)
        ranges = OmegaConf.to_object(config.range) if OmegaConf.is_config(config.range) else config.range
        ranges = ranges if isinstance(ranges[0], list) else [ranges]
        for low, high in re.findall(r"\[(\S+), (\S+)\]", told):
            assert [float(low), float(high)] in [
                list(map(float, ends)) for ends in ranges
            ] or "method=ppgn" in run.overrides
        for number, label in re.findall(r"fc8:(\d+) ([A-Za-z ]+?)(?: in)? \[", told):
            assert f"fc8:{number}" in str(config.neuron)
            if config.network.kind != "places205":
                assert class_names()[int(number) - 1] == label


def test_runs_of_other_settings_have_other_folders_and_equal_ones_the_same():
    names: dict[str, frozenset[str]] = {}
    for name, model in PAIRS:
        for run in plan_runs(load_recipe(name), model, name):
            folder = run.folder_name
            assert re.fullmatch(r"[\w.-]+", folder)
            assert names.setdefault(folder, frozenset(run.overrides)) == frozenset(run.overrides)
    fig2 = plan_runs(load_recipe("fig2"), "mini", "fig2")
    table1 = plan_runs(load_recipe("table1"), "mini", "table1")
    assert {run.folder_name for run in fig2} <= {run.folder_name for run in table1}


def test_the_last_of_two_settings_counts():
    recipe = Recipe(
        rows={"a": RowRecipe(set=["n=3"])},
        models={"mini": ModelRecipe(set=["n=1", "seed=4"], groups={"g": GroupRecipe(set=["n=2"])})},
    )
    (run,) = plan_runs(recipe, "mini", "x")
    assert run.overrides == ("seed=4", "n=3")
    (run,) = plan_runs(recipe, "mini", "x", ("n=9",))
    assert run.overrides == ("seed=4", "n=9")


@pytest.mark.parametrize("name", FIGURES)
def test_measures_are_of_the_comparison(name):
    seen = {"features": torch.eye(5), "logits": torch.eye(5, 9), "classes": (2,), "top_classes": "volcano 100%"}
    activations, chains = torch.ones(5, 1), torch.arange(5)
    run = FinishedRun(Path(), SampleSettings(), ("fc8:2",), (None,), ((0.0, 2.0),), activations, chains, None, {})
    one = Measured("a", run, range(5), torch.eye(5), activations, **seen)
    keys = {row.key for row in compare([one, replace(one, run=replace(run, ranges=((0.0, 9.0),)))], 1.0, 0.1)}
    recipe = load_recipe(name)
    assert {measure.split(".")[-1] for measure in recipe.measures} <= keys
    assert {claim.measure for claim in recipe.claims} <= keys


GOOD = "models: {mini: {rows: {a: {set: [n=3]}}}}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- 1", "not a recipe of a figure"),
        ("title: Größe", "not a recipe of a figure"),  # in Latin-1
        ("modles: {}", "modles"),
        ("title: [", "not a recipe of a figure"),
        ("models: {mini: {}}", "models.mini: has not enough rows"),
        (GOOD + "picture: pie", "picture: there are"),
        (
            GOOD + "claims: [{says: x, measure: n, of: b, relation: above, value: 1}]",
            "models.mini has no row b",
        ),
        (GOOD + "claims: [{says: x, measure: n, of: a, relation: over, value: 1}]", "relation: over"),
        (GOOD + "claims: [7]", "not a recipe of a figure"),
        (GOOD + "measures: [a.samples, passes]", "either all name their row"),
        (GOOD + "measures: [b.samples]", "models.mini has no row b"),
        (GOOD + "picture: forest", "has not enough rows"),
        (GOOD + "pick: best", "pick: there are"),
    ],
)
def test_what_is_wrong_with_a_recipe_is_said(tmp_path, text, message):
    path = tmp_path / "mine.yaml"
    path.write_text(text, "latin-1")
    with pytest.raises(ConfigError) as raised:
        load_recipe(str(path))
    assert message in str(raised.value)
    assert str(path) in str(raised.value)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("resume=/other/run", "a figure says itself where its runs are"),
        ("hydra.run.dir=/x", "a figure says itself where its runs are"),
        ("--config-dir=/x", "a figure says itself where its runs are"),
        ("network.factory=os:getcwd", "If it is yours, add it to the command"),
        ("experiment=../../x", "If it is yours, add it to the command"),
        ("network@generator=mini", "If it is yours, add it to the command"),
    ],
)
def test_recipes_that_come_from_elsewhere_run_nothing(setting, message):
    recipe = Recipe(rows={"a": RowRecipe()}, models={"mini": ModelRecipe(set=[setting])})
    with pytest.raises(ConfigError, match=message):
        plan_runs(recipe, "mini", "mine.yaml")
    if "command" in message:
        (run,) = plan_runs(recipe, "mini", "mine.yaml", (setting,))
        assert run.overrides == (setting,)


def test_a_setting_of_a_recipe_that_is_none_is_told_by_the_run():
    recipe = Recipe(rows={"a": RowRecipe()}, models={"mini": ModelRecipe(set=["rnge=[3,7]"])})
    (run,) = plan_runs(recipe, "mini", "mine.yaml")
    assert run.overrides == ("rnge=[3,7]",)


def test_a_name_that_no_file_can_have():
    with pytest.raises(ConfigError, match="there is no such figure"):
        load_recipe("x" * 300)


PRINTED = {  # figure: (units, range of each), as the paper has them; fig1's ranges are not in its text
    "fig2": {("fc8:981", (50, 60)), ("fc8:947", (40, 50)), ("fc8:1000", (40, 50))},
    "table1": {("fc8:981", (50, 60)), ("fc8:947", (40, 50)), ("fc8:1000", (40, 50))},
    "fig3": {("conv5:197", (170, 200)), ("conv5:197", (260, 300))},
    "fig4": {("fc8:664", (40, 50)), ("fc8:862", (40, 50)), ("fc8:664", (40, 50), "fc8:862", (40, 50))},
    "fig5": {("conv5:197", (260, 300), "fc8:1000", (20, 50)), ("conv5:197", (260, 300), "fc8:862", (40, 50))},
    "fig6": {("fc8:88", (40, 50)), ("fc8:141", (40, 50))},
    "fig7": {("fc8:981", (50, 60))},
    "fig8": {("fc8:981", (50, 60))},
    "fig9": {("fc8:981", (50, 60))},
}
COUNTS = {"fig7": {10}, "fig8": {10}, "fig9": {100}}


@pytest.mark.parametrize("name", PRINTED)
def test_caffenets_units_ranges_and_counts_are_those_printed(composed, name):
    found = set()
    for run in plan_runs(load_recipe(name), "caffenet", name):
        config = composed(run.overrides)
        targets = check_targets(config)
        ppgn = config.method.name == "ppgn"
        assert config.network.kind == ("places205" if name == "fig6" else "caffenet")
        assert (config.generator.kind, config.schedule.K, config.seed) == ("ppgn", 10, 0)
        assert config.n in ({2000} if ppgn else COUNTS.get(name, {500}))
        if ppgn:
            own = own_settings(config)
            assert (own.steps, own.rounds) == (200, 1)
        else:
            pairs = zip(targets.neurons, targets.ranges, strict=True)
            found.add(tuple(part for neuron, ends in pairs for part in (neuron, tuple(map(int, ends)))))
    assert found == PRINTED[name]


def test_a_figure_or_a_model_that_is_not_there():
    with pytest.raises(ConfigError, match="fig11: there is no such figure: did you mean fig1"):
        load_recipe("fig11")
    with pytest.raises(ConfigError, match="model=resnet: fig1 has caffenet, mini"):
        plan_runs(load_recipe("fig1"), "resnet", "fig1")
