"""The eyes of a generator's training: feature maps in which images are compared, and told from photographs.

A pretrained network's maps teach a generator shapes from few images (Sauer et al. 2021, Projected GANs). It must not
be the one that judges the samples afterwards.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from invset.errors import ConfigError
from invset.models.network import Network


class Critic:
    """Maps of another network, each divided by its root mean square over some photographs.

    Args:
        network: sees images of any size.
        layers: of it, maps.
        images: photographs (n, 3, h, w) in [0, 1].

    Raises:
        ConfigError: there is no such layer, or it is no map.
    """

    def __init__(self, network: Network, layers: Sequence[str], images: Tensor):
        self.network, self.layers = network, tuple(layers)
        self.channels = {layer: network.units(layer) for layer in self.layers}
        vectors = [layer for layer in self.layers if len(network.shape(layer)) < 3]
        if vectors or not self.layers:
            found = f"{', '.join(vectors)} of {network.name} is no map" if vectors else "there are none"
            raise ConfigError(f"critic.layers: {found}. Name some that are maps, or take critic.name=null.")
        self._scale = dict.fromkeys(self.layers, 1.0)
        with torch.no_grad():
            self._scale = {layer: 1 / value.square().mean().sqrt().item() for layer, value in self(images).items()}

    def __call__(self, images: Tensor) -> dict[str, Tensor]:
        """Images (b, 3, h, w) in [0, 1] -> layer -> (b, channels, h', w')."""
        kind = images.device.type
        on = kind != "cpu" and torch.is_autocast_enabled(kind)  # a CPU's depthwise convolutions are slower in bfloat16
        with torch.autocast(kind, enabled=on):
            maps = self.network.read(self.layers, images if on else images.float())
        return {layer: value * self._scale[layer] for layer, value in maps.items()}
