"""Opening a file of weights, and what it is by its first bytes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal

from invset.errors import WeightsError

Kind = Literal["caffemodel", "matconvnet", "safetensors", "torch"]

HEAD = 1024  # bytes that tell what a file is
LONGEST_HEADER = 100_000_000  # bytes, of a safetensors file: its library's limit


@contextmanager
def opened(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    """The file, open for reading, and its size in bytes; a ValueError of the block becomes a WeightsError.

    Raises:
        WeightsError: there is no such file, it is empty, cannot be read, or is what a failed download leaves.
    """
    try:
        if not path.is_file():  # a pipe would wait for ever
            what = "is a folder or no ordinary file" if path.exists() else "there is no such file of weights"
            raise WeightsError(f"{path}: {what}. Give the path of the file, or download it.")
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            _require_weights(path, file.read(HEAD))
            file.seek(0)
            yield file, size
    except OSError as error:
        raise WeightsError(
            f"{path}: cannot be read ({error.strerror or error}). Mend that, or get it again."
        ) from error
    except ValueError as error:
        raise WeightsError(
            f"{path}: {error}. It is cut short, damaged or of another kind: download or copy it again."
        ) from error


def kind(path: str | Path) -> Kind:
    """Which reader the file is for, by its content; a caffemodel has no mark, so "caffemodel" is all the rest.

    Raises:
        WeightsError: as `opened`.
    """
    with opened(Path(path)) as (file, _):
        head = file.read(HEAD)
    if head[:10] in (b"MATLAB 5.0", b"MATLAB 7.3") or is_hdf5(head):
        return "matconvnet"
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= LONGEST_HEADER:
        return "safetensors"
    # torch.save writes a zip; until 1.6 it wrote pickles, whose first byte no caffemodel begins with.
    if head[:4] == b"PK\x03\x04" or (head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")):
        return "torch"
    return "caffemodel"


def user_path(path: str | Path) -> Path:
    """A path as a user writes it: `~` is the home folder, where there is one."""
    try:
        return Path(path).expanduser()
    except RuntimeError:  # then there is no such file, which is said when it is opened
        return Path(path)


def is_hdf5(head: bytes) -> bool:
    """Whether a file that begins so is HDF5, bare or, as MATLAB writes it, after 512 bytes."""
    return b"\x89HDF\r\n\x1a\n" in (head[:8], head[512:520])


def _require_weights(path: Path, head: bytes) -> None:
    if not head:
        raise WeightsError(f"{path}: is empty. Download or copy it again.")
    start = head.lstrip().lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise WeightsError(f"{path}: is a web page, as a failed download leaves. Delete it and download it again.")
    if start.startswith(b"version https://git-lfs"):
        raise WeightsError(f"{path}: stands for a file that Git LFS keeps. Get that with `git lfs pull`.")
