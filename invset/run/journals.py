"""Files that only grow, by whole records: a CSV of numbers that read back exactly, and codes as raw float32."""

from __future__ import annotations

import csv
import io
import math
import os
import zlib
from array import array
from collections.abc import Iterable, Sequence
from contextlib import suppress
from ctypes import c_float
from pathlib import Path

import torch
from torch import Tensor

from invset.errors import RunFolderError
from invset.files import open_regular
from invset.run.json_files import reading, writing

_FLOAT = _CRC = 4  # bytes of a float32, and of a CRC-32
_PART = 2**20  # bytes read at once
LONGEST_CSV = 2**28  # bytes; a line has about 60


class Growing:
    """A file open for appending whole records; each is with the operating system when `_append` returns.

    `checksum` is the CRC-32 of its `length` bytes, which are records of so many bytes each.

    Raises:
        RunFolderError: the file does not end with a whole record, or cannot be written.
    """

    def __init__(self, path: Path, record: int = 1) -> None:
        self.path = path
        with writing(path):
            self._file = open_regular(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
            self.length = os.fstat(self._file).st_size
            self.checksum = checksum(path, self.length)
        if self.length % record:
            self.close()
            raise _cut_short(path, self.length)

    def close(self) -> None:
        """Close the file; a second time does nothing."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _append(self, data: bytes) -> None:
        with writing(self.path):
            try:
                rest = memoryview(data)
                while rest:  # a disk that fills up takes only some of it at first
                    rest = rest[os.write(self._file, rest) :]
            except OSError:
                with suppress(OSError):
                    os.ftruncate(self._file, self.length)  # no half records
                raise
        self.length += len(data)
        self.checksum = zlib.crc32(data, self.checksum)

    def _read(self, start: int, count: int) -> bytes:
        with writing(self.path):
            return os.pread(self._file, count, start)


class Journal(Growing):
    """A CSV file that only grows: begun or continued, its header checked.

    Raises:
        RunFolderError: the file has another header, does not end with a whole line, or cannot be written.
    """

    def __init__(self, path: Path, header: Sequence[str]) -> None:
        super().__init__(path)
        self._columns = len(header)
        first = _lines([header], len(header))
        try:
            if self.length and self._read(0, len(first)) != first:
                raise RunFolderError(
                    f"{path}: its first line is not {','.join(header)!r}. Another version wrote it, or for "
                    "another unit: start a new run in another folder."
                )
            if self.length and self._read(self.length - 1, 1) != b"\n":
                raise _cut_short(path, self.length)
            if not self.length:
                self._append(first)
        except BaseException:
            self.close()
            raise

    def append(self, rows: Iterable[Sequence[str | int | float]]) -> None:
        """Add rows in one write; a float is taken as float32, in the 6 to 9 digits that read back to it.

        Raises:
            RunFolderError: the file cannot be written; it then ends with the row before these.
        """
        if data := _lines(rows, self._columns):
            self._append(data)


class CodeJournal(Growing):
    """Codes (code_size,) as raw float32, one after the other: begun or continued."""

    def __init__(self, path: Path, code_size: int) -> None:
        super().__init__(path, _FLOAT * code_size)
        self.code_size = code_size

    def append(self, codes: Tensor) -> None:
        """Add (k, code_size) codes, on any device, in one write.

        Raises:
            RunFolderError: the file cannot be written; it then ends with the code before these.
        """
        self._append(array("f", codes.detach().float().flatten().tolist()).tobytes())


class ChecksumJournal(Growing):
    """CRC-32s of files, one after the other: begun or continued."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, _CRC)

    def append(self, checksums: Iterable[int]) -> None:
        """Add some, in one write. Raises RunFolderError: the file cannot be written."""
        self._append(b"".join(one.to_bytes(_CRC, "little") for one in checksums))


def read_checksums(path: Path, count: int) -> list[int]:
    """The first `count` of a `ChecksumJournal`'s file. Raises RunFolderError: it cannot be read, or holds fewer."""
    with reading(path) as file:
        data = file.read(_CRC * count)
    if len(data) < _CRC * count:
        raise _cut_short(path, len(data))
    return [int.from_bytes(data[first : first + _CRC], "little") for first in range(0, _CRC * count, _CRC)]


def checksum(path: Path, length: int) -> int:
    """The CRC-32 of the first `length` bytes of a file.

    Raises:
        RunFolderError: it cannot be read.
    """
    value = 0
    with reading(path) as file:
        while length > 0 and (part := file.read(min(length, _PART))):
            value = zlib.crc32(part, value)
            length -= len(part)
    return value


def read_codes(path: Path, code_size: int) -> Tensor:
    """The codes in a `CodeJournal`'s file: (n, code_size) float32, bit for bit.

    Raises:
        RunFolderError: the file cannot be read, or does not end with a whole code.
    """
    with reading(path) as file:
        data = file.read()
    if len(data) % (_FLOAT * code_size):
        raise _cut_short(path, len(data))
    if not data:
        return torch.empty(0, code_size)
    return torch.frombuffer(bytearray(data), dtype=torch.float32).view(-1, code_size)


def read_samples(path: Path) -> tuple[Sequence[str], list[dict[str, str]]]:
    """The columns of activations.csv, and its lines that are of samples. Raises RunFolderError: it is damaged."""
    with reading(path, LONGEST_CSV) as file, io.TextIOWrapper(file, "utf-8", newline="") as text:
        lines = csv.DictReader(text)
        rows = [row for row in lines if row["sample"]]
        return lines.fieldnames or (), rows


def _cut_short(path: Path, length: int) -> RunFolderError:
    return RunFolderError(
        f"{path}: byte {length} is not the end of a whole record. Resume the run, which goes back "
        "to the last checkpoint; if that failed, the file was edited: start a new run in another folder."
    )


def _lines(rows: Iterable[Sequence[str | int | float]], columns: int) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for row in rows:
        if len(row) != columns:
            raise ValueError(f"a row of {len(row)} entries in a journal of {columns} columns")
        writer.writerow([_write(entry) for entry in row])
    return text.getvalue().encode()


def _write(entry: str | int | float) -> str:
    if isinstance(entry, str):
        return entry
    if isinstance(entry, int):
        return str(int(entry))
    number = c_float(entry).value
    if not math.isfinite(number):
        return str(number)
    digits = (f"{number:.{count}g}" for count in (6, 7, 8))
    return next((text for text in digits if c_float(float(text)).value == number), f"{number:.9g}")
