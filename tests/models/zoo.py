"""A module whose layers, shapes and runs are known by construction."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ChannelsLast(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1)


class Tokens(nn.Module):
    """(b, c, h, w) -> (b, h w + 1, c)."""

    def forward(self, x: Tensor) -> Tensor:
        patches = x.flatten(2).transpose(1, 2)
        return torch.cat([patches.mean(1, keepdim=True), patches], dim=1)


class Windows(nn.Module):
    """(b, c, h, w) -> (b, windows, tokens, c): no map, though it has four dimensions."""

    def forward(self, x: Tensor) -> Tensor:
        return x.unflatten(3, (-1, 2)).movedim(3, 1).flatten(3).transpose(2, 3)


class Pair(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x


class Sum(nn.Module):
    """Over the batch: its first dimension is not the images'."""

    def forward(self, x: Tensor) -> Tensor:
        return x.sum(0)


class Zoo(nn.Module):
    """Every kind of output; `relu` runs three times, in place."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Identity()
        self.stem = nn.Conv2d(3, 6, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.last_channels = ChannelsLast()
        self.tokens = Tokens()
        self.windows = Windows()
        self.pair = Pair()
        self.sum = Sum()
        self.integers = nn.AdaptiveMaxPool2d(1, return_indices=True)
        self.block = nn.Sequential(nn.Conv2d(6, 5, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Sequential(nn.Dropout(), nn.Linear(5, 7))
        randomness = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.normal_(generator=randomness)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.stem(x))
        for layer in (self.last_channels, self.tokens, self.windows, self.pair, self.sum, self.integers):
            layer(x)
        features = self.relu(self.block(x))
        logits: Tensor = self.head(self.relu(features))
        return logits
