"""MATLAB 5 files: numbers, text, cell arrays and structs, which is what MatConvNet's networks are made of.

They are read here because scipy's loadmat allocates what a file declares, recurses as deep as it says, and crashes the
interpreter on a type that there is not: a damaged file should end in an error.

Format: MathWorks, "MAT-File Format", level 5.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np

HEADER = 128  # bytes
CHUNK = 2**20  # bytes that are decompressed at once

MATRIX, COMPRESSED = 14, 15  # types of elements
NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
TEXTS = {1: "latin-1", 2: "latin-1", 4: "utf-16-{}", 16: "utf-8", 17: "utf-16-{}", 18: "utf-32-{}"}
CELL, STRUCT, CHAR, NUMERIC = 1, 2, 4, range(6, 16)  # classes of arrays
COMPLEX = 0x800  # a flag


def read_variables(file: BinaryIO, size: int) -> dict[str, Any]:
    """Name -> value of the variables in a file of so many bytes.

    Real numbers are an array, text is a string, a cell array a list in MATLAB's order, a struct a dictionary. All else
    is None: complex and sparse numbers, text of several rows, several structs, objects.

    Raises:
        ValueError: the file is damaged.
    """
    version = file.read(HEADER)[124:]
    if version == b"\x00\x02IM":
        raise ValueError("is of MATLAB 7.3: save(file, '-struct', 'net', '-v7') in MATLAB gives what is read")
    order = {b"\x00\x01IM": "<", b"\x01\x00MI": ">"}.get(version)
    if order is None:
        raise ValueError("has a damaged header")
    variables = {}
    try:
        while file.tell() < size:
            kind, length = struct.unpack(f"{order}II", file.read(8))
            if length > size - file.tell():
                raise ValueError(f"it promises {length} bytes where {size - file.tell()} are left")
            if kind == COMPRESSED:
                kind, data = next(_elements(memoryview(_inflated(file, length)), order))
            else:
                data = memoryview(file.read(length))
            if kind != MATRIX:
                raise ValueError(f"a variable is of type {kind}")
            name, value = _array(data, order)
            variables[name] = value
    except (ValueError, LookupError, StopIteration, RecursionError, struct.error, zlib.error) as error:
        raise ValueError(f"is no whole MATLAB file ({error or type(error).__name__})") from error
    return variables


def _inflated(file: BinaryIO, length: int) -> bytearray:
    engine, data = zlib.decompressobj(), bytearray()
    for start in range(0, length, CHUNK):
        data += engine.decompress(file.read(min(CHUNK, length - start)))
    return data


def _array(data: memoryview, order: str) -> tuple[str, Any]:
    """Name and value of an array."""
    if not data:
        return "", None
    parts = _elements(data, order)
    (flags,) = struct.unpack(f"{order}I", next(parts)[1][:4])
    class_ = flags & 0xFF
    if class_ not in (CELL, STRUCT, CHAR, *NUMERIC) or flags & COMPLEX:
        return "", None
    shape = tuple(np.frombuffer(next(parts)[1], f"{order}i4").tolist())
    name = bytes(next(parts)[1]).decode("latin-1")
    if class_ == CELL:
        return name, [_array(part, order)[1] for _, part in parts]
    if class_ == STRUCT:
        return name, _struct(parts, order)
    kind, content = next(parts)
    if class_ == CHAR:
        codec = TEXTS[kind].format("le" if order == "<" else "be")
        return name, bytes(content).decode(codec, "replace") if shape[0] < 2 else None
    return name, np.frombuffer(content, order + NUMBERS[kind]).reshape(shape, order="F")


def _struct(parts: Iterator[tuple[int, memoryview]], order: str) -> dict[str, Any] | None:
    """Field -> value; None of several structs, or none."""
    (width,) = struct.unpack(f"{order}i", next(parts)[1])
    names = bytes(next(parts)[1])
    fields = [names[start : start + width].split(b"\0")[0] for start in range(0, len(names), width)]
    values = [_array(part, order)[1] for _, part in parts]
    if len(values) != len(fields):
        return None
    return {field.decode("latin-1"): value for field, value in zip(fields, values, strict=True)}


def _elements(data: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """Type and content of each element; four bytes or fewer may share the eight of their tag."""
    position = 0
    while position < len(data):
        (kind,) = struct.unpack_from(f"{order}I", data, position)
        if kind >> 16:
            kind, length, start, end = kind & 0xFFFF, kind >> 16, position + 4, position + 8
        else:
            (length,) = struct.unpack_from(f"{order}I", data, position + 4)
            start = position + 8
            end = start + length + -length % 8
        if length > min(end, len(data)) - start:
            raise ValueError(f"an array promises {length} bytes where {min(end, len(data)) - start} are left")
        yield kind, data[start : start + length]
        position = end
