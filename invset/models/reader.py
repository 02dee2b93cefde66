"""From images to encodings and activations: one forward pass if both are layers of the same network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from invset.errors import ConfigError
from invset.models.network import Network
from invset.models.unit import Unit


@dataclass(frozen=True)
class Encoder:
    """An encoder E: images -> a layer of a network, flattened.

    Raises:
        ConfigError: the network has no such layer.
    """

    network: Network
    layer: str

    def __post_init__(self) -> None:
        self.network.shape(self.layer)

    @property
    def size(self) -> int:
        """d, the numbers in an encoding."""
        return math.prod(self.network.shape(self.layer))

    def __call__(self, images: Tensor) -> Tensor:
        """Images (b, 3, h, w), RGB in [0, 1], any size -> encodings (b, d)."""
        return self.network.read([self.layer], images)[self.layer].flatten(1)


class Reader:
    """Images -> their encodings and the activations of p units, differentiable.

    The forward pass stops at the deepest layer read. An encoder on the very same network object shares it; on
    another network it has its own. Images are resized to what each network takes.

    Args:
        network: whose units are read.
        units: p of them, at least one.
        encoder: E, or None for the images themselves, flattened (eq. 5).

    Raises:
        ConfigError: there are no units, or the network has no such layer.
    """

    def __init__(self, network: Network, units: Sequence[Unit], encoder: Encoder | None = None) -> None:
        if not units:
            raise ConfigError("no unit to read: name at least one, such as fc8:1.")
        self.network = network
        self.units = tuple(units)
        self.encoder = encoder
        self._layers = {unit.layer for unit in units}
        for layer in self._layers:
            network.shape(layer)

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images (b, 3, h, w), RGB in [0, 1] -> encodings (b, d), activations (b, p) in the units' order."""
        encodings, activations, _ = self.read(images)
        return encodings, activations

    def read(self, images: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """As a call; and the units' layers by name: (b, channels), (b, channels, tokens) or (b, channels, h, w)."""
        shared = self.encoder if self.encoder is not None and self.encoder.network is self.network else None
        layers = self._layers | ({shared.layer} if shared else set())
        outputs = self.network.read(layers, images)
        activations = torch.stack([unit.read(outputs[unit.layer]) for unit in self.units], dim=1)
        if shared:
            return outputs[shared.layer].flatten(1), activations, outputs
        encodings = images.flatten(1) if self.encoder is None else self.encoder(images)
        return encodings, activations, outputs
