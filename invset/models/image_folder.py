"""The images of a folder, all at one size; what cannot be read is left out."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import torch
from PIL import Image, ImageOps
from torch import Tensor

from invset.errors import ConfigError

FORMATS = ("PNG", "JPEG", "BMP", "WEBP")
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp"})
MOST_PIXELS = 2**26  # of an image: 200 MB while it is read


class ImageFolder:
    """PNG, JPEG, BMP and WebP files of a folder and its subfolders, sorted by path.

    Args:
        folder: where to look.
        size: (h, w) that `read` and `batches` give.

    Attributes:
        files: every file that its name says is an image.

    Raises:
        ConfigError: there is no such folder, or no image in it.
    """

    def __init__(self, folder: str | Path, size: tuple[int, int]) -> None:
        self.folder = Path(folder)
        self.size = size
        self._unreadable: set[Path] = set()
        if not self.folder.is_dir():
            raise ConfigError(f"{folder}: there is no such folder of images; give one that exists.")
        found = (path for path in self.folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
        self.files = tuple(sorted(found))
        if not self.files:
            raise ConfigError(f"{folder}: no image in this folder or below; it should hold PNG, JPEG, BMP or WebP.")

    def read(self, path: Path) -> Tensor | None:
        """One image (3, h, w), or None if it cannot be read.

        Raises:
            ConfigError: none of the files can be read.
        """
        image = read_image(path, self.size)
        if image is None:
            self._unreadable.add(path)
        if len(self._unreadable) == len(self.files):
            raise ConfigError(f"{self.folder}: none of its {len(self.files)} images can be read.")
        return image

    def batches(self, batch_size: int, files: Iterable[Path] | None = None) -> Iterator[Tensor]:
        """All readable images (b, 3, h, w), or those of `files`, `batch_size` at a time, the last batch smaller.

        Raises:
            ConfigError: none of the files can be read.
        """
        readable = (image for path in files or self.files if (image := self.read(path)) is not None)
        while images := list(islice(readable, batch_size)):
            yield torch.stack(images)


def read_image(path: str | Path, size: tuple[int, int]) -> Tensor | None:
    """A file as an image (3, h, w), RGB in [0, 1] in steps of 1/255, float32; None if it holds no 8-bit image.

    Turned upright as its EXIF says, laid on white where transparent, cut to the middle at the shape wanted
    and resized (bilinear, antialiased); at the size already, it keeps its pixels.

    Args:
        path: PNG, JPEG, BMP or WebP.
        size: (h, w).

    Raises:
        ConfigError: it has very many pixels.
    """
    h, w = size
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as file:
                if file.width * file.height > MOST_PIXELS:
                    raise Image.DecompressionBombError
                if file.mode.startswith(("I", "F")):  # more than 8 bits a channel
                    return None
                image = ImageOps.fit(_opaque(ImageOps.exif_transpose(file)), (w, h), Image.Resampling.BILINEAR)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        most = f"more than {MOST_PIXELS // 10**6} million pixels"
        raise ConfigError(f"{path}: has {most}: make it smaller, or take it out of the folder.") from error
    except Exception:  # of a damaged file PIL raises nearly any
        return None
    values = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
    return values.view(h, w, 3).permute(2, 0, 1).float().div(255)


def _opaque(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image.convert("RGB")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
