"""MatConvNet's files, written with scipy in its layout; the oracle for the layout is a loop over H, W, in, out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.io import savemat

from invset.errors import WeightsError
from invset.weights.formats import kind
from invset.weights.matconvnet import read_matconvnet

numbers = np.random.default_rng(0)
FILTERS = numbers.standard_normal((3, 2, 4, 5)).astype(np.float32)  # H, W, in, out
BIASES = numbers.standard_normal((1, 5)).astype(np.float32)
ONE_UNIT = numbers.standard_normal((6, 6, 5)).astype(np.float32)  # MATLAB drops the last side, which is 1
AVERAGE = numbers.uniform(0, 255, (7, 6, 3)).astype(np.float32)
LABELS = ["tench, Tinca tinca", "great white shark", "café"]


def cell(*values: Any) -> np.ndarray:
    array = np.empty((1, len(values)), object)
    for number, value in enumerate(values):
        array[0, number] = value
    return array


def contents(style: str) -> dict[str, Any]:
    def weights(filters: np.ndarray, biases: Any) -> dict[str, Any]:
        return {"filters": filters, "biases": biases} if style == "old" else {"weights": cell(filters, biases)}

    layers = cell(
        {"type": "conv", "name": "conv1", "stride": 4.0, "pad": 0.0, **weights(FILTERS, BIASES)},
        {"type": "relu", "name": "relu1"},
        {"type": "normalize" if style == "old" else "lrn", "name": "norm1", "param": np.array([5, 1, 2e-5, 0.75])},
        {"type": "conv", **weights(ONE_UNIT, np.zeros((0, 0)))},
        {"type": "softmax", "name": "prob"},
    )
    meta = {
        "normalization": {"imageSize": np.array([7, 6, 3], np.uint16), "averageImage": AVERAGE, "keepAspect": True},
        "classes": {"name": cell("n01", "n02", "n03"), "description": cell(*LABELS)},
    }
    if style == "old":
        return {"layers": layers, **meta}
    if style == "new":
        return {"layers": layers, "meta": meta}
    return {"net": {"layers": layers, "meta": meta}}


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("style", ["old", "new", "whole"])
def test_all_styles_give_the_same_network(tmp_path: Path, style: str, compressed: bool) -> None:
    path = tmp_path / "net.mat"
    savemat(path, contents(style), do_compression=compressed)
    net = read_matconvnet(path)
    assert list(net.layers) == ["conv1", "layer4"]
    weight, bias = net.layers["conv1"]
    assert (weight.shape, bias.shape, weight.dtype) == ((5, 4, 3, 2), (5,), torch.float32)
    for h, w, i, o in np.ndindex(FILTERS.shape):
        assert weight[o, i, h, w] == FILTERS[h, w, i, o]
    assert torch.equal(bias, torch.tensor(BIASES[0]))
    (one,) = net.layers["layer4"]  # its biases are empty
    assert one.shape == (1, 5, 6, 6)
    assert one.is_contiguous()
    assert one[0, 4, 2, 3] == ONE_UNIT[2, 3, 4]
    assert net.average_image is not None
    assert net.average_image.shape == (3, 7, 6)
    assert net.average_image[2, 4, 5] == AVERAGE[4, 5, 2]
    assert net.types == ["conv", "relu", "normalize" if style == "old" else "lrn", "conv", "softmax"]
    assert kind(path) == "matconvnet"
    assert net.classes == tuple(zip(["n01", "n02", "n03"], LABELS, strict=True))


def test_what_may_be_missing(tmp_path: Path) -> None:
    savemat(tmp_path / "net.mat", {"layers": contents("new")["layers"]})
    net = read_matconvnet(tmp_path / "net.mat")
    assert net.average_image is None
    assert net.classes == ()


def test_an_average_of_three_numbers(tmp_path: Path) -> None:
    content = contents("old")
    content["normalization"]["averageImage"] = np.array([[[122.7, 116.7, 104.0]]])
    savemat(tmp_path / "net.mat", content)
    net = read_matconvnet(tmp_path / "net.mat")
    assert torch.equal(net.average_image, torch.tensor([122.7, 116.7, 104.0]))


def changed(**values: Any) -> dict[str, Any]:
    return contents("old") | values


WRONG = {
    "dagnn": {"params": 1.0, "vars": 1.0, "layers": {"block": 1.0}},
    "no network": {"x": np.ones(3)},
    "numbers": changed(layers=np.ones(3)),
    "no weights": changed(layers=cell({"type": "relu", "name": "r"})),
    "text": changed(layers=cell({"type": "conv", "name": "c", "filters": "x"})),
    "grey": changed(normalization={"averageImage": np.ones((7, 6))}),
}


@pytest.mark.parametrize("name", list(WRONG))
def test_another_structure_is_refused(tmp_path: Path, name: str) -> None:
    savemat(tmp_path / "net.mat", WRONG[name])
    refused(tmp_path / "net.mat", "holds no SimpleNN of MatConvNet")


def refused(path: Path, message: str) -> None:
    with pytest.raises(WeightsError, match=message) as caught:
        read_matconvnet(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_a_file_cut_short_is_refused(tmp_path: Path, compressed: bool, share: float) -> None:
    path = tmp_path / "net.mat"
    savemat(path, contents("new"), do_compression=compressed)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    refused(path, "cut short, damaged")


def test_matlab_7_is_said(tmp_path: Path) -> None:
    head = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM"
    (tmp_path / "net.mat").write_bytes(head.ljust(512) + b"\x89HDF\r\n\x1a\n")
    refused(tmp_path / "net.mat", "is of MATLAB 7.3")
