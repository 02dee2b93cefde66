"""DeePSiM's generator, which inverts CaffeNet's fc6 (Dosovitskiy & Brox 2016); PPGN's has its layers too."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from invset.errors import ConfigError
from invset.models.caffenet import BGR_MEAN
from invset.models.network import Generator
from invset.models.random_weights import he_state

CODE = 4096  # units of fc6, after the ReLU
SIZE = 256  # pixels a side
LEAK = 0.3


class DeepSim(nn.Module):
    """Three linear layers and nine transposed convolutions; LeakyReLU 0.3 after each but the last.

    Args:
        crop: pixels a side of the middle that is returned, 227 being [14:241], or None for all 256.
    """

    mean: Tensor

    def __init__(self, crop: int | None = None) -> None:
        super().__init__()
        self.crop = crop
        self.defc7 = _leaky(nn.Linear(CODE, 4096))
        self.defc6 = _leaky(nn.Linear(4096, 4096))
        self.defc5 = _leaky(nn.Linear(4096, 256 * 4 * 4))
        self.deconv5 = _leaky(_double(256, 256))
        self.conv5_1 = _leaky(_keep(256, 512))
        self.deconv4 = _leaky(_double(512, 256))
        self.conv4_1 = _leaky(_keep(256, 256))
        self.deconv3 = _leaky(_double(256, 128))
        self.conv3_1 = _leaky(_keep(128, 128))
        self.deconv2 = _leaky(_double(128, 64))
        self.deconv1 = _leaky(_double(64, 32))
        self.deconv0 = _double(32, 3)
        self.register_buffer("mean", torch.tensor(BGR_MEAN, device="cpu").view(3, 1, 1), persistent=False)

    def forward(self, codes: Tensor) -> Tensor:
        """Codes (b, 4096) -> images (b, 3, 256, 256), or crop, RGB on the scale of [0, 1], not clamped."""
        x = self.defc5(self.defc6(self.defc7(codes))).unflatten(1, (256, 4, 4))
        x = self.conv5_1(self.deconv5(x))
        x = self.conv4_1(self.deconv4(x))
        x = self.conv3_1(self.deconv3(x))
        x = self.deconv0(self.deconv1(self.deconv2(x)))
        if self.crop is not None:
            start = (SIZE - self.crop) // 2
            x = x[..., start : start + self.crop, start : start + self.crop]
        images: Tensor = ((x + self.mean) / 255).flip(1)
        return images


def deepsim_generator(random_seed: int = 0, crop: int | None = None) -> Generator:
    """The fc6 generator at full size with random weights, for timing; its images show nothing.

    Args:
        random_seed: of the weights.
        crop: pixels a side, 1 to 256; None for 256, 227 as PPGN does.

    Raises:
        ConfigError: the crop is larger than the image, or nothing.
    """
    if crop is not None and not 1 <= crop <= SIZE:
        raise ConfigError(f"generator deepsim: crop is {crop}; its images are {SIZE}x{SIZE}, so give 1 to {SIZE}.")
    with torch.device("meta"):
        module = DeepSim(crop)
    module.load_state_dict(he_state(module, random_seed, LEAK), assign=True)
    side = crop or SIZE
    return Generator("deepsim", module, CODE, (3, side, side))


def _double(inputs: int, outputs: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1)


def _keep(inputs: int, outputs: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(inputs, outputs, 3, stride=1, padding=1)


def _leaky(layer: nn.Module) -> nn.Sequential:
    return nn.Sequential(layer, nn.LeakyReLU(LEAK))
