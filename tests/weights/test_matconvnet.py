"""MatConvNet's files, written with scipy in its layout; the oracle for the layout is a loop over H, W, in, out."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy
import torch
from scipy.io import loadmat, savemat

from invset.errors import WeightsError
from invset.weights.formats import kind
from invset.weights.matconvnet import read_matconvnet
from invset.weights.matlab import read_variables

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
    assert net.normalisation == {"norm1": (5, 1, 2e-5, 0.75)}
    norm = "normalize" if style == "old" else "lrn"
    types = {"conv1": "conv", "relu1": "relu", "norm1": norm, "layer4": "conv", "prob": "softmax"}
    assert list(net.types.items()) == list(types.items())
    assert kind(path) == "matconvnet"


def test_what_may_be_missing(tmp_path: Path) -> None:
    savemat(tmp_path / "net.mat", {"layers": contents("new")["layers"]})
    net = read_matconvnet(tmp_path / "net.mat")
    assert net.average_image is None


def test_an_average_of_three_numbers(tmp_path: Path) -> None:
    content = contents("old")
    content["normalization"]["averageImage"] = np.array([[[122.7, 116.7, 104.0]]])
    savemat(tmp_path / "net.mat", content)
    net = read_matconvnet(tmp_path / "net.mat")
    assert torch.equal(net.average_image, torch.tensor([122.7, 116.7, 104.0]))


def changed(**values: Any) -> dict[str, Any]:
    return contents("old") | values


WRONG = {
    "dagnn": ({"params": 1.0, "vars": 1.0, "layers": {"block": 1.0}}, "is a DagNN"),
    "no network": ({"x": np.ones(3)}, "holds no `layers`"),
    "numbers": (changed(layers=np.ones(3)), "holds no `layers`"),
    "no weights": (changed(layers=cell({"type": "relu", "name": "r"})), "holds no weights"),
    "text": (changed(layers=cell({"type": "conv", "name": "c", "filters": "x"})), "weights of c should be numbers"),
    "complex": (changed(layers=cell({"type": "conv", "name": "c", "filters": 1j})), "holds no weights"),
    "twice": (
        changed(layers=cell(*[{"type": "conv", "name": "c", "filters": FILTERS}] * 2)),
        "two layers are named 'c'",
    ),
    "nameless": (changed(layers=cell({"type": 3.0, "name": "c", "filters": FILTERS})), "no text"),
    "grey": (changed(normalization={"averageImage": np.ones((7, 6, 2))}), "`averageImage` is 7 x 6 x 2"),
    "lrn": (
        changed(layers=cell({"type": "lrn", "name": "n", "param": np.ones(3)})),
        "`param` of n should be 4 numbers",
    ),
}


@pytest.mark.parametrize("name", list(WRONG))
def test_what_is_wrong_is_said(tmp_path: Path, name: str) -> None:
    content, message = WRONG[name]
    savemat(tmp_path / "net.mat", content)
    refused(tmp_path / "net.mat", message)


def refused(path: Path, message: str) -> None:
    with pytest.raises(WeightsError, match=message) as caught:
        read_matconvnet(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert len(str(caught.value)) < 500


HEADER = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"


def element(kind: int, data: bytes) -> bytes:
    return struct.pack("<II", kind, len(data)) + data + bytes(-len(data) % 8)


def matrix(class_: int, sides: tuple[int, ...], *parts: bytes, name: bytes = b"") -> bytes:
    sizes = struct.pack(f"<{len(sides)}i", *sides)
    return element(14, element(6, bytes([class_]) + bytes(7)) + element(5, sizes) + element(1, name) + b"".join(parts))


def nested(depth: int) -> bytes:
    inner = matrix(6, (0, 0), element(9, b""))
    for _ in range(depth):
        inner = matrix(1, (1, 1), inner)
    return inner


NUMBERS = matrix(6, (1, 2), element(9, bytes(16)), name=b"layers")
HOSTILE = {
    "nothing": (b"", "is empty"),
    "short": (HEADER[:50], "damaged header"),
    "order": (HEADER[:126] + b"XX", "damaged header"),
    "v7.3": (b"MATLAB 7.3 MAT-file".ljust(512) + b"\x89HDF\r\n\x1a\n", "of MATLAB 7.3"),
    "png": (b"\x89PNG\r\n\x1a\n" + bytes(200), "damaged header"),
    "empty": (HEADER, "holds no `layers`"),
    "cut": (HEADER + NUMBERS[:-8], "promises 72 bytes where 64 are left"),
    "cut tag": (HEADER + NUMBERS + b"\x0e\0\0\0", "no whole MATLAB file"),
    "other data": (HEADER + element(9, bytes(16)), "of type 9"),
    "cells": (HEADER + matrix(1, (2**15, 2**15), name=b"layers"), "holds no weights"),
    "negative": (HEADER + matrix(6, (-1, 3), element(9, bytes(16))), "no whole MATLAB file"),
    "deep": (HEADER + nested(2000), "recursion depth exceeded"),
    "types": (HEADER + matrix(6, (1, 2), element(0, bytes(16))), "no whole MATLAB file"),  # crashes scipy 1.17
    "more types": (HEADER + matrix(6, (1, 2), element(999, bytes(16))), "no whole MATLAB file"),
    "no zlib": (HEADER + element(15, bytes(100)), "while decompressing"),
    "reshaped": (HEADER + matrix(6, (3, 3), element(9, bytes(16)), name=b"layers"), "cannot reshape"),
}


@pytest.mark.parametrize("name", list(HOSTILE))
def test_hostile_files_are_refused(tmp_path: Path, name: str) -> None:
    data, message = HOSTILE[name]
    (tmp_path / "net.mat").write_bytes(data)
    refused(tmp_path / "net.mat", message)


def plain(value: Any) -> Any:
    """What scipy reads, as ours has it: cells are lists, structs dictionaries, and text is a string."""
    if not isinstance(value, np.ndarray):
        return None
    if value.dtype.names:
        return {name: plain(value.flat[0][name]) for name in value.dtype.names} if value.size == 1 else None
    if value.dtype == object:
        return [plain(entry) for entry in value.ravel(order="F")]
    if value.dtype.kind == "U":
        return "".join(value.flat) if value.size < 2 else None
    return value if value.dtype.kind in "fiub" else None


FOLDER = Path(scipy.__file__).parent / "io" / "matlab" / "tests" / "data"
KINDS = "3dmatrix bool cell cellnest double emptycell matrix minus multi scalarcell string struct structnest unicode"


@pytest.mark.skipif(not FOLDER.exists(), reason="a scipy without its tests")
@pytest.mark.parametrize("kind", KINDS.split())
def test_files_that_matlab_wrote_are_read_as_scipy_reads_them(kind: str) -> None:
    """Those of scipy's own tests: MATLAB 5.3 to 7.4, of either order of bytes."""
    compared = 0
    for path in FOLDER.glob(f"test{kind}_*.mat"):
        with path.open("rb") as file:
            if file.read(8) == b"MATLAB 5":
                file.seek(0)
                ours = read_variables(file, path.stat().st_size)
                theirs = {name: plain(value) for name, value in loadmat(path).items() if not name.startswith("__")}
                np.testing.assert_equal({name: ours[name] for name in theirs}, theirs)
                compared += 1
    assert compared
