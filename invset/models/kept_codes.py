"""Codes of a folder's images, kept between runs: to encode thousands of images can cost more than to sample."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from invset.errors import WeightsError
from invset.files import remove_temporary, write_atomically
from invset.weights.cache import user_folder
from invset.weights.tensors import read_safetensors


def encode_once(files: Sequence[Path], batches: Iterator[Tensor], encode: Callable[[Tensor], Tensor]) -> Tensor:
    """The codes (m, c) of images that come in batches (b, 3, h, w), encoded unless an earlier run did so.

    They are kept in `codes` of invset's cache, a file for each folder and size of codes. It counts as long as the
    images have the sizes and times that they had, and `encode` makes of the first batch what it made: that says which
    network it is better than its name and files could.
    """
    first, state = encode(next(batches)), _digest([_size_and_time(file) for file in files])
    name = _digest([*(str(file.absolute()) for file in files), first.shape[1]])
    path = user_folder("INVSET_CACHE", "invset") / "codes" / f"{name}.safetensors"
    with suppress(WeightsError, KeyError):
        kept, metadata = read_safetensors(path)
        if metadata.get("images") == state and torch.equal(kept["codes"][: len(first)], first):
            return kept["codes"]
    codes = torch.cat([first, *map(encode, batches)])
    with suppress(OSError):  # then the next run encodes again
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_temporary(path.parent)
        write_atomically(path, save({"codes": codes}, {"images": state}))
    return codes


def _digest(values: Sequence[Any]) -> str:
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()


def _size_and_time(file: Path) -> tuple[int, int]:
    with suppress(OSError):
        return file.stat().st_size, file.stat().st_mtime_ns
    return 0, 0
