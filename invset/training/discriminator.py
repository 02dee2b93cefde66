"""The discriminator of the generator's training: conditional, and gone once the generator is trained."""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from invset.models.mini import CODE


class Discriminator(nn.Module):
    """Scores 8x8 patches of the image by its pixels, and its whole by the network's features.

    The features see shapes from the first step on, which pixels alone take long to teach (Sauer et al. 2021).
    classes: of the labels.
    """

    def __init__(self, classes: int, width: int = 48):
        super().__init__()
        self.patches = nn.Sequential(_halving(3, width), _halving(width, 2 * width), _halving(2 * width, 4 * width))
        self.whole = nn.Sequential(_halving(2 * 128, 2 * width), _halving(2 * width, 4 * width))
        self.heads = nn.ModuleList([_Head(4 * width, 1, 4.0, classes), _Head(4 * width, 4, 1.0, classes)])

    def forward(self, images: Tensor, features: dict[str, Tensor], codes: Tensor, labels: Tensor) -> "Scores":
        """Scores, high for real, of images (b, 3, 64, 64) said to have these codes (b, 512) and labels (b,)."""
        shapes = torch.cat([features["conv3"], features["conv5"]], 1)
        patch = self.heads[0](self.patches(2 * images - 1), codes, labels)
        whole = self.heads[1](self.whole(shapes), codes, labels)
        return Scores(*(torch.cat([p, w.expand_as(p)], 1) for p, w in zip(patch, whole, strict=True)))


class Scores(NamedTuple):
    """Each (b, 128), 64 patches' and the whole's as often: realism alone, and what code and label add to it."""

    alone: Tensor
    code: Tensor
    label: Tensor


class _Head(nn.Module):
    """Scores x alone, and its inner products with projections of code and label (Miyato & Koyama 2018).

    gain: of the scores; spectral norms alone keep those of patches too close to tell real from made.
    """

    def __init__(self, channels: int, kernel: int, gain: float, classes: int):
        super().__init__()
        self.gain = gain
        self.features = spectral_norm(nn.Conv2d(channels, channels, kernel))
        self.alone = spectral_norm(nn.Conv2d(channels, 1, 1))
        self.code = spectral_norm(nn.Linear(CODE, channels))
        self.label = nn.Embedding(classes, channels)
        nn.init.zeros_(self.label.weight)

    def forward(self, x: Tensor, codes: Tensor, labels: Tensor) -> Scores:
        x = F.leaky_relu(self.features(x), 0.2)
        alone = self.alone(x).flatten(1)
        code = _inner(x, self.code(F.normalize(codes, dim=1) * math.sqrt(CODE)))
        return Scores(self.gain * alone, self.gain * code, self.gain * _inner(x, self.label(labels)))


def _inner(x: Tensor, direction: Tensor) -> Tensor:
    return (x * direction[:, :, None, None]).sum(1).flatten(1) / math.sqrt(x.shape[1])


def _halving(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(spectral_norm(nn.Conv2d(inputs, outputs, 4, 2, 1)), nn.LeakyReLU(0.2))
