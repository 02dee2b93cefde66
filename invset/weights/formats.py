"""Opening a file of weights, and what it is by its first bytes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal

from invset.errors import WeightsError
from invset.files import describing

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
        with describing(WeightsError, path, ", or get the file again", "read"):
            if not path.is_file():  # a pipe would wait for ever
                what = "is a folder or no ordinary file" if path.exists() else "there is no such file of weights"
                raise WeightsError(f"{path}: {what}. Give the path of the file, or download it.")
            with path.open("rb") as file:
                head = file.read(HEAD)
                if not head:
                    raise ValueError("is empty")
                if is_page(head):
                    raise ValueError("is a web page, as a failed download leaves")
                if head.startswith(b"version https://git-lfs"):
                    raise ValueError("stands for a file that Git LFS keeps, which `git lfs pull` gets")
                file.seek(0)
                yield file, os.fstat(file.fileno()).st_size
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
    if head.startswith(b"MATLAB "):
        return "matconvnet"
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= LONGEST_HEADER:
        return "safetensors"
    # torch.save writes a zip; until 1.6 it wrote pickles, whose first byte no caffemodel begins with.
    if head.startswith((b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")):
        return "torch"
    return "caffemodel"


def is_page(head: bytes) -> bool:
    """Whether a file that begins so is a web page or an XML message; no file of weights is."""
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:2]
    return start[:1] == b"<" and (start[1:].isalpha() or start[1:] in (b"!", b"?"))
