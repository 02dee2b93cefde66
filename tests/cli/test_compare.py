"""`invset compare` on real runs: numbers against their summaries, and every mistake in words."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from rich.console import Console

from invset.cli import compare
from invset.cli.finished import is_own_network
from invset.errors import ConfigError, RunFolderError
from invset.metrics.pairwise import mean_pairwise_distance
from invset.models.registry import build_network
from invset.report.readings import chosen
from invset.run.images import load_png
from invset.settings import NetworkSettings, SampleSettings


class Compared(NamedTuple):
    text: str
    lines: list[dict[str, str]]
    out: Path


def _compare(*arguments: object, width: int = 200) -> Compared:
    text = io.StringIO()
    out = Path("out")
    words = [str(argument) for argument in arguments]
    assert compare.run([*words, f"out={out}"], Console(file=text, width=width)) == 0
    with (out / "compare.csv").open(newline="") as file:
        return Compared(text.getvalue(), list(csv.DictReader(file)), out)


@pytest.fixture
def linear_copy(here, linear_run) -> Path:
    return Path(shutil.copytree(linear_run, here / "other"))


def _edit(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


def test_numbers_of_a_run_are_those_of_its_summary(here, linear_run):
    result = _compare(linear_run)
    summary = json.loads((linear_run / "summary.json").read_text())
    (line,) = result.lines
    assert float(line["mean_pairwise_distance"]) == summary["mean_pairwise_distance"]
    assert float(line["near_duplicate_share"]) == pytest.approx(summary["near_duplicate_share"], rel=1e-6)
    assert float(line["share_in_range"]) == summary["acceptance"]
    assert float(line["seconds"]) == summary["seconds"]
    assert float(line["lowest_code"]) == summary["codes"]["lowest"]
    assert float(line["highest_code"]) == summary["codes"]["highest"]
    passes = summary["passes"]["forward"] + summary["passes"]["backward"]
    assert float(line["passes_per_sample"]) == passes / summary["samples"]
    assert (line["run"], line["method"], line["samples"], line["n"]) == (linear_run.name, "multistart", "22", "22")
    assert float(line["mean_pairwise_distance_low"]) < float(line["mean_pairwise_distance"])


def test_the_built_in_models_are_encoded_as_the_run_did(here, mini_run):
    result = _compare(mini_run)
    summary = json.loads((mini_run / "summary.json").read_text())
    value = float(result.lines[0]["mean_pairwise_distance"])
    assert value == pytest.approx(summary["mean_pairwise_distance"], rel=1e-5)
    assert "in fc6 of mini" in result.text


def test_what_is_written_and_shown(here, linear_run, linear_copy):
    result = _compare(linear_run, linear_copy)
    assert sorted(path.name for path in result.out.iterdir()) == [
        "compare.csv", "compare.md", "histograms.png", "rows.png"
    ]  # fmt: skip
    first, second = result.lines
    assert (first["run"], second["run"]) == ("run", "other")
    assert float(second["distance_ratio"]) == 1
    assert float(second["distance_ratio_low"]) < 1 < float(second["distance_ratio_high"])
    assert load_png(result.out / "rows.png").shape[0] == load_png(result.out / "histograms.png").shape[0] == 3
    markdown = (result.out / "compare.md").read_text()
    for line in ("mean pairwise distance", "network passes per sample", "share of tried codes in range"):
        assert line in result.text
        assert f"| {line} |" in markdown
    assert result.text.splitlines()[-1].strip() == "out"


def test_narrow_terminals_keep_intervals_whole(here, linear_run, linear_copy):
    text = _compare(linear_run, linear_copy, width=60).text
    assert all(line.count("[") == line.count("]") for line in text.splitlines())


def test_many_runs_stand_in_several_tables_in_80_columns(here, linear_run):
    """Numbers are found again in lines that begin with their measure, in order of the runs."""
    folders = [Path(shutil.copytree(linear_run, here / f"20-31-0{number}")) for number in range(7)]
    result = _compare(*folders, width=80)
    lines = result.text.split("Distances are")[0].splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert all(line.count("[") == line.count("]") for line in lines)
    heads = [line.split() for line in lines if line.lstrip().startswith("20-31-0")]
    assert [len(names) for names in heads] == [3, 3, 1]
    assert [name for names in heads for name in names] == [folder.name for folder in folders]
    for key, title in (("passes", "network passes"), ("gradient_steps", "gradient steps"), ("n", "samples compared")):
        told = [re.findall(r"\d+", line) for line in lines if re.match(rf"{title}  ", line)]
        assert [number for numbers in told for number in numbers] == [line[key] for line in result.lines]


def test_equal_n_is_a_random_subset_of_the_saved_images(here, linear_run, linear_copy):
    result = _compare(linear_run, linear_copy, "n=9", "seed=4")
    rows = chosen(22, 9, 4)
    images = torch.stack([load_png(linear_run / "images" / f"{row + 1:04d}.png") for row in rows])
    expected = mean_pairwise_distance(images.flatten(1))
    for line in result.lines:
        assert (line["samples"], line["n"]) == ("22", "9")
        assert float(line["mean_pairwise_distance"]) == expected
    assert "A random subset (random seed 4) stands for run, other" in result.text


def test_the_smallest_run_settles_n(here, linear_run, mini_run):
    result = _compare(mini_run, linear_run)
    assert {line["n"] for line in result.lines} == {"14"}
    assert "is of another unit: output:1 instead of fc8:2." in result.text
    assert [line["run"] for line in result.lines] == ["/".join(run.parts[-2:]) for run in (mini_run, linear_run)]
    with pytest.raises(ConfigError, match="images are of another size"):
        _compare(linear_run, mini_run)


def test_the_network_of_a_run_is_known_by_kind_and_name():
    settings = SampleSettings(network=NetworkSettings("torchvision", "resnet50"))
    assert is_own_network("torchvision:resnet50", settings)
    assert not is_own_network("torchvision:resnet18", settings)
    assert is_own_network("mini", SampleSettings())
    assert not is_own_network(None, SampleSettings())


def test_other_ranges_and_unfinished_runs_are_said(here, linear_run, linear_copy):
    _edit(linear_copy / "config.yaml", "- 0.9", "- 0.95")
    _edit(linear_copy / "summary.json", '"complete"', '"interrupted"')
    text = _compare(linear_run, linear_copy).text
    assert "other has another range: output:1 in [0.7, 0.95] instead of output:1 in [0.7, 0.9]." in text
    assert "other is interrupted: 22 of 22 samples." in text


def test_features_of_another_network(here, mini_run, linear_run):
    """The built-in network stands in for an independent one; its fc8 has the class, and its units have no other."""
    result = _compare(mini_run, linear_run, "features=mini")
    first, second = result.lines
    network = build_network("mini")
    numbers = [row + 1 for row in chosen(14, 14, 0)]
    images = torch.stack([load_png(mini_run / "images" / f"{number:04d}.png") for number in numbers])
    with torch.no_grad():
        logits = network.read(["fc8"], images)["fc8"]
    for k in (1, 5):
        agreeing = (logits.topk(k).indices == 1).any(dim=1).double().mean().item()  # goldfish is fc8:2
        assert float(first[f"agreement_top_{k}"]) == agreeing
        assert second[f"agreement_top_{k}"] == ""
    assert 1 <= float(first["feature_vendi_gaussian"]) <= 14
    assert "features=mini is the network of" in result.text


def test_the_folder_to_write_to_is_named_by_the_time(here, linear_run):
    assert compare.run([str(linear_run)], Console(file=io.StringIO())) == 0
    assert len(list(here.glob("outputs/compare/*/*/compare.csv"))) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere: there is no such run"),
        (["RUN", "runs=[x]"], "give either these or runs=, not both"),
        (["x=" + "x" * 300], "there is no setting 'x'"),
        (["sweep"], r"holds 1 run but is not a run itself: give these, as sweep/\*"),
        (["n=5"], "compare what"),
        (["RUN", "RUN"], "the same run is given twice"),
        (["RUN", "n=23"], "run has 22 samples; give 22 or fewer"),
        (["RUN", "n=1"], "n=1: give 2 or more"),
        (["RUN", "n=x"], "n=x: give a whole number"),
        (["RUN", "sed=1"], "there is no setting 'sed': did you mean seed"),
        (["RUN", "-m"], "there is no flag -m"),
        (["RUN", "features=minni"], "features=minni: did you mean mini"),
        (["RUN", "features=timm"], "give the name of one, as features=timm:resnet18"),
        (["RUN", "features=torchvision"], "give the name of one"),
    ],
)
def test_wrong_arguments(here, linear_run, arguments, message):
    (here / "sweep" / "0").mkdir(parents=True)
    (here / "sweep" / "0" / "config.yaml").touch()
    with pytest.raises(ConfigError, match=message):
        compare.run([str(linear_run) if argument == "RUN" else argument for argument in arguments])


@pytest.mark.parametrize(
    ("name", "before", "after", "message"),
    [
        ("config.yaml", "kind: linear", "kind: [", r"config\.yaml: damaged"),
        ("config.yaml", "constraint: range", "constraint: rage", "damaged: no settings of a run .constraint=rage"),
        ("config.yaml", "constraint: range", "other: range", "damaged: no settings of a run"),
        ("config.yaml", "kind: linear", "sort: linear", "damaged: no settings of a run"),
        ("activations.csv", " saved", " kept", "samples are to be numbered"),
    ],
)
def test_damaged_runs(linear_copy, name, before, after, message):
    _edit(linear_copy / name, before, after)
    with pytest.raises(RunFolderError, match=message):
        _compare(linear_copy)


def test_a_damaged_image(linear_copy):
    (linear_copy / "images" / "0007.png").write_bytes(b"no image")
    with pytest.raises(RunFolderError, match=r"0007\.png: (cannot be read|damaged)"):
        _compare(linear_copy)
    assert not Path("out").exists()


def test_a_function_is_called_only_if_it_is_named(linear_copy, linear_run):
    """Runs are passed on, with their configs: that of the first may not have code run that the user has not named."""
    _edit(linear_copy / "config.yaml", "  factory: null", "  factory: os:abort")
    with pytest.raises(ConfigError, match="calls a function, os:abort"):
        _compare(linear_copy, linear_run)
    with pytest.raises(ConfigError, match="calls a function, os:abort"):
        _compare(linear_copy, "factory=other:function")
    _compare(linear_run, linear_copy)  # a later run's models are not built


def test_sweeps_have_equals_signs_in_their_folders(here, linear_copy):
    folder = linear_copy.rename(here / "n=22,seed=0")
    assert _compare(folder.name).lines[0]["run"] == "n=22,seed=0"


def test_a_place_that_cannot_be_written(here, linear_run):
    Path("out").write_text("a file")
    with pytest.raises(RunFolderError, match=r"out: cannot be written .*choose another folder with out="):
        _compare(linear_run)


def test_files_of_a_sweep_among_its_runs_are_passed_over(here, linear_run):
    sweep = here / "sweep"
    shutil.copytree(linear_run, sweep / "0")
    for name in ("multirun.yaml", "overview.csv", "overview.png"):
        (sweep / name).write_text("x")
    assert [line["run"] for line in _compare(*sorted(sweep.iterdir())).lines] == ["0"]


def test_a_run_without_samples_stands_in_the_table_with_its_budget(here, invset, linear_run):
    empty = here / "empty"
    result = invset("sample", "experiment=linear", "n=22", "schedule.K=4", "range=[1.5,1.6]",
                  "schedule.outer_iterations=1", f"hydra.run.dir={empty}")  # fmt: skip
    assert result.code == 3
    compared = _compare(linear_run, empty)
    first, second = compared.lines
    assert _compare(linear_run).lines[0].items() <= first.items()
    assert [second[key] for key in ("samples", "n", "mean_pairwise_distance", "vendi_cosine")] == ["0", "0", "", ""]
    passes = json.loads((empty / "summary.json").read_text())["passes"]
    assert float(second["passes"]) == passes["forward"] + passes["backward"] > 0
    assert second["passes_per_sample"] == ""
    closest = json.loads((empty / "summary.json").read_text())["closest"]["activations"][0]
    assert f"empty has no samples (the closest code gave {closest:.4g}): its budget alone is compared." in compared.text
