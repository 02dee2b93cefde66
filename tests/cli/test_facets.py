"""`invset facets` on real runs: what is written, what is said, and every mistake in words."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import pytest
import torch
from rich.console import Console

from invset.cli import facets
from invset.errors import ConfigError, RunFolderError
from invset.metrics.clusters import cluster
from invset.models.registry import build_network
from invset.report.readings import chosen
from invset.run.images import load_png


def _facets(*arguments: object, width: int = 200) -> str:
    text = io.StringIO()
    assert facets.run([*map(str, arguments), "out=out"], Console(file=text, width=width)) == 0
    return text.getvalue()


@pytest.fixture
def linear_copy(here, linear_run) -> Path:
    return Path(shutil.copytree(linear_run, here / "other"))


def _edit(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


def test_groups_are_those_of_the_encodings(here, mini_run, rows):
    """Encoded here in one batch, by the network that the run's encoder is."""
    text = _facets(mini_run, "groups=3")
    images = torch.stack([load_png(mini_run / "images" / f"{number:04d}.png") for number in range(1, 15)])
    with torch.no_grad():
        encodings = build_network("mini").read(["fc6"], images)["fc6"].flatten(1)
    journal = [line for line in rows(mini_run / "activations.csv") if line["sample"]]
    chains = torch.tensor([int(line["chain"]) for line in journal])
    expected = cluster(encodings, torch.arange(14), 3)  # every sample has a start of its own
    lines = rows(Path("out/facets.csv"))
    assert [int(line["sample"]) for line in lines] == list(range(1, 15))
    assert [int(line["chain"]) for line in lines] == chains.tolist()
    assert [int(line["group"]) - 1 for line in lines] == expected.labels.tolist()
    assert [index for index, line in enumerate(lines) if line["medoid"] == "1"] == sorted(expected.medoids.tolist())
    distances = torch.tensor([float(line["distance_to_medoid"]) for line in lines], dtype=torch.float64)
    torch.testing.assert_close(distances, expected.distances, rtol=1e-4, atol=1e-4)
    groups = rows(Path("out/groups.csv"))
    assert [int(group["medoid"]) - 1 for group in groups] == expected.medoids.tolist()
    assert sum(int(group["samples"]) for group in groups) == 14
    saved = [float(line["fc8:2 saved"]) for line in journal]
    for number, group in enumerate(groups):
        own = [value for value, label in zip(saved, expected.labels.tolist(), strict=True) if label == number]
        assert float(group["fc8:2 lowest"]) == pytest.approx(min(own), rel=1e-6)
        assert float(group["fc8:2 mean"]) == pytest.approx(sum(own) / len(own), rel=1e-6)
    assert "fc8:2 goldfish in [50, 60]: 14 samples, 3 groups in fc6 of mini" in text
    assert "3 groups, as asked." in text


def test_of_the_papers_method_samples_of_one_chain_do_not_count(invset, here, linear, rows):
    assert invset(*linear, "method=paper", "hydra.run.dir=walks").code == 0
    text = _facets(here / "walks", "groups=2")
    assert "4 chains say little of how many kinds there are" in text
    images = torch.stack([load_png(path) for path in sorted((here / "walks" / "images").iterdir())])
    chains = torch.tensor([int(line["chain"]) for line in rows(here / "walks" / "activations.csv")])
    expected = cluster(images.flatten(1), chains, 2)
    assert [int(line["group"]) - 1 for line in rows(Path("out/facets.csv"))] == expected.labels.tolist()


def test_what_is_written_and_shown(here, linear_run):
    before = sorted(path.name for path in linear_run.iterdir())
    text = _facets(linear_run)
    assert sorted(path.name for path in Path("out").iterdir()) == ["facets.csv", "facets.png", "groups.csv"]
    assert load_png(Path("out/facets.png")).shape[0] == 3
    assert sorted(path.name for path in linear_run.iterdir()) == before
    assert "Every sample has a start of its own, so silhouettes are over all of them." in text
    assert "of the images themselves" in text
    assert text.splitlines()[-1].strip() == "out/facets.png"
    first = {path.name: path.read_bytes() for path in Path("out").iterdir()}
    _facets(linear_run)
    assert {path.name: path.read_bytes() for path in Path("out").iterdir()} == first


def test_a_random_subset(here, linear_run, rows):
    text = _facets(linear_run, "n=9", "seed=4")
    assert [int(line["sample"]) - 1 for line in rows(Path("out/facets.csv"))] == chosen(22, 9, 4)
    assert "A random subset of the run's samples (seed=4)." in text


