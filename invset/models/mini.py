"""The built-in model: a small AlexNet-like network, and a generator that inverts its fc6.

The shipped one is for 64x64 images; others of 32 to 256 pixels, wider or with other codes, can be trained. Both are
trained with BatchNorm (`norm`) and used without it: the export merges each normalisation into the layer before.
The shipped fc8 is `logit_scale` times the trained logits, which brings it near the ranges of the paper; softmax is of
fc8 / logit_scale.
"""

import math
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from invset.errors import ConfigError, WeightsError
from invset.files import user_path
from invset.models.labels import labels_for
from invset.models.network import CodeStatistics, Generator, Network
from invset.weights.tensors import fill, read_safetensors

DATA = Path(__file__).parents[1] / "data" / "mini"
SIZES = (32, 64, 128, 256)  # pixels a side
WIDTHS = (1 / 8, 8)
CODES = (8, 8192)
ADVICE = "These are not the folded weights of such a model; export them with scripts/train_mini.py stage=export."
OLD_METADATA = {"size": "64", "logit_scale": "4"}  # what files are whose metadata do not say it: they are older


@dataclass(frozen=True)
class Dimensions:
    """What networks and generators may differ in; the defaults are the shipped model's.

    size: pixels a side. width: a factor on the numbers of channels, a multiple of 1/8. code: units of fc6.
    Raises ConfigError where there is no such model.
    """

    size: int = 64
    width: float = 1.0
    code: int = 512

    def __post_init__(self) -> None:
        if not isinstance(self.size, int) or self.size not in SIZES:
            raise ConfigError(f"size is {self.size}, and may be {', '.join(map(str, SIZES))}: pixels a side.")
        low, high = WIDTHS
        if not isinstance(self.width, int | float) or not low <= self.width <= high or self.width * 8 % 1:
            raise ConfigError(f"width is {self.width}, and may be a multiple of 1/8 from {low} to {high}.")
        low, high = CODES
        if not isinstance(self.code, int) or not low <= self.code <= high:
            raise ConfigError(f"code is {self.code}, and may be a whole number from {low} to {high}.")

    def __str__(self) -> str:
        return f"size={self.size}, width={self.width}, code={self.code}"

    def channels(self, count: int) -> int:
        """That many, by the width."""
        return int(count * self.width)


SHIPPED = Dimensions()


