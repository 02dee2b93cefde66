"""Sizes of images as users give them, checked."""

from __future__ import annotations

from collections.abc import Sequence

from invset.errors import ConfigError

Shape = tuple[int, int, int]


def image_shape(what: str, shape: Sequence[int]) -> Shape:
    """(3, h, w), as given. Raises ConfigError unless it is one; `what` is the model, for the message."""
    sides = tuple(shape) if isinstance(shape, Sequence) and not isinstance(shape, str) else ()
    if len(sides) != 3 or not all(_is_count(side) for side in sides) or sides[0] != 3:
        raise ConfigError(f"{what}: shape={shape} is no shape of images; give [3,height,width], as [3,64,64].")
    return sides[0], sides[1], sides[2]


def cropped(generator: str, size: tuple[int, int], crop: int | None) -> Shape:
    """(3, crop, crop), the middle of images of `size`; None: (3, h, w), all of it. Raises ConfigError."""
    if crop is None:
        return (3, *size)
    if not _is_count(crop) or crop > min(size):
        raise ConfigError(
            f"generator {generator}: crop is {crop}; its images are {size[0]}x{size[1]}, so give 1 to {min(size)}."
        )
    return (3, crop, crop)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