def test_what_another_network_sees(here, mini_run, rows):
    """The built-in network stands in for an independent one."""
    text = _facets(mini_run, "groups=2", "features=mini")
    network = build_network("mini")
    images = torch.stack([load_png(mini_run / "images" / f"{number:04d}.png") for number in range(1, 15)])
    with torch.no_grad():
        tops = network.read(["fc8"], images)["fc8"].argmax(dim=1)
    lines, groups = rows(Path("out/facets.csv")), rows(Path("out/groups.csv"))
    for group in groups:
        own = tops[torch.tensor([line["group"] == group["group"] for line in lines])]
        name = network.labels["fc8"][int(own.mode().values)]
        share = f"{(own == own.mode().values).double().mean().item():.0%}"
        assert group["seen"].startswith(f"{name} {share}")
        assert f"group {group['group']}: {group['seen']}" in text
    assert "features=mini is the run's own network" in text


def test_equal_images_are_one_group(linear_copy, rows):
    for path in (linear_copy / "images").iterdir():
        shutil.copy(linear_copy / "images" / "0001.png", path) if path.name != "0001.png" else None
    assert _facets(linear_copy).startswith("One kind of thing: all samples have the same encoding.\n")
    (group,) = rows(Path("out/groups.csv"))
    assert (group["samples"], group["silhouette"]) == ("22", "")
    with pytest.raises(ConfigError, match="groups=2: all encodings are equal"):
        _facets(linear_copy, "groups=2")


def test_few_samples_and_many_groups(here, linear_run):
    assert _facets(linear_run, "n=2").startswith("One kind of thing, as far as 2 samples show")
    assert "2 groups" in _facets(linear_run, "n=2", "groups=2")
    assert "The picture is of the 20 largest groups." in _facets(linear_run, "groups=21")


def test_the_folder_to_write_to_is_named_by_the_time(here, linear_run):
    assert facets.run([str(linear_run)], Console(file=io.StringIO())) == 0
    assert len(list(here.glob("outputs/facets/*/*/facets.png"))) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere: there is no such run"),
        (["groups=3"], "facets takes one run"),
        (["RUN", "OTHER"], "facets takes one run"),
        (["RUN", "n=23"], "n=23: run has 22 samples; give 22 or fewer"),
        (["RUN", "groups=23"], "groups=23: 22 of the encodings differ"),
        (["RUN", "n=5", "groups=6"], "groups=6: 5 of the encodings differ"),
        (["RUN", "groups=1"], "groups=1: give 2 or more"),
        (["RUN", "groups=many"], "groups=many: give a whole number"),
        (["RUN", "group=3"], "there is no setting 'group': did you mean groups"),
        (["RUN", "-m"], "there is no flag -m"),
        (["RUN", "features=minni"], "features=minni: did you mean mini"),
    ],
)
def test_wrong_arguments(here, linear_run, mini_run, arguments, message):
    with pytest.raises(ConfigError, match=message):
        facets.run([{"RUN": str(linear_run), "OTHER": str(mini_run)}.get(word, word) for word in arguments])
    assert not Path("outputs").exists()


def test_a_run_without_samples(linear_copy):
    path = linear_copy / "activations.csv"
    path.write_text(path.read_text().splitlines()[0] + "\n")
    summary = json.loads((linear_copy / "summary.json").read_text())
    (linear_copy / "summary.json").write_text(json.dumps(summary | {"samples": 0}))
    (linear_copy / "codes.safetensors").unlink()
    with pytest.raises(RunFolderError, match="0 samples, and nothing to group"):
        _facets(linear_copy)


def test_a_damaged_image(linear_copy):
    (linear_copy / "images" / "0007.png").write_bytes(b"no image")
    with pytest.raises(RunFolderError, match=r"0007\.png: (cannot be read|damaged)"):
        _facets(linear_copy)
    assert not Path("out").exists()


def test_a_function_is_called_only_if_it_is_named(linear_copy):
    _edit(linear_copy / "config.yaml", "  factory: null", "  factory: os:abort")
    with pytest.raises(ConfigError, match="calls a function, os:abort"):
        _facets(linear_copy)


def test_sweeps_have_equals_signs_in_their_folders(here, linear_copy):
    folder = linear_copy.rename(here / "n=22,seed=0")
    assert "22 samples" in _facets(folder.name)


def test_a_place_that_cannot_be_written(here, linear_run):
    Path("out").write_text("a file")
    with pytest.raises(RunFolderError, match=r"out: cannot be written .*choose another folder with out="):
        _facets(linear_run)
