"""DeePSiM's generators, which invert layers of CaffeNet (Dosovitskiy & Brox 2016); PPGN's has the layers of fc6's.

Biases of the transposed convolutions are 0 in the published files, and conversions may leave them out.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from invset.errors import ConfigError
from invset.models.blobs import fill_layers, read_blobs
from invset.models.colours import caffe_colours
from invset.models.network import Generator, cropped_shape
from invset.models.random_weights import he_state
from invset.names import hint
from invset.weights.fetch import fetch
from invset.weights.known import Weights, file_of

CROP = 227  # what CaffeNet takes: PPGN feeds it the middle
LEAK = 0.3
ADVICE = "These are not the weights of such a generator: give others, or leave weights out."


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


# willwx/XDream:prototxt/unmodified/HEAD/generator.prototxt; for conv3 PonceLab/circuit_toolkit:GAN_utils.py
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


class DeepSim(nn.Sequential):
    """Codes (b, c) -> images (b, 3, 256, 256), or of 240 for norm1 and norm2: BGR less the mean, 0-255, not clamped.

    Children have the names of Caffe's blobs, and its outputs: after the LeakyReLU of slope 0.3, where there is one.

    Args:
        head: the layer that it inverts, a key of HEADS.
    """

    def __init__(self, head: str = "fc6") -> None:
        super().__init__()
        shape, _, layers = HEADS[head]
        self.data = nn.Unflatten(1, shape)
        inputs = shape[0]
        for layer in layers:
            if layer.name == "deconv5" and len(shape) == 1:
                inputs = 256
                self.reshape = nn.Unflatten(1, (256, 4, 4))
            after = {"leaky": (nn.LeakyReLU(LEAK),), "linear": (), "colours": (_Colours(),)}[layer.then]
            self.add_module(layer.name, nn.Sequential(_module(layer, inputs), *after))
            inputs = layer.outputs


class _Colours(nn.Tanh):
    """-255 to 255."""

    def forward(self, x: Tensor) -> Tensor:
        return 255 * super().forward(x)


def deepsim_generator(
    layer: str = "fc6",
    weights: str | Path | None = None,
    crop: int = CROP,
    random_seed: int = 0,
    find: Callable[[Weights], Path] = fetch,
) -> Generator:
    """DGN-AM's generator, which inverts fc6 of CaffeNet, and its siblings for other layers.

    Codes have bounds where the layer has: [0, inf), and none for fc8, whose codes alone are not rectified. PPGN's own
    sampler keeps fc6's to [0, 30] (Evolving-AI-Lab/ppgn:sampling_class.py); nothing shows that an inverse set ends
    there.

    Args:
        layer: a key of HEADS, the layer that it inverts.
        weights: a .caffemodel, .pt or .safetensors; the name of known weights, as deepsim-fc6-caffe; None: the
            published ones, fetched if need be; "random": none, and its images show nothing.
        crop: pixels a side of the middle that is the image: 227, [14:241], as PPGN has it; 256 (240 for
            norm1 and norm2) for all of it.
        random_seed: of random weights.
        find: where the published weights are.

    Raises:
        ConfigError: there is no such generator, or no such crop.
        WeightsError: the file cannot be read, or holds other layers.
    """
    if layer not in HEADS:
        raise ConfigError(f"generator deepsim: there is none for layer '{layer}': {hint(layer, HEADS)}")
    shape, size, _ = HEADS[layer]
    images = cropped_shape((size, size), crop)
    files: tuple[Path, ...] = ()
    if weights == "random":
        with torch.device("meta"):
            module = DeepSim(layer)
        module.load_state_dict(he_state(module, random_seed, LEAK), assign=True)
    else:
        path = file_of(weights, f"deepsim-{layer}", find)
        module = fill_layers(lambda: DeepSim(layer), read_blobs(path), path, ADVICE)
        files = (path,)
    bounds = None if layer == "fc8" else (0.0, math.inf)
    codes = math.prod(shape)
    return Generator("deepsim", module, codes, images, None, bounds, files, caffe_colours(), ("caffenet", layer))


def ppgn_generator(
    weights: str | Path | None = None,
    crop: int = CROP,
    random_seed: int = 0,
    find: Callable[[Weights], Path] = fetch,
) -> Generator:
    """PPGN's generator (Nguyen et al. 2017), the paper's: fc6 of CaffeNet to images. See `deepsim_generator`."""
    return replace(deepsim_generator("fc6", weights or "ppgn", crop, random_seed, find), name="ppgn")


def _module(layer: Layer, inputs: int) -> nn.Module:
    if layer.kind == "fc":
        return nn.Linear(inputs, layer.outputs)
    make = nn.Conv2d if layer.kind == "conv" else nn.ConvTranspose2d
    return make(inputs, layer.outputs, layer.kernel, layer.stride, layer.padding)


GENERATORS = {"ppgn": ppgn_generator, "deepsim": deepsim_generator}
