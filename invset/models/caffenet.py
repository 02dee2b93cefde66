"""CaffeNet (BVLC's reference network, AlexNet with the normalisation after the pooling), layer by layer."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from invset.models.network import Network
from invset.models.random_weights import he_state

SIZE = 227  # pixels a side
BGR_MEAN = (104.0, 117.0, 123.0)  # of ImageNet, 0-255
LAYERS = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8")


class CaffeNet(nn.Module):
    """BVLC/caffe:models/bvlc_reference_caffenet; each child's output is after its ReLU, fc8's is raw.

    Dropout is left out: the network is only ever evaluated. Pools round up, as Caffe's do. α is as in Caffe's
    files: `nn.LocalResponseNorm` divides it by the size too.

    Args:
        classes: units of fc8.
        mean: (blue, green, red), 0-255, taken off the images.
    """

    mean: Tensor

    def __init__(self, classes: int = 1000, mean: tuple[float, float, float] = BGR_MEAN) -> None:
        super().__init__()
        self.conv1 = _rectified(nn.Conv2d(3, 96, 11, stride=4))
        self.conv2 = _rectified(nn.Conv2d(96, 256, 5, padding=2, groups=2))
        self.conv3 = _rectified(nn.Conv2d(256, 384, 3, padding=1))
        self.conv4 = _rectified(nn.Conv2d(384, 384, 3, padding=1, groups=2))
        self.conv5 = _rectified(nn.Conv2d(384, 256, 3, padding=1, groups=2))
        self.norm = nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0)
        self.fc6 = _rectified(nn.Linear(256 * 6 * 6, 4096))
        self.fc7 = _rectified(nn.Linear(4096, 4096))
        self.fc8 = nn.Linear(4096, classes)
        self.register_buffer("mean", torch.tensor(mean, device="cpu").view(3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Images (b, 3, 227, 227), RGB in [0, 1] -> activations of fc8 (b, classes)."""
        x = images.flip(1) * 255 - self.mean
        x = self.norm(_pool(self.conv1(x)))
        x = self.norm(_pool(self.conv2(x)))
        x = _pool(self.conv5(self.conv4(self.conv3(x)))).flatten(1)
        activations: Tensor = self.fc8(self.fc7(self.fc6(x)))
        return activations


def caffenet_network(random_seed: int = 0, classes: int = 1000) -> Network:
    """CaffeNet at full size with random weights, for timing; its units detect nothing."""
    with torch.device("meta"):
        module = CaffeNet(classes)
    module.load_state_dict(he_state(module, random_seed), assign=True)
    return Network("caffenet", module, {layer: layer for layer in LAYERS}, (3, SIZE, SIZE))


def _rectified(layer: nn.Module) -> nn.Sequential:
    return nn.Sequential(layer, nn.ReLU())


def _pool(x: Tensor) -> Tensor:
    return F.max_pool2d(x, 3, 2, ceil_mode=True)
