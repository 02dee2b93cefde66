"""A walk through a MATLAB 5 file before scipy reads it.

scipy allocates what a file declares, recurses as deep as it says and looks types up in a table without looking at
the table's end: a damaged file can take all memory, or crash the interpreter.

Format: MathWorks, "MAT-File Format", level 5; parts are read in the order of scipy's reader
(scipy/scipy:scipy/io/matlab/_mio5_utils.pyx), and lengths must agree, so that both see the same arrays.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Callable
from typing import BinaryIO

HEADER = 128  # bytes
CHUNK = 2**20  # bytes

INT8, INT32, UINT32, MATRIX, COMPRESSED, UTF8 = 1, 5, 6, 14, 15, 16  # types of elements
TEXT_TYPES = (1, 2, 4, 16, 17, 18)
NUMBER_TYPES = (1, 2, 3, 4, 5, 6, 7, 9, 12, 13)
CELL, STRUCT, CHAR, NUMBERS = 1, 2, 4, range(6, 16)  # classes of arrays

MOST_ARRAYS = 100_000  # of all sizes: a network has hundreds, and a label for each class
MOST_CHARACTERS = 2**24  # bytes of text
MOST_FIELDS = 2**13  # bytes of the names of a struct's fields
LONGEST_SIDE = 2**28
DEEPEST = 16
EXPANSION = 8  # decompressed / compressed; of weights this is 1.1
SLACK = 2**26  # bytes that a compressed array may have all the same


def require_sound(file: BinaryIO, size: int) -> None:
    """Read through a MATLAB 5 file of so many bytes, and leave it at the start.

    Raises:
        ValueError: it declares more than it holds, or more, or deeper, than a network does.
    """
    order = {b"\x00\x01IM": "<", b"\x01\x00MI": ">"}.get(file.read(HEADER)[124:])
    if order is None:
        raise ValueError("has a damaged header")
    budget = _Budget()
    while (start := file.tell() + 8) <= size:
        kind, length = struct.unpack(f"{order}II", file.read(8))
        if not 0 < length <= size - start:
            raise ValueError(f"is no whole MATLAB file: it promises {length} bytes where {size - start} are left")
        if kind == COMPRESSED:
            _Walk(_inflating(file, length), EXPANSION * length + SLACK, order, budget).array(0)
        elif kind == MATRIX:
            file.seek(-8, 1)
            _Walk(file.read, length + 8, order, budget).array(0)
        else:
            raise ValueError(f"holds data of type {kind}, which no network has")
        file.seek(start + length)
    if file.tell() != size:
        raise ValueError("is no whole MATLAB file: it ends within a tag")
    file.seek(0)


class _Budget:
    """What all arrays of a file may have together."""

    def __init__(self) -> None:
        self.arrays = MOST_ARRAYS
        self.characters = MOST_CHARACTERS

    def spend(self, characters: int = 0) -> None:
        self.arrays -= 1
        self.characters -= characters
        if self.arrays < 0 or self.characters < 0:
            raise ValueError("holds more arrays or more text than a network does")


class _Walk:
    """Through one variable: `read` gives up to so many bytes, and `left` is how many there may be."""

    def __init__(self, read: Callable[[int], bytes], left: int, order: str, budget: _Budget) -> None:
        self.read, self.left, self.order, self.budget = read, left, order, budget

    def array(self, depth: int) -> None:
        """One array and those in it."""
        kind, length = self._integers(8)
        if kind != MATRIX or length > self.left:
            raise ValueError("has an array that is none, or longer than what it is in")
        if length == 0 and depth:
            return
        if depth > DEEPEST:
            raise ValueError("holds arrays in arrays, deeper than a network does")
        end = self.left - length
        self.budget.spend()
        if self._integers(8) != (UINT32, 8):
            raise ValueError("has an array without flags")
        flags, _ = self._integers(8)
        count = self._count()
        self._skip(self._tag((INT8, UTF8)))  # its name
        self._content(flags, count, end, depth)
        if self.left < end or (depth and self.left != end):
            raise ValueError("has an array whose length is wrong")

    def _content(self, flags: int, count: int, end: int, depth: int) -> None:
        class_, complex_ = flags & 0xFF, flags & 0x800
        if class_ in NUMBERS:
            for _ in range(2 if complex_ else 1):
                self._skip(self._tag(NUMBER_TYPES))
        elif class_ == CHAR:
            length = self._tag(TEXT_TYPES)
            self.budget.spend(max(length[0], count))
            self._skip(length)
        elif class_ in (CELL, STRUCT):
            arrays = count * (self._fields() if class_ == STRUCT else 1)
            if 8 * max(count, arrays) > max(self.left - end, 8):
                raise ValueError("declares more cells or fields than it holds")
            for _ in range(arrays):
                self.array(depth + 1)
        else:
            raise ValueError(f"holds an array of class {class_}, which no network of MatConvNet's has")

    def _count(self) -> int:
        length, padding = self._tag((INT32, UINT32))
        if length % 4 or not 0 < length <= 32 * 4:
            raise ValueError("has an array with an impossible number of dimensions")
        sides = struct.unpack(f"{self.order}{length // 4}i", self._take(length))
        self._take(padding)
        if not all(0 <= side <= LONGEST_SIDE for side in sides):
            raise ValueError("has an array with an impossible dimension")
        return math.prod(sides)

    def _fields(self) -> int:
        """How many a struct has."""
        length, padding = self._tag((INT32, UINT32))
        if length != 4:
            raise ValueError("has a damaged struct")
        (width,) = struct.unpack(f"{self.order}i", self._take(4))
        self._take(padding)
        names, padding = self._tag((INT8, UTF8))
        if width < 1 or names > MOST_FIELDS:
            raise ValueError("has a damaged struct")
        self._skip((names, padding))
        return names // width

    def _tag(self, kinds: tuple[int, ...]) -> tuple[int, int]:
        """Bytes of the element that follows, and of the padding behind; four bytes or fewer may share the tag."""
        (kind,) = self._integers(4)
        if kind >> 16:
            kind, length = kind & 0xFFFF, kind >> 16
            padding = 4 - length
        else:
            (length,) = self._integers(4)
            padding = -length % 8
        if padding < 0 or kind not in kinds:
            raise ValueError("has an array with damaged parts")
        return length, padding

    def _integers(self, length: int) -> tuple[int, ...]:
        return struct.unpack(f"{self.order}{length // 4}I", self._take(length))

    def _skip(self, lengths: tuple[int, int]) -> None:
        for left in lengths:
            while left:
                left -= len(self._take(min(left, CHUNK)))

    def _take(self, length: int) -> bytes:
        if length > self.left:
            raise ValueError("has an array that is longer than what it is in, or than compressed data can be")
        data = b""
        while len(data) < length:
            more = self.read(length - len(data))
            if not more:
                raise ValueError("is no whole MATLAB file: it ends within an array")
            data += more
        self.left -= length
        return data


def _inflating(file: BinaryIO, length: int) -> Callable[[int], bytes]:
    """A `read` of the compressed bytes that follow, which never holds more than CHUNK of them."""
    engine = zlib.decompressobj()

    def read(count: int) -> bytes:
        nonlocal length
        found = b""
        while not found and not engine.eof:
            data = engine.unconsumed_tail
            if not data:
                data = file.read(min(CHUNK, length))
                length -= len(data)
            try:
                found = engine.decompress(data, count)
            except zlib.error as error:
                raise ValueError(f"has damaged compressed data ({error})") from error
            if not data:
                break
        return found

    return read
