"""CaffeNet, Places205's network and DeePSiM's generators as Caffe describes them, and random weights for them.

Written layer by layer from Caffe's parameters (BVLC/caffe:models/bvlc_reference_caffenet/deploy.prototxt,
willwx/XDream:prototxt/unmodified), apart from invset's modules, which are compared with them.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from tests.weights.caffe_files import write_net

Blobs = dict[str, tuple[np.ndarray, ...]]

# A layer a line: name, Caffe's type, inputs > outputs, then Caffe's own parameters; ReLUs are in place.
CAFFENET = """
    conv1 Convolution 3>96 kernel_size=11 stride=4      | relu
    pool1 Pooling pool=MAX kernel_size=3 stride=2
    norm1 LRN local_size=5 alpha=0.0001 beta=0.75
    conv2 Convolution 96>256 kernel_size=5 pad=2 group=2 | relu
    pool2 Pooling pool=MAX kernel_size=3 stride=2
    norm2 LRN local_size=5 alpha=0.0001 beta=0.75
    conv3 Convolution 256>384 kernel_size=3 pad=1       | relu
    conv4 Convolution 384>384 kernel_size=3 pad=1 group=2 | relu
    conv5 Convolution 384>256 kernel_size=3 pad=1 group=2 | relu
    pool5 Pooling pool=MAX kernel_size=3 stride=2
    fc6 InnerProduct 9216>4096                          | relu
    fc7 InnerProduct 4096>4096                          | relu
    fc8 InnerProduct 4096>{classes}
"""
UP_TO_256 = """
    conv5_1 Deconvolution 256>512 kernel_size=3 stride=1 pad=1 | leaky
    deconv4 Deconvolution 512>256 kernel_size=4 stride=2 pad=1 | leaky
    conv4_1 Deconvolution 256>256 kernel_size=3 stride=1 pad=1 | leaky
    deconv3 Deconvolution 256>128 kernel_size=4 stride=2 pad=1 | leaky
    conv3_1 Deconvolution 128>128 kernel_size=3 stride=1 pad=1 | leaky
    deconv2 Deconvolution 128>64 kernel_size=4 stride=2 pad=1 | leaky
    deconv1 Deconvolution 64>32 kernel_size=4 stride=2 pad=1 | leaky
    deconv0 Deconvolution 32>3 kernel_size=4 stride=2 pad=1
"""
FROM_FC = (
    """
    defc7 InnerProduct {inputs}>4096                         | leaky
    defc6 InnerProduct 4096>4096                             | leaky
    defc5 InnerProduct 4096>4096                             | leaky
    reshape Reshape
    deconv5 Deconvolution 256>256 kernel_size=4 stride=2 pad=1 | leaky
"""
    + UP_TO_256
)
FROM_POOL5 = (
    """
    Rconv6 Convolution 256>512 kernel_size=3 stride=1 pad=1  | leaky
    Rconv7 Convolution 512>512 kernel_size=3 stride=1 pad=1  | leaky
    Rconv8 Convolution 512>512 kernel_size=3 stride=1 pad=0  | leaky
    deconv5 Deconvolution 512>256 kernel_size=4 stride=2 pad=1 | leaky
"""
    + UP_TO_256
)
FROM_CONV = """
    Rconv6 Convolution 384>384 kernel_size=3 stride=1 pad=0  | leaky
    Rconv7 Convolution 384>512 kernel_size=3 stride=1 pad=0  | leaky
    Rconv8 Convolution 512>512 kernel_size=2 stride=1 pad=0  | leaky
    deconv5 Deconvolution 512>256 kernel_size=4 stride=2 pad=1 | leaky
    conv5_1 Deconvolution 256>256 kernel_size=3 stride=1 pad=1 | leaky
    deconv4 Deconvolution 256>128 kernel_size=4 stride=2 pad=1 | leaky
    conv4_1 Deconvolution 128>128 kernel_size=3 stride=1 pad=1 | leaky
    deconv3 Deconvolution 128>128 kernel_size=4 stride=2 pad=1 | leaky
    conv3_1 Deconvolution 128>128 kernel_size=3 stride=1 pad=1 | leaky
    deconv2 Deconvolution 128>64 kernel_size=4 stride=2 pad=1 | leaky
    conv2_1 Convolution 64>32 kernel_size=3 stride=1 pad=1   | leaky
    deconv1 Deconvolution 32>16 kernel_size=4 stride=2 pad=1 | leaky
    conv1_1 Convolution 16>3 kernel_size=3 stride=1 pad=1    | tanh
