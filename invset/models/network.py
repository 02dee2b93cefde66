"""What the rest needs to know of a network (image -> layers of units) and of a generator (code -> image)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from invset.errors import ConfigError
from invset.models.mini import CodeStatistics
from invset.models.names import hint
from invset.models.probe import read_layers


@dataclass(frozen=True, eq=False)
class Network:
    """A network whose layers have public names; compared by identity.

    The module is put in eval mode and its weights need no gradients from here on.

    Attributes:
        name: what the command line calls it.
        module: images (b, 3, h, w), RGB in [0, 1] -> anything; normalisation is inside.
        layers: public name -> module path, from shallow to deep.
        input_shape: (3, h, w), pixels.
        labels: layer -> the name of each of its units, in order; layers without names may be left out.
        files: of its weights, if it has any.
        shapes: layer -> (channels,) or (channels, h, w), found by one forward pass.

    Raises:
        ConfigError: a layer does not exist or is neither a vector nor a map, or has too few or many labels.
    """

    name: str
    module: nn.Module
    layers: Mapping[str, str]
    input_shape: tuple[int, int, int]
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    files: tuple[Path, ...] = ()
    shapes: Mapping[str, tuple[int, ...]] = field(init=False)

    def __post_init__(self) -> None:
        _freeze(self.module)
        object.__setattr__(self, "shapes", self._measure())
        for layer, labels in self.labels.items():
            count = self.units(layer)
            if labels and len(labels) != count:
                raise ConfigError(
                    f"layer {layer} of {self.name} has {count} units but {len(labels)} labels; give {count}."
                )

    @property
    def device(self) -> torch.device:
        """Where the weights are; the CPU if there are none."""
        return next((p.device for p in self.module.parameters()), torch.device("cpu"))

    def shape(self, layer: str) -> tuple[int, ...]:
        """(channels,) or (channels, h, w). Raises ConfigError if there is no such layer."""
        if layer not in self.layers:
            raise ConfigError(f"network {self.name} has no layer '{layer}': {hint(layer, self.layers)}")
        return self.shapes[layer]

    def units(self, layer: str) -> int:
        """How many units (a map counts as one). Raises ConfigError if there is no such layer."""
        return self.shape(layer)[0]

    def read(self, layers: Iterable[str], images: Tensor) -> dict[str, Tensor]:
        """Several layers in one forward pass, which ends at the deepest of them.

        Images of another size than `input_shape` are resized first (bilinear, antialiased, differentiable).

        Args:
            layers: public names.
            images: (b, 3, h, w), RGB in [0, 1].

        Returns:
            layer -> (b, channels) or (b, channels, h, w).

        Raises:
            ConfigError: there is no such layer.
        """
        wanted = list(layers)
        for layer in wanted:
            self.shape(layer)
        paths = [self.layers[layer] for layer in wanted]
        outputs = read_layers(self.module, paths, resize(images, self.input_shape[1:]))
        return {layer: outputs[path] for layer, path in zip(wanted, paths, strict=True)}

    def _measure(self) -> dict[str, tuple[int, ...]]:
        dtype = next((p.dtype for p in self.module.parameters()), torch.float32)
        with torch.no_grad():
            images = torch.zeros(1, *self.input_shape, device=self.device, dtype=dtype)
            outputs = read_layers(self.module, self.layers.values(), images)
        shapes = {layer: tuple(outputs[path].shape[1:]) for layer, path in self.layers.items()}
        for layer, shape in shapes.items():
            if len(shape) not in (1, 3):
                raise ConfigError(
                    f"layer {layer} of {self.name} has outputs of shape {shape}: units are read from "
                    "(channels,) or (channels, h, w); choose another layer."
                )
        return shapes


@dataclass(frozen=True, eq=False)
class Generator:
    """A generator G: codes (b, c) -> images (b, 3, h, w); compared by identity.

    The module is put in eval mode and its weights need no gradients from here on.

    Attributes:
        name: what the command line calls it.
        module: codes -> RGB images, valid in [0, 1]; values outside are possible.
        code_size: c.
        image_shape: (3, h, w), pixels.
        statistics: mean (c,), deviation (c,) and bank (m, c) of real codes, where known; m may be 0.
        code_bounds: (lowest, highest) entry that codes may sensibly have, where known.
        files: of its weights, if it has any.
    """

    name: str
    module: nn.Module
    code_size: int
    image_shape: tuple[int, int, int]
    statistics: CodeStatistics | None = None
    code_bounds: tuple[float, float] | None = None
    files: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        _freeze(self.module)

    @property
    def image_size(self) -> int:
        """Numbers in an image."""
        return math.prod(self.image_shape)


def resize(images: Tensor, size: tuple[int, ...]) -> Tensor:
    """Images (b, 3, h, w) at `size` = (h, w), bilinear and antialiased; untouched if they have it."""
    if images.shape[-2:] == size:
        return images
    return F.interpolate(images, size=size, mode="bilinear", antialias=True)


def _freeze(module: nn.Module) -> None:
    module.eval().requires_grad_(False)
