"""Writes Caffe's files as Caffe does: its messages by their own names, numbers and types, in a pool of their own.

Written from BVLC/caffe:src/caffe/proto/caffe.proto, and apart from the reader's schema on purpose.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor_pb2 import FileDescriptorProto

# A field a line: number, how often, type, name; "caffe." where the type is a message.
BLOB_SHAPE = "1 packed int64 dim"
BLOB = """
    1 optional int32 num
    2 optional int32 channels
    3 optional int32 height
    4 optional int32 width
    5 {packing} float data
    6 {packing} float diff
    7 optional .caffe.BlobShape shape
    8 {packing} double double_data
    9 {packing} double double_diff
"""
MESSAGES = {
    "NetParameter": """
        1 optional string name
        2 repeated .caffe.V1LayerParameter layers
        3 repeated string input
        4 repeated int32 input_dim
        5 optional bool force_backward
        8 repeated .caffe.BlobShape input_shape
        100 repeated .caffe.LayerParameter layer
    """,
    "LayerParameter": """
        1 optional string name
        2 optional string type
        3 repeated string bottom
        4 repeated string top
        5 repeated float loss_weight
        7 repeated .caffe.BlobProto blobs
    """,
    "V1LayerParameter": """
        1 optional .caffe.V0LayerParameter layer
        2 repeated string bottom
        3 repeated string top
        4 optional string name
        5 optional int32 type
        6 repeated .caffe.BlobProto blobs
        7 repeated float blobs_lr
    """,
    "V0LayerParameter": """
        1 optional string name
        2 optional string type
        3 optional uint32 num_output
        50 repeated .caffe.BlobProto blobs
        51 repeated float blobs_lr
    """,
}

# What a type is called in V2, in V1 (a number) and in V0.
TYPES = {
    "Convolution": (4, "conv"),
    "InnerProduct": (14, "innerproduct"),
    "Deconvolution": (39, "deconv"),
    "ReLU": (18, "relu"),
    "LRN": (15, "lrn"),
    "Pooling": (17, "pool"),
    "PReLU": (0, "prelu"),
}

Layers = Mapping[str, tuple[str, Sequence[np.ndarray]]]


def write_net(path: Path, layers: Layers, *, version: int = 2, **how: bool) -> Path:
    """Layers, name -> (type, blobs), as V0, V1 or V2; see `_blob` for how, and `packed` for how the numbers lie."""
    classes = _classes(packed=how.pop("packed", True))
    net = classes["NetParameter"](name="a net", input=["data"], input_dim=[1, 3, 8, 8], force_backward=True)
    for name, (type_, arrays) in layers.items():
        number, oldest = TYPES[type_]
        if version == 2:
            layer = net.layer.add(name=name, type=type_, bottom=["below"], top=[name])
        elif version == 1:
            layer = net.layers.add(name=name, type=number, bottom=["below"], top=[name])
        else:
            layer = net.layers.add(bottom=["below"], top=[name]).layer
            layer.name, layer.type = name, oldest
        for array in arrays:
            _blob(layer.blobs.add(), array, **how)
    path.write_bytes(net.SerializeToString())
    return path


def write_mean(path: Path, array: np.ndarray, *, packed: bool = True, **how: bool) -> Path:
    """One array, as in a .binaryproto."""
    blob = _classes(packed=packed)["BlobProto"]()
    _blob(blob, array, **how)
    path.write_bytes(blob.SerializeToString())
    return path


def _blob(blob: Any, array: np.ndarray, *, double: bool = False, legacy: bool = False, diff: bool = False) -> None:
    """Numbers as doubles; four sides instead of a shape; gradients with them, as in a snapshot."""
    if legacy:
        sides = (1,) * (4 - array.ndim) + array.shape
        blob.num, blob.channels, blob.height, blob.width = sides
    else:
        blob.shape.dim.extend(array.shape)
    kind = np.dtype("<f8" if double else "<f4")
    _numbers(blob, "double_data" if double else "data", array.astype(kind))
    if diff:
        _numbers(blob, "double_diff" if double else "diff", (-array).astype(kind))


def _numbers(blob: Any, field: str, array: np.ndarray) -> None:
    """As protobuf's documented bytes, field << 3 | 2, length, numbers, for it to read: Python's floats take seconds."""
    head, length = [blob.DESCRIPTOR.fields_by_name[field].number << 3 | 2], array.nbytes
    while length >= 128:
        head.append(length & 127 | 128)
        length >>= 7
    blob.MergeFromString(bytes([*head, length]) + array.tobytes())


def _classes(packed: bool) -> dict[str, Any]:
    file = FileDescriptorProto(name="caffe.proto", package="caffe", syntax="proto2")
    packing = "packed" if packed else "repeated"
    messages = {"BlobShape": BLOB_SHAPE, "BlobProto": BLOB.format(packing=packing), **MESSAGES}
    for name, fields in messages.items():
        message = file.message_type.add(name=name)
        for line in fields.strip().splitlines():
            number, often, type_, field_name = line.split()
            field = message.field.add(name=field_name, number=int(number))
            field.label = field.LABEL_OPTIONAL if often == "optional" else field.LABEL_REPEATED
            field.options.packed = often == "packed"
            if type_.startswith("."):
                field.type, field.type_name = field.TYPE_MESSAGE, type_
            else:
                field.type = field.Type.Value(f"TYPE_{type_.upper()}")
            if often != "packed":
                field.ClearField("options")
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"caffe.{name}")) for name in messages}
