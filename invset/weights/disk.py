"""The disk's refusals in words, and writing that a kill or a power cut cannot leave half done."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from invset.errors import WeightsError

_REMEDIES = {
    errno.ENOSPC: "make room on the disk, or set INVSET_CACHE to a folder on another one",
    errno.EDQUOT: "make room in your quota, or set INVSET_CACHE to a folder elsewhere",
    errno.EFBIG: "raise the limit on file sizes",
    errno.ENAMETOOLONG: "set INVSET_CACHE to a shorter path",
}


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an OSError of the block into a WeightsError that names the file, the cause and the way on."""
    try:
        yield
    except OSError as error:
        cause = error.strerror or str(error)
        remedy = _REMEDIES.get(error.errno or 0, "set INVSET_CACHE to a folder you may write to")
        raise WeightsError(f"{path}: cannot be written ({cause}): {remedy}.") from error


def make_folder(path: Path) -> None:
    """Make a folder and those above it, if they are missing.

    Raises:
        WeightsError: it cannot be made.
    """
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)


def put(temporary: Path, path: Path) -> None:
    """Move a finished file to its place, its bytes on the disk before its name is.

    Raises:
        WeightsError: it cannot be moved.
    """
    with writing(path):
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        with suppress(OSError):  # some file systems cannot sync a folder
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)


def put_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write a JSON file: the old one or the new one is there at every moment.

    Raises:
        WeightsError: it cannot be written; the old file stays.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    with writing(path):
        temporary.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    put(temporary, path)


def remove(path: Path) -> None:
    """Remove a file that need not be there.

    Raises:
        WeightsError: it is there and cannot be removed.
    """
    with writing(path):
        path.unlink(missing_ok=True)


def size_of(path: Path) -> int:
    """The size of a file in bytes, 0 if there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def in_words(size: int) -> str:
    """`243.9 MB`: a number of bytes, in powers of 1000."""
    number = float(size)
    for unit in ("bytes", "kB", "MB", "GB"):
        if number < 1000 or unit == "GB":
            break
        number /= 1000
    return f"{size} bytes" if unit == "bytes" else f"{number:.1f} {unit}"
