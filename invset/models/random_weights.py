"""He's random weights for an architecture whose trained ones are not at hand."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


def he_state(module: nn.Module, random_seed: int, leak: float = 0.0) -> dict[str, Tensor]:
    """A state for each convolution and linear layer: normal weights that keep activations' size, biases of 0.

    For `module.load_state_dict(state, assign=True)`, which lets the module be made on the meta device.

    Args:
        module: on any device.
        random_seed: of a generator of its own.
        leak: slope of the ReLUs below 0.
    """
    generator = torch.Generator().manual_seed(random_seed)
    state: dict[str, Tensor] = {}
    for name, layer in module.named_modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            deviation = math.sqrt(2 / (1 + leak**2) / _inputs(layer))
            state[f"{name}.weight"] = torch.empty(layer.weight.shape).normal_(0, deviation, generator=generator)
            if layer.bias is not None:
                state[f"{name}.bias"] = torch.zeros(layer.bias.shape)
    return state


def _inputs(layer: nn.Conv2d | nn.ConvTranspose2d | nn.Linear) -> float:
    """How many inputs each output sums."""
    if isinstance(layer, nn.Linear):
        return layer.in_features
    inputs = layer.in_channels / layer.groups * math.prod(layer.kernel_size)
    return inputs / math.prod(layer.stride) if isinstance(layer, nn.ConvTranspose2d) else inputs