"""
FROM_NORM = """
    Rconv7 Convolution {inputs}>128 kernel_size=3 stride=1 pad=1 | leaky
    Rconv8 Convolution 128>128 kernel_size=3 stride=1 pad=1  | leaky
    deconv4 Deconvolution 128>128 kernel_size=4 stride=2 pad=1 | leaky
    conv4_1 Convolution 128>128 kernel_size=3 stride=1 pad=1 | leaky
    deconv3 Deconvolution 128>64 kernel_size=4 stride=2 pad=1 | leaky
    conv3_1 Convolution 64>64 kernel_size=3 stride=1 pad=1   | leaky
    deconv2 Deconvolution 64>32 kernel_size=4 stride=2 pad=1 | leaky
    conv2_1 Convolution 32>32 kernel_size=3 stride=1 pad=1   | leaky
    deconv1 Deconvolution 32>16 kernel_size=4 stride=2 pad=1
    conv1_1 Convolution 16>3 kernel_size=3 stride=1 pad=1    | tanh
"""
NORM2 = "Rconv6 Convolution 256>256 kernel_size=3 stride=1 pad=2 | leaky" + FROM_NORM.format(inputs=256)
NORM1 = "Rconv6 Convolution 96>128 kernel_size=3 stride=2 pad=2 | leaky" + FROM_NORM.format(inputs=128)

PARAMETERS = {
    "Convolution": "convolution_param",
    "Deconvolution": "convolution_param",
    "InnerProduct": "inner_product_param",
    "Pooling": "pooling_param",
    "LRN": "lrn_param",
}
ACTIVATIONS = {
    "relu": 'type: "ReLU"',
    "leaky": 'type: "ReLU" relu_param { negative_slope: 0.3 }',
}


class Layer(NamedTuple):
    name: str
    type: str
    inputs: int
    outputs: int
    how: dict[str, str]
    then: str


class Net(NamedTuple):
    """A network in Caffe's words; `shape` is its input's, without the batch."""

    shape: tuple[int, ...]
    layers: tuple[Layer, ...]

    def prototxt(self, batch: int) -> str:
        dims = " ".join(f"dim: {side}" for side in (batch, *self.shape))
        lines = [
            f'name: "net"\nlayer {{ name: "data" type: "Input" top: "data" input_param {{ shape {{ {dims} }} }} }}'
        ]
        below = "data"
        for layer in self.layers:
            lines += _text(layer, below)
            below = layer.name
        return "\n".join(lines) + "\n"

    def weights(self, random_seed: int = 0) -> Blobs:
        """Of He's deviation, so that activations keep their size; biases are not 0."""
        randomness = np.random.default_rng(random_seed)
        blobs: Blobs = {}
        for layer in self.layers:
            if not layer.outputs:
                continue
            shape = _weight_shape(layer)
            slope = {"leaky": 0.3, "relu": 0.0}.get(layer.then, 1.0)
            gain = math.sqrt(2 / (1 + slope**2) / _summed(layer, shape))
            values = randomness.standard_normal(shape, dtype=np.float32)
            values *= gain / 10 if layer.then == "tanh" else gain  # else it would saturate
            blobs[layer.name] = (values, randomness.standard_normal(layer.outputs, dtype=np.float32) * 3)
        return blobs

    def write(self, path: Path, blobs: Blobs, **how: Any) -> Path:
        """As a .caffemodel, by the independent writer; `how` is for its `write_net`."""
        types = {layer.name: layer.type for layer in self.layers}
        named = {name: (types.get(name, "InnerProduct"), arrays) for name, arrays in blobs.items()}
        return write_net(path, named, **how)

    def opencv(self, weights: Path, inputs: np.ndarray, folder: Path) -> dict[str, np.ndarray]:
        """Every layer's output by OpenCV's reading of prototxt and caffemodel, after its ReLU if it has one."""
        prototxt = folder / "net.prototxt"
        prototxt.write_text(self.prototxt(len(inputs)))
        net = cv2.dnn.readNetFromCaffe(str(prototxt), str(weights))
        net.setPreferableBackend(cv2.dnn.DNN_BACKEND_OPENCV)
        net.enableFusion(False)  # else a layer's output is that of the layers that were fused with it
        net.enableWinograd(False)
        net.setInput(inputs, "data")
        outputs = net.forward([_last(layer) for layer in self.layers])
        return {layer.name: output for layer, output in zip(self.layers, outputs, strict=True)}


