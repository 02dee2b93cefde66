"""Caffe's files, written with its own messages: three layer formats, two shapes, packed or not, float or double."""

from __future__ import annotations

import itertools
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from invset.errors import WeightsError
from invset.weights.caffemodel import read_caffemodel, read_mean
from invset.weights.formats import kind

caffe = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("caffe_files.py"))))
numbers = np.random.default_rng(0)


def array(*shape: int) -> np.ndarray:
    return numbers.standard_normal(shape).astype(np.float32)


# Shapes where squeezing goes wrong easily: one unit, one channel, a kernel of one.
LAYERS = {
    "conv1": ("Convolution", [array(6, 3, 3, 3), array(6)]),
    "conv2": ("Convolution", [array(1, 1, 3, 5), array(1)]),
    "relu": ("ReLU", []),
    "up": ("Deconvolution", [array(6, 2, 4, 4)]),
    "fc6": ("InnerProduct", [array(7, 5), array(7)]),
    "fc7": ("InnerProduct", [array(1, 7), array(1)]),
    "fc8": ("InnerProduct", [array(4, 1), array(4)]),
}
PROTOTXT = """
name: "n"
input: "data" input_shape { dim: 1 dim: 3 dim: 8 dim: 8 }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
        convolution_param { num_output: 4 kernel_size: 3 } }
layer { name: "fc" type: "InnerProduct" bottom: "conv" top: "fc" inner_product_param { num_output: 5 } }
"""


@pytest.mark.parametrize(
    ("version", "packed", "double", "legacy", "diff"), list(itertools.product((0, 1, 2), *[(False, True)] * 4))
)
def test_every_way_of_writing_gives_the_same_tensors(
    tmp_path: Path, version: int, packed: bool, double: bool, legacy: bool, diff: bool
) -> None:
    path = tmp_path / "net"
    caffe.write_net(path, LAYERS, version=version, packed=packed, double=double, legacy=legacy, diff=diff)
    found = read_caffemodel(path)
    assert list(found) == list(LAYERS)
    for name, blobs in found.items():
        expected = [torch.tensor(blob) for blob in LAYERS[name][1]]
        assert [blob.shape for blob in blobs] == [blob.shape for blob in expected]
        assert all(torch.equal(blob, other) for blob, other in zip(blobs, expected, strict=True))
        assert all(blob.dtype == torch.float32 and blob.is_contiguous() for blob in blobs)
    assert kind(path) == "caffemodel"


@pytest.mark.parametrize("how", [{"version": 2}, {"version": 1, "legacy": True}])
def test_opencv_reads_the_same_numbers_and_computes_with_them(tmp_path: Path, how: dict[str, object]) -> None:
    layers = {"conv": ("Convolution", [array(4, 3, 3, 3), array(4)]), "fc": ("InnerProduct", [array(5, 144), array(5)])}
    path = caffe.write_net(tmp_path / "net.caffemodel", layers, **how)
    prototxt = tmp_path / "net.prototxt"
    prototxt.write_text(PROTOTXT)
    theirs, ours = cv2.dnn.readNetFromCaffe(str(prototxt), str(path)), read_caffemodel(path)
    for name, blobs in ours.items():
        for number, blob in enumerate(blobs):
            assert np.array_equal(theirs.getParam(name, number).ravel(), blob.numpy().ravel())
    image = array(1, 3, 8, 8)
    theirs.setInput(image)
    x = torch.conv2d(torch.tensor(image), *ours["conv"]).flatten(1)
    fc = torch.nn.functional.linear(x, *ours["fc"])
    torch.testing.assert_close(torch.tensor(theirs.forward("fc")).view(1, 5), fc, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_mean_image(tmp_path: Path, legacy: bool) -> None:
    mean = array(1, 3, 5, 7) if legacy else array(3, 5, 7)
    path = caffe.write_mean(tmp_path / "mean.binaryproto", mean, legacy=legacy)
    assert torch.equal(read_mean(path), torch.tensor(mean).view(3, 5, 7))


def test_a_mean_image_has_three_channels(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="an array of 1 x 5 x 7, where a mean image"):
        read_mean(caffe.write_mean(tmp_path / "mean", array(1, 5, 7)))
    with pytest.raises(WeightsError, match="mean"):
        read_mean(caffe.write_net(tmp_path / "net", LAYERS))


def _varint(value: int) -> bytes:
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + _varint(value >> 7)


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _layer(*blobs: bytes, name: bytes = b"fc") -> bytes:
    return _field(100, _field(1, name) + b"".join(_field(7, blob) for blob in blobs))


ONES = np.ones(4, "<f4").tobytes()
SQUARE = _field(7, _field(1, b"\x02\x02"))
HOSTILE = {
    "nothing": (b"", "is empty"),
    "zeros": (bytes(1000), "is no caffemodel"),
    "png": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(200), "caffemodel"),
    "zip": (b"PK\x03\x04\x14\0\0\0\x08\0" + bytes(200), "caffemodel"),
    "page": (b"\n<!DOCTYPE html><html>404</html>", "is a web page"),
    "pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
    "prototxt": (PROTOTXT.encode(), "is no caffemodel"),
    "no layers": (_field(1, b"net"), "no layer has any"),
    "no blobs": (_layer(), "no layer has any"),
    "cut": (_layer(SQUARE + _field(5, ONES))[:-3], "promises 3[0-9] bytes where"),
    "long layer": (_varint(100 << 3 | 2) + _varint(2**40), "promises 1099511627776 bytes where 0 are left"),
    "endless length": (_varint(100 << 3 | 2) + b"\xff" * 20, "endless number"),
    "long blob": (_field(100, _field(1, b"fc") + b"\x3a\xff\xff\xff\x7f"), "promises 268435455 bytes"),
    "long run": (_layer(SQUARE + b"\x2a\xff\xff\xff\x7f"), "promises 268435455 bytes"),
    "a group": (_field(1, b"net") + b"\x0b" * 100, "is no caffemodel"),
    "few values": (_layer(SQUARE + _field(5, ONES[:12])), "blob 0 of layer 'fc' should have 2 x 2 values, and has 3"),
    "many values": (_layer(SQUARE + _field(5, ONES * 2)), "should have 2 x 2 values, and has 8"),
    "half a value": (_layer(SQUARE + _field(5, ONES[:15])), "cut short"),
    "negative": (_layer(_field(7, _field(1, b"\xff" * 9 + b"\x01")) + _field(5, ONES)), "impossible shape"),
    "huge": (_layer(_field(7, _field(1, _varint(2**30) * 3)) + _field(5, ONES)), "should have 1073741824 x"),
    "huger": (_layer(_field(7, _field(1, _varint(2**62) * 3)) + _field(5, ONES)), "impossible shape"),
    "sides": (_layer(_field(7, _field(1, b"\x01" * 33)) + _field(5, ONES)), "impossible shape"),
    "missing sides": (_layer(b"\x08\x04" + _field(5, ONES)), "impossible shape 4 x 0 x 0 x 0"),
    "twice": (_layer(SQUARE + _field(5, ONES)) * 2, "two layers with weights are named 'fc'"),
}


