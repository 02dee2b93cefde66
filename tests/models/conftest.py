"""A network small enough to compute by hand, and counters that show how far a forward pass went."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from invset.models.network import Network

LABELS = (
    "volcano",
    "school bus",
    "crane",
    "toilet seat",
    "crane",
    "toilet tissue",
    "Route-66 sign",
    "great_egret",
)


class Toy(nn.Module):
    """conv (4 maps of h x w) -> flat -> fc (8 units) -> last (2 units); 3 x 6 x 4 images."""

    def __init__(self, random_seed: int = 0) -> None:
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Tanh())
        self.fc = nn.Linear(4 * 6 * 4, 8)
        self.last = nn.Linear(8, 2)
        self.unused = nn.Identity()
        randomness = torch.Generator().manual_seed(random_seed)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.normal_(generator=randomness)

    def forward(self, images: Tensor) -> Tensor:
        activations: Tensor = self.last(self.fc(self.conv(images).flatten(1)))
        return activations


def toy_network(random_seed: int = 0) -> Network:
    layers = {"conv": "conv", "fc": "fc", "last": "last"}
    return Network("toy", Toy(random_seed).double(), layers, (3, 6, 4), {"fc": LABELS})


@pytest.fixture
def toy() -> Network:
    return toy_network()


@pytest.fixture
def images() -> Tensor:
    return torch.rand(5, 3, 6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def count_calls() -> Callable[[nn.Module], Counter[str]]:
    """Counts, from now on, how often each submodule starts a forward pass."""

    def count(module: nn.Module) -> Counter[str]:
        calls: Counter[str] = Counter()
        for name, submodule in module.named_modules():

            def hook(_module: nn.Module, _inputs: Any, name: str = name) -> None:
                calls[name] += 1

            submodule.register_forward_pre_hook(hook)
        return calls

    return count
