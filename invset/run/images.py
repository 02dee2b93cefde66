"""Samples as 8-bit PNG files, exactly: what is read back is what the network saw."""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from invset.errors import RunFolderError
from invset.files import map_on_threads
from invset.run.json_files import write_atomically

THREADS = min(8, os.cpu_count() or 1)


def save_pngs(paths: Sequence[Path], images: Sequence[Tensor]) -> list[int]:
    """Write (3, h, w) images in [0, 1], rounded to multiples of 1/255, in order; each file is whole or not there.

    They are compressed on as many threads as there are cores: zlib lets them run. Returns the CRC-32 of each file.

    Raises:
        RunFolderError: a file cannot be written; those before it are.
        ValueError: an image has another shape.
    """
    pictures = [to_picture(image) for image in images]
    checksums = []
    for path, data in zip(paths, map_on_threads(encode_png, pictures, THREADS), strict=True):
        write_atomically(path, data)
        checksums.append(zlib.crc32(data))
    return checksums


def encode_png(picture: Image.Image) -> bytes:
    """A picture as the bytes of a PNG."""
    encoded = io.BytesIO()
    picture.save(encoded, format="PNG")
    return encoded.getvalue()


def load_png(path: Path) -> Tensor:
    """A saved image: (3, h, w) float32 in [0, 1], each value exactly byte / 255.

    Raises:
        RunFolderError: the file is missing or no image.
    """
    try:
        with Image.open(path) as picture:
            return from_picture(picture)
    except (OSError, SyntaxError) as error:  # PIL's word for a broken PNG may be SyntaxError
        raise RunFolderError(
            f"{path}: cannot be read as an image ({error}). Put the file back as the run left it."
        ) from error


def load_pngs(paths: Sequence[Path]) -> Tensor:
    """`load_png` of several images of one size, read on as many threads as there are cores: (b, 3, h, w).

    Raises:
        RunFolderError: as `load_png`, of the first that is missing or no image.
    """
    return torch.stack(list(map_on_threads(load_png, paths, THREADS)))


def to_picture(image: Tensor) -> Image.Image:
    """(3, h, w) in [0, 1], on any device -> a PIL image (RGB).

    Raises:
        ValueError: the image has another shape.
    """
    if image.ndim != 3 or image.shape[0] != 3:
        raise ValueError(f"an image is (3, h, w), not {tuple(image.shape)}")
    levels = image.detach().cpu().clamp(0, 1).mul(255).round().to(torch.uint8)
    _, height, width = levels.shape
    return Image.frombytes("RGB", (width, height), levels.permute(1, 2, 0).contiguous().numpy().tobytes())


def from_picture(picture: Image.Image) -> Tensor:
    """A PIL image -> (3, h, w) float32 in [0, 1], each value exactly byte / 255."""
    rgb = picture.convert("RGB")
    levels = torch.frombuffer(bytearray(rgb.tobytes()), dtype=torch.uint8).view(rgb.height, rgb.width, 3)
    return levels.permute(2, 0, 1).float().div(255).contiguous()
