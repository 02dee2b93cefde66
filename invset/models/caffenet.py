"""CaffeNet, the paper's network (BVLC's reference network, AlexNet with the normalisation after the pooling).

Places205's AlexNet has its layers, and 205 units in fc8.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from invset.errors import WeightsError
from invset.files import user_path
from invset.models.blobs import Blobs, fill_layers, read_blobs
from invset.models.colours import CAFFE_MEAN, caffe_colours
from invset.models.labels import DATA_FOLDER, class_folders, labels_for
from invset.models.network import Network, crop
from invset.models.random_weights import he_state
from invset.weights.caffemodel import read_mean
from invset.weights.fetch import fetch
from invset.weights.formats import kind
from invset.weights.known import Weights, file_of
from invset.weights.matconvnet import read_matconvnet

SIZE = 227  # pixels a side
LRN = ("lrn", "normalize")  # what MatConvNet calls normalisation
PLACES = DATA_FOLDER / "places205_classes.txt"
ADVICE = "These are not the weights of a CaffeNet: give those of a network with its layers, or leave weights out."


class CaffeNet(nn.Sequential):
    """BVLC/caffe:models/bvlc_reference_caffenet: images (b, 3, 227, 227), BGR less the mean -> fc8 (b, classes).

    Children have the names of Caffe's blobs, and its outputs: conv1 … fc7 after their ReLU, fc8, of `classes` units,
    raw. Dropout is left out: the network is only ever evaluated. Pools round up, as Caffe's do.
    """

    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        self.conv1 = _rectified(nn.Conv2d(3, 96, 11, stride=4))
        self.pool1 = _pool()
        self.norm1 = _Norm()
        self.conv2 = _rectified(nn.Conv2d(96, 256, 5, padding=2, groups=2))
        self.pool2 = _pool()
        self.norm2 = _Norm()
        self.conv3 = _rectified(nn.Conv2d(256, 384, 3, padding=1))
        self.conv4 = _rectified(nn.Conv2d(384, 384, 3, padding=1, groups=2))
        self.conv5 = _rectified(nn.Conv2d(384, 256, 3, padding=1, groups=2))
        self.pool5 = _pool()
        self.fc6 = nn.Sequential(nn.Flatten(), nn.Linear(256 * 6 * 6, 4096), nn.ReLU())
        self.fc7 = _rectified(nn.Linear(4096, 4096))
        self.fc8 = nn.Linear(4096, classes)


class _Norm(nn.LocalResponseNorm):
    """α is as in Caffe's files: torch divides it by the size too. In half precision the squares would overflow."""

    def __init__(self) -> None:
        super().__init__(5, alpha=1e-4, beta=0.75, k=1.0)

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
        return super().forward(wide).to(x.dtype)


def caffenet_network(
    weights: str | Path | None = None,
    labels: str | Path | None = None,
    mean: str | Path | Sequence[float] | None = None,
    classes: int = 1000,
    random_seed: int = 0,
    find: Callable[[Weights], Path] = fetch,
) -> Network:
    """CaffeNet: layers conv1, pool1, norm1 … fc8, with Caffe's preprocessing.

    Args:
        weights: a file (.caffemodel; MatConvNet's .mat; .safetensors or .pt with a weight and a bias of each layer,
            whose conv1 takes blue first, as Caffe's); the name of known weights, as
            caffenet-matconvnet; None: the published ones, fetched if need be; "random": none, and its units detect
            nothing.
        labels: a file of fc8's names; None: those in the weights' file (.mat), or ImageNet's, if it has 1000 units.
        mean: Caffe's mean file (.binaryproto), of which the middle is taken, or three numbers, blue first, 0-255;
            None: what the weights' file says (.mat), or ImageNet's (104, 117, 123). The file is one of the network's.
        classes: units of fc8, with random weights; else the file says it.
        random_seed: of random weights.
        find: where the published weights are.

    Raises:
        WeightsError: the file cannot be read, or holds another network, of which AlexNet is one: it normalises before
            it pools, and its tensors have CaffeNet's shapes.
        ConfigError: the mean is no colour.
    """
    files: tuple[Path, ...] = ()
    own_names: tuple[str, ...] = ()
    if weights == "random":
        colours = caffe_colours(_mean(mean, None))
        with torch.device("meta"):
            module = CaffeNet(classes)
        module.load_state_dict(he_state(module, random_seed), assign=True)
    else:
        path = file_of(weights, "caffenet", find)
        blobs, own_mean, own_names = _read(path)
        colours = caffe_colours(_mean(mean, own_mean))
        fc8 = blobs.get("fc8", ())
        if fc8 and fc8[0].ndim:
            classes = len(fc8[0])
        module = fill_layers(partial(CaffeNet, classes), blobs, path, ADVICE)
        files = (path,)
    if isinstance(mean, str | Path):
        files = (*files, user_path(mean))
    units = module.fc8.out_features
    named = {"fc8": own_names} if labels is None and len(own_names) == units else labels_for({"fc8": units}, labels)
    layers = {layer: layer for layer, _ in module.named_children()}
    return Network("caffenet", module, layers, (3, SIZE, SIZE), named, files, colours)


