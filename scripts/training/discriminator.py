"""The discriminator of the generator's training, and what it teaches: conditional, and gone once that is done."""

import math
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from invset.models.mini import MiniNetwork

MAP = 128  # channels that a feature map is reduced to
GAIN = 4.0  # of the scores; spectral norms alone keep them too close to tell real from made


class Scores(NamedTuple):
    """Each (b, places): realism alone, and what code and label add to it."""

    alone: Tensor
    code: Tensor
    label: Tensor


class Discriminator(nn.Module):
    """Scores 8x8 patches of the image by its pixels, and places of feature maps of another network.

    The maps show shapes from the first step on, which pixels alone take long to teach (Sauer et al. 2021).
    The image's size, the codes and the labels are those of `network`; maps: name -> channels.
    """

    def __init__(self, network: MiniNetwork, maps: dict[str, int], width: int = 48):
        super().__init__()
        size, code, classes = network.dimensions.size, network.dimensions.code, network.fc8.out_features
        halvings = (size // 8).bit_length() - 1
        channels = [3] + [max(4 * width // 2**n, width) for n in reversed(range(halvings))]
        self.patches = nn.Sequential(*(_halving(*ends) for ends in pairwise(channels)))
        self.maps = nn.ModuleDict({name: _mapping(inputs) for name, inputs in maps.items()})
        self.heads = nn.ModuleList([_Head(4 * width, code, classes), *(_Head(MAP, code, classes) for _ in maps)])

    def forward(self, images: Tensor, maps: dict[str, Tensor], codes: Tensor, labels: Tensor) -> list[Scores]:
        """Scores, high for real, of images (b, 3, size, size) said to have these codes and labels (b,); one a head."""
        inputs = [self.patches(2 * images - 1), *(mapping(maps[name]) for name, mapping in self.maps.items())]
        return [head(x, codes, labels) for head, x in zip(self.heads, inputs, strict=True)]


def discriminator_loss(real: list[Scores], fake: list[Scores]) -> Tensor:
    """Hinge losses of realism alone, and with label and code; the first of the fake have the real ones' codes."""
    hinges = []
    for r, f in zip(real, fake, strict=True):
        hinges += [F.relu(1 - r.alone), F.relu(1 - r.alone - r.code - r.label)]
        hinges += [F.relu(1 + f.alone), F.relu(1 + _with_conditions(f, len(r.code)))]
    return torch.stack([hinge.mean() for hinge in hinges]).sum() / len(real)


def adversarial_loss(fake: list[Scores], real: int) -> Tensor:
    """The generator's: of images of which the first `real` have natural codes."""
    return -torch.stack([_with_conditions(scores, real).mean() for scores in fake]).mean()


def _with_conditions(fake: Scores, real: int) -> Tensor:
    """Realism with the label and, where an image has had that code, with the code."""
    has_image = torch.arange(len(fake.code), device=fake.code.device) < real
    return fake.alone + fake.label + fake.code * has_image[:, None]


class _Head(nn.Module):
    """Scores x alone, and its inner products with projections of code and label (Miyato & Koyama 2018)."""

    def __init__(self, channels: int, code: int, classes: int):
        super().__init__()
        self.features = spectral_norm(nn.Conv2d(channels, channels, 1))
        self.alone = spectral_norm(nn.Conv2d(channels, 1, 1))
        self.code = spectral_norm(nn.Linear(code, channels))
        self.label = nn.Embedding(classes, channels)
        nn.init.zeros_(self.label.weight)

    def forward(self, x: Tensor, codes: Tensor, labels: Tensor) -> Scores:
        x = F.leaky_relu(self.features(x), 0.2)
        alone = self.alone(x).flatten(1)
        code = _inner(x, self.code(F.normalize(codes, dim=1) * math.sqrt(codes.shape[1])))
        return Scores(GAIN * alone, GAIN * code, GAIN * _inner(x, self.label(labels)))


def _inner(x: Tensor, direction: Tensor) -> Tensor:
    return (x * direction[:, :, None, None]).sum(1).flatten(1) / math.sqrt(x.shape[1])


def _halving(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(spectral_norm(nn.Conv2d(inputs, outputs, 4, 2, 1)), nn.LeakyReLU(0.2))


def _mapping(inputs: int) -> nn.Sequential:
    return nn.Sequential(spectral_norm(nn.Conv2d(inputs, MAP, 3, padding=1)), nn.LeakyReLU(0.2))
