"""`invset reproduce` on small recipes of one's own: runs are made once, measured together, and judged in words."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image

from invset.cli import reproduce
from invset.cli.signals import Interrupted
from invset.errors import ConfigError

RECIPE = """
title: Two ranges of a linear model
shows: Samples at a lower and a higher range.
images: 4
least: 5
measures: [delivered, mean_pairwise_distance, passes_per_sample]
rows:
  low: {title: "[0.5, 0.6]", set: ["range=[0.5,0.6]"]}
  high: {title: "[0.7, 0.9]", set: ["range=[0.7,0.9]"]}
models:
  mini: {set: [experiment=linear, schedule.K=4, n=12], note: It has no generator.}
  never: {set: [experiment=linear, schedule.K=4, n=12, schedule.outer_iterations=1],
          rows: {low: {title: reached}, high: {title: out of reach, set: ["range=[1.5,1.6]"]}}}
claims:
  - {says: The lower range is sampled, paper: n = 500, measure: delivered, of: low, relation: at least, value: 1}
  - {says: The higher range costs a thousand times as much, measure: passes_per_sample, of: high, relation: above,
     than: low, times: 1000}
"""


@pytest.fixture
def recipe(here: Path) -> str:
    (here / "mine.yaml").write_text(RECIPE)
    return "mine.yaml"


def _runs(out: Path) -> dict[str, Path]:
    return {json.loads((run / "manifest.json").read_text())["overrides"][-1]: run for run in (out / "runs").iterdir()}


def test_a_figure_its_numbers_and_its_note(invset, here, recipe):
    result = invset("reproduce", recipe)
    assert (result.code, result.err) == (0, "")
    folder = here / "outputs" / "reproduced" / "mini" / "mine"
    assert sorted(path.name for path in folder.iterdir()) == ["figure.png", "note.md", "numbers.csv"]
    assert result.out.rstrip().endswith("outputs/reproduced/mini/mine/figure.png")
    with (folder / "numbers.csv").open(newline="") as file:
        low, high = csv.DictReader(file)
    runs = _runs(here / "outputs" / "reproduced" / "mini")
    for line, setting in ((low, "range=[0.5,0.6]"), (high, "range=[0.7,0.9]")):
        summary = json.loads((runs[setting] / "summary.json").read_text())
        assert float(line["mean_pairwise_distance"]) == pytest.approx(summary["mean_pairwise_distance"])
        assert (line["samples"], line["delivered"], line["folder"]) == ("12", "1", runs[setting].name)
        assert float(line["gradient_steps"]) == summary["gradient_steps"]
        assert line["seed_steps"] == line["sample_steps"] == "", "of method=multistart, which has no seeds"
    note = (folder / "note.md").read_text()
    assert "It has no generator." in note
    assert "| The lower range is sampled (n = 500) | " in note
    assert ": share of the wanted samples | 1 | ≥ 1 | yes |" in note
    assert "The higher range costs a thousand times as much: no (" in result.out
    assert "![Two ranges of a linear model](figure.png)" in note
    with Image.open(folder / "figure.png") as picture:
        assert picture.width > 4 * 128


def test_runs_are_made_once_and_again_for_other_settings(invset, here, recipe):
    assert invset("reproduce", recipe, "out=x").code == 0
    before = {path: path.stat().st_mtime_ns for path in (here / "x" / "runs").rglob("*")}
    again = invset("reproduce", recipe, "out=x")
    assert again.code == 0
    assert again.out.count("complete already: x/runs/") == 2
    assert {path: path.stat().st_mtime_ns for path in (here / "x" / "runs").rglob("*")} == before
    other = invset("reproduce", recipe, "out=x", "n=8")
    assert other.code == 0
    assert "complete already" not in other.out
    assert len(list((here / "x" / "runs").iterdir())) == 4


def test_an_interrupted_run_is_gone_on_with_and_a_missing_one_made(invset, here, recipe, results):
    assert invset("reproduce", recipe, "out=x").code == 0
    low, high = _runs(here / "x").values()
    whole = {run: results(run) for run in (low, high)}
    (low / "summary.json").unlink()  # as after kill -9 at its end
    shutil.rmtree(high)
    result = invset("reproduce", recipe, "out=x")
    assert result.code == 0
    assert {run: results(run) for run in (low, high)} == whole


def test_an_interruption_says_how_to_go_on(here, recipe, monkeypatch, capsys):
    def stop(*_: object) -> int:
        raise Interrupted(2)

    monkeypatch.setattr(reproduce.app, "launch", stop)
    with pytest.raises(Interrupted):
        reproduce.run([recipe])
    assert "to go on, give the same command again" in capsys.readouterr().out


def test_a_range_that_is_not_reached_is_a_result(invset, here, recipe):
    result = invset("reproduce", recipe, "model=never")
    assert (result.code, result.err) == (0, "")
    note = (here / "outputs" / "reproduced" / "never" / "mine" / "note.md").read_text()
    assert "out of reach is unreachable: 0 of 12 samples." in note
    assert "out of reach: network passes per sample | - |" in note
    assert "| unclear |" in note
    assert "| out of reach | 0 | - | - |" in note


def test_a_run_that_fails_leaves_out_its_figure_and_no_other(invset, here, recipe):
    (here / "wrong.yaml").write_text(RECIPE.replace("range=[0.7,0.9]", "neuron=output:99").replace("[0.7, 0.9]", "99"))
    result = invset("reproduce", "wrong.yaml", recipe, "out=x")
    assert result.code == 2
    assert "output:99" in result.err
    assert "wrong: not made: a run failed." in result.out
    page = (here / "x" / "PAPER.md").read_text()
    assert "## wrong\n\nNot made: a run failed." in page
    assert "![Two ranges of a linear model](mine/figure.png)" in page


def test_a_run_of_other_settings_or_another_version_is_not_used_again(invset, here, recipe):
    assert invset("reproduce", recipe, "out=x").code == 0
    run = _runs(here / "x")["range=[0.7,0.9]"]
    config = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(config.replace("inner_steps: 100", "inner_steps: 50"))
    changed = invset("reproduce", recipe, "out=x")
    assert changed.code == 2
    assert "holds a run of other settings: schedule.inner_steps is 50, not 100" in (changed.err)
    (run / "config.yaml").write_text(config)
    manifest = (run / "manifest.json").read_text()
    (run / "manifest.json").write_text(re.sub('"invset": "[^"]*"', '"invset": "0.0.9"', manifest))
    older = invset("reproduce", recipe, "out=x")
    assert older.code == 2
    assert "made by invset 0.0.9, this is" in older.err
    (run / "manifest.json").write_text(manifest)
    assert invset("reproduce", recipe, "out=x").code == 0


def test_where_a_run_is_computed_makes_no_other_run(invset, here, recipe):
    assert invset("reproduce", recipe, "out=x").code == 0
    again = invset("reproduce", recipe, "out=x", "batch_size=2", "device=cpu")
    assert again.out.count("complete already") == 2
    note = (here / "x" / "mine" / "note.md").read_text()
    assert "Not as the recipe has it: batch_size=2, device=cpu for every run." in note


def test_the_page_holds_all_figures_that_are_there(invset, here, recipe):
    for name in ("one", "two", "three"):
        (here / f"{name}.yaml").write_text(RECIPE.replace("Two ranges", f"{name}, two ranges"))
    assert invset("reproduce", "one.yaml", "two.yaml", "out=x").code == 0
    assert invset("reproduce", "two.yaml", "three.yaml", "out=x").code == 0
    page = (here / "x" / "PAPER.md").read_text()
    assert [line for line in page.splitlines() if line.startswith("## ")] == [
        f"## {name}, two ranges of a linear model" for name in ("one", "three", "two")
    ]


def test_without_the_independent_network_the_figure_says_so(invset, here, recipe, monkeypatch):
    text = RECIPE.replace("mini: {set:", "mini: {features: efficientnet_lite0, set:")
    (here / "seen.yaml").write_text(text)
    monkeypatch.setitem(__import__("sys").modules, "efficientnet_lite_pytorch", None)
    assert invset("reproduce", "seen.yaml").code == 0
    note = (here / "outputs" / "reproduced" / "mini" / "seen" / "note.md").read_text()
    assert "What an independent network sees was not measured:" in note
    assert "pip install 'invset\\[imagenet\\]'" in note


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["out=x"], "reproduce what? Give fig1, fig2"),
        (["fig1", "-m"], "there is no flag -m"),
        (["fig1", "resume=x"], "resume=x: cannot be set"),
        (["fig1", "hydra.run.dir=x"], "hydra.run.dir=x: cannot be set"),
        (["fig0"], "fig0: there is no such figure"),
        (["fig1", "elsewhere/fig1.yaml"], "two figures are called fig1"),
        (["fig1", "model=vgg"], "model=vgg: fig1 has caffenet, mini"),
    ],
)
def test_wrong_usage(arguments, message):
    with pytest.raises(ConfigError) as raised:
        reproduce.run(arguments)
    assert message in str(raised.value)


@pytest.mark.parametrize("setting", ["range=[0.2,0.3]", "neuron=output:1"])
def test_what_tells_runs_apart_is_not_changed_under_their_names(here, recipe, setting):
    with pytest.raises(ConfigError, match=r"mine\.yaml says itself what its runs are"):
        reproduce.run([recipe, setting])


def test_a_setting_that_is_none_is_told_by_the_run(invset, recipe):
    result = invset("reproduce", recipe, "nn=3")
    assert result.code == 2
    assert "there is no setting 'nn'" in result.err


def test_all_is_every_figure_once():
    settings = reproduce.parse_arguments(["all", "fig1", "n=3", "device=cpu"])
    assert settings.figures[:3] == ("fig1", "fig2", "table1")
    assert len(set(settings.figures)) == len(settings.figures)
    assert (settings.model, str(settings.out), settings.extra) == (
        "mini",
        "outputs/reproduced/mini",
        ("n=3", "device=cpu"),
    )
