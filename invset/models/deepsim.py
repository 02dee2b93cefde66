"""DeePSiM's generators, which invert layers of CaffeNet (Dosovitskiy & Brox 2016); PPGN's has the layers of fc6's.

Biases of the transposed convolutions are 0 in the published files, and conversions may leave them out.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from invset.errors import ConfigError
from invset.models.blobs import filled, read_blobs
from invset.models.colours import caffe_colours
from invset.models.deepsim_heads import HEADS, Layer
from invset.models.names import hint
from invset.models.network import Generator
from invset.models.random_weights import he_state
from invset.models.shapes import cropped
from invset.weights.fetch import fetch
from invset.weights.known import Weights, file_of

CROP = 227  # what CaffeNet takes: PPGN feeds it the middle
LEAK = 0.3
ADVICE = "These are not the weights of such a generator: give others, or leave generator.weights out."


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
            self.add_module(layer.name, nn.Sequential(_module(layer, inputs), *_THEN[layer.then]()))
            inputs = layer.outputs


class _Colours(nn.Tanh):
    """-255 to 255."""

    def forward(self, x: Tensor) -> Tensor:
        return 255 * super().forward(x)


_THEN: dict[str, Callable[[], tuple[nn.Module, ...]]] = {
    "leaky": lambda: (nn.LeakyReLU(LEAK),),
    "linear": lambda: (),
    "colours": lambda: (_Colours(),),
}


def deepsim_generator(
    layer: str = "fc6",
    weights: str | Path | None = None,
    crop: int = CROP,
    random_seed: int = 0,
    find: Callable[[Weights], Path] = fetch,
) -> Generator:
    """DGN-AM's generator, which inverts fc6 of CaffeNet, and its siblings for other layers.

    Codes have bounds where the layer has: [0, inf), and none for fc8. PPGN's own sampler keeps fc6's to [0, 30]
    (Evolving-AI-Lab/ppgn:sampling_class.py); nothing shows that an inverse set ends there.

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
    return _generator("deepsim", f"deepsim-{layer}", layer, weights, crop, random_seed, find)


def ppgn_generator(
    weights: str | Path | None = None,
    crop: int = CROP,
    random_seed: int = 0,
    find: Callable[[Weights], Path] = fetch,
) -> Generator:
    """PPGN's generator (Nguyen et al. 2017), the paper's: fc6 of CaffeNet to images. See `deepsim_generator`."""
    return _generator("ppgn", "ppgn", "fc6", weights, crop, random_seed, find)


def _generator(
    name: str,
    published: str,
    layer: str,
    weights: str | Path | None,
    crop: int,
    random_seed: int,
    find: Callable[[Weights], Path],
) -> Generator:
    shape, size, _ = HEADS[layer]
    images = cropped(name, (size, size), crop)
    files: tuple[Path, ...] = ()
    if weights == "random":
        with torch.device("meta"):
            module = DeepSim(layer)
        module.load_state_dict(he_state(module, random_seed, LEAK), assign=True)
    else:
        path = file_of(weights, published, find)
        module = filled(lambda: DeepSim(layer), read_blobs(path), path, ADVICE)
        files = (path,)
    code = torch.Size(shape).numel()
    return Generator(
        name, module, code, images, None, _bounds(layer), files, caffe_colours(), inverts=("caffenet", layer)
    )


def _bounds(layer: str) -> tuple[float, float] | None:
    """All but fc8's codes are rectified. PPGN's own sampler also keeps fc6's below 30: code.bounds=[0,30]."""
    return None if layer == "fc8" else (0.0, math.inf)


def _module(layer: Layer, inputs: int) -> nn.Module:
    if layer.kind == "fc":
        return nn.Linear(inputs, layer.outputs)
    make = nn.Conv2d if layer.kind == "conv" else nn.ConvTranspose2d
    return make(inputs, layer.outputs, layer.kernel, layer.stride, layer.padding)
