"""Caffe's files: weights (.caffemodel) and mean images (.binaryproto).

Format: BVLC/caffe:src/caffe/proto/caffe.proto; what older layers mean: src/caffe/util/upgrade_proto.cpp, and the
legacy shapes: src/caffe/blob.cpp.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import torch
from google.protobuf.message import DecodeError
from torch import Tensor

from invset.weights import caffe_schema as schema
from invset.weights.caffe_frames import fields
from invset.weights.files import opened

LAYERS = {100: schema.Layer, 2: schema.V1Layer}  # fields of NetParameter
INNER_PRODUCT = (b"InnerProduct", b"innerproduct", 14)  # the type in V2, V0 and V1

MOST_FIELDS = 200_000  # of the network and its layers: real ones have thousands
MOST_BLOBS = 64  # of one layer
MOST_DIMENSIONS = 32  # Caffe's own limit
LONGEST_NAME = 1000  # bytes
LONGEST_SHAPE = MOST_DIMENSIONS * 16  # bytes
LARGEST_MESSAGE = 2**31 - 1  # bytes: protobuf's limit
LARGEST_MEAN = 2**26  # bytes: eighty times an image of 256x256


class _Layer(NamedTuple):
    name: bytes
    type: bytes | int
    blobs: list[bytes]


def read_caffemodel(path: str | Path) -> dict[str, tuple[Tensor, ...]]:
    """Layer name -> its blobs (weight, bias, …), float32, in the file's order; () of a layer that has none.

    V0, V1 and V2 layers alike. Of legacy 4-D blobs an inner product's weight becomes (out, in) and a bias (n,).
    Values are not looked at: they may be NaN.

    Raises:
        WeightsError: the file is missing, damaged or no caffemodel, has no weights, or two layers of one name.
    """
    layers: dict[str, tuple[Tensor, ...]] = {}
    with opened(Path(path)) as (file, size):
        for layer in _layers(file, size):
            if not layer.blobs:
                layers.setdefault(layer.name[:LONGEST_NAME].decode(errors="replace"), ())
                continue
            name = _text(layer.name)
            if layers.get(name):
                raise ValueError(f"two layers with weights are named {name!r}")
            inner_product = layer.type in INNER_PRODUCT
            layers[name] = tuple(
                _tensor(_popped(layer.blobs), f"blob {number} of layer {name!r}", inner_product, number)
                for number in range(len(layer.blobs))
            )
        if not any(layers.values()):
            raise ValueError("is no caffemodel, or one without weights: no layer has any")
    return layers


def read_mean(path: str | Path) -> Tensor:
    """The mean image of a .binaryproto, (3, h, w) float32, BGR, 0-255.

    Raises:
        WeightsError: the file is missing, damaged or no mean image of three channels.
    """
    with opened(Path(path)) as (file, size):
        if size > LARGEST_MEAN:
            raise ValueError("is too large for a mean image (.binaryproto)")
        mean = _tensor(file.read(), "the mean image", False)
        while mean.ndim > 3 and mean.shape[0] == 1:
            mean = mean[0]
        if mean.ndim != 3 or mean.shape[0] != 3:
            raise ValueError(f"holds an array of {_by(mean.shape)}, where a mean image (.binaryproto) is 3 x h x w")
        return mean


def _layers(file: BinaryIO, size: int) -> Iterator[_Layer]:
    """The layers, with one of them in memory at a time."""
    budget = iter(range(MOST_FIELDS))
    for number, length in fields(file, size, budget):
        if number not in LAYERS:
            continue
        message = _parsed(LAYERS[number], _read(file, length), budget)
        if number == 2 and message.HasField("layer"):
            inner = message.layer
            del message
            message = _parsed(schema.V0Layer, inner, budget)
            del inner
        if len(message.blobs) > MOST_BLOBS:
            raise ValueError(f"a layer has {len(message.blobs)} blobs, more than {MOST_BLOBS}")
        layer = _Layer(message.name, message.type, list(message.blobs))
        del message  # which holds the blobs a second time
        yield layer


def _read(file: BinaryIO, length: int) -> bytes:
    if length > LARGEST_MESSAGE:
        raise ValueError(f"has a layer of {length} bytes, more than protobuf's limit of {LARGEST_MESSAGE}")
    data = file.read(length)
    if len(data) < length:
        raise ValueError("became shorter while it was read")
    return data


def _parsed(message: Any, data: bytes, budget: Iterator[int]) -> Any:
    for _ in fields(BytesIO(data), len(data), budget):
        pass
    return _message(message, data)


def _message(message: Any, data: bytes) -> Any:
    try:
        return message.FromString(data)
    except DecodeError as error:
        raise ValueError("has the wrong content: protobuf cannot parse it") from error


def _popped(blobs: list[bytes]) -> bytes:
    """The first blob, off the list, so that its bytes go when its tensor is there."""
    return blobs.pop(0)


def _tensor(data: bytes, what: str, inner_product: bool, number: int = 0) -> Tensor:
    blob = _message(schema.Blob, data)
    del data  # each copy goes as soon as there is the next
    shape = _shape(blob, what, inner_product, number)
    values = _run(blob)
    if values.size != math.prod(shape):  # not packed: then protobuf has kept them aside, and gives them back
        data = blob.SerializeToString()
        del blob, values
        blob = _message(schema.BlobOfNumbers, data)
        del data
        values = _numbers(blob)
    del blob
    if values.size != math.prod(shape):
        raise ValueError(f"{what} should have {_by(shape)} values, and has {values.size}")
    with np.errstate(all="ignore"):  # a double may be too large for a float
        return torch.from_numpy(values.astype(np.float32, copy=not values.flags.writeable)).view(shape)


def _run(blob: Any) -> np.ndarray:
    """Values that lie packed, read-only."""
    double = blob.double_data
    dtype = np.dtype("<f8" if double else "<f4")
    data = double or blob.data
    if len(data) % dtype.itemsize:
        raise ValueError("holds numbers that are cut short")
    return np.frombuffer(data, dtype)


def _numbers(blob: Any) -> np.ndarray:
    field, dtype = (blob.double_data, np.float64) if blob.double_data else (blob.data, np.float32)
    return np.fromiter(field, dtype, len(field))


def _shape(blob: Any, what: str, inner_product: bool, number: int) -> tuple[int, ...]:
    """As Caffe has it: the four sides come before the shape, where any is there."""
    sides = ("num", "channels", "height", "width")
    legacy = any(blob.HasField(side) for side in sides)
    if legacy:
        shape = tuple(getattr(blob, side) for side in sides)
    elif len(blob.shape) > LONGEST_SHAPE:
        raise ValueError(f"{what} has more dimensions than {MOST_DIMENSIONS}")
    else:
        shape = tuple(_message(schema.Shape, blob.shape).dim)
    if len(shape) > MOST_DIMENSIONS or not all(0 < side < 2**31 for side in shape):
        raise ValueError(f"{what} has the impossible shape {_by(shape)}")
    if legacy and inner_product and number == 0 and shape[:2] == (1, 1):
        return shape[2:]
    if legacy and number > 0 and shape[:3] == (1, 1, 1):
        return shape[3:]
    return shape


def _text(name: bytes) -> str:
    if not 0 < len(name) <= LONGEST_NAME:
        raise ValueError(f"a layer with weights has a name of {len(name)} bytes")
    try:
        return name.decode()
    except UnicodeDecodeError as error:
        raise ValueError("the name of a layer is no text") from error


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "1"
