"""Caffe's files: weights (.caffemodel) and mean images (.binaryproto).

Format: BVLC/caffe:src/caffe/proto/caffe.proto, in the encoding of protobuf (https://protobuf.dev/programming-guides/
encoding); what older layers mean: src/caffe/util/upgrade_proto.cpp, and the legacy shapes: src/caffe/blob.cpp. The few
fields that hold weights are read here and not by protobuf, which keeps whole files in memory, several times over.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from invset.weights.formats import opened

VARINT, RUN = 0, 2  # how protobuf writes a value: a number of its own length, or a length and so many bytes
LENGTHS = {1: 8, 5: 4}  # bytes of the other ways
V0, V1, V2 = (1, 2, 50), (4, 5, 6), (1, 2, 7)  # a layer's fields: name, type, blobs; of V1 the first may be a V0 layer
LAYERS = {100: V2, 2: V1}  # fields of a NetParameter
INNER_PRODUCT = (b"InnerProduct", b"innerproduct", 14)  # the type in V2, V0 and V1
LONGEST_NAME = 1000  # bytes
MOST_DIMENSIONS = 32  # Caffe's own limit


def read_caffemodel(path: str | Path) -> dict[str, tuple[Tensor, ...]]:
    """Layer name -> its blobs (weight, bias, …), float32, in the file's order; () of a layer that has none.

    V0, V1 and V2 layers alike. Of legacy 4-D blobs an inner product's weight becomes (out, in) and a bias (n,).
    Values are not looked at: they may be NaN.

    Raises:
        WeightsError: the file is missing, damaged or no caffemodel, has no weights, or two layers of one name.
    """
    layers: dict[str, tuple[Tensor, ...]] = {}
    with opened(Path(path)) as (file, size):
        for number, _, end in _fields(file, size):
            if number in LAYERS:
                name, blobs = _layer(file, end, LAYERS[number])
                if blobs and layers.get(name):
                    raise ValueError(f"two layers with weights are named {name!r}")
                layers[name] = layers.get(name) or blobs
        if not any(layers.values()):
            raise ValueError("is no caffemodel, or one without weights: no layer has any")
    return layers


def read_mean(path: str | Path) -> Tensor:
    """The mean image of a .binaryproto, (3, h, w) float32, BGR, 0-255.

    Raises:
        WeightsError: the file is missing, damaged or no mean image of three channels.
    """
    with opened(Path(path)) as (file, size):
        mean, _ = _blob(file, size, "the mean image")
        while mean.ndim > 3 and mean.shape[0] == 1:
            mean = mean[0]
        if mean.ndim != 3 or mean.shape[0] != 3:
            raise ValueError(f"holds an array of {_by(mean.shape)}, where a mean image (.binaryproto) is 3 x h x w")
        return mean


def _layer(file: BinaryIO, end: int, numbers: tuple[int, int, int]) -> tuple[str, tuple[Tensor, ...]]:
    """Name and blobs of the layer that the file stands at."""
    name, inner_product = "", False
    found: list[tuple[Tensor, bool]] = []
    for number, value, stop in _fields(file, end):
        if numbers == V1 and number == 1:
            return _layer(file, stop, V0)
        if number == numbers[0]:
            name = _content(file, stop)[:LONGEST_NAME].decode(errors="replace")
        elif number == numbers[1]:
            inner_product = (_content(file, stop) or value) in INNER_PRODUCT
        elif number == numbers[2]:
            found.append(_blob(file, stop, f"blob {len(found)} of layer {name!r}"))
    blobs = []
    for index, (values, legacy) in enumerate(found):
        if legacy and index == 0 and inner_product and values.shape[:2] == (1, 1):
            values = values[0, 0]
        elif legacy and index > 0 and values.shape[:3] == (1, 1, 1):
            values = values[0, 0, 0]
        blobs.append(values)
    return name, tuple(blobs)


def _blob(file: BinaryIO, end: int, what: str) -> tuple[Tensor, bool]:
    """The BlobProto that the file stands at, and whether its shape is a legacy one of four sides."""
    floats, doubles = bytearray(), bytearray()
    sides: dict[int, int] = {}
    shape: list[int] = []
    for number, value, stop in _fields(file, end):
        if number <= 4 and value is not None:
            sides[number] = value
        elif number == 5:  # all numbers as one run, or each by itself
            floats += _content(file, stop)
        elif number == 7:
            shape = _dimensions(file, stop)
        elif number == 8:
            doubles += _content(file, stop)
    if sides:  # as in Caffe, they come before the shape
        shape = [sides.get(number, 0) for number in (1, 2, 3, 4)]
    if len(shape) > MOST_DIMENSIONS or not all(0 < side < 2**31 for side in shape):
        raise ValueError(f"{what} has the impossible shape {_by(shape[:MOST_DIMENSIONS])}")
    values = np.frombuffer(floats, "<f4")
    if doubles:
        with np.errstate(all="ignore"):  # a double may be too large for a float
            values = np.frombuffer(doubles, "<f8").astype(np.float32)
    if values.size != math.prod(shape):
        raise ValueError(f"{what} should have {_by(shape)} values, and has {values.size}")
    return torch.from_numpy(values).view(shape), bool(sides)


def _dimensions(file: BinaryIO, end: int) -> list[int]:
    shape = []
    for _, value, stop in _fields(file, end):
        if value is not None:
            shape.append(value)
        while file.tell() < stop:
            shape.append(_varint(file))
    return shape


def _fields(file: BinaryIO, end: int) -> Iterator[tuple[int, int | None, int]]:
    """Of each field of the message up to `end`: its number, its value if that is a VARINT, and where it ends.

    The file stands where the field's other bytes begin. It may be read, and moved, before the next field.
    """
    while file.tell() < end:
        number, way = divmod(_varint(file), 8)
        if number == 0 or way not in (VARINT, RUN, *LENGTHS):
            raise ValueError("is no caffemodel")
        value = _varint(file) if way == VARINT else None
        length = _varint(file) if way == RUN else LENGTHS.get(way, 0)
        start = file.tell()
        if length > end - start:
            raise ValueError(f"is no whole caffemodel: it promises {length} bytes where {end - start} are left")
        yield number, value, start + length
        file.seek(start + length)


def _content(file: BinaryIO, end: int) -> bytes:
    return file.read(end - file.tell())


def _varint(file: BinaryIO) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            raise ValueError("is no whole caffemodel: it ends within a number")
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    raise ValueError("is no caffemodel: it holds an endless number")


def _by(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape)) or "1"