def _net(shape: tuple[int, ...], text: str) -> Net:
    return Net(shape, tuple(_parsed(line) for line in text.splitlines() if line.strip()))


def _parsed(line: str) -> Layer:
    layer, _, then = (part.strip() for part in line.partition("|"))
    name, type_, *rest = layer.split()
    inputs, outputs = map(int, rest.pop(0).split(">")) if rest and ">" in rest[0] else (0, 0)
    return Layer(name, type_, inputs, outputs, dict(word.split("=") for word in rest), then)


def caffenet(classes: int = 1000, side: int = 227) -> Net:
    return _net((3, side, side), CAFFENET.format(classes=classes))


GENERATORS = {
    "fc6": _net((4096,), FROM_FC.format(inputs=4096)),
    "fc7": _net((4096,), FROM_FC.format(inputs=4096)),
    "fc8": _net((1000,), FROM_FC.format(inputs=1000)),
    "pool5": _net((256, 6, 6), FROM_POOL5),
    "conv4": _net((384, 13, 13), FROM_CONV),
    "conv3": _net((384, 13, 13), FROM_CONV),
    "norm2": _net((256, 13, 13), NORM2),
    "norm1": _net((96, 27, 27), NORM1),
}


def _text(layer: Layer, below: str) -> list[str]:
    what = f'name: "{layer.name}" type: "{layer.type}" bottom: "{below}" top: "{layer.name}"'
    if layer.type == "Reshape":
        return [f"layer {{ {what} reshape_param {{ shape {{ dim: 0 dim: 256 dim: 4 dim: 4 }} }} }}"]
    how = ({"num_output": str(layer.outputs)} if layer.outputs else {}) | layer.how
    lines = [f"layer {{ {what} {PARAMETERS[layer.type]} {{ {' '.join(f'{key}: {how[key]}' for key in how)} }} }}"]
    if layer.then in ACTIVATIONS:
        in_place = f'bottom: "{layer.name}" top: "{layer.name}"'
        lines.append(f'layer {{ name: "relu_{layer.name}" {ACTIVATIONS[layer.then]} {in_place} }}')
    elif layer.then == "tanh":
        lines.append(f'layer {{ name: "tanh" type: "TanH" bottom: "{layer.name}" top: "tanh" }}')
        lines.append('layer { name: "x255" type: "Power" power_param { scale: 255 } bottom: "tanh" top: "x255" }')
    return lines


def _last(layer: Layer) -> str:
    if layer.then == "tanh":
        return "x255"
    return f"relu_{layer.name}" if layer.then else layer.name


def _weight_shape(layer: Layer) -> tuple[int, ...]:
    if layer.type == "InnerProduct":
        return layer.outputs, layer.inputs
    sides = (int(layer.how["kernel_size"]),) * 2
    if layer.type == "Deconvolution":
        return layer.inputs, layer.outputs, *sides
    return layer.outputs, layer.inputs // int(layer.how.get("group", 1)), *sides


def _summed(layer: Layer, shape: tuple[int, ...]) -> float:
    """How many inputs each output sums."""
    if layer.type == "Deconvolution":
        return math.prod(shape) / layer.outputs / int(layer.how["stride"]) ** 2
    return math.prod(shape[1:])