def places205_network(
    weights: str | Path | None = None,
    labels: str | Path | None = None,
    mean: str | Path | Sequence[float] | None = None,
    random_seed: int = 0,
    find: Callable[[Weights], Path] = fetch,
) -> Network:
    """Places205's AlexNet: CaffeNet's layers, 205 kinds of place in fc8. See `caffenet_network`.

    Its mean is ImageNet's as well, with which PPGN fed it generated images (Evolving-AI-Lab/ppgn:sampling_class.py).
    For photographs there is the file that its authors gave with it, places205CNN_mean.binaryproto; an average of
    Places205 that was published with a later network is (105.49, 113.74, 116.06): CSAILVision/places365, issue 74.
    """
    network = caffenet_network(weights or "places205", labels or PLACES, mean, 205, random_seed, find)
    return replace(network, name="places205")


def _read(path: Path) -> tuple[Blobs, Tensor | None, tuple[str, ...]]:
    """Layer -> (weight, bias), the first's input blue first; the mean and the classes' names, if the file has them.

    Not ImageNet's: they are known here, each by a name of its own.
    """
    names: tuple[str, ...] = ()
    if kind(path) == "matconvnet":
        net = read_matconvnet(path)
        blobs, mean, order = net.layers, net.average_image, ["norm" if type_ in LRN else type_ for type_ in net.types]
        if tuple(folder for folder, _ in net.classes) != class_folders():
            names = tuple("".join(filter(str.isprintable, name)) for _, name in net.classes)
        if "conv1" in blobs:
            filters, *rest = blobs["conv1"]
            blobs["conv1"] = (filters.flip(1), *rest)  # of red first
    else:
        blobs, mean = dict(read_blobs(path)), None
        order = [layer[:4] for layer in blobs]  # Caffe's names: norm1, pool1
    # AlexNet's tensors have CaffeNet's names and shapes, and would be silently wrong.
    if next((layer for layer in order if layer in ("norm", "pool")), None) == "norm" and "pool" in order:
        raise WeightsError(f"{path}: normalises before it pools, as AlexNet does and CaffeNet does not. {ADVICE}")
    return blobs, None if mean is None else mean.flip(0), names


def _mean(given: str | Path | Sequence[float] | None, own: Tensor | None) -> Tensor | Sequence[float]:
    """Of the colours: (3,), or (3, 227, 227), the middle of an image."""
    mean: Tensor | Sequence[float]
    if given is None:
        mean = CAFFE_MEAN if own is None else own
    else:
        mean = read_mean(user_path(given)) if isinstance(given, str | Path) else given
    return crop(mean, (SIZE, SIZE)) if isinstance(mean, Tensor) and mean.ndim == 3 else mean


def _rectified(layer: nn.Module) -> nn.Sequential:
    return nn.Sequential(layer, nn.ReLU())


def _pool() -> nn.MaxPool2d:
    return nn.MaxPool2d(3, 2, ceil_mode=True)


NETWORKS = {"caffenet": caffenet_network, "places205": places205_network}
