"""What DeePSiM's generators are made of, one for each layer of CaffeNet that was inverted.

Layers: willwx/XDream:prototxt/unmodified/HEAD/generator.prototxt, and for conv3 PonceLab/circuit_toolkit:
circuit_toolkit/GAN_utils.py.
"""

from __future__ import annotations

from typing import NamedTuple


class Layer(NamedTuple):
    """Its name in Caffe; fc, conv or up (a transposed convolution); what follows it: leaky, linear or colours."""

    name: str
    kind: str
    outputs: int
    kernel: int = 4
    stride: int = 2
    padding: int = 1
    then: str = "leaky"


class Head(NamedTuple):
    """What one generator is made of; codes are of `shape`, images `size` pixels a side."""

    shape: tuple[int, ...]
    size: int
    layers: tuple[Layer, ...]


def _keep(name: str, outputs: int, kind: str = "conv", then: str = "leaky") -> Layer:
    return Layer(name, kind, outputs, 3, 1, 1, then)


def _valid(name: str, outputs: int, kernel: int = 3) -> Layer:
    return Layer(name, "conv", outputs, kernel, 1, 0)


def _twice(name: str, outputs: int, then: str = "leaky") -> Layer:
    return Layer(name, "up", outputs, then=then)


_FROM_4 = (
    _twice("deconv5", 256), _keep("conv5_1", 512, "up"),
    _twice("deconv4", 256), _keep("conv4_1", 256, "up"),
    _twice("deconv3", 128), _keep("conv3_1", 128, "up"),
    _twice("deconv2", 64), _twice("deconv1", 32), _twice("deconv0", 3, "linear"),
)  # fmt: skip
_FC = tuple(Layer(name, "fc", 4096) for name in ("defc7", "defc6", "defc5")) + _FROM_4
_POOL5 = (_keep("Rconv6", 512), _keep("Rconv7", 512), _valid("Rconv8", 512), *_FROM_4)
_CONV = (
    _valid("Rconv6", 384), _valid("Rconv7", 512), _valid("Rconv8", 512, 2),
    _twice("deconv5", 256), _keep("conv5_1", 256, "up"),
    _twice("deconv4", 128), _keep("conv4_1", 128, "up"),
    _twice("deconv3", 128), _keep("conv3_1", 128, "up"),
    _twice("deconv2", 64), _keep("conv2_1", 32),
    _twice("deconv1", 16), _keep("conv1_1", 3, then="colours"),
)  # fmt: skip
_FROM_15 = (
    _keep("Rconv7", 128), _keep("Rconv8", 128),
    _twice("deconv4", 128), _keep("conv4_1", 128),
    _twice("deconv3", 64), _keep("conv3_1", 64),
    _twice("deconv2", 32), _keep("conv2_1", 32),
    _twice("deconv1", 16, "linear"), _keep("conv1_1", 3, then="colours"),
)  # fmt: skip
HEADS = {
    "fc6": Head((4096,), 256, _FC),
    "fc7": Head((4096,), 256, _FC),
    "fc8": Head((1000,), 256, _FC),
    "pool5": Head((256, 6, 6), 256, _POOL5),
    "conv4": Head((384, 13, 13), 256, _CONV),
    "conv3": Head((384, 13, 13), 256, _CONV),
    "norm2": Head((256, 13, 13), 240, (Layer("Rconv6", "conv", 256, 3, 1, 2), *_FROM_15)),
    "norm1": Head((96, 27, 27), 240, (Layer("Rconv6", "conv", 128, 3, 2, 2), *_FROM_15)),
}
"""The layer that is inverted -> its generator."""
