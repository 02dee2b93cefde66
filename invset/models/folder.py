"""The images of a folder, all at one size, in batches; what cannot be read is skipped and named."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image, ImageOps
from torch import Tensor

from invset.errors import ConfigError

FORMATS = ("PNG", "JPEG", "BMP", "WEBP")
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp"})


class UnreadableImageError(Exception):
    """A file with an image's name that holds no 8-bit image; `ImageFolder` skips it."""


class Batch(NamedTuple):
    """paths: b files; images: (b, 3, h, w), RGB in [0, 1], float32, in the same order."""

    paths: tuple[Path, ...]
    images: Tensor


class ImageFolder:
    """PNG, JPEG, BMP and WebP files of a folder and its subfolders, sorted by path.

    Args:
        folder: where to look.
        size: (h, w) that `read` and `batches` give.

    Attributes:
        files: every file that its name says is an image.
        skipped: those found unreadable so far, in the order found.

    Raises:
        ConfigError: there is no such folder, or no image in it.
    """

    def __init__(self, folder: str | Path, size: tuple[int, int]) -> None:
        self.folder = Path(folder)
        self.size = size
        self.skipped: list[Path] = []
        if not self.folder.is_dir():
            raise ConfigError(f"{folder}: there is no such folder of images; give one that exists.")
        found = (path for path in self.folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
        self.files = tuple(sorted(found))
        if not self.files:
            raise ConfigError(f"{folder}: no image in this folder or below; it should hold PNG, JPEG, BMP or WebP.")

    def read(self, path: Path) -> Tensor | None:
        """One image (3, h, w), or None if it cannot be read, which `skipped` then lists."""
        try:
            return read_image(path, self.size)
        except UnreadableImageError:
            if path not in self.skipped:
                self.skipped.append(path)
            return None

    def batches(self, batch_size: int) -> Iterator[Batch]:
        """All readable images, `batch_size` at a time, the last batch shorter.

        Raises:
            ConfigError: none of the files can be read.
        """
        paths: list[Path] = []
        images: list[Tensor] = []
        for path in self.files:
            image = self.read(path)
            if image is None:
                continue
            paths.append(path)
            images.append(image)
            if len(images) == batch_size:
                yield Batch(tuple(paths), torch.stack(images))
                paths, images = [], []
        if images:
            yield Batch(tuple(paths), torch.stack(images))
        if len(self.skipped) == len(self.files):
            raise ConfigError(
                f"{self.folder}: none of its {len(self.files)} images can be read, {self.files[0]} first."
            )


def read_image(path: str | Path, size: tuple[int, int]) -> Tensor:
    """A file as an image (3, h, w), RGB in [0, 1] in steps of 1/255, float32.

    Turned upright as its EXIF says, laid on white where transparent, cut to the middle at the shape wanted
    and resized (bilinear, antialiased); at the size already, it keeps its pixels.

    Args:
        path: PNG, JPEG, BMP or WebP.
        size: (h, w).

    Raises:
        UnreadableImageError: no such image, a damaged one, or one of more than 8 bits.
    """
    h, w = size
    try:
        with Image.open(path, formats=FORMATS) as file:
            if file.mode.startswith(("I", "F")):
                raise UnreadableImageError(f"{path}: {file.mode} has more than 8 bits a channel; save it with 8.")
            upright = ImageOps.exif_transpose(file)
            image = ImageOps.fit(_opaque(upright), (w, h), Image.Resampling.BILINEAR)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UnreadableImageError(f"{path}: cannot be read as an image ({error}); replace or remove it.") from error
    values = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
    return values.view(h, w, 3).permute(2, 0, 1).float().div(255)


def _opaque(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image.convert("RGB")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
