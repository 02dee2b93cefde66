"""Codes of a folder's images, kept between runs: to encode thousands of images can cost more than to sample."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from invset.errors import WeightsError
from invset.files import write_atomically
from invset.weights.cache import user_folder
from invset.weights.tensors import read_safetensors


def encode_once(files: Sequence[Path], batches: Iterator[Tensor], encode: Callable[[Tensor], Tensor]) -> Tensor:
    """The codes (m, c) of images that come in batches (b, 3, h, w), encoded unless an earlier run did so.

    They are kept in `codes` of invset's cache, under a name made of the files' paths, sizes and times, and of what
    `encode` makes of the first batch: that says which network it is better than its name and files could.
    """
    first = encode(next(batches))
    path = _place(files, first)
    with suppress(WeightsError, KeyError):
        codes = read_safetensors(path)[0]["codes"]
        if codes.ndim == 2 and codes.shape[1] == first.shape[1] and torch.equal(codes[: len(first)], first):
            return codes
    codes = torch.cat([first, *map(encode, batches)])
    with suppress(OSError):  # then the next run encodes again
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, save({"codes": codes}))
    return codes


def _place(files: Sequence[Path], first: Tensor) -> Path:
    stats = [(str(file.absolute()), *_size_and_time(file)) for file in files]
    name = hashlib.sha256(json.dumps(stats).encode() + first.numpy().tobytes()).hexdigest()
    return user_folder("INVSET_CACHE", "invset") / "codes" / f"{name}.safetensors"


def _size_and_time(file: Path) -> tuple[int, int]:
    with suppress(OSError):
        return file.stat().st_size, file.stat().st_mtime_ns
    return 0, 0
