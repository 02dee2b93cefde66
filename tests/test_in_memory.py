"""Networks and generators as torch modules in memory, beside the same ones made by functions of a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor, nn

import invset
from invset.run.json_files import read_json
from tests.cli.conftest import call
from tests.run.runs import data

FILE = """
import torch
from torch import nn


def net():
    torch.manual_seed(3)
    convolution = [nn.Conv2d(3, 4, 3, stride=2), nn.BatchNorm2d(4), nn.ReLU(inplace=True)]
    return nn.Sequential(*convolution, nn.Flatten(), nn.Dropout(), nn.Linear(36, 5))


def gen():
    torch.manual_seed(4)
    layers = [nn.Linear(6, 3 * 8 * 8), nn.BatchNorm1d(192), nn.Tanh()]
    return nn.Sequential(*layers, nn.Unflatten(1, (3, 8, 8)))
"""
SCOPE: dict[str, Any] = {}
exec(FILE, SCOPE)
net: Callable[[], nn.Sequential] = SCOPE["net"]
gen: Callable[[], nn.Sequential] = SCOPE["gen"]
QUICK: dict[str, Any] = {"n": 6, "encoder": "none", "schedule": {"K": 3}}
OWN = {"code": 6, "output": (-1, 1)}
RANGE = (-0.2, 0.4)


def in_memory(unit: str = "logits:2", range: Any = RANGE, **settings: Any) -> invset.Samples:
    return invset.sample(unit, range, **{"network": net(), "generator": gen(), **OWN, **QUICK, **settings})


class Bare(nn.Module):
    """Does what it is told to with codes or images."""

    def __init__(self, run: Callable[[Tensor], Any], **held: Any) -> None:
        super().__init__()
        self.run = run
        self.held = held

    def forward(self, x: Tensor) -> Any:
        return self.run(x)


def test_the_same_bits_as_through_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netsinafile.py").write_text(FILE)
    monkeypatch.syspath_prepend(tmp_path)
    half = {"mean": 0.5, "deviation": 0.5}
    network = {"kind": "custom", "factory": "netsinafile:net", "options": {"size": 8, **half}}
    generator = {"kind": "custom", "factory": "netsinafile:gen", "options": {"code": 6, **half}}
    invset.sample("logits:2", RANGE, network=network, generator=generator, folder=tmp_path / "files", **QUICK)
    in_memory(folder=tmp_path / "memory", **half)
    assert data(tmp_path / "memory") == data(tmp_path / "files")
    memory, files = (read_json(tmp_path / name / "manifest.json") for name in ("memory", "files"))
    assert memory["units"] == files["units"]
    assert [one["sha256"] for one in memory["weights"]] == [one["sha256"] for one in files["weights"]]


def test_a_module_stays_as_it_is_and_is_run_in_eval_mode() -> None:
    """In training mode BatchNorm's own statistics and Dropout would change what is read, and the module."""
    network, generator = net().double(), gen()
    generator[0] = nn.utils.spectral_norm(generator[0])
    generator(torch.randn(4, 6))  # spectral norm now holds a weight with a history
    held = [*network.state_dict().values(), *generator.state_dict().values()]
    before = [value.clone() for value in held]
    training = in_memory(network=network, generator=generator)
    after = [*network.state_dict().values(), *generator.state_dict().values()]
    for was, same, now in zip(before, held, after, strict=True):
        assert torch.equal(was, now)
        assert (now.data_ptr(), now.dtype) == (same.data_ptr(), was.dtype)
    assert network.training
    assert generator.training
    assert all(parameter.requires_grad for parameter in [*network.parameters(), *generator.parameters()])
    network.eval(), generator.eval()
    with torch.no_grad():
        read = network(training.images.double())[:, 1]
        made = (generator(training.codes) + 1) / 2
    torch.testing.assert_close(training.activations[:, 0], read.float(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(training.images, made.clamp(0, 1), rtol=0, atol=0.6 / 255)
    assert torch.equal(in_memory(network=network, generator=generator).images, training.images)


def test_a_network_and_a_generator_of_invset_are_taken_as_they_are() -> None:
    network = invset.Network("mine", net(), {"out": ""}, (3, 8, 8))
    generator = invset.Generator("made", gen(), 6, (3, 8, 8), colours=invset.Colours(mean=0.5, deviation=0.5))
    samples = in_memory("out:2", network=network, generator=gen())
    assert torch.equal(samples.images, in_memory().images)
    assert network.module[0].weight.is_contiguous()  # a copy is what is placed
    with pytest.raises(invset.ConfigError, match=r"size=8: this is for a torch module as network"):
        in_memory("out:2", network=network, size=8)
    with pytest.raises(invset.ConfigError, match=r"code=6: this is for a torch module as generator"):
        in_memory(generator=generator)
    settings: dict[str, Any] = {"starts": "random_images", "encoder": {"network": "same", "layer": "1"}}
    with pytest.raises(invset.ConfigError, match="made"):  # its codes are of no known kind, and no layer has as many
        invset.sample("logits:2", RANGE, network=net(), generator=generator, n=6, **settings)


def test_the_built_in_generator_draws_for_any_network_and_the_built_in_network_reads_any_generator() -> None:
    head = nn.Sequential(nn.AvgPool2d(8), nn.Flatten(), nn.Linear(192, 4))
    samples = invset.sample("logits:1", (-10, 10), network=head, size=64, starts="normal", **QUICK)
    assert (samples.images.shape, samples.summary["status"]) == ((6, 3, 64, 64), "complete")
    samples = invset.sample("conv1:3:mean", (-10, 10), generator=gen(), **OWN, **QUICK)
    assert (samples.images.shape, samples.summary["status"]) == ((6, 3, 8, 8), "complete")


def test_what_it_was_stands_in_its_folder_and_no_command_builds_it_again(tmp_path: Path) -> None:
    samples = in_memory(folder=tmp_path / "run", mean=[0.1, 0.2, 0.3])
    loaded = invset.load(tmp_path / "run")
    assert torch.equal(loaded.images, samples.images)
    config = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    sequential = "torch.nn.modules.container.Sequential"
    options = {"module": sequential, "size": 8, "mean": [0.1, 0.2, 0.3]}
    assert (config["network"]["kind"], config["network"]["options"]) == ("in_memory", options)
    assert config["generator"]["options"] == {"module": sequential, "code": 6, "output": [-1, 1]}
    result = call("sample", f"resume={tmp_path / 'run'}")
    assert (result.code, result.out) == (2, "")
    assert "network was a module in Python's memory (torch.nn.modules.container.Sequential)" in result.err
    assert len(result.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"code": None}, r"generator Sequential: code=None; give the numbers in a code, as code="),
        ({"code": 5}, r"generator Sequential cannot be run on codes \(2, 5\) \(RuntimeError: mat1 and mat2"),
        ({"output": None}, r"makes pixels from -\S+ to \S+: say what black and white are, as output=\(-1, 1\)"),
        ({"output": 255}, r"output=255: give what Sequential makes of black and of white, as output=\(-1, 1\)"),
        ({"generator": "mini"}, "code=6: this is for a torch module as generator"),
        ({"generator": nn.Linear(6, 12)}, r"generator Linear makes \(2, 12\) of codes \(2, 6\), not images"),
        ({"generator": Bare(torch.no_grad()(gen().eval()))}, "generator Bare: no gradient comes from its images"),
        ({"generator": Bare(len, lock=(one for one in ()))}, "Bare cannot be copied .TypeError: cannot pickle"),
        ({"size": 3}, r"network Sequential cannot be run on images of 3x3 pixels"),
        ({"std": 0.5}, "std=0.5: it is called deviation here"),
        ({"mean": [1, 2]}, r"colours: mean=\[1, 2\]"),
        ({"network": nn.Linear}, "network is a type: give a name, .*the object, not its class"),
        ({"network": Bare(torch.no_grad()(net().eval()))}, "network Bare: no gradient comes from logits"),
        ({"network": Bare(lambda x: x.flatten(1) * float("nan"))}, "NaN"),
        ({"unit": "logits:6"}, "logits"),
    ],
)  # fmt: skip
def test_what_is_missing_or_wrong_is_said_by_name_in_one_line(given: dict[str, Any], words: str) -> None:
    with pytest.raises(invset.InvsetError, match=words) as raised:
        in_memory(**given)
    assert len(str(raised.value).splitlines()) == 1


