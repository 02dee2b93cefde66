"""Where the fields of a protobuf message begin and end, found in a file without reading them.

Format: https://protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO


def fields(file: BinaryIO, size: int, budget: Iterator[int]) -> Iterator[tuple[int, int]]:
    """Number and length of each length-delimited field of a message, the file standing at its first byte.

    protobuf parses whole messages from memory. This finds where the outermost ones begin and end, so that a file
    is read layer by layer, and so that one of countless tiny fields, each an object of protobuf's, is refused first.

    Args:
        file: is left behind each field's length, and may be read on from there.
        size: of the message, in bytes, from the file's start.
        budget: gives a number for each field that there may be, in this message and others.

    Raises:
        ValueError: there is no message, it is cut short, or has too many fields.
    """
    for _ in budget:
        if file.tell() >= size:
            return
        number, wire = divmod(_varint(file), 8)
        if not 0 < number < 2**29 or wire not in (0, 1, 2, 5):
            raise ValueError("is no caffemodel")
        value = _varint(file) if wire in (0, 2) else 0
        length = (0, 8, value, 0, 0, 4)[wire]
        start = file.tell()
        if length > size - start:
            raise ValueError(f"is no whole caffemodel: it promises {length} bytes where {size - start} are left")
        if wire == 2:
            yield number, length
        file.seek(start + length)
    raise ValueError("is no caffemodel: it has far more fields")


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
