"""The paper's linear model with logistic activation (sec. 3.1), whose inverse sets are known exactly."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from invset.errors import ConfigError
from invset.models.network import Network
from invset.models.pixels import image_shape

SPREAD = 2.0  # standard deviation of the logit over uniform random images


class LinearModel(nn.Module):
    """σ(w·x + c) of an image x with d numbers in [0, 1].

    Args:
        weights: w, (d,).
        bias: c; None centres the logit, so that it averages 0 over the unit cube.
    """

    def __init__(self, weights: Tensor, bias: float | None = None) -> None:
        super().__init__()
        self.logit = nn.Linear(weights.numel(), 1, device="meta")  # left empty: no draw from the global random state
        constant = -weights.double().sum() / 2 if bias is None else torch.tensor(bias)
        state = {"weight": weights.reshape(1, -1).float(), "bias": constant.reshape(1).float()}
        self.logit.load_state_dict(state, assign=True)
        self.output = nn.Sigmoid()

    def forward(self, images: Tensor) -> Tensor:
        """Images (b, 3, h, w) in [0, 1] -> σ(w·x + c) (b, 1), in (0, 1)."""
        activation: Tensor = self.output(self.logit(images.flatten(1)))
        return activation


def linear_network(
    random_seed: int = 0,
    shape: Sequence[int] = (3, 8, 8),
    weights: Sequence[float] | Tensor | None = None,
    bias: float | None = None,
) -> Network:
    """The linear model as a network with two layers of one unit: `logit` (w·x + c) and `output` (its σ).

    Args:
        random_seed: draws w (normal) if no weights are given, scaled so that the logit has standard
            deviation 2 over uniform random images.
        shape: (3, h, w) of the images.
        weights: w, as many numbers as an image has.
        bias: c; None centres the logit at 0 over the unit cube.

    Raises:
        ConfigError: the shape is none, or the weights are no numbers or do not fit it.
    """
    images = image_shape("network linear", shape)
    size = math.prod(images)
    if weights is None:
        w = torch.randn(size, generator=torch.Generator().manual_seed(random_seed))
        w *= SPREAD * math.sqrt(12) / w.norm()  # a uniform variable has variance 1/12
    else:
        w = torch.as_tensor(weights, dtype=torch.float32).flatten().clone()
    if w.numel() != size:
        raise ConfigError(f"network linear: {w.numel()} weights for {'x'.join(map(str, images))} images; give {size}.")
    return Network("linear", LinearModel(w, bias), {"logit": "logit", "output": "output"}, images)


NETWORKS = {"linear": linear_network}
