"""The built-in model: a small AlexNet-like network for 64x64 images, and a generator that inverts its fc6.

Both are trained with BatchNorm and used without it: `fold` merges each normalisation into the layer before.
The shipped fc8 is four times the trained logits, so that a good image of a class reaches 50 to 60, the ranges
of the paper; softmax is of fc8 / 4.
"""

import copy
from functools import cache
from pathlib import Path
from typing import NamedTuple, TypeVar, cast

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from invset.errors import WeightsError

Module = TypeVar("Module", bound=nn.Module)

DATA = Path(__file__).parents[1] / "data" / "mini"
SIZE = 64  # pixels a side
CODE = 512  # units of fc6
LOGIT_SCALE = 4.0  # shipped fc8 / trained logits


class CodeStatistics(NamedTuple):
    """What fc6 codes of real images look like.

    mean (512,); deviation (512,), per dimension; bank (m, 512), codes of training images; float32, >= 0.
    """

    mean: Tensor
    deviation: Tensor
    bank: Tensor


class MiniNetwork(nn.Module):
    """Five convolutions and three linear layers; each child's output is after its ReLU, fc8's is raw.

    The names and groups are CaffeNet's, the widths are not. With `norm`, each layer but fc8 has a BatchNorm.
    """

    def __init__(self, classes: int = 1000, norm: bool = False):
        super().__init__()
        self.conv1 = _convolution(3, 32, 5, norm=norm)
        self.conv2 = _convolution(32, 64, 5, groups=2, norm=norm)
        self.conv3 = _convolution(64, 128, 3, norm=norm)
        self.conv4 = _convolution(128, 128, 3, groups=2, norm=norm)
        self.conv5 = _convolution(128, 128, 3, groups=2, norm=norm)
        self.fc6 = _linear(128 * 4 * 4, CODE, norm=norm)
        self.fc7 = _linear(CODE, CODE, norm=norm)
        self.fc8 = nn.Linear(CODE, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Images (b, 3, 64, 64), RGB in [0, 1] -> activations of fc8 (b, classes)."""
        x = (images - 0.45) / 0.26
        x = _pool(self.conv1(x))
        x = _pool(self.conv2(x))
        x = self.conv5(self.conv4(self.conv3(x)))
        x = _pool(_pool(x)).flatten(1)
        return self.fc8(self.fc7(self.fc6(x)))


class MiniGenerator(nn.Module):
    """From a code of fc6 to an image: a smooth 8x8 colour image plus the detail of an upsampling network.

    Nearest upsampling and convolutions rather than transposed convolutions, which leave a dotted grid.
    """

    def __init__(self, norm: bool = False):
        super().__init__()
        self.low = nn.Linear(CODE, 3 * 8 * 8)
        self.fc = nn.Sequential(
            *_normed(nn.Linear(CODE, 256 * 4 * 4, bias=not norm), norm),
            nn.LeakyReLU(0.2),
            nn.Unflatten(1, (256, 4, 4)),
            _Residual(256, norm),
        )
        self.up = nn.Sequential(
            _upsampling(256, 160, norm),
            _upsampling(160, 96, norm),
            _upsampling(96, 64, norm, residual=False),
            *_normed(nn.Conv2d(64, 48, 3, padding=1, bias=not norm), norm),
            nn.LeakyReLU(0.2),
            nn.Conv2d(48, 12, 3, padding=1),
            nn.PixelShuffle(2),
        )

    def forward(self, codes: Tensor) -> Tensor:
        """Codes (b, 512), those of real images >= 0 -> images (b, 3, 64, 64), RGB in [0, 1]."""
        low = F.interpolate(self.low(codes).view(-1, 3, 8, 8), size=(SIZE, SIZE), mode="bilinear")
        return torch.sigmoid(low + self.up(self.fc(codes)))


def load_network(path: str | Path | None = None) -> MiniNetwork:
    """The folded network, float32, in eval mode, its weights without gradients; None: the shipped weights.

    Raises:
        WeightsError: the file is missing, damaged or holds other tensors.
    """
    path, state = _read(path, "network.safetensors")
    head = state.get("fc8.weight")
    classes = 1000 if head is None or head.ndim != 2 else head.shape[0]
    return _filled(MiniNetwork(classes), state, path)


def load_generator(path: str | Path | None = None) -> MiniGenerator:
    """The folded generator, float32, in eval mode, its weights without gradients; None: the shipped weights.

    Raises:
        WeightsError: the file is missing, damaged or holds other tensors.
    """
    path, state = _read(path, "generator.safetensors")
    state = {name: value for name, value in state.items() if not name.startswith("codes.")}
    return _filled(MiniGenerator(), state, path)


def load_code_statistics(path: str | Path | None = None) -> CodeStatistics:
    """The statistics of real codes that a generator's file carries; None: the shipped file.

    Raises:
        WeightsError: the file is missing, damaged or carries no such statistics.
    """
    path, state = _read(path, "generator.safetensors")
    values: list[Tensor] = []
    for field, ndim in (("mean", 1), ("deviation", 1), ("bank", 2)):
        value = state.get(f"codes.{field}")
        if value is None or value.ndim != ndim or value.shape[-1] != CODE:
            found = "no tensor" if value is None else f"shape {tuple(value.shape)}"
            raise WeightsError(
                f"{path}: codes.{field} should end in {CODE} numbers, found {found}. "
                "Export the generator again (scripts/train_mini.py stage=export)."
            )
        values.append(value)
    return CodeStatistics(*values)


def class_names(path: str | Path | None = None) -> tuple[str, ...]:
    """The name of each unit of fc8, in order; None: ImageNet's 1000, in Caffe's order.

    Raises:
        WeightsError: the file cannot be read.
    """
    return tuple(name for _, name in _class_lines(path))


def class_folders(path: str | Path | None = None) -> tuple[str, ...]:
    """The folder (ImageNet: the wnid, "n01443537") of each unit of fc8, in order; see `class_names`."""
    return tuple(folder for folder, _ in _class_lines(path))


def fold(module: Module) -> Module:
    """A copy in eval mode with each BatchNorm merged into the convolution or linear layer before it.

    Computes the same function as the module in eval mode, up to rounding.
    """
    module = copy.deepcopy(module).eval()
    for block in [m for m in module.modules() if isinstance(m, nn.Sequential)]:
        layers: list[nn.Module] = []
        for layer in block:
            if isinstance(layer, nn.BatchNorm2d):
                layers[-1] = fuse_conv_bn_eval(cast(nn.Conv2d, layers[-1]), layer)
            elif isinstance(layer, nn.BatchNorm1d):
                layers[-1] = fuse_linear_bn_eval(cast(nn.Linear, layers[-1]), layer)
            else:
                layers.append(layer)
        del block[:]
        block.extend(layers)
    return module


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


def _pool(x: Tensor) -> Tensor:
    return F.max_pool2d(x, 3, 2, 1)


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


def _read(path: str | Path | None, shipped: str) -> tuple[Path, dict[str, Tensor]]:
    path = DATA / shipped if path is None else Path(path)
    try:
        with safe_open(path, framework="pt") as file:
            names = file.keys()
            return path, {name: file.get_tensor(name).float() for name in names}
    except FileNotFoundError as error:
        hint = "Give the path of a file that scripts/train_mini.py stage=export has written."
        raise WeightsError(f"{path}: there is no such file of weights. {hint}") from error
    except (SafetensorError, OSError) as error:
        hint = "The file is cut short or no safetensors file: copy, download or export it again."
        raise WeightsError(f"{path}: cannot be read as safetensors ({error}). {hint}") from error


def _filled(module: Module, state: dict[str, Tensor], path: Path) -> Module:
    expected = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in state.items()}
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            raise WeightsError(
                f"{path}: {name} should be {expected.get(name, 'absent')}, is {found.get(name, 'absent')}. "
                f"These are not the folded weights of a {type(module).__name__}; export them with "
                "scripts/train_mini.py stage=export."
            )
    module.load_state_dict(state)
    return module.eval().requires_grad_(False)


@cache
def _class_lines(path: str | Path | None) -> tuple[tuple[str, str], ...]:
    path = DATA / "imagenet_classes.txt" if path is None else Path(path)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        hint = "Give a text file with a line for each class: folder, tab, name."
        raise WeightsError(f"{path}: cannot read the class names ({error}). {hint}") from error
    folders_names = (line.partition("\t") for line in lines if line)
    return tuple((folder, name or folder) for folder, _, name in folders_names)
