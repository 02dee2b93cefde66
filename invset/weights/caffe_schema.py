"""The few messages of Caffe's format that hold weights, in a pool of our own that meets no other caffe_pb2.

Field numbers: BVLC/caffe:src/caffe/proto/caffe.proto. What is large or may be hostile is declared as bytes, which on
the wire are the same as messages, strings and packed runs, and here cost no object per number.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto

_ONE, _MANY = FieldDescriptorProto.LABEL_OPTIONAL, FieldDescriptorProto.LABEL_REPEATED
_BYTES, _INT32, _INT64 = (
    FieldDescriptorProto.TYPE_BYTES,
    FieldDescriptorProto.TYPE_INT32,
    FieldDescriptorProto.TYPE_INT64,
)
_FLOAT, _DOUBLE = FieldDescriptorProto.TYPE_FLOAT, FieldDescriptorProto.TYPE_DOUBLE

_SIDES = {
    "num": (1, _ONE, _INT32),
    "channels": (2, _ONE, _INT32),
    "height": (3, _ONE, _INT32),
    "width": (4, _ONE, _INT32),
}
_MESSAGES = {
    "Layer": {"name": (1, _ONE, _BYTES), "type": (2, _ONE, _BYTES), "blobs": (7, _MANY, _BYTES)},
    "V1Layer": {
        "layer": (1, _ONE, _BYTES),
        "name": (4, _ONE, _BYTES),
        "type": (5, _ONE, _INT32),
        "blobs": (6, _MANY, _BYTES),
    },
    "V0Layer": {"name": (1, _ONE, _BYTES), "type": (2, _ONE, _BYTES), "blobs": (50, _MANY, _BYTES)},
    "Blob": {
        **_SIDES,
        "data": (5, _ONE, _BYTES),
        "diff": (6, _ONE, _BYTES),
        "shape": (7, _ONE, _BYTES),
        "double_data": (8, _ONE, _BYTES),
        "double_diff": (9, _ONE, _BYTES),
    },
    "BlobOfNumbers": {
        **_SIDES,
        "data": (5, _MANY, _FLOAT),
        "shape": (7, _ONE, _BYTES),
        "double_data": (8, _MANY, _DOUBLE),
    },
    "Shape": {"dim": (1, _MANY, _INT64)},
}


def _classes() -> dict[str, Any]:
    file = FileDescriptorProto(name="invset_caffe.proto", package="invset_caffe", syntax="proto2")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, label, type_) in fields.items():
            message.field.add(name=field, number=number, label=label, type=type_)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"invset_caffe.{name}")) for name in _MESSAGES
    }


_CLASSES = _classes()
Layer = _CLASSES["Layer"]  # V2
V1Layer = _CLASSES["V1Layer"]  # its `layer` is a V0Layer
V0Layer = _CLASSES["V0Layer"]
Blob = _CLASSES["Blob"]  # numbers as packed runs
BlobOfNumbers = _CLASSES["BlobOfNumbers"]  # the same message, its numbers parsed one by one, packed or not
Shape = _CLASSES["Shape"]