def test_the_size_is_that_of_a_generator_of_ones_own_and_otherwise_asked_for() -> None:
    with pytest.raises(invset.ConfigError, match=r"network Sequential: give the pixels a side .*as size=224"):
        invset.sample("logits:2", network=net())
    wide = nn.Sequential(nn.Linear(6, 3 * 8 * 9), nn.Sigmoid(), nn.Unflatten(1, (3, 8, 9)))
    with pytest.raises(invset.ConfigError, match="give the pixels a side"):
        invset.sample("logits:2", network=net(), generator=wide, code=6)
    assert len(invset.sample("logits:2", network=net(), generator=wide, code=6, size=8, **QUICK)) == 6


def test_probe_and_units_take_modules_too() -> None:
    reached = invset.probe("logits:2", network=net(), generator=gen(), codes=8, chains=3, steps=5, **OWN)
    assert reached.images.shape == (3, 3, 8, 8)
    lines = invset.units(net(), size=8)
    assert "logits  5 numbers" in repr(lines).splitlines()
    assert invset.units(net(), "logits", size=8)[1] == "Units are logits:1 to logits:5."
    assert invset.units(find="volcano") == ("fc8:981 volcano",)
    with pytest.raises(invset.ConfigError, match="size=8: this is for a torch module as network"):
        invset.units("mini", size=8)


def test_a_sample_is_a_picture() -> None:
    samples = in_memory()
    pictures = list(samples)
    assert len(pictures) == 6
    assert pictures[3] == samples[3] == samples[-3] == samples[3:5][0]
    assert samples[3].getpixel((5, 2)) == tuple((samples.images[3, :, 2, 5] * 255).round().int().tolist())


@pytest.mark.parametrize("method", ["multistart", "paper"])
def test_nan_for_some_images_ends_chains_and_not_the_run(method: str) -> None:
    """In natural codes, unrelated codes and starts, and on the way."""

    class Sometimes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net()

        def forward(self, x: Tensor) -> Tensor:
            rows = (x.detach().flatten(1).double().sum(dim=1) * 1e3) % 1 < 0.1
            out: Tensor = self.net(x).masked_fill(rows[:, None], torch.nan)
            return out

    samples = in_memory(network=Sometimes(), range=None, n=12, method=method)
    assert samples.summary["status"] == "complete"
    assert samples.summary["chains_not_finite"] > 0
    assert samples.activations.isfinite().all()
