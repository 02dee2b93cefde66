"""MatConvNet's files, written with scipy in its layout; the oracle for the layout is a loop over H, W, in, out."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.io import savemat

from invset.errors import WeightsError
from invset.weights.files import kind
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
    assert net.size == (7, 6)
    assert net.labels == tuple(LABELS)
    assert net.normalisation == {"norm1": (5, 1, 2e-5, 0.75)}
    norm = "normalize" if style == "old" else "lrn"
    types = {"conv1": "conv", "relu1": "relu", "norm1": norm, "layer4": "conv", "prob": "softmax"}
    assert list(net.types.items()) == list(types.items())
    assert kind(path) == "matconvnet"


def test_what_may_be_missing(tmp_path: Path) -> None:
    savemat(tmp_path / "net.mat", {"layers": contents("new")["layers"]})
    net = read_matconvnet(tmp_path / "net.mat")
    assert (net.average_image, net.size, net.labels) == (None, None, ())


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
    "complex": (changed(layers=cell({"type": "conv", "name": "c", "filters": 1j})), "weights of c should be numbers"),
    "twice": (
        changed(layers=cell(*[{"type": "conv", "name": "c", "filters": FILTERS}] * 2)),
        "two layers are named 'c'",
    ),
    "nameless": (changed(layers=cell({"type": 3.0, "name": "c", "filters": FILTERS})), "no text"),
    "grey": (changed(normalization={"averageImage": np.ones((7, 6, 2))}), "`averageImage` is 7 x 6 x 2"),
    "size": (changed(normalization={"imageSize": np.array([0.5, 6])}), "`imageSize` is no size"),
    "endless": (changed(normalization={"imageSize": np.array([np.inf, np.nan])}), "`imageSize` is no size"),
    "lrn": (
        changed(layers=cell({"type": "lrn", "name": "n", "param": np.ones(3)})),
        "`param` of n should be 4 numbers",
    ),
    "labels": (changed(classes={"description": np.ones(3)}), "`description` is no cell array"),
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
    "png": (b"\x89PNG\r\n\x1a\n" + bytes(200), "is no MATLAB 5 file"),
    "empty": (HEADER, "holds no `layers`"),
    "cut": (HEADER + NUMBERS[:-8], "promises 72 bytes where 64 are left"),
    "cut tag": (HEADER + NUMBERS + b"\x0e\0\0\0", "ends within a tag"),
    "other data": (HEADER + element(9, bytes(16)), "data of type 9"),
    "cells": (HEADER + matrix(1, (2**15, 2**15), name=b"layers"), "more cells or fields than it holds"),
    "fields": (HEADER + matrix(2, (1, 9999), element(5, b"\4\0\0\0"), element(1, b"a\0\0\0")), "more cells or fields"),
    "characters": (HEADER + matrix(4, (1, 2**28), element(16, b""), name=b"layers"), "more text than"),
    "negative": (HEADER + matrix(6, (-1, 2), element(9, bytes(16))), "impossible dimension"),
    "sides": (HEADER + matrix(6, (1,) * 33, element(9, bytes(16))), "impossible number of dimensions"),
    "deep": (HEADER + nested(20), "arrays in arrays"),
    "objects": (HEADER + matrix(17, (1, 1), element(9, bytes(16))), "class 17"),
    "types": (HEADER + matrix(6, (1, 2), element(0, bytes(16))), "damaged parts"),  # crashes scipy 1.17
    "more types": (HEADER + matrix(6, (1, 2), element(999, bytes(16))), "damaged parts"),
    "many": (HEADER + matrix(1, (1, 100_001), *[matrix(6, (0, 0), element(9, b""))] * 100_001), "more arrays"),
    "bomb": (HEADER + element(15, zlib.compress(element(14, bytes(2**27)))), "longer than"),
    "no zlib": (HEADER + element(15, bytes(100)), "damaged compressed data"),
    "reshaped": (HEADER + matrix(6, (3, 3), element(9, bytes(16)), name=b"layers"), "scipy cannot read"),
}


@pytest.mark.parametrize("name", list(HOSTILE))
def test_hostile_files_are_refused(tmp_path: Path, name: str) -> None:
    data, message = HOSTILE[name]
    (tmp_path / "net.mat").write_bytes(data)
    refused(tmp_path / "net.mat", message)


def test_deeper_than_an_interpreter_stack(tmp_path: Path) -> None:
    """100,000 cells in one another, by their heads alone: lengths that agree would take a while to write."""
    head = struct.pack("<IIIIIIIIiiII", 14, 2**31, 6, 8, 1, 0, 5, 8, 1, 1, 1, 0)
    (tmp_path / "net.mat").write_bytes(HEADER + struct.pack("<II", 14, 48 * 100_000) + head[8:] + head * 99_999)
    refused(tmp_path / "net.mat", "promises|longer than|deeper")


def test_warnings_of_scipy_stay_with_it(tmp_path: Path) -> None:
    file = io.BytesIO()
    savemat(file, contents("old"))
    double = file.getvalue() + file.getvalue()[128:]  # each variable twice, of which scipy warns
    (tmp_path / "net.mat").write_bytes(double)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "conv1" in read_matconvnet(tmp_path / "net.mat").layers