class MiniNetwork(nn.Module):
    """Five convolutions and three linear layers; each child's output is after its ReLU, fc8's is raw.

    The names and groups are CaffeNet's, the widths are not. With `norm`, each layer but fc8 has a BatchNorm.
    `logit_scale`: fc8 / the logits that softmax is of; 1 while it is trained, then what its file says.
    """

    logit_scale: float = 1.0

    def __init__(self, classes: int = 1000, norm: bool = False, dimensions: Dimensions = SHIPPED):
        super().__init__()
        self.dimensions = dimensions
        c1, c2, c3 = (dimensions.channels(count) for count in (32, 64, 128))
        self.conv1 = _convolution(3, c1, 5, norm=norm)
        self.conv2 = _convolution(c1, c2, 5, groups=2, norm=norm)
        self.conv3 = _convolution(c2, c3, 3, norm=norm)
        self.conv4 = _convolution(c3, c3, 3, groups=2, norm=norm)
        self.conv5 = _convolution(c3, c3, 3, groups=2, norm=norm)
        self.fc6 = _linear(c3 * 4 * 4, dimensions.code, norm=norm)
        self.fc7 = _linear(dimensions.code, dimensions.code, norm=norm)
        self.fc8 = nn.Linear(dimensions.code, classes)
        early = _halvings(dimensions.size, 16)  # conv3 to conv5 see 16x16 maps at any size, as cheap and as wide
        self.pools = {"conv1": (early + 1) // 2, "conv2": early // 2, "conv5": 2}

    def forward(self, images: Tensor) -> Tensor:
        """Images (b, 3, size, size), RGB in [0, 1] -> activations of fc8 (b, classes)."""
        return self.layers(images, ("fc8",))["fc8"]

    def layers(self, images: Tensor, names: Collection[str]) -> dict[str, Tensor]:
        """The outputs of the children of these names, from one forward pass that ends at the deepest of them."""
        outputs: dict[str, Tensor] = {}
        x = (images - 0.45) / 0.26
        for name, child in self.named_children():
            x = child(x)
            if name in names:
                outputs[name] = x
                if len(outputs) == len(names):
                    break
            for _ in range(self.pools.get(name, 0)):
                x = F.max_pool2d(x, 3, 2, 1)
            if name == "conv5":
                x = x.flatten(1)
        return outputs


class MiniGenerator(nn.Module):
    """From a code of fc6 to an image: a smooth 8x8 colour image plus the detail of an upsampling network.

    Nearest upsampling and convolutions rather than transposed convolutions, which leave a dotted grid.
    """

    def __init__(self, norm: bool = False, dimensions: Dimensions = SHIPPED):
        super().__init__()
        self.dimensions = dimensions
        doublings = _halvings(dimensions.size, 4)  # the pixel shuffle's is the last
        first, *others = [dimensions.channels(count) for count in (256, 160, 96, 64, 48, 32)[:doublings]]
        tail = dimensions.channels(48)
        self.low = nn.Linear(dimensions.code, 3 * 8 * 8)
        self.fc = nn.Sequential(
            *_normed(nn.Linear(dimensions.code, first * 4 * 4, bias=not norm), norm),
            nn.LeakyReLU(0.2),
            nn.Unflatten(1, (first, 4, 4)),
            _Residual(first, norm),
        )
        self.up = nn.Sequential(
            *(
                _upsampling(inputs, outputs, norm, residual=number < doublings - 2)
                for number, (inputs, outputs) in enumerate(pairwise((first, *others)))
            ),
            *_normed(nn.Conv2d(others[-1], tail, 3, padding=1, bias=not norm), norm),
            nn.LeakyReLU(0.2),
            nn.Conv2d(tail, 12, 3, padding=1),
            nn.PixelShuffle(2),
        )

    def forward(self, codes: Tensor) -> Tensor:
        """Codes (b, c), those of real images >= 0 -> images (b, 3, size, size), RGB in [0, 1]."""
        low = F.interpolate(self.low(codes).view(-1, 3, 8, 8), size=(self.dimensions.size,) * 2, mode="bilinear")
        return torch.sigmoid(low + self.up(self.fc(codes)))


def mini_network(weights: str | Path | None = None, labels: str | Path | None = None) -> Network:
    """The built-in network, or one trained like it: for 64x64 images, or what its file says.

    Args:
        weights: its file; None for the shipped ones.
        labels: a file of fc8's names (see `labels.class_names`); None for ImageNet's, if fc8 has 1000 units.

    Raises:
        WeightsError: a file is missing, damaged or holds something else.
    """
    module = load_network(weights)
    size = module.dimensions.size
    layers = {name: name for name, _ in module.named_children()}
    named = labels_for({"fc8": module.fc8.out_features}, labels)
    files, scales = (_file(weights, "network"),), {"fc8": module.logit_scale}
    return Network("mini", module, layers, (3, size, size), named, files, logit_scales=scales)


def mini_generator(weights: str | Path | None = None) -> Generator:
    """The built-in generator, which inverts fc6 of the built-in network; None for the shipped weights.

    Its bounds, [0, the largest entry of a natural code], are an offer: codes need not keep to them. A file
    codes.safetensors beside the weights holds more natural codes than they carry themselves.

    Raises:
        WeightsError: the file is missing, damaged or holds something else.
    """
    file = _file(weights, "generator")
    statistics, beside = load_code_statistics(weights), file.with_name("codes.safetensors")
    bounds = (0.0, float(statistics.bank.max())) if len(statistics.bank) else None
    module = load_generator(weights)
    shape, code = (3, module.dimensions.size, module.dimensions.size), module.dimensions.code
    natural = partial(load_natural_codes, beside, code) if beside.is_file() else None
    files = (file, beside) if natural else (file,)
    return Generator("mini", module, code, shape, statistics, bounds, files, inverts=("mini", "fc6"), natural=natural)


def load_network(path: str | Path | None = None) -> MiniNetwork:
    """The folded network, float32, in eval mode, its weights without gradients; None: the shipped weights.

    Raises:
        WeightsError: the file is missing, damaged or holds other tensors.
    """
    file = _file(path, "network")
    state, metadata = _read(file)
    with _measuring(file):
        size, code = int(metadata["size"]), len(state["fc6.0.weight"])
        dimensions = Dimensions(size, len(state["conv1.0.weight"]) / 32, code)
        classes, logit_scale = len(state["fc8.weight"]), float(metadata["logit_scale"])
        if not 0 < logit_scale < math.inf:
            raise ValueError(f"a logit_scale of {logit_scale:g}")
    network = fill(lambda: MiniNetwork(classes, dimensions=dimensions), state, file, ADVICE)
    network.logit_scale = logit_scale
    return network


def load_generator(path: str | Path | None = None) -> MiniGenerator:
    """The folded generator, as `load_network` gives the network."""
    file = _file(path, "generator")
    state, metadata = _read(file)
    state = {name: value for name, value in state.items() if not name.startswith("codes.")}
    with _measuring(file):
        maps, code = state["fc.0.weight"].shape
        dimensions = Dimensions(int(metadata["size"]), maps / (256 * 16), code)
    return fill(lambda: MiniGenerator(dimensions=dimensions), state, file, ADVICE)


def load_code_statistics(path: str | Path | None = None) -> CodeStatistics:
    """The statistics of natural codes that a generator's file carries. Raises WeightsError if there are none."""
    file = _file(path, "generator")
    state, _ = _read(file)
    mean, deviation, bank = (state.get(f"codes.{field}") for field in CodeStatistics._fields)
    if mean is None or deviation is None or bank is None or not mean.shape == deviation.shape == bank.shape[1:]:
        raise WeightsError(f"{file}: carries no mean, deviation and bank of natural codes. {ADVICE}")
    return CodeStatistics(mean, deviation, _from_eight_bits(bank, state))


def load_natural_codes(file: Path, size: int) -> Tensor:
    """Codes of the images that a generator was trained on (m, size).

    Raises:
        WeightsError: the file is damaged, or its codes have another size.
    """
    state, _ = _read(file)
    bank = state.get("codes.bank")
    if bank is None or bank.ndim != 2 or bank.shape[1] != size:
        raise WeightsError(
            f"{file}: holds no natural codes of {size} numbers, as the generator beside it takes. {ADVICE}"
        )
    return _from_eight_bits(bank, state)


def _from_eight_bits(bank: Tensor, state: Mapping[str, Tensor]) -> Tensor:
    """Codes, which may be in 255ths of the highest entries."""
    return bank / 255 * state["codes.highest"] if "codes.highest" in state else bank


class _Residual(nn.Module):
    """x + f(x), where f is zero at first, so that a generator trained without it goes on where it was."""

    def __init__(self, channels: int, norm: bool):
        super().__init__()
        self.body = nn.Sequential(
            *_normed(nn.Conv2d(channels, channels, 3, padding=1, bias=not norm), norm), nn.LeakyReLU(0.2)
        )
        if norm:
            nn.init.zeros_(self.body[1].get_parameter("weight"))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def _halvings(size: int, smaller: int) -> int:
    return (size // smaller).bit_length() - 1


def _normed(layer: nn.Conv2d | nn.Linear, norm: bool) -> list[nn.Module]:
    if not norm:
        return [layer]
    if isinstance(layer, nn.Linear):
        return [layer, nn.BatchNorm1d(layer.out_features)]
    return [layer, nn.BatchNorm2d(layer.out_channels)]


def _convolution(inputs: int, outputs: int, kernel: int, *, groups: int = 1, norm: bool) -> nn.Sequential:
    layer = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, groups=groups, bias=not norm)
    return nn.Sequential(*_normed(layer, norm), nn.ReLU())


def _linear(inputs: int, outputs: int, *, norm: bool) -> nn.Sequential:
    return nn.Sequential(*_normed(nn.Linear(inputs, outputs, bias=not norm), norm), nn.ReLU())


def _upsampling(inputs: int, outputs: int, norm: bool, residual: bool = True) -> nn.Sequential:
    layers = [
        nn.Upsample(scale_factor=2),
        *_normed(nn.Conv2d(inputs, outputs, 3, padding=1, bias=not norm), norm),
        nn.LeakyReLU(0.2),
    ]
    return nn.Sequential(*layers, *([_Residual(outputs, norm)] if residual else []))


def _file(path: str | Path | None, name: str) -> Path:
    return DATA / f"{name}.safetensors" if path is None else user_path(path)


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors, and from the metadata what they do not tell: the network's size and the scale of its fc8."""
    tensors, metadata = read_safetensors(path)
    return {name: value.float() for name, value in tensors.items()}, OLD_METADATA | metadata


@contextmanager
def _measuring(path: Path) -> Iterator[None]:
    """Raise WeightsError where the tensors of the file do not tell the dimensions of such a model."""
    try:
        yield
    except (KeyError, TypeError, ValueError, ConfigError) as error:
        raise WeightsError(f"{path}: has not the tensors of such a model ({error}). {ADVICE}") from error


NETWORKS = {"mini": mini_network}
GENERATORS = {"mini": mini_generator}
