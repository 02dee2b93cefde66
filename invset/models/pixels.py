"""The generator of eq. 4: the code is the image itself."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from invset.errors import ConfigError
from invset.models.network import CodeStatistics, Generator


class Pixels(nn.Module):
    """An image's numbers in a row -> the image."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.image_shape = shape

    def forward(self, codes: Tensor) -> Tensor:
        """Codes (b, c) -> images (b, 3, h, w)."""
        return codes.view(-1, *self.image_shape)


def pixel_generator(shape: Sequence[int] = (3, 64, 64)) -> Generator:
    """Images of `shape` (3, h, w) as their own codes, bounded by [0, 1].

    Its statistics are those of uniform noise in that cube: mean 1/2, deviation sqrt(1/12), no bank. Raises ConfigError
    if that is no shape.
    """
    images = image_shape("generator pixels", shape)
    size = math.prod(images)
    statistics = CodeStatistics(
        mean=torch.full((size,), 0.5), deviation=torch.full((size,), 12**-0.5), bank=torch.empty(0, size)
    )
    return Generator("pixels", Pixels(images), size, images, statistics, (0.0, 1.0))


def image_shape(what: str, shape: Sequence[int]) -> tuple[int, int, int]:
    """(3, h, w), as given. Raises ConfigError unless it is one; `what` is the model, for the message."""
    sides = tuple(shape)
    if len(sides) != 3 or sides[0] != 3 or not all(isinstance(side, int) and side >= 1 for side in sides):
        raise ConfigError(f"{what}: shape={shape} is no shape of images; give [3,height,width], as [3,64,64].")
    return sides


GENERATORS = {"pixels": pixel_generator}
