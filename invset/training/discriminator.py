"""The discriminator of the generator's training: conditional, and gone once the generator is trained."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from invset.models.mini import CODE


class Discriminator(nn.Module):
    """Scores 8x8 patches of the image by its pixels, and its whole by the network's features.

    The features see shapes from the first step on, which pixels alone take long to teach (Sauer et al. 2021).
    """

    def __init__(self, width: int = 48):
        super().__init__()
        self.patches = nn.Sequential(_halving(3, width), _halving(width, 2 * width), _halving(2 * width, 4 * width))
        self.whole = nn.Sequential(_halving(2 * 128, 2 * width), _halving(2 * width, 4 * width))
        self.heads = nn.ModuleList([_Head(4 * width, 1, gain=4.0), _Head(4 * width, 4, gain=1.0)])

    def forward(self, images: Tensor, features: dict[str, Tensor], codes: Tensor) -> tuple[Tensor, Tensor]:
        """Scores (b, 128) without and with the code, high for real: 64 patches', and the whole's as often."""
        shapes = torch.cat([features["conv3"], features["conv5"]], 1)
        patch = self.heads[0](self.patches(2 * images - 1), codes)
        whole = self.heads[1](self.whole(shapes), codes)
        alone, with_code = (torch.cat([p, w.expand_as(p)], 1) for p, w in zip(patch, whole, strict=True))
        return alone, with_code


class _Head(nn.Module):
    """Scores x alone, and with its inner product with a projection of the code (Miyato & Koyama 2018).

    gain: of the scores; spectral norms alone keep those of patches too close to tell real from made.
    """

    def __init__(self, channels: int, kernel: int, gain: float):
        super().__init__()
        self.gain = gain
        self.features = spectral_norm(nn.Conv2d(channels, channels, kernel))
        self.alone = spectral_norm(nn.Conv2d(channels, 1, 1))
        self.code = spectral_norm(nn.Linear(CODE, channels))

    def forward(self, x: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        x = F.leaky_relu(self.features(x), 0.2)
        alone = self.alone(x).flatten(1)
        direction = self.code(F.normalize(codes, dim=1) * math.sqrt(CODE))
        together = (x * direction[:, :, None, None]).sum(1).flatten(1) / math.sqrt(x.shape[1])
        return self.gain * alone, self.gain * (alone + together)


def _halving(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(spectral_norm(nn.Conv2d(inputs, outputs, 4, 2, 1)), nn.LeakyReLU(0.2))