@pytest.mark.parametrize("name", list(HOSTILE))
def test_what_is_wrong_is_said(tmp_path: Path, name: str) -> None:
    data, message = HOSTILE[name]
    path = tmp_path / "net.caffemodel"
    path.write_bytes(data)
    with pytest.raises(WeightsError, match=message) as caught:
        read_caffemodel(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert len(str(caught.value)) < 500


def test_a_file_of_one_layer_is_whole_by_hand(tmp_path: Path) -> None:
    (tmp_path / "net").write_bytes(_layer(SQUARE + _field(5, ONES)))
    (values,) = read_caffemodel(tmp_path / "net")["fc"]
    assert values.tolist() == [[1, 1], [1, 1]]


MEASURE = """
import resource, sys
from invset.weights.caffemodel import read_caffemodel
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
net = read_caffemodel(sys.argv[1])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the unit of ru_maxrss")
def test_memory_is_little_more_than_the_file_holds(tmp_path: Path) -> None:
    """Ten layers of 8 MiB: all of them as tensors, and one a second time while it is read."""
    numbers = _field(7, _field(1, _varint(2**21))) + _field(5, np.ones(2**21, "<f4").tobytes())
    path = tmp_path / "net.caffemodel"
    path.write_bytes(b"".join(_layer(numbers, name=b"fc%d" % number) for number in range(10)))
    measured = subprocess.run(
        [sys.executable, "-c", MEASURE, path], capture_output=True, check=True, text=True, cwd=Path(__file__).parents[2]
    )
    assert int(measured.stdout) * 1024 < 1.25 * path.stat().st_size


def test_no_file_and_no_ordinary_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="there is no such file"):
        read_caffemodel(tmp_path / "absent")
    with pytest.raises(WeightsError, match="is a folder"):
        read_caffemodel(tmp_path)


@pytest.mark.parametrize("version", [0, 2])
def test_every_cut_ends_in_one_error_or_in_whole_layers(tmp_path: Path, version: int) -> None:
    """Between layers a file can end unnoticed; within one it cannot."""
    path = caffe.write_net(tmp_path / "net", {name: LAYERS[name] for name in ("conv1", "fc6")}, version=version)
    data, whole = path.read_bytes(), read_caffemodel(path)
    loaded = 0
    for length in range(1, len(data), 7):
        path.write_bytes(data[:length])
        try:
            found = read_caffemodel(path)
        except WeightsError:
            continue
        loaded += 1
        assert all(
            torch.equal(blob, other) for name in found for blob, other in zip(found[name], whole[name], strict=True)
        )
    assert loaded <= 1
