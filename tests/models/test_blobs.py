from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from invset.errors import WeightsError
from invset.models.blobs import Blobs, fill_layers, read_blobs
from tests.weights.caffe_files import write_net


class Small(nn.Sequential):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(3, 4, 2), nn.ReLU())
        self.up = nn.ConvTranspose2d(4, 2, 2)
        self.fc = nn.Sequential(nn.Flatten(), nn.Linear(2 * 3 * 3, 5))


@pytest.fixture
def arrays() -> dict[str, tuple[np.ndarray, ...]]:
    randomness = np.random.default_rng(0)
    shapes = {"conv": (4, 3, 2, 2), "up": (4, 2, 2, 2), "fc": (5, 18)}
    biases = {"conv": 4, "up": 2, "fc": 5}
    return {
        name: (
            randomness.standard_normal(shape, dtype=np.float32),
            randomness.standard_normal(biases[name], dtype=np.float32),
        )
        for name, shape in shapes.items()
    }


@pytest.fixture
def blobs(arrays: dict[str, tuple[np.ndarray, ...]]) -> Blobs:
    return {name: tuple(map(torch.from_numpy, values)) for name, values in arrays.items()}


def fill(blobs: Blobs) -> Small:
    return fill_layers(Small, blobs, Path("net.pt"), "Advice.")


def same(module: Small, blobs: Blobs) -> bool:
    layers = {"conv": module.conv[0], "up": module.up, "fc": module.fc[1]}
    return all(
        torch.equal(layer.weight, blobs[name][0]) and torch.equal(layer.bias, blobs[name][1])
        for name, layer in layers.items()
    )


def test_layers_that_it_does_not_have_are_ignored(blobs: Blobs) -> None:
    assert same(fill(blobs), blobs)
    assert same(fill({**blobs, "other": (torch.ones(3),)}), blobs)


@pytest.mark.parametrize(
    ("spelling", "kind"),
    [("{}.weight", "pt"), ("{}.1.weight", "safetensors"), ("{}.0.weight", "pt"), ("module.{}.weight", "pt")],
)
def test_names_of_tensors_begin_with_the_layer(tmp_path: Path, blobs: Blobs, spelling: str, kind: str) -> None:
    names = {name: spelling.format(name) for name in blobs}
    state = {names[name]: values[0] for name, values in blobs.items()}
    state |= {names[name].replace("weight", "bias"): values[1] for name, values in blobs.items()}
    path = tmp_path / f"net.{kind}"
    if kind == "pt":
        torch.save(dict(reversed(state.items())), path)
    else:
        save_file(state, path)
    read = read_blobs(path)
    assert set(read) == set(blobs)
    assert same(fill(read), blobs)


@pytest.mark.parametrize("version", [0, 1, 2])
def test_a_caffemodel_of_any_age(tmp_path: Path, arrays: dict[str, tuple[np.ndarray, ...]], version: int) -> None:
    types = {"conv": "Convolution", "up": "Deconvolution", "fc": "InnerProduct"}
    layers = {name: (types[name], values) for name, values in arrays.items()}
    read = read_blobs(write_net(tmp_path / "net", layers, version=version, legacy=version < 2))
    assert same(fill(read), {name: tuple(map(torch.from_numpy, values)) for name, values in arrays.items()})


def test_a_fully_connected_layer_may_be_kept_as_a_convolution(blobs: Blobs) -> None:
    weight, bias = blobs["fc"]
    assert same(fill({**blobs, "fc": (weight.view(5, 2, 3, 3), bias)}), blobs)


def test_half_precision_becomes_float32(blobs: Blobs) -> None:
    module = fill({name: tuple(value.half() for value in values) for name, values in blobs.items()})
    assert {parameter.dtype for parameter in module.parameters()} == {torch.float32}


def test_only_transposed_convolutions_may_leave_out_their_bias(blobs: Blobs) -> None:
    without = fill({**blobs, "up": blobs["up"][:1]})
    assert torch.equal(without.up.weight, blobs["up"][0])
    assert without.up.bias.tolist() == [0, 0]
    for layer, name in {"conv": "layer conv: bias", "fc": "layer fc: bias"}.items():
        with pytest.raises(WeightsError, match=rf"net.pt: {name} should be \(\d,\), is absent\. Advice"):
            fill({**blobs, layer: blobs[layer][:1]})


def damaged(blobs: Blobs, layer: str, values: tuple[Tensor, ...] | None) -> Blobs:
    return {name: kept for name, kept in {**blobs, layer: values}.items() if kept is not None}


@pytest.mark.parametrize(
    ("layer", "values", "says"),
    [
        ("conv", None, r"layer conv: weight should be \(4, 3, 2, 2\), is absent"),
        ("up", (), r"layer up: weight should be \(4, 2, 2, 2\), is absent"),
        ("fc", (torch.ones(5, 17), torch.ones(5)), r"layer fc: weight should be \(5, 18\), is \(5, 17\)"),
        ("fc", (torch.tensor(1.0), torch.ones(5)), r"layer fc: weight should be \(5, 18\), is \(\)"),
        ("up", (torch.ones(2, 4, 2, 2), torch.ones(2)), r"is \(2, 4, 2, 2\)"),
        ("fc", (torch.ones(5, 18), torch.ones(5), torch.ones(5)), r"layer fc: third blob should be absent, is \(5,\)"),
        ("conv", (torch.ones(4, 3, 2, 2, dtype=torch.int64), torch.ones(4)), r"is \(4, 3, 2, 2\) of torch.int64"),
    ],
)
def test_what_does_not_fit_is_one_error(blobs: Blobs, layer: str, values: tuple[Tensor, ...] | None, says: str) -> None:
    with pytest.raises(WeightsError, match=f"^net.pt: .*{says}. Advice.$"):
        fill(damaged(blobs, layer, values))
